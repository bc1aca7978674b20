//! What a Go template opens it must close: `if`, `range`, `with`, `define` and `block` end with
//! `{{end}}`, and nothing else does.
//!
//! The parser of templates lets both mistakes pass and forgets what stands behind them: a script
//! would get a shorter answer, and exit code 0. What is no action at all is left to the parser.

use std::fmt;

/// How deep blocks, and brackets within an action, may stand within each other. The parser calls
/// itself for each one, and a stack has an end.
const DEPTH_MAX: usize = 50;

/// What is wrong with the blocks of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unbalanced {
    /// The line, from 1.
    pub line: usize,
    /// What, with its place.
    said: String,
}

impl fmt::Display for Unbalanced {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.said)
    }
}

impl std::error::Error for Unbalanced {}

/// A block that was opened and is not closed yet.
struct Open<'a> {
    word: &'a str,
    place: Place,
    part: Part,
}

/// How far a block has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// Before an `{{else}}`, or behind an `{{else if}}`.
    First,
    /// Behind the `{{else}}`.
    Else,
}

/// Line and column, both from 1.
#[derive(Clone, Copy)]
struct Place(usize, usize);

impl Place {
    fn unbalanced(self, said: String) -> Unbalanced {
        Unbalanced { line: self.0, said }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place(1, column) => write!(out, "character {column}"),
            Place(line, column) => write!(out, "line {line}, character {column}"),
        }
    }
}

/// Says in a sentence what stands where it belongs to no block, or which block is never closed.
///
/// # Errors
///
/// The first fault, or blocks or brackets that stand too deep within each other.
pub fn check(text: &str) -> Result<(), Unbalanced> {
    let mut open: Vec<Open<'_>> = Vec::new();
    let mut at = 0;
    while let Some(next) = text[at..].find("{{") {
        let start = at + next;
        let Some((body, end)) = action(text, start + 2) else {
            return Ok(());
        };
        let here = place(text, start);
        step(&mut open, body, here)?;
        if open.len() > DEPTH_MAX || brackets(body) > DEPTH_MAX {
            return Err(here.unbalanced(format!(
                "more than {DEPTH_MAX} blocks or brackets stand within each other at {here}"
            )));
        }
        at = end;
    }
    match open.last() {
        Some(open) => Err(open.place.unbalanced(format!(
            "{{{{{}}}}} at {} is never closed: {{{{end}}}} is missing",
            open.word, open.place
        ))),
        None => Ok(()),
    }
}

/// How deep the brackets of an action stand within each other. Those in its strings count too.
fn brackets(body: &str) -> usize {
    let depths = body.chars().scan(0_usize, |depth, char| {
        match char {
            '(' => *depth += 1,
            ')' => *depth = depth.saturating_sub(1),
            _ => {}
        }
        Some(*depth)
    });
    depths.max().unwrap_or(0)
}

/// What an action does to the blocks that are open.
fn step<'a>(open: &mut Vec<Open<'a>>, body: &'a str, place: Place) -> Result<(), Unbalanced> {
    let mut words = body.split(|c: char| !c.is_alphanumeric() && c != '_');
    let word = words.next().unwrap_or_default();
    match word {
        "define" if !open.is_empty() => Err(place.unbalanced(format!(
            "{{{{define}}}} at {place} stands inside {{{{{}}}}}",
            open.last().map_or("", |open| open.word)
        ))),
        "if" | "range" | "with" | "define" | "block" => {
            open.push(Open { word, place, part: Part::First });
            Ok(())
        }
        "else" => {
            let has_else = |open: &&mut Open<'_>| !matches!(open.word, "define" | "block");
            let Some(block) = open.last_mut().filter(has_else) else {
                return Err(place.unbalanced(format!(
                    "{{{{else}}}} at {place} belongs to no {{{{if}}}}, {{{{range}}}} or {{{{with}}}}"
                )));
            };
            if block.part == Part::Else {
                return Err(place.unbalanced(format!(
                    "{{{{else}}}} at {place} is the second of {{{{{}}}}}",
                    block.word
                )));
            }
            let condition = words.find(|word| !word.is_empty());
            if !matches!(condition, Some("if" | "with")) {
                block.part = Part::Else;
            }
            Ok(())
        }
        "end" => match open.pop() {
            Some(_) => Ok(()),
            None => Err(place.unbalanced(format!("{{{{end}}}} at {place} closes nothing"))),
        },
        "break" | "continue" => {
            let mut around = open.iter();
            match around.any(|open| open.word == "range" && open.part == Part::First) {
                true => Ok(()),
                false => {
                    let said = format!("{{{{{word}}}}} at {place} is in no {{{{range}}}}");
                    Err(place.unbalanced(said))
                }
            }
        }
        _ => Ok(()),
    }
}

