//! A tree as the text of a file. Every value is written such that each reader of YAML takes it for the
//! text that it is: what could be a number, a truth value or a date is quoted.

use std::fmt::Write as _;

use crate::tree::{Node, Value};

/// What YAML takes for something else than text.
const SPECIAL: [&str; 9] = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];

/// The lines of a tree, without an end of line after the last.
pub fn text(tree: &Node) -> String {
    let mut lines = Vec::new();
    write(tree, 0, &mut lines);
    lines.join("\n")
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

/// A text as it is, or in double quotes.
fn quoted(text: &str) -> String {
    let is_word = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/' || c == '_')
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
    };
    if is_word(text) && !SPECIAL.contains(&text.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            c if is_invisible(c) => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// What YAML does not allow as it is, or takes for the end of a line.
fn is_invisible(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::parse;

    #[test]
    fn every_text_is_read_as_the_text_that_was_written() {
        let texts = [
            "",
            "~",
            "null",
            "No",
            "1e3",
            "0440",
            "a: b",
            "- a",
            "#",
            "a #b",
            "{{.Task.Slot}}",
            "\"",
            "\\",
            "a\nb\n",
            "\t",
            "\u{1}\u{85}\u{2028}\u{feff}",
            "ü€𝄞",
            "<<",
            "*a",
            "&a",
            "!x",
            "%",
            "@",
            "a/b.c-d_e",
        ];
        for text in texts {
            let place = crate::write::place();
            let mut keys = crate::write::Keys::default();
            keys.text(text, text);
            keys.list("list", vec![crate::write::node(Value::Text(text.to_owned()))]);
            let tree = crate::write::node(keys.into_value());
            let written = super::text(&tree);
            let read = parse("c", &written).unwrap_or_else(|bad| panic!("{bad}: {written}"));
            let Value::Map(map) = read.value else { panic!("{written}") };
            let value = &map.get(text).unwrap_or_else(|| panic!("{written}")).value;
            assert_eq!(*value, Value::Text(text.to_owned()), "{written} {place}");
            let Some(Value::List(items)) = map.get("list").map(|node| &node.value) else {
                panic!()
            };
            assert_eq!(items[0].value, Value::Text(text.to_owned()));
        }
    }
}
