//! From TOML text to keys and values with their lines. It must never guess: an unknown key, or a
//! key of the wrong scope, is an error.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, SettingSource};
use super::given::Raw;
use super::key::{ConfigKey, Scope};

/// One entry of the file; its value is not checked yet.
pub(super) struct Entry {
    pub(super) key: ConfigKey,
    pub(super) value: Raw,
    pub(super) place: SettingSource,
}

/// The entries of a file, in the order of their keys.
pub(super) fn parse(path: &Path, text: &str) -> Result<Vec<Entry>, ConfigError> {
    let place =
        |offset: usize| SettingSource::Line { path: path.to_owned(), line: line_of(text, offset) };
    let table = DeTable::parse(text).map_err(|error| ConfigError::Syntax {
        place: place(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    })?;
    let mut entries: Vec<_> = table.into_inner().into_iter().collect();
    entries.sort_by_key(|(name, _)| name.span().start);
    entries
        .into_iter()
        .map(|(name, value)| {
            let place = place(name.span().start);
            let name = name.into_inner().into_owned();
            let value = value.into_inner();
            match (ConfigKey::from_name(&name), value) {
                (None, DeValue::Table(_)) => Err(ConfigError::Table { place, name }),
                (None, _) => {
                    let near = ConfigKey::nearest(&name);
                    Err(ConfigError::UnknownKey { place, name, near })
                }
                (Some(key), _) if key.scope() == Scope::Node => {
                    Err(ConfigError::PerNode { place, key })
                }
                (Some(key), value) => Ok(Entry { key, value: raw(&value), place }),
            }
        })
        .collect()
}

fn raw(value: &DeValue<'_>) -> Raw {
    match value {
        DeValue::String(text) => Raw::Text(text.to_string()),
        DeValue::Boolean(on) => Raw::Switch(*on),
        DeValue::Integer(_) => Raw::Other("a number"),
        DeValue::Float(_) => Raw::Other("a number"),
        DeValue::Datetime(_) => Raw::Other("a date"),
        DeValue::Table(_) => Raw::Other("a table"),
        DeValue::Array(items) => {
            let texts: Option<Vec<String>> =
                items.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect();
            texts.map_or(Raw::Other("a list with something else than texts"), Raw::List)
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}
