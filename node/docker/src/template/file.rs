//! The template of a config or a secret, filled in for one task: Go's templates with Docker's fields
//! (`.Service`, `.Node`, `.Task`) and functions (`env`, `secret`, `config`, `join`).
//!
//! What a fault is told with must never be what is in a secret. So a fault has two sentences: one that
//! quotes the template, and one that does not, for the templates that are secrets themselves; and once
//! a template has read a secret, there is only the second one.

use std::fmt::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crdt_state::FileClass;
use crdt_state::secret::Plaintext;
use gotmpl::parse::{Expr, Parser};
use gotmpl::{MissingKey, Template, TemplateError};

use super::facts::Facts;
use super::functions::{self, DOCKERS, Progress, Refused};
use super::{blocks, calls, lines};

/// The most bytes that a template becomes: those of the largest config.
pub const FILLED_BYTES_MAX: usize = crdt_state::file::CONFIG_BYTES_MAX;

/// Rounds of all `{{range}}` together.
const ROUNDS_MAX: u64 = 100_000;

/// The name of the whole among the templates that it defines.
const WHOLE: &str = "the whole file";

/// The fields, as templates write them.
const FIELDS: [&str; 11] = [
    "Service.ID",
    "Service.Name",
    "Service.Labels",
    "Node.ID",
    "Node.Hostname",
    "Node.Platform",
    "Node.Platform.Architecture",
    "Node.Platform.OS",
    "Task.ID",
    "Task.Name",
    "Task.Slot",
];

/// A template that cannot be filled in. Its `Display` quotes nothing of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadTemplate {
    /// The line, from 1.
    pub line: usize,
    what: &'static str,
    detail: Option<String>,
}

impl fmt::Display for BadTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

impl std::error::Error for BadTemplate {}

impl BadTemplate {
    /// The fault in a file of this class: with words of the template only if that is no secret.
    pub fn told(&self, class: FileClass) -> String {
        match (&self.detail, class) {
            (Some(detail), FileClass::Config) => format!("line {}: {detail}", self.line),
            _ => self.to_string(),
        }
    }
}

const NO_TEMPLATE: &str = "it is no Go template: a block or an action is not whole";
const NO_NAME: &str = "it names a function or a field that there is not";
const NO_TEXT: &str = "a config or a secret that is no text (UTF-8) cannot be part of it";
const NO_FILE: &str = "it names a config or a secret that the service does not have";
const TOO_LARGE: &str = "it would become larger than a config may be (1023999 bytes)";
const NO_VALUE: &str = "a value is not of the kind that is needed there";

/// Checks what can be checked without a task: that it is text and a whole template, and that it names
/// no function and no field that there is not.
///
/// # Errors
///
/// The first fault.
pub fn check(data: &[u8]) -> Result<(), BadTemplate> {
    parse(data).map(drop)
}

/// Fills a template in for a task.
///
/// # Errors
///
/// The first fault, with the line of the action that has it.
pub fn fill(data: &[u8], facts: &Arc<Facts>) -> Result<Plaintext, BadTemplate> {
    let parsed = parse(data)?;
    let progress = Arc::new(Progress::default());
    let filled = functions::add(parsed, facts, &progress);
    let filled = filled.missing_key(MissingKey::Error).max_range_iters(ROUNDS_MAX);
    let mut out = Bounded(Plaintext::default());
    let done = filled.execute_template_fmt(&mut out, WHOLE, &facts.value());
    done.map(|()| std::mem::take(&mut out.0)).map_err(|error| of_run(&error, &progress))
}

/// Text up to a bound.
struct Bounded(Plaintext);

impl Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.0.len() + text.len() > FILLED_BYTES_MAX {
            return Err(fmt::Error);
        }
        self.0.0.extend(text.as_bytes());
        Ok(())
    }
}

fn parse(data: &[u8]) -> Result<Template, BadTemplate> {
    let text = std::str::from_utf8(data).map_err(|error| {
        let before = &data[..error.valid_up_to()];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        BadTemplate { line, what: "it is no text (UTF-8)", detail: None }
    })?;
    blocks::check(text).map_err(|fault| BadTemplate {
        line: fault.line,
        what: NO_TEMPLATE,
        detail: Some(fault.to_string()),
    })?;
    let (list, defined) =
        Parser::new(text, "{{", "}}").and_then(Parser::parse).map_err(of_parser)?;
    let known: Vec<&str> = calls::GO.iter().copied().chain(DOCKERS).collect();
    if let Some(unknown) = calls::unknown_function(text, &known) {
        let what = format!("there is no function {}; there are {}", unknown.name, known.join(", "));
        return Err(BadTemplate { line: unknown.line, what: NO_NAME, detail: Some(what) });
    }
    let mut fault = None;
    calls::each(&list, &defined, &mut |expression, dot| {
        if let (None, Expr::Field(at, names), calls::Dot::Whole) = (&fault, expression, dot) {
            let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
            fault = no_field(&names.join(".")).map(|what| (at.line, what));
        }
    });
    if let Some((line, what)) = fault {
        return Err(BadTemplate { line, what: NO_NAME, detail: Some(what) });
    }
    let parsed = Template::new("").parse(text).map_err(of_parser)?;
    let defined = defined.into_iter().filter(|define| !define.body.is_empty_tree());
    let parsed = defined.fold(parsed, |parsed, define| {
        parsed.add_parse_tree(&define.name, lines::noted(define.body))
    });
    Ok(parsed.add_parse_tree(WHOLE, lines::noted(list)))
}

/// Says which fields there are, if there is none of this name.
fn no_field(name: &str) -> Option<String> {
    let is_label = name.strip_prefix("Service.Labels.").is_some_and(|label| !label.contains('.'));
    let is_group = ["Service", "Node", "Task"].contains(&name);
    let is_known = FIELDS.contains(&name) || is_label || is_group;
    (!is_known).then(|| format!("there is no field .{name}; there are .{}", FIELDS.join(", .")))
}

fn of_parser(error: TemplateError) -> BadTemplate {
    let (line, detail) = match error {
        TemplateError::Parse { line, message, .. } | TemplateError::Lex { line, message, .. } => {
            (line, Some(message))
        }
        other => (1, Some(other.to_string())),
    };
    BadTemplate { line, what: NO_TEMPLATE, detail }
}

fn of_run(error: &TemplateError, progress: &Progress) -> BadTemplate {
    let line = progress.line.load(Ordering::Relaxed).max(1);
    let (what, detail) = match (progress.refused(), error) {
        (Some(Refused::File(words)), _) => (NO_FILE, words),
        (Some(Refused::Bytes(class)), _) => (NO_TEXT, format!("the {class} is no text (UTF-8)")),
        (Some(Refused::Large), _)
        | (None, TemplateError::Write | TemplateError::RangeIterLimit) => {
            (TOO_LARGE, TOO_LARGE.to_owned())
        }
        (None, TemplateError::MissingKey { key }) => (
            NO_NAME,
            format!(
                "there is no field or label .{key}; of a label that may be missing: index \
                 .Service.Labels \"{key}\""
            ),
        ),
        (None, other) => (NO_VALUE, other.to_string()),
    };
    // What is at work now may come from the secret.
    let may_tell = !progress.has_read_secret.load(Ordering::Relaxed);
    BadTemplate { line, what, detail: may_tell.then_some(detail) }
}

#[cfg(test)]
#[path = "file/tests.rs"]
mod tests;
