//! A Rust file as the rules see it: separated into code, comments and test parts.
//!
//! This is a small scanner, not a parser: it knows comments, strings, characters and braces, which
//! is enough to tell whether a word is in code. It must keep every line in its place, because
//! findings are reported by line.

use anyhow::{Context, Result};
use std::path::Path;

/// One file, split by line into what is code and what is comment.
pub struct Source {
    /// Its path from the root, with `/`.
    pub path: String,
    /// The unchanged lines.
    pub lines: Vec<String>,
    /// Only the code: comments and the contents of strings are blank.
    pub code: Vec<String>,
    /// Only the comments, the slashes included.
    pub comments: Vec<String>,
    /// Whether a line is compiled for tests only.
    pub test: Vec<bool>,
}

/// Every Rust file of the repository outside `target`, in order of path.
pub fn sources(root: &Path) -> Result<Vec<Source>> {
    let mut paths = Vec::new();
    collect(root, &mut paths)?;
    paths.sort();
    let mut sources = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(root.join(&path)).with_context(|| path.clone())?;
        sources.push(Source::new(&path, &text));
    }
    mark_test_files(&mut sources);
    Ok(sources)
}

fn collect(folder: &Path, paths: &mut Vec<String>) -> Result<()> {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).with_context(|| next.display().to_string())? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".rs") {
                let relative = path.strip_prefix(folder).expect("found below the folder");
                paths.push(relative.to_string_lossy().into_owned());
            }
        }
    }
    Ok(())
}

/// Marks test files: `#[cfg(test)] mod laws;` makes the whole file `laws.rs` beside it a test.
fn mark_test_files(sources: &mut [Source]) {
    let declared: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in sources {
        if declared.contains(&source.path) {
            source.test.fill(true);
        }
    }
}

impl Source {
    /// Scans a file's text.
    pub fn new(path: &str, text: &str) -> Source {
        let (code, comments) = split(text);
        let code: Vec<String> = code.lines().map(str::to_owned).collect();
        let comments = comments.lines().map(str::to_owned).collect();
        let whole = path.contains("/tests/") || path.contains("/benches/");
        let test = if whole { vec![true; code.len()] } else { test_lines(&code) };
        let lines = text.lines().map(str::to_owned).collect();
        Source { path: path.to_owned(), lines, code, comments, test }
    }

    /// The lines of code that ship, with their numbers from 1.
    pub fn shipped(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.code.iter().zip(&self.test).enumerate();
        lines.filter(|(_, (_, test))| !**test).map(|(at, (line, _))| (at + 1, line.as_str()))
    }

    /// The paths of modules that are declared here for tests only.
    fn test_modules(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let folder = match stem.rsplit_once('/') {
            Some((folder, "lib" | "main")) => folder,
            _ => stem,
        };
        let declared = self.code.iter().zip(&self.test).filter(|(_, test)| **test);
        declared
            .filter_map(|(line, _)| line.trim().strip_suffix(';'))
            .filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod "))
            .map(|name| format!("{folder}/{name}.rs"))
            .collect()
    }
}

/// The state of the scanner.
#[derive(Clone, Copy, PartialEq)]
enum State {
    Code,
    LineComment,
    BlockComment(u32),
    /// A string. A raw string ends at a quote and this many hashes; any other string has escapes.
    Text(Option<usize>),
}

/// The text twice: once only its code, once only its comments, with the same lines.
fn split(text: &str) -> (String, String) {
    let letters: Vec<char> = text.chars().collect();
    let (mut code, mut comments) = (String::new(), String::new());
    let (mut state, mut at) = (State::Code, 0);
    while at < letters.len() {
        let (next, width) = step(state, &letters, at);
        let comment = |state| matches!(state, State::LineComment | State::BlockComment(_));
        for &letter in &letters[at..at + width] {
            let newline = letter == '\n';
            let is_code = state == State::Code && !comment(next);
            code.push(if newline || is_code { letter } else { ' ' });
            let is_comment = comment(state) || comment(next);
            comments.push(if newline || is_comment { letter } else { ' ' });
        }
        (state, at) = (next, at + width);
    }
    (code, comments)
}

