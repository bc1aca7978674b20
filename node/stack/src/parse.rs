//! From the text of a file to its tree. Anchors, aliases and merge keys are resolved, within limits:
//! a small file can otherwise mean a gigabyte.

use std::collections::BTreeMap;
use std::rc::Rc;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use crate::problem::Problem;
use crate::tree::{Entry, Joining, Map, Node, Place, Value};

/// The longest file, in bytes.
pub const FILE_BYTES_MAX: usize = 4 << 20;

/// The most values that a file may mean, with all that its aliases stand for.
pub const VALUES_MAX: usize = 250_000;

/// How deep lists and maps may be in each other.
pub const DEPTH_MAX: usize = 64;

/// Reads the one document of a file; a file without one is an empty map.
pub fn parse(file: &str, text: &str) -> Result<Node, Problem> {
    let file: Rc<str> = file.into();
    let start = Place { file: file.clone(), line: 1, column: 1 };
    if text.len() > FILE_BYTES_MAX {
        let what = format!("{} bytes are too many: {FILE_BYTES_MAX} at most", text.len());
        return Err(Problem::at(&start, what));
    }
    let mut reader =
        Reader { parser: Parser::new_from_str(text), file, anchors: BTreeMap::new(), values: 0 };
    reader.document(start)
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    file: Rc<str>,
    /// The anchors that are complete, each with how many values it stands for.
    anchors: BTreeMap<usize, (Node, usize)>,
    values: usize,
}

impl<'a> Reader<'a> {
    fn document(&mut self, start: Place) -> Result<Node, Problem> {
        let mut found = None;
        while let Some((event, place)) = self.next()? {
            match event {
                Event::DocumentStart(_) if found.is_some() => {
                    return Err(Problem::at(&place, "a second document: a file has one"));
                }
                Event::StreamStart
                | Event::Nothing
                | Event::DocumentStart(_)
                | Event::DocumentEnd => {}
                Event::StreamEnd => break,
                other => found = Some(self.node(other, place, 0)?),
            }
        }
        match found {
            Some(Node { value: Value::Null, place, .. }) => Ok(empty(place)),
            Some(node) => Ok(node),
            None => Ok(empty(start)),
        }
    }

    fn next(&mut self) -> Result<Option<(Event<'a>, Place)>, Problem> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, self.place(span)))),
            Some(Err(error)) => {
                let (line, column) = (error.marker().line(), error.marker().col() + 1);
                let place = Place { file: self.file.clone(), line, column };
                Err(Problem::at(&place, format!("this is no YAML: {}", error.info())))
            }
        }
    }

    fn place(&self, span: Span) -> Place {
        let (line, column) = (span.start.line(), span.start.col() + 1);
        Place { file: self.file.clone(), line, column }
    }

    fn node(&mut self, event: Event<'a>, place: Place, depth: usize) -> Result<Node, Problem> {
        if depth > DEPTH_MAX {
            return Err(Problem::at(&place, format!("more than {DEPTH_MAX} levels deep")));
        }
        let before = self.values;
        self.count(&place, 1)?;
        let (anchor, joining, value) = match event {
            Event::Alias(anchor) => return self.alias(anchor, &place),
            Event::Scalar(text, style, anchor, tag) => {
                let joining = joining(tag.as_deref(), &place)?;
                let is_null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                let is_null = is_null && tag.as_deref().is_none_or(|tag| tag.suffix != "str");
                let value = if is_null { Value::Null } else { Value::Text(text.into_owned()) };
                (anchor, joining, value)
            }
            Event::SequenceStart(anchor, tag) => {
                (anchor, joining(tag.as_deref(), &place)?, self.list(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                (anchor, joining(tag.as_deref(), &place)?, Value::Map(self.map(depth)?))
            }
            _ => return Err(Problem::at(&place, "a value ends here that did not begin")),
        };
        let node = Node { place, joining, value };
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), self.values - before));
        }
        Ok(node)
    }

    fn count(&mut self, place: &Place, more: usize) -> Result<(), Problem> {
        self.values += more;
        if self.values > VALUES_MAX {
            let what = format!("with its aliases the file means more than {VALUES_MAX} values");
            return Err(Problem::at(place, what));
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, place: &Place) -> Result<Node, Problem> {
        let Some((node, values)) = self.anchors.get(&anchor).cloned() else {
            return Err(Problem::at(place, "an alias inside of what it stands for"));
        };
        self.count(place, values)?;
        Ok(Node { place: place.clone(), ..node })
    }

    fn list(&mut self, depth: usize) -> Result<Value, Problem> {
        let mut items = Vec::new();
        while let Some((event, place)) = self.next()? {
            match event {
                Event::SequenceEnd => break,
                event => items.push(self.node(event, place, depth + 1)?),
            }
        }
        Ok(Value::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<Map, Problem> {
        let mut map = Map::default();
        let mut merged: Vec<Map> = Vec::new();
        while let Some((event, place)) = self.next()? {
            if event == Event::MappingEnd {
                break;
            }
            let is_plain = matches!(&event, Event::Scalar(_, ScalarStyle::Plain, ..));
            let key = match self.node(event, place.clone(), depth + 1)?.value {
                Value::Text(key) => key,
                Value::Null => String::new(),
                other => {
                    return Err(Problem::at(&place, format!("a key is {}, no text", other.kind())));
                }
            };
            let Some((event, value_place)) = self.next()? else { break };
            let node = self.node(event, value_place, depth + 1)?;
            if key == "<<" && is_plain {
                merged.extend(maps_of(node)?);
                continue;
            }
            if map.get(&key).is_some() {
                return Err(Problem::at(&place, format!("`{key}` is there twice")));
            }
            map.put(Entry { place, key, node });
        }
        for entry in merged.into_iter().flat_map(|map| map.entries().to_vec()) {
            if map.get(&entry.key).is_none() {
                map.put(entry);
            }
        }
        Ok(map)
    }
}

/// What a merge key takes in: a map, or a list of maps of which the first counts.
fn maps_of(node: Node) -> Result<Vec<Map>, Problem> {
    let refuse = |node: &Node| {
        let what = format!("`<<` takes a map or a list of maps, not {}", node.value.kind());
        Err(Problem::at(&node.place, what))
    };
    match node.value {
        Value::Map(map) => Ok(vec![map]),
        Value::List(items) => items
            .into_iter()
            .map(|item| match item.value {
                Value::Map(map) => Ok(map),
                _ => refuse(&item).map(|()| Map::default()),
            })
            .collect(),
        _ => refuse(&node).map(|()| Vec::new()),
    }
}

fn joining(tag: Option<&Tag>, place: &Place) -> Result<Joining, Problem> {
    let Some(tag) = tag else { return Ok(Joining::Merge) };
    match (tag.handle.as_str(), tag.suffix.as_str()) {
        ("!", "reset") => Ok(Joining::Reset),
        ("!", "override") => Ok(Joining::Override),
        // `!!str` and its like: everything is text here.
        ("tag:yaml.org,2002:", _) => Ok(Joining::Merge),
        (handle, suffix) => {
            let what = format!("the tag `{handle}{suffix}` means nothing here");
            Err(Problem::at(place, what).hint("`!reset`, `!override` or no tag"))
        }
    }
}

fn empty(place: Place) -> Node {
    Node { place, joining: Joining::Merge, value: Value::Map(Map::default()) }
}

#[cfg(test)]
mod tests;
