//! Rules about files: their first line, their length, their names.
//!
//! A file that breaks one of these rules contains two ideas, or no idea that can be named.

use super::{Finding, Source};
use anyhow::Result;
use std::path::Path;

/// A file has fewer lines than this.
const LINES_MAX: usize = 400;

/// Longer files that are allowed, each with its reason. It is empty, and should stay empty.
const LONG: [(&str, &str); 0] = [];

/// Names that do not name one thing; a file is named for what it defines.
const VAGUE: [&str; 8] = ["helper", "helpers", "util", "utils", "common", "misc", "info", "mod"];

/// All rules of this file about one source.
pub fn check(source: &Source) -> Vec<Finding> {
    [head(source), length(source), name(source)].into_iter().flatten().collect()
}

fn head(source: &Source) -> Option<Finding> {
    let first = source.lines.first().map_or("", String::as_str);
    (!first.starts_with("//! ")).then(|| Finding {
        file: source.path.clone(),
        line: 1,
        rule: "head",
        what: "the file does not open with `//!`".into(),
        why: "the first lines say what a file owns and what it must never do",
    })
}

fn length(source: &Source) -> Option<Finding> {
    let lines = source.lines.len();
    let allowed = LONG.iter().any(|(path, _)| *path == source.path);
    (lines >= LINES_MAX && !allowed).then(|| Finding {
        file: source.path.clone(),
        line: LINES_MAX,
        rule: "length",
        what: format!("{lines} lines, {LINES_MAX} are too many"),
        why: "a file that outgrows a few screens has two ideas in it",
    })
}

fn name(source: &Source) -> Option<Finding> {
    let file = source.path.rsplit('/').next().unwrap_or_default();
    let stem = file.trim_end_matches(".rs");
    VAGUE.contains(&stem).then(|| Finding {
        file: source.path.clone(),
        line: 1,
        rule: "file-name",
        what: format!("a file named `{file}`"),
        why: "a file is named for the one thing it defines; `foo.rs` with `foo/`, no `mod.rs`",
    })
}

/// Clippy uses the nearest `clippy.toml` and does not merge them, so there must be exactly one.
pub fn clippy_files(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != ".git" {
                folders.push(path);
            } else if matches!(name.as_str(), "clippy.toml" | ".clippy.toml") && folder != root {
                findings.push(Finding {
                    file: path.strip_prefix(root).unwrap_or(&path).display().to_string(),
                    line: 1,
                    rule: "one-clippy-toml",
                    what: "a second clippy.toml".into(),
                    why: "clippy does not merge them: the root's rules would be off here",
                });
            }
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(path: &str, text: &str) -> Vec<&'static str> {
        check(&Source::new(path, text)).into_iter().map(|finding| finding.rule).collect()
    }

    #[test]
    fn a_short_file_with_a_head_is_fine() {
        assert!(rules("a/src/plan.rs", "//! Plans.\n").is_empty());
    }

    #[test]
    fn a_file_without_a_head_is_found() {
        assert_eq!(rules("a/src/plan.rs", "fn a() {}\n"), ["head"]);
        assert_eq!(rules("a/src/plan.rs", ""), ["head"]);
    }

    #[test]
    fn a_file_of_four_hundred_lines_is_found() {
        let text = format!("//! Plans.\n{}", "\n".repeat(398));
        assert!(rules("a/src/plan.rs", &text).is_empty());
        assert_eq!(rules("a/src/plan.rs", &format!("{text}\n")), ["length"]);
    }

    #[test]
    fn a_file_that_names_no_thing_is_found() {
        assert_eq!(rules("a/src/util.rs", "//! Things.\n"), ["file-name"]);
        assert_eq!(rules("a/src/plan/mod.rs", "//! Plans.\n"), ["file-name"]);
    }
}
