//! Variables in values: `$NAME`, `${NAME}`, and forms with a default, an error or a replacement.
//!
//! | written | the variable is set | empty | not set |
//! |---|---|---|---|
//! | `${A}`, `$A` | its value | nothing | nothing, and a note |
//! | `${A:-text}` | its value | `text` | `text` |
//! | `${A-text}` | its value | nothing | `text` |
//! | `${A:?text}` | its value | an error with `text` | an error with `text` |
//! | `${A?text}` | its value | nothing | an error with `text` |
//! | `${A:+text}` | `text` | nothing | nothing |
//! | `${A+text}` | `text` | `text` | nothing |
//! | `$$` | `$` | | |
//!
//! `text` may hold variables itself. Keys are never replaced. `{{.Task.Slot}}` and other
//! placeholders pass through: they are filled in where a task starts.

use std::collections::{BTreeMap, BTreeSet};

use crate::problem::{Note, Problem};
use crate::tree::{Node, Place, Value};

/// The variables that may be used, by name.
pub type Variables = BTreeMap<String, String>;

/// How deep variables may be in the defaults of each other.
const DEPTH_MAX: usize = 16;

/// What interpolation found besides values.
#[derive(Debug, Default)]
pub struct Findings {
    /// What cannot be read, and what is required and not set.
    pub problems: Vec<Problem>,
    /// Variables that are not set and have no default, each once.
    pub notes: Vec<Note>,
    unset: BTreeSet<String>,
}

/// Replaces the variables in all values of a tree.
pub fn interpolate(node: &mut Node, variables: &Variables, findings: &mut Findings) {
    match &mut node.value {
        Value::Null => {}
        Value::Text(text) if !text.contains('$') => {}
        Value::Text(text) => match replace(text, variables) {
            Ok(replaced) => {
                *text = replaced.text;
                replaced.unset.into_iter().for_each(|name| findings.unset(&node.place, name));
            }
            Err(what) => findings.problems.push(Problem::at(&node.place, what)),
        },
        Value::List(items) => {
            items.iter_mut().for_each(|item| interpolate(item, variables, findings));
        }
        Value::Map(map) => {
            for entry in map.entries_mut() {
                interpolate(&mut entry.node, variables, findings);
            }
        }
    }
}

/// Writes the sign `$` in all values as `$$`, so that interpolation gives what was there.
pub fn protect(node: &mut Node) {
    match &mut node.value {
        Value::Null => {}
        Value::Text(text) => *text = text.replace('$', "$$"),
        Value::List(items) => items.iter_mut().for_each(protect),
        Value::Map(map) => map.entries_mut().iter_mut().for_each(|entry| protect(&mut entry.node)),
    }
}

impl Findings {
    fn unset(&mut self, place: &Place, name: String) {
        let what = format!("the variable `{name}` is not set: nothing stands for it");
        if self.unset.insert(name) {
            self.notes.push(Note { place: place.clone(), what });
        }
    }
}

/// A text with its variables replaced.
#[derive(Debug, PartialEq, Eq, Default)]
pub struct Replaced {
    /// The text.
    pub text: String,
    /// The variables in it that are not set.
    pub unset: Vec<String>,
}

/// Replaces the variables of one text; an error says in one sentence what is wrong.
pub fn replace(text: &str, variables: &Variables) -> Result<Replaced, String> {
    let mut reader = Reader { rest: text, whole: text, variables, unset: Vec::new() };
    let text = reader.until_end(0)?;
    Ok(Replaced { text, unset: reader.unset })
}

struct Reader<'a> {
    rest: &'a str,
    whole: &'a str,
    variables: &'a Variables,
    unset: Vec<String>,
}

impl<'a> Reader<'a> {
    /// Reads to the end, or inside of braces to the closing one, which it leaves.
    fn until_end(&mut self, depth: usize) -> Result<String, String> {
        if depth > DEPTH_MAX {
            return Err(format!("variables more than {DEPTH_MAX} levels deep in each other"));
        }
        let mut text = String::new();
        while let Some(next) = self.rest.chars().next() {
            if next == '}' && depth > 0 {
                break;
            }
            self.rest = &self.rest[next.len_utf8()..];
            match next {
                '$' => text.push_str(&self.variable(depth)?),
                other => text.push(other),
            }
        }
        Ok(text)
    }

    /// What stands for a variable; its `$` is read.
    fn variable(&mut self, depth: usize) -> Result<String, String> {
        if let Some(rest) = self.rest.strip_prefix('$') {
            self.rest = rest;
            return Ok("$".to_owned());
        }
        let Some(rest) = self.rest.strip_prefix('{') else {
            let name = self.name()?;
            return Ok(self.value(name));
        };
        self.rest = rest;
        let name = self.name()?;
        let (is_strict, rest) = match self.rest.strip_prefix(':') {
            Some(rest) => (true, rest),
            None => (false, self.rest),
        };
        let form = rest.chars().next().ok_or_else(|| self.never_closed())?;
        if form == '}' && !is_strict {
            self.rest = &rest[1..];
            return Ok(self.value(name));
        }
        if !matches!(form, '-' | '?' | '+') {
            return Err(self.unknown_form());
        }
        self.rest = &rest[1..];
        let unset_before = self.unset.len();
        let other = self.until_end(depth + 1)?;
        self.rest = self.rest.strip_prefix('}').ok_or_else(|| self.never_closed())?;
        let found = self.variables.get(name).filter(|value| !is_strict || !value.is_empty());
        let takes_other = (form == '+') == found.is_some();
        if !takes_other || form == '?' {
            self.unset.truncate(unset_before);
        }
        match (form, found) {
            ('?', None) => Err(required(name, &other)),
            ('+', None) => Ok(String::new()),
            ('+', Some(_)) => Ok(other),
            (_, Some(value)) => Ok(value.clone()),
            (_, None) => Ok(other),
        }
    }

