//! One value of a configuration, as its source gives it, and as what it is read.

use std::path::PathBuf;

use super::error::{ConfigError, SettingSource};
use super::key::ConfigKey;

/// A value as its source gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Raw {
    /// A text in the file.
    Text(String),
    /// A list of texts in the file.
    List(Vec<String>),
    /// `true` or `false` in the file.
    Switch(bool),
    /// Anything else in the file, by name.
    Other(&'static str),
    /// From the environment or a flag, where every value is text and commas separate.
    Typed(String),
}

/// A value with its key and place, for messages.
pub(super) struct Given<'a> {
    pub(super) key: ConfigKey,
    pub(super) value: Raw,
    pub(super) place: &'a SettingSource,
}

impl Given<'_> {
    pub(super) fn wrong_type(&self, found: &'static str, wanted: &'static str) -> ConfigError {
        ConfigError::WrongType { place: self.place.clone(), key: self.key, found, wanted }
    }

    pub(super) fn bad(&self, value: &str, why: impl ToString) -> ConfigError {
        let value = if self.key == ConfigKey::FleetKey { "…" } else { value };
        ConfigError::BadValue {
            place: self.place.clone(),
            key: self.key,
            value: value.to_owned(),
            why: why.to_string(),
        }
    }

    pub(super) fn found(&self) -> &'static str {
        match &self.value {
            Raw::Text(_) | Raw::Typed(_) => "a text",
            Raw::List(_) => "a list",
            Raw::Switch(_) => "true or false",
            Raw::Other(name) => name,
        }
    }

    pub(super) fn text(&self) -> Result<&str, ConfigError> {
        let (Raw::Text(text) | Raw::Typed(text)) = &self.value else {
            return Err(self.wrong_type(self.found(), "a text"));
        };
        if text.trim().is_empty() {
            return Err(self.bad(text, "it is empty"));
        }
        Ok(text.trim())
    }

    pub(super) fn list(&self) -> Result<Vec<String>, ConfigError> {
        match &self.value {
            Raw::List(items) => Ok(items.iter().map(|item| item.trim().to_owned()).collect()),
            Raw::Typed(text) => Ok(text
                .split(',')
                .map(|item| item.trim().to_owned())
                .filter(|item| !item.is_empty())
                .collect()),
            _ => Err(self.wrong_type(self.found(), "a list of texts")),
        }
    }

    pub(super) fn switch(&self) -> Result<bool, ConfigError> {
        match &self.value {
            Raw::Switch(on) => Ok(*on),
            Raw::Typed(text) => match text.trim() {
                "true" | "on" | "1" | "yes" => Ok(true),
                "false" | "off" | "0" | "no" => Ok(false),
                other => Err(self.bad(other, "it is neither true nor false")),
            },
            _ => Err(self.wrong_type(self.found(), "true or false")),
        }
    }

    pub(super) fn path(&self) -> Result<PathBuf, ConfigError> {
        let text = self.text()?;
        match (self.place, PathBuf::from(text)) {
            (SettingSource::Line { .. }, path) if path.is_relative() => {
                Err(self.bad(text, "in the file a path begins with /"))
            }
            // A container has another working directory than the agent, so a relative path would
            // not work.
            (_, path) => std::path::absolute(path).map_err(|error| self.bad(text, error)),
        }
    }
}
