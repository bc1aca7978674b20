//! `NAME=value` in its uses: labels, environment, log options.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::failure::Failure;

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

fn split(text: &str) -> Result<(String, Option<String>), BadPair> {
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
    let (name, value) = split(text)?;
    Ok(Pair { name, value: value.unwrap_or_default() })
}

/// Reads a variable. A bare name takes its value from the environment of this command, as in
/// Docker.
pub fn env(text: &str) -> Result<Pair, BadPair> {
    let (name, value) = split(text)?;
    match value.or_else(|| std::env::var(&name).ok()) {
        Some(value) => Ok(Pair { name, value }),
        None => Err(BadPair::NotInEnvironment(name)),
    }
}

/// Reads a log option that the runtime knows.
pub fn log_option(text: &str) -> Result<Pair, BadPair> {
    let (name, value) = split(text)?;
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

/// Reads a file of variables: one per line, `#` starts a comment line. A bare name that is not set
/// here is left out, as in Docker.
pub fn env_file(path: &Path) -> Result<Vec<Pair>, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(format!("cannot read the environment file {}", path.display()))
            .why(error.to_string())
            .hint("--env-file FILE with lines like NAME=value")
    })?;
    let mut pairs = Vec::new();
    for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match env(line) {
            Ok(pair) => pairs.push(pair),
            Err(BadPair::NotInEnvironment(_)) => {}
            Err(bad) => {
                return Err(Failure::new(format!("{}, line {}", path.display(), index + 1))
                    .why(bad.to_string()));
            }
        }
    }
    Ok(pairs)
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
    fn a_bare_variable_is_taken_from_this_environment() {
        let path = std::env::var("PATH").expect("a test has a PATH");
        assert_eq!(env("PATH"), Ok(pair("PATH", &path)));
        assert_eq!(env("A="), Ok(pair("A", "")));
        let unset = "SURELY_NOT_SET_HERE";
        assert_eq!(env(unset), Err(BadPair::NotInEnvironment(unset.to_owned())));
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

    #[test]
    fn an_environment_file_has_comments_and_blank_lines() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("env");
        std::fs::write(&path, "# one\nA=1\n\n  B=x y\nSURELY_NOT_SET_HERE\n").expect("writable");
        assert_eq!(env_file(&path), Ok(vec![pair("A", "1"), pair("B", "x y")]));
        std::fs::write(&path, "A=1\n=2\n").expect("writable");
        let failure = env_file(&path).expect_err("line 2 has no name");
        assert!(failure.to_string().contains("env, line 2"), "{failure}");
    }
}