    fn name(&mut self) -> Result<&'a str, String> {
        let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
        if !self.rest.starts_with(is_first) {
            return Err(self.unknown_form());
        }
        let end = self.rest.find(|c: char| !is_first(c) && !c.is_ascii_digit());
        let (name, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        Ok(name)
    }

    fn value(&mut self, name: &str) -> String {
        let value = self.variables.get(name);
        if value.is_none() {
            self.unset.push(name.to_owned());
        }
        value.cloned().unwrap_or_default()
    }

    fn unknown_form(&self) -> String {
        format!("`{}` holds no variable after a `$`; write `$$` for the sign itself", self.whole)
    }

    fn never_closed(&self) -> String {
        format!("`{}` opens a `${{` that is never closed", self.whole)
    }
}

fn required(name: &str, why: &str) -> String {
    match why {
        "" => format!("the variable `{name}` has to be set"),
        why => format!("the variable `{name}` has to be set: {why}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        let pairs = [("SET", "value"), ("EMPTY", ""), ("TAG", "1.0")];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn text(written: &str) -> String {
        replace(written, &variables()).expect("it is understood").text
    }

    fn refused(written: &str) -> String {
        replace(written, &variables()).expect_err("it is refused")
    }

    #[test]
    fn every_form_gives_what_the_table_says() {
        let table = [
            ("${SET}", "value"),
            ("$SET", "value"),
            ("a$SET.b", "avalue.b"),
            ("${EMPTY}", ""),
            ("${NONE}", ""),
            ("${SET:-text}", "value"),
            ("${EMPTY:-text}", "text"),
            ("${NONE:-text}", "text"),
            ("${EMPTY-text}", ""),
            ("${NONE-text}", "text"),
            ("${SET:?text}", "value"),
            ("${EMPTY?text}", ""),
            ("${SET:+text}", "text"),
            ("${EMPTY:+text}", ""),
            ("${EMPTY+text}", "text"),
            ("${NONE+text}", ""),
            ("$$SET $${SET}", "$SET ${SET}"),
            ("${NONE:-a${SET}b}", "avalueb"),
            ("${NONE:-${ALSO-${TAG}}}", "1.0"),
            ("${NONE:-a:-b?c}", "a:-b?c"),
            ("{{.Task.Slot}} }", "{{.Task.Slot}} }"),
            ("${NONE:-}", ""),
            ("größe${SET}ß", "größevalueß"),
        ];
        for (written, wanted) in table {
            assert_eq!(text(written), wanted, "{written}");
        }
    }

    #[test]
    fn what_has_to_be_set_and_is_not_is_an_error() {
        assert_eq!(
            refused("${NONE:?the release}"),
            "the variable `NONE` has to be set: the release"
        );
        assert_eq!(refused("${EMPTY:?}"), "the variable `EMPTY` has to be set");
        assert_eq!(refused("${NONE?say ${SET}}"), "the variable `NONE` has to be set: say value");
    }

    #[test]
    fn only_what_really_stands_for_nothing_is_unset() {
        let unset = |written: &str| replace(written, &variables()).expect("understood").unset;
        assert_eq!(unset("$NONE ${ALSO}"), ["NONE", "ALSO"]);
        assert_eq!(unset("${NONE:-$ALSO}"), ["ALSO"]);
        assert_eq!(unset("${SET:-$ALSO} ${NONE:+$ALSO} $SET"), [""; 0]);
    }

    #[test]
    fn what_is_no_variable_is_refused() {
        for written in ["$", "a $ b", "$1", "${", "${}", "${SET", "${SET:}", "${SET!x}", "${SET:-x"]
        {
            let refusal = refused(written);
            assert!(refusal.contains(written), "{refusal}");
        }
        let deep = "${A:-".repeat(100) + &"}".repeat(100);
        assert!(refused(&deep).contains("16 levels"));
    }

    #[test]
    fn keys_stay_and_every_unset_variable_is_said_once() {
        let mut tree =
            crate::parse::parse("c.yaml", "$A: [$A, '${B}', \"$A\", $SET]\n").expect("YAML");
        let mut findings = Findings::default();
        interpolate(&mut tree, &variables(), &mut findings);
        let Value::Map(map) = &tree.value else { panic!("a map") };
        assert_eq!(map.entries()[0].key, "$A");
        let notes: Vec<String> = findings.notes.iter().map(ToString::to_string).collect();
        assert_eq!(notes.len(), 2);
        assert_eq!(notes[0], "c.yaml:1:6: the variable `A` is not set: nothing stands for it");
    }
}
