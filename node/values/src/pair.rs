//! `NAME=value` in its uses: labels, environment, log options.

use std::collections::BTreeMap;
use std::fmt;

/// A name and a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Left of the first `=`.
    pub name: String,
    /// Right of it; empty where Docker reads a bare name as an empty value.
    pub value: String,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

/// The pairs by name; the last value of a name wins.
pub fn map(pairs: &[Pair]) -> BTreeMap<String, String> {
    pairs.iter().map(|pair| (pair.name.clone(), pair.value.clone())).collect()
}

/// Why a text is no pair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPair {
    /// `=x`, or nothing at all.
    #[error("the name is missing: write it like NAME=value")]
    NoName,
    /// `a b=c`.
    #[error("a name has no blanks: write it like NAME=value")]
    Blank,
    /// `max-size` alone.
    #[error("the value is missing: write it like {0}=VALUE")]
    NoValue(String),
    /// `max-sise=1m`.
    #[error("unknown log option {0:?}: there are max-size (10m) and max-file (3)")]
    UnknownLogOption(String),
    /// `max-size=many`.
    #[error("{0}: not a valid value for this log option, write max-size=10m or max-file=3")]
    BadLogOption(String),
    /// `-e FOO` without FOO in the environment of edgectl.
    #[error("{0} is not set in this shell: write {0}=value, or export it first")]
    NotInEnvironment(String),
}

/// The name and, if there is a `=`, the value.
pub fn name_and_value(text: &str) -> Result<(String, Option<String>), BadPair> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if name.is_empty() {
        return Err(BadPair::NoName);
    }
    if name.contains(char::is_whitespace) {
        return Err(BadPair::Blank);
    }
    Ok((name.to_owned(), value))
}

/// Reads a label. A bare name has the empty value, as in Docker.
pub fn label(text: &str) -> Result<Pair, BadPair> {
    let (name, value) = name_and_value(text)?;
    Ok(Pair { name, value: value.unwrap_or_default() })
}

/// Reads a log option that the runtime knows.
pub fn log_option(text: &str) -> Result<Pair, BadPair> {
    let (name, value) = name_and_value(text)?;
    let is_valid = match (name.as_str(), &value) {
        (_, None) => return Err(BadPair::NoValue(name)),
        ("max-size", Some(value)) => super::bytes(value).is_ok_and(|bytes| bytes > 0),
        ("max-file", Some(value)) => value.parse::<u32>().is_ok_and(|files| files > 0),
        _ => return Err(BadPair::UnknownLogOption(name)),
    };
    if is_valid {
        Ok(Pair { name, value: value.unwrap_or_default() })
    } else {
        Err(BadPair::BadLogOption(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> Pair {
        Pair { name: name.to_owned(), value: value.to_owned() }
    }

    #[test]
    fn the_first_equals_sign_separates() {
        assert_eq!(label("a=b=c"), Ok(pair("a", "b=c")));
        assert_eq!(label("bare"), Ok(pair("bare", "")));
        assert_eq!(label("=x"), Err(BadPair::NoName));
        assert_eq!(label(""), Err(BadPair::NoName));
        assert_eq!(label("a b=c"), Err(BadPair::Blank));
    }

    #[test]
    fn log_options_are_those_that_the_runtime_knows() {
        assert_eq!(log_option("max-size=10m"), Ok(pair("max-size", "10m")));
        assert_eq!(log_option("max-file=3"), Ok(pair("max-file", "3")));
        assert_eq!(log_option("max-file"), Err(BadPair::NoValue("max-file".to_owned())));
        assert_eq!(log_option("tag=x"), Err(BadPair::UnknownLogOption("tag".to_owned())));
        for bad in ["max-file=none", "max-file=0", "max-size=big", "max-size=0"] {
            assert_eq!(log_option(bad), Err(BadPair::BadLogOption(bad.to_owned())));
        }
    }
}
