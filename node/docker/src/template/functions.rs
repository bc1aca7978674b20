//! The functions of a config's or secret's template: Docker's `env`, `secret`, `config` and `join`, and
//! those of Go that make text, with an end to how much: a template that doubles a variable forty times
//! must not take the agent's memory.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crdt_state::FileClass;
use gotmpl::{Template, TemplateError, Value};

use super::facts::{Facts, KnownFile};
use super::lines;
use super::printf::{engine, printf};

/// Docker's functions, beside those of Go.
pub const DOCKERS: [&str; 4] = ["config", "env", "join", "secret"];

/// Bytes that one call of a function takes: a few of the largest files.
const CALL_BYTES_MAX: usize = 4 << 20;

/// Bytes that all calls make.
const MADE_BYTES_MAX: usize = 64 << 20;

/// Verbs of one `printf`: the engine gives each one at most 64 KiB beyond its value.
const VERBS_MAX: usize = 64;

type Function = fn(&[Value]) -> Result<Value, TemplateError>;

/// How far a template has come.
#[derive(Debug, Default)]
pub struct Progress {
    /// The line of the action that is carried out.
    pub line: AtomicUsize,
    /// A secret was read: from here on nothing that is at work may be said.
    pub has_read_secret: AtomicBool,
    /// What one of these functions refused, beyond what the engine says.
    refused: Mutex<Option<Refused>>,
    made_bytes: AtomicUsize,
}

/// Why a function gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refused {
    /// There is no such file; what there is.
    File(String),
    /// What is in it is no text.
    Bytes(FileClass),
    /// Too much.
    Large,
}

impl Progress {
    /// What a function refused.
    pub fn refused(&self) -> Option<Refused> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn refuse(&self, why: Refused) -> TemplateError {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
        TemplateError::Exec("refused".to_owned())
    }

    /// Counts what a function makes.
    fn made(&self, value: Value) -> Result<Value, TemplateError> {
        let bytes = value.as_str().map_or(0, str::len);
        let before = self.made_bytes.fetch_add(bytes, Ordering::Relaxed);
        match before.saturating_add(bytes) > MADE_BYTES_MAX {
            true => Err(self.refuse(Refused::Large)),
            false => Ok(value),
        }
    }
}

/// Adds the functions to a template.
pub fn add(template: Template, facts: &Arc<Facts>, progress: &Arc<Progress>) -> Template {
    let of = |class: FileClass| {
        let (facts, progress) = (Arc::clone(facts), Arc::clone(progress));
        move |args: &[Value]| {
            let wanted = text(args)?;
            file(class, &wanted, &facts, &progress).and_then(|value| progress.made(value))
        }
    };
    let env = {
        let facts = Arc::clone(facts);
        move |args: &[Value]| Ok(Value::String(facts.variable(&text(args)?).into()))
    };
    let note = {
        let progress = Arc::clone(progress);
        move |args: &[Value]| {
            let line = args.first().and_then(Value::as_int).unwrap_or_default();
            progress.line.store(usize::try_from(line).unwrap_or_default(), Ordering::Relaxed);
            Ok(Value::String("".into()))
        }
    };
    let named = template
        .func("secret", of(FileClass::Secret))
        .func("config", of(FileClass::Config))
        .func("env", env)
        .func(lines::NOTE, note)
        .func("index", index);
    let making: [(&str, Function); 7] = [
        ("join", join),
        ("printf", printf),
        ("print", |args| engine("print", args)),
        ("println", |args| engine("println", args)),
        ("html", |args| engine("html", args)),
        ("js", |args| engine("js", args)),
        ("urlquery", |args| engine("urlquery", args)),
    ];
    making.into_iter().fold(named, |template, (name, make)| {
        let progress = Arc::clone(progress);
        template.func(name, move |args: &[Value]| {
            let verbs = args.first().and_then(Value::as_str).filter(|_| name == "printf");
            let verbs = verbs.map_or(0, |format| format.matches('%').count());
            if verbs > VERBS_MAX || bytes_of(name, args) > CALL_BYTES_MAX {
                return Err(progress.refuse(Refused::Large));
            }
            make(args).and_then(|value| progress.made(value))
        })
    })
}

/// How many bytes a function takes. Those of lists and maps are few: they are the labels.
fn bytes_of(name: &str, args: &[Value]) -> usize {
    let bytes = args.iter().filter_map(Value::as_str).map(str::len).sum::<usize>();
    let first = args.first().and_then(Value::as_str).map_or(0, str::len);
    let between = if name == "join" { first.saturating_mul(args.len()) } else { 0 };
    bytes.saturating_add(between)
}

/// The one text that a function takes.
fn text(args: &[Value]) -> Result<String, TemplateError> {
    match args {
        [Value::String(text)] => Ok(text.to_string()),
        [_] => Err(TemplateError::Exec("this function takes a text in quotes".to_owned())),
        _ => Err(TemplateError::Exec("this function takes one text in quotes".to_owned())),
    }
}

/// `secret "TARGET"`, `config "TARGET"`: what is in it, as it is. What it holds is not filled in
/// again, as with Swarm: it may be anything.
fn file(
    class: FileClass,
    wanted: &str,
    facts: &Facts,
    progress: &Progress,
) -> Result<Value, TemplateError> {
    let mut of_class = facts.files.iter().filter(|file| file.class == class);
    let is_it = |file: &&KnownFile| file.target == wanted || file.path == wanted;
    let Some(found) = of_class.clone().find(is_it) else {
        let targets: Vec<&str> = of_class.by_ref().map(|file| file.target.as_str()).collect();
        let there = match targets.is_empty() {
            true => format!("the service has no {class}s"),
            false => format!("the targets of its {class}s are {}", targets.join(", ")),
        };
        return Err(progress.refuse(Refused::File(format!(
            "the service has no {class} with the target {wanted:?}; {there}"
        ))));
    };
    if class == FileClass::Secret {
        progress.has_read_secret.store(true, Ordering::Relaxed);
    }
    match std::str::from_utf8(&found.data.0) {
        Ok(text) => Ok(Value::String(text.into())),
        Err(_) => Err(progress.refuse(Refused::Bytes(class))),
    }
}

/// `join SEPARATOR TEXT...`
fn join(args: &[Value]) -> Result<Value, TemplateError> {
    let words: Vec<&str> = args.iter().filter_map(Value::as_str).collect();
    match words.split_first() {
        Some((separator, words)) => Ok(Value::String(words.join(separator).into())),
        None => Err(TemplateError::Exec("join takes a separator and texts".to_owned())),
    }
}

/// `index`: a label that is not there is an empty text, as in Go, where the engine has `<no value>`.
fn index(args: &[Value]) -> Result<Value, TemplateError> {
    let Some((first, keys)) = args.split_first() else {
        return Err(TemplateError::Exec("index takes a value and where in it".to_owned()));
    };
    keys.iter().try_fold(first.clone(), |value, key| match value.index(key)? {
        Value::Nil => Ok(Value::String("".into())),
        found => Ok(found),
    })
}
