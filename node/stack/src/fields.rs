//! The keys of a map, taken one by one. What nobody took is a fault: no key is dropped in silence.

use std::collections::BTreeSet;
use std::fmt::Display;

use node_values::nearest;

use crate::log::Log;
use crate::problem::Problem;
use crate::tree::{Entry, Map, Node, Place, Value};

/// A value that is text, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// Where it is.
    pub place: Place,
    /// What is written.
    pub text: String,
}

/// A name with a value, or with none: `A=b`, `A`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Where it is.
    pub place: Place,
    /// The name.
    pub name: String,
    /// The value; `None`: only the name is there.
    pub value: Option<String>,
}

/// The keys of one map.
pub struct Fields<'a> {
    /// Where the map is.
    pub place: Place,
    path: String,
    map: Map,
    asked: BTreeSet<&'static str>,
    log: &'a Log,
}

impl<'a> Fields<'a> {
    /// The keys of a value; `path` leads to it, for what is said of it. Nothing is a map without keys.
    pub fn of(node: Node, path: String, log: &'a Log) -> Option<Fields<'a>> {
        let map = match node.value {
            Value::Map(map) => map,
            Value::Null => Map::default(),
            other => {
                log.refuse(&node.place, format!("`{path}` is a map, not {}", other.kind()));
                return None;
            }
        };
        Some(Fields { place: node.place, path, map, asked: BTreeSet::new(), log })
    }

    /// The findings of this reading.
    pub fn log(&self) -> &'a Log {
        self.log
    }

    /// The keys that lead to a key of this map.
    pub fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Takes a key, if there is something behind it.
    pub fn take(&mut self, key: &'static str) -> Option<Node> {
        self.asked.insert(key);
        self.map.remove(key).filter(|node| node.value != Value::Null)
    }

    /// The map of a key.
    pub fn fields(&mut self, key: &'static str) -> Option<Fields<'a>> {
        let path = self.path(key);
        self.take(key).and_then(|node| Fields::of(node, path, self.log))
    }

    /// The text of a key.
    pub fn text(&mut self, key: &'static str) -> Option<Text> {
        let path = self.path(key);
        self.take(key).and_then(|node| as_text(node, &path, self.log))
    }

    /// The text of a key, without its place.
    pub fn string(&mut self, key: &'static str) -> Option<String> {
        self.text(key).map(|text| text.text)
    }

    /// The value of a key, read from its text.
    pub fn read<T, E: Display>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let path = self.path(key);
        let Text { place, text } = self.text(key)?;
        let result = read(&text).map_err(|error| format!("`{path}`: {error}"));
        self.log.ok(&place, result)
    }

    /// The truth value of a key.
    pub fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.read(key, truth)
    }

    /// The items of a key: a list, or one value for a list of one.
    pub fn items(&mut self, key: &'static str) -> Option<Vec<Node>> {
        let path = self.path(key);
        let node = self.take(key)?;
        match node.value {
            Value::List(items) => Some(items),
            Value::Text(_) => Some(vec![node]),
            other => {
                self.log.refuse(&node.place, format!("`{path}` is a list, not {}", other.kind()));
                None
            }
        }
    }

    /// The texts of a list.
    pub fn texts(&mut self, key: &'static str) -> Option<Vec<Text>> {
        let (path, log) = (self.path(key), self.log);
        let items = self.items(key)?;
        Some(items.into_iter().filter_map(|item| as_text(item, &path, log)).collect())
    }

    /// The values of a list, each read from its text.
    pub fn read_all<T, E: Display>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let (path, log) = (self.path(key), self.log);
        let texts = self.texts(key).unwrap_or_default();
        let one = |Text { place, text }: Text| {
            log.ok(&place, read(&text).map_err(|error| format!("`{path}`: {error}")))
        };
        texts.into_iter().filter_map(one).collect()
    }

    /// Names with values: a map, or a list of `name=value`.
    pub fn pairs(&mut self, key: &'static str) -> Option<Vec<Named>> {
        let (path, log) = (self.path(key), self.log);
        let node = self.take(key)?;
        match node.value {
            Value::Map(map) => {
                Some(map.entries().iter().filter_map(|entry| of_entry(entry, &path, log)).collect())
            }
            Value::List(items) => {
                let texts = items.into_iter().filter_map(|item| as_text(item, &path, log));
                Some(texts.map(of_text).collect())
            }
            other => {
                let what = format!("`{path}` is a map or a list, not {}", other.kind());
                log.refuse(&node.place, what);
                None
            }
        }
    }

    /// The entries of a map, in their order.
    pub fn entries(&mut self, key: &'static str) -> Vec<Entry> {
        let (path, log) = (self.path(key), self.log);
        let Some(node) = self.take(key) else { return Vec::new() };
        match node.value {
            Value::Map(map) => map.entries().to_vec(),
            other => {
                log.refuse(&node.place, format!("`{path}` is a map, not {}", other.kind()));
                Vec::new()
            }
        }
    }

    /// Keys that have no effect here, each with the reason.
    pub fn ignore(&mut self, keys: &[(&'static str, &str)]) {
        for (key, why) in keys {
            if let Some(node) = self.take(key) {
                self.log.note(&node.place, format!("`{}` has no effect: {why}", self.path(key)));
            }
        }
    }

    /// Keys that cannot be obeyed, each with the reason and what to write instead.
    pub fn refuse(&mut self, keys: &[(&'static str, &str)]) {
        for (key, why) in keys {
            if let Some(node) = self.take(key) {
                self.log.refuse(&node.place, format!("`{}`: {why}", self.path(key)));
            }
        }
    }

    /// Every key that is left is one that nobody knows, but for those of extensions (`x-…`).
    pub fn finish(self) {
        for entry in self.map.entries() {
            if entry.key.starts_with("x-") || self.asked.contains(entry.key.as_str()) {
                continue;
            }
            let what = format!("unknown key `{}`", self.path(&entry.key));
            let problem = Problem::at(&entry.place, what);
            self.log.add(match nearest(&entry.key, self.asked.iter().copied()) {
                Some(near) => problem.hint(format!("`{near}`")),
                None => problem,
            });
        }
    }
}

/// A number without a sign.
pub fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number"))
}

/// `true` and `false`, and what else stands for them in YAML.
pub fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => Ok(true),
        "false" | "no" | "off" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// A value as text.
pub fn as_text(node: Node, path: &str, log: &Log) -> Option<Text> {
    match node.value {
        Value::Text(text) => Some(Text { place: node.place, text }),
        other => {
            log.refuse(&node.place, format!("`{path}` is a single value, not {}", other.kind()));
            None
        }
    }
}

fn of_entry(entry: &Entry, path: &str, log: &Log) -> Option<Named> {
    let value = match &entry.node.value {
        Value::Null => None,
        _ => Some(as_text(entry.node.clone(), &format!("{path}.{}", entry.key), log)?.text),
    };
    Some(Named { place: entry.place.clone(), name: entry.key.clone(), value })
}

fn of_text(text: Text) -> Named {
    let Text { place, text } = text;
    match text.split_once('=') {
        Some((name, value)) => {
            Named { place, name: name.to_owned(), value: Some(value.to_owned()) }
        }
        None => Named { place, name: text, value: None },
    }
}
