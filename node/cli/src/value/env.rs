//! Variables, with what the environment of this command says of them.

use std::path::Path;

use super::{BadPair, Pair, name_and_value};
use crate::failure::Failure;

/// Reads a variable. A bare name takes its value from the environment of this command, as in
/// Docker.
pub fn env(text: &str) -> Result<Pair, BadPair> {
    let (name, value) = name_and_value(text)?;
    match value.or_else(|| std::env::var(&name).ok()) {
        Some(value) => Ok(Pair { name, value }),
        None => Err(BadPair::NotInEnvironment(name)),
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
    fn a_bare_variable_is_taken_from_this_environment() {
        let path = std::env::var("PATH").expect("a test has a PATH");
        assert_eq!(env("PATH"), Ok(pair("PATH", &path)));
        assert_eq!(env("A="), Ok(pair("A", "")));
        let unset = "SURELY_NOT_SET_HERE";
        assert_eq!(env(unset), Err(BadPair::NotInEnvironment(unset.to_owned())));
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
