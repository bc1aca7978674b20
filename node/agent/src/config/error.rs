//! Errors in a configuration: where, what, why, and what to type instead.

use std::fmt;
use std::path::PathBuf;

use super::key::ConfigKey;

/// Where a value was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingSource {
    /// In the file, on this line, counted from 1.
    Line {
        /// The file.
        path: PathBuf,
        /// The line.
        line: usize,
    },
    /// In this environment variable.
    Environment(String),
    /// With this flag.
    Flag(String),
}

impl fmt::Display for SettingSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingSource::Line { path, line } => write!(f, "{}, line {line}", path.display()),
            SettingSource::Environment(name) => write!(f, "environment variable {name}"),
            SettingSource::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Why there is no configuration. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The file was named, or exists at the default path, and cannot be read.
    #[error("cannot read {}: {error}\n  name another file with --config FILE", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's message.
        error: String,
    },
    /// It is not TOML.
    #[error("{place}: {message}\n  the file is plain TOML, one `key = value` on a line")]
    Syntax {
        /// Where the parser gave up.
        place: SettingSource,
        /// The parser's message.
        message: String,
    },
    /// There is no such key.
    #[error("{place}: unknown key `{name}`\n  {}", suggestion(*near))]
    UnknownKey {
        /// Where.
        place: SettingSource,
        /// As written.
        name: String,
        /// What was probably meant.
        near: Option<ConfigKey>,
    },
    /// A table in a file that has none.
    #[error(
        "{place}: `[{name}]` opens a table, and this file is flat: every key stands for itself\n  \
         remove the line; known keys: {}",
        known_keys()
    )]
    Table {
        /// Where.
        place: SettingSource,
        /// As written.
        name: String,
    },
    /// A key of one node, in the file of the whole fleet.
    #[error(
        "{place}: `{}` belongs to one node, and this file is the same on every node\n  \
         give it to that node as {}=… or {} …",
        key.name(), key.variable(), key.flag()
    )]
    PerNode {
        /// Where.
        place: SettingSource,
        /// The key.
        key: ConfigKey,
    },
    /// A number instead of a text, or the like.
    #[error("{place}: `{}` is {found} and must be {wanted}\n  type: {}", key.name(), key.example())]
    WrongType {
        /// Where.
        place: SettingSource,
        /// The key.
        key: ConfigKey,
        /// What it is.
        found: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// The right type, a wrong value.
    #[error("{place}: `{}` cannot be \"{value}\": {why}\n  type: {}", key.name(), key.example())]
    BadValue {
        /// Where.
        place: SettingSource,
        /// The key.
        key: ConfigKey,
        /// As written; `…` for a key that is secret.
        value: String,
        /// What is wrong with it.
        why: String,
    },
}

fn suggestion(near: Option<ConfigKey>) -> String {
    match near {
        Some(key) => format!("did you mean `{}`? type: {}", key.name(), key.example()),
        None => format!("known keys: {}", known_keys()),
    }
}

fn known_keys() -> String {
    let names: Vec<&str> = ConfigKey::ALL.into_iter().map(ConfigKey::name).collect();
    names.join(", ")
}
