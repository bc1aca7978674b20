//! The keys of a map that is written, in their order.

use std::collections::BTreeMap;
use std::rc::Rc;

use node_docker::Nanos;

use crate::tree::{Entry, Joining, Map, Node, Place, Value};

/// What is written has no place before it is read.
pub fn place() -> Place {
    Place { file: Rc::from(""), line: 0, column: 0 }
}

/// A value as a node.
pub fn node(value: Value) -> Node {
    Node { place: place(), joining: Joining::Merge, value }
}

/// The keys of a map.
#[derive(Debug, Default)]
pub struct Keys(Map);

impl Keys {
    /// Adds a key.
    pub fn put(&mut self, key: &str, value: Value) {
        self.0.put(Entry { place: place(), key: key.to_owned(), node: node(value) });
    }

    /// Adds a text.
    pub fn text(&mut self, key: &str, text: impl Into<String>) {
        self.put(key, Value::Text(text.into()));
    }

    /// Adds a text, unless it is empty.
    pub fn filled(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.text(key, text);
        }
    }

    /// Adds a number or the like, unless it is its type's zero.
    pub fn unless_zero<T: Default + PartialEq + ToString>(&mut self, key: &str, value: &T) {
        if *value != T::default() {
            self.text(key, value.to_string());
        }
    }

    /// Adds those that are true.
    pub fn truths(&mut self, truths: &[(&str, bool)]) {
        for (key, _) in truths.iter().filter(|(_, is_true)| *is_true) {
            self.text(key, "true");
        }
    }

    /// Adds a duration, also one of zero.
    pub fn duration(&mut self, key: &str, nanos: Option<Nanos>) {
        if let Some(nanos) = nanos {
            self.text(key, duration(nanos));
        }
    }

    /// Adds a list, also an empty one.
    pub fn list(&mut self, key: &str, items: Vec<Node>) {
        self.put(key, Value::List(items));
    }

    /// Adds a list of texts, unless it is empty.
    pub fn texts(&mut self, key: &str, texts: impl IntoIterator<Item = String>) {
        let items: Vec<Node> = texts.into_iter().map(|text| node(Value::Text(text))).collect();
        if !items.is_empty() {
            self.list(key, items);
        }
    }

    /// Adds names with values, unless there are none.
    pub fn pairs(&mut self, key: &str, pairs: &BTreeMap<String, String>) {
        let mut inner = Keys::default();
        pairs.iter().for_each(|(name, value)| inner.text(name, value));
        self.map_unless_empty(key, inner);
    }

    /// Adds a map, also an empty one.
    pub fn map(&mut self, key: &str, inner: Keys) {
        self.put(key, inner.into_value());
    }

    /// Adds a map, unless it is empty.
    pub fn map_unless_empty(&mut self, key: &str, inner: Keys) {
        if !inner.0.entries().is_empty() {
            self.map(key, inner);
        }
    }

    /// The map.
    pub fn into_value(self) -> Value {
        Value::Map(self.0)
    }
}

/// The largest unit in which it is a whole number: `90s`, `1500ms`.
pub fn duration(nanos: Nanos) -> String {
    let units =
        [("h", 3_600_000_000_000), ("m", 60_000_000_000), ("s", 1_000_000_000), ("ms", 1_000_000)];
    let is_whole = |(_, unit): &&(&str, i64)| nanos.0 != 0 && nanos.0 % unit == 0;
    match units.iter().find(is_whole) {
        Some((name, unit)) => format!("{}{name}", nanos.0 / unit),
        None if nanos.0 == 0 => "0s".to_owned(),
        None => format!("{}ns", nanos.0),
    }
}

/// A size in the largest unit in which it is a whole number: `64m`.
pub fn size(bytes: u64) -> String {
    let units: [(&str, u64); 3] = [("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)];
    match units.iter().find(|(_, unit)| bytes != 0 && bytes.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}