/// The inside of the action that begins at `start`, without its trim markers, and where the text
/// goes on. `None` if it has no end.
fn action(text: &str, start: usize) -> Option<(&str, usize)> {
    let inside = &text[start..];
    let trimmed = match inside.strip_prefix('-') {
        Some(rest) if rest.starts_with(is_space) => rest,
        _ => inside,
    };
    let body = trimmed.trim_start_matches(is_space);
    let begin = text.len() - body.len();
    if let Some(comment) = body.strip_prefix("/*") {
        let end = begin + 2 + comment.find("*/")? + 2;
        return Some(("", end + text[end..].find("}}")? + 2));
    }
    let mut chars = body.char_indices();
    while let Some((offset, char)) = chars.next() {
        match char {
            '}' if body[offset..].starts_with("}}") => {
                return Some((&body[..offset], begin + offset + 2));
            }
            '`' => {
                chars.find(|(_, char)| *char == '`')?;
            }
            '"' | '\'' => loop {
                match chars.next()?.1 {
                    '\\' => {
                        chars.next()?;
                    }
                    end if end == char => break,
                    _ => {}
                }
            },
            _ => {}
        }
    }
    None
}

fn is_space(char: char) -> bool {
    matches!(char, ' ' | '\t' | '\r' | '\n')
}

fn place(text: &str, offset: usize) -> Place {
    let before = &text[..offset];
    let line = before.rsplit('\n').next().unwrap_or_default();
    Place(before.matches('\n').count() + 1, line.chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        check(text).expect_err(text).to_string()
    }

    #[test]
    fn what_stands_too_deep_for_a_stack_is_refused() {
        for (open, close) in [("{{if .A}}", "{{end}}"), ("{{range .A}}", "{{end}}")] {
            let nested = |depth| format!("{}{}", open.repeat(depth), close.repeat(depth));
            assert_eq!(check(&nested(DEPTH_MAX)), Ok(()));
            assert!(said(&nested(100_000)).starts_with("more than 50 blocks"));
        }
        let nested = |depth| format!("a\n{{{{{}1{}}}}}", "(".repeat(depth), ")".repeat(depth));
        assert_eq!(check(&nested(DEPTH_MAX)), Ok(()));
        assert!(said(&nested(100_000)).contains("at line 2, character 1"));
    }

    #[test]
    fn what_go_accepts_is_balanced() {
        for text in [
            "",
            "no action",
            "{{.ID}}{{if .A}}x{{else if .B}}y{{else with .C}}w{{else}}z{{end}}",
            "{{range .T}}{{if .}}{{continue}}{{else}}{{break}}{{end}}{{else}}none{{end}}",
            "{{- with .A -}} x {{- end -}}",
            "{{-  if .A}}x{{- end}}",
            "{{/* {{if}} {{end}} */}}{{.ID}}{{- /* {{else}} */ -}}",
            r#"{{"{{end}}"}}{{printf "\"}}{{end" }}{{`}}{{end}}`}}"#,
            r"{{'\''}}{{ '}' }}",
            r#"{{define "row"}}{{.}}{{end}}{{template "row" .ID}}{{block "b" .}}x{{end}}"#,
            "{{.end}}{{.Spec.if}}{{$end := 1}}{{ends}}",
            "{{if .A}}\n\t{{end}}",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_belongs_to_no_block_is_named_with_its_place() {
        for (text, says) in [
            ("{{.ID}}{{end}}{{.Name}}", "{{end}} at character 8 closes nothing"),
            ("{{if .A}}x{{end}}{{- end -}}", "{{end}} at character 18 closes nothing"),
            ("{{/* {{if}} */}}{{end}}", "{{end}} at character 17 closes nothing"),
            (r#"{{"{{if"}}{{end}}"#, "{{end}} at character 11 closes nothing"),
            (
                "{{.ID}}{{else}}x",
                "{{else}} at character 8 belongs to no {{if}}, {{range}} or {{with}}",
            ),
            (
                r#"{{define "a"}}{{else if .A}}{{end}}"#,
                "{{else}} at character 15 belongs to no {{if}}, {{range}} or {{with}}",
            ),
            (
                "{{if .A}}{{else}}{{else}}{{end}}",
                "{{else}} at character 18 is the second of {{if}}",
            ),
            (
                r#"{{if .A}}{{define "a"}}{{end}}{{end}}"#,
                "{{define}} at character 10 stands inside {{if}}",
            ),
            ("{{if .A}}{{break}}{{end}}", "{{break}} at character 10 is in no {{range}}"),
            (
                "{{range .A}}{{else}}{{continue}}{{end}}",
                "{{continue}} at character 21 is in no {{range}}",
            ),
        ] {
            assert_eq!(said(text), says, "{text}");
        }
    }

    #[test]
    fn a_block_that_is_never_closed_is_named_with_its_place() {
        for (text, says) in [
            ("{{if .Name}}x", "{{if}} at character 1"),
            ("{{range .T}}{{.}}", "{{range}} at character 1"),
            ("a\nb {{with .T}}{{if .}}{{end}}", "{{with}} at line 2, character 3"),
            (r#"{{define "a"}}x"#, "{{define}} at character 1"),
            (r#"é{{block "a" .}}x"#, "{{block}} at character 2"),
            ("{{if .A}}{{/* {{end}} */}}", "{{if}} at character 1"),
            ("{{if .A}}{{`{{end}}`}}", "{{if}} at character 1"),
        ] {
            let whole = format!("{says} is never closed: {{{{end}}}} is missing");
            assert_eq!(said(text), whole, "{text}");
        }
    }
}