/// The state after the characters at `at`, and how many characters were read.
fn step(state: State, letters: &[char], at: usize) -> (State, usize) {
    let pair = (letters[at], letters.get(at + 1).copied().unwrap_or('\n'));
    match (state, pair) {
        (State::Code, ('/', '/')) => (State::LineComment, 2),
        (State::Code, ('/', '*')) => (State::BlockComment(1), 2),
        (State::Code, ('"', _)) => (State::Text(None), 1),
        (State::Code, ('r', '"' | '#')) if !in_word(letters, at) => raw(letters, at),
        (State::Code, ('\'', _)) => (State::Code, character(letters, at)),
        (State::LineComment, ('\n', _)) => (State::Code, 1),
        (State::BlockComment(depth), ('/', '*')) => (State::BlockComment(depth + 1), 2),
        (State::BlockComment(1), ('*', '/')) => (State::Code, 2),
        (State::BlockComment(depth), ('*', '/')) => (State::BlockComment(depth - 1), 2),
        (State::Text(None), ('\\', _)) => (state, 2.min(letters.len() - at)),
        (State::Text(None), ('"', _)) => (State::Code, 1),
        (State::Text(Some(hashes)), ('"', _)) if closes(letters, at, hashes) => {
            (State::Code, 1 + hashes)
        }
        _ => (state, 1),
    }
}

fn in_word(letters: &[char], at: usize) -> bool {
    at > 0
        && (letters[at - 1].is_alphanumeric() || letters[at - 1] == '_')
        && letters[at - 1] != 'b'
}

/// `r"`, `r#"`, … opens a raw string; `r#name` is an identifier.
fn raw(letters: &[char], at: usize) -> (State, usize) {
    let hashes = letters[at + 1..].iter().take_while(|letter| **letter == '#').count();
    match letters.get(at + 1 + hashes) {
        Some('"') => (State::Text(Some(hashes)), hashes + 2),
        _ => (State::Code, 1),
    }
}

fn closes(letters: &[char], at: usize, hashes: usize) -> bool {
    letters[at + 1..].iter().take(hashes).filter(|letter| **letter == '#').count() == hashes
}

/// The width of a character literal like `'"'` or `'\''`; the tick of a lifetime has width 1.
fn character(letters: &[char], at: usize) -> usize {
    if letters.get(at + 1) == Some(&'\\') {
        let rest = letters[at + 3..].iter().position(|letter| *letter == '\'');
        return rest.map_or(1, |rest| rest + 4);
    }
    if letters.get(at + 2) == Some(&'\'') { 3 } else { 1 }
}

/// Marks the item after each `#[cfg(test)]` or `#[test]`, up to its closing brace or semicolon.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut test = vec![false; code.len()];
    let mut at = 0;
    while at < code.len() {
        let line = code[at].trim();
        if line.starts_with("#![cfg(test)]") {
            test.fill(true);
            return test;
        }
        if line.starts_with("#[cfg(test)]") || line.starts_with("#[test]") {
            let end = item_end(code, at);
            test[at..=end].fill(true);
            at = end;
        }
        at += 1;
    }
    test
}

/// The last line of the item that begins at or after `start`.
fn item_end(code: &[String], start: usize) -> usize {
    let mut depth = 0_i32;
    for (at, line) in code.iter().enumerate().skip(start) {
        let line = line.trim();
        for letter in line.chars() {
            depth += match letter {
                '{' | '(' | '[' => 1,
                '}' | ')' | ']' => -1,
                _ => 0,
            };
            let ends = letter == '}' || letter == ';';
            if depth == 0 && ends {
                return at;
            }
        }
    }
    code.len() - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        Source::new("a.rs", text).code.join("\n")
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        assert_eq!(code("let a = \"f64\"; // f64").trim_end(), "let a = \"    ;");
        assert_eq!(code("/* f64 /* f64 */ f64 */ let b;").trim(), "let b;");
        assert!(!code("let c = r#\"f64 \" f64\"#;").contains("f64"));
        assert!(!code("let d = b\"\\\"f64\";").contains("f64"));
    }

    #[test]
    fn a_quote_in_a_character_opens_no_string() {
        assert!(code("let a = '\"'; let b: f64;").contains("f64"));
        assert!(code("let a = '\\''; let b: f64;").contains("f64"));
        assert!(code("fn a<'a>(b: &'a f64) {}").contains("f64"));
        assert!(code("fn a(r#type: f64) {}").contains("f64"));
    }

    #[test]
    fn a_test_module_ends_at_its_brace() {
        let source =
            Source::new("a.rs", "fn a() {}\n#[cfg(test)]\nmod t {\n fn b() {}\n}\nfn c() {}");
        assert_eq!(source.test, [false, true, true, true, true, false]);
    }

    #[test]
    fn a_file_declared_for_tests_is_one() {
        let mut sources = vec![
            Source::new("a/src/lib.rs", "mod plan;\n#[cfg(test)]\nmod laws;"),
            Source::new("a/src/laws.rs", "fn a() {}"),
            Source::new("a/src/plan.rs", "fn a() {}"),
        ];
        mark_test_files(&mut sources);
        assert_eq!(sources[1].test, [true]);
        assert_eq!(sources[2].test, [false]);
    }
}
