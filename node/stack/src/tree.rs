//! A Compose file as a tree of what is written in it: text, lists and maps, each with its place.
//!
//! No scalar has a type here. `0440`, `1.10`, `NO`, `22:22` and `2026-01-02` are the text that they
//! are written as, and stay that wherever text is wanted; whoever wants a number or a truth value
//! reads the text as one ([`crate::scalar`]).

use std::fmt;
use std::rc::Rc;

/// Where something is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file's name, as it was given.
    pub file: Rc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// What a value does to that of an earlier file, by its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Joining {
    /// It is joined with it, as the key says.
    #[default]
    Merge,
    /// `!override`: it takes its place.
    Override,
    /// `!reset`: it takes it away, and itself.
    Reset,
}

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it begins.
    pub place: Place,
    /// What becomes of an earlier one.
    pub joining: Joining,
    /// What it is.
    pub value: Value,
}

/// What is written.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, as written and without its quotes.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map.
    Map(Map),
}

impl Node {
    /// Nothing, at a place.
    pub fn null(place: &Place) -> Node {
        Node { place: place.clone(), joining: Joining::Merge, value: Value::Null }
    }
}

impl Value {
    /// What it is, in the words of an error.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Text(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// A map in the order in which it is written; every key is there once.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Map {
    entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where the key is written.
    pub place: Place,
    /// The key.
    pub key: String,
    /// Its value.
    pub node: Node,
}

impl Map {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The value of a key.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.entries.iter_mut().find(|entry| entry.key == key).map(|entry| &mut entry.node)
    }

    /// Takes a key out.
    pub fn remove(&mut self, key: &str) -> Option<Node> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at).node)
    }

    /// Takes the value of a key and leaves its place in the order, for a value that follows.
    pub fn take(&mut self, key: &str) -> Option<Node> {
        let node = self.get_mut(key)?;
        let nothing = Node::null(&node.place);
        Some(std::mem::replace(node, nothing))
    }

    /// Adds a key at the end, or gives one that is there another value.
    pub fn put(&mut self, entry: Entry) {
        match self.get_mut(&entry.key) {
            Some(node) => *node = entry.node,
            None => self.entries.push(entry),
        }
    }

    /// All of it, in order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// All of it, in order.
    pub fn entries_mut(&mut self) -> &mut Vec<Entry> {
        &mut self.entries
    }
}
