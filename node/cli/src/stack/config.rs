//! `edgectl stack config`: the files as one, with variables, `include` and `extends` resolved.

use clap::Args;
use node_stack::{Node, Value};

use super::files::{self, FileFlags, Read};
use crate::failure::{Exit, Failure};
use crate::output::{print, say};

/// Flags.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    #[command(flatten)]
    files: FileFlags,
}

/// Prints it. Asks no agent.
pub fn run(args: &ConfigArgs) -> Result<Exit, Failure> {
    let read = Read::from(&args.files)?;
    let (tree, notes) = node_stack::merged(&read.input(None)).map_err(files::failure)?;
    for note in &notes {
        say(format!("note: {note}"));
    }
    let mut lines = Vec::new();
    write(&tree, 0, &mut lines);
    print(lines.join("\n"))?;
    Ok(Exit::Done)
}

/// The lines of a value below a key or in a list.
fn write(node: &Node, depth: usize, lines: &mut Vec<String>) {
    let indent = "  ".repeat(depth);
    match &node.value {
        Value::Map(map) => {
            for entry in map.entries() {
                let key = quoted(&entry.key);
                match inline(&entry.node.value) {
                    Some(text) => lines.push(format!("{indent}{key}: {text}")),
                    None => {
                        lines.push(format!("{indent}{key}:"));
                        write(&entry.node, depth + 1, lines);
                    }
                }
            }
        }
        Value::List(items) => {
            for item in items {
                match inline(&item.value) {
                    Some(text) => lines.push(format!("{indent}- {text}")),
                    None => {
                        let from = lines.len();
                        write(item, depth + 1, lines);
                        let first = &mut lines[from];
                        first.replace_range(indent.len()..indent.len() + 2, "- ");
                    }
                }
            }
        }
        other => lines.push(format!("{indent}{}", inline(other).unwrap_or_default())),
    }
}

/// What stands on the line of its key.
fn inline(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("null".to_owned()),
        Value::Text(text) => Some(quoted(text)),
        Value::List(items) => items.is_empty().then(|| "[]".to_owned()),
        Value::Map(map) => map.entries().is_empty().then(|| "{}".to_owned()),
    }
}

/// A text such that every reader of YAML takes it for that text: JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    let is_word = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
    };
    let words = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    let is_special = words.contains(&text.to_ascii_lowercase().as_str());
    if is_word(text) && !is_special {
        return text.to_owned();
    }
    serde_json::Value::from(text).to_string()
}
