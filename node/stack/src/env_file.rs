//! Files of variables: `.env`, and `env_file` of a service.
//!
//! ```text
//! # a comment
//! NAME=value            # blanks around it and a comment after a blank are not part of it
//! export NAME='as it is: $HOME, #'
//! NAME="with \n escapes and ${VARIABLES}"
//! NAME                  # as it is set where the stack is deployed, or not at all
//! ```
//! In the raw form everything after the `=` is the value.

use std::collections::BTreeMap;

use crate::interpolate::{Variables, replace};

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Quotes, escapes, variables and comments, as Compose has them.
    Quoted,
    /// As they are.
    Raw,
}

/// Reads a file of variables. `outside` are those of whoever deploys: they count for names alone, and
/// in values. An error names the line.
pub fn parse(
    text: &str,
    form: Form,
    outside: &Variables,
) -> Result<BTreeMap<String, String>, String> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let at = |what: String| format!("line {}: {what}", number + 1);
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").map_or(line, str::trim_start);
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name.trim_end(), Some(value)),
            None => (line.trim_end(), None),
        };
        if name.is_empty() || name.contains(char::is_whitespace) {
            return Err(at(format!("{name:?} is no name of a variable; write NAME=value")));
        }
        let Some(value) = value else {
            found.extend(outside.get(name).map(|value| (name.to_owned(), value.clone())));
            continue;
        };
        if form == Form::Raw {
            found.insert(name.to_owned(), value.to_owned());
            continue;
        }
        let mut value = value.trim_start().to_owned();
        // A quoted value may go on over several lines.
        while is_open(&value) {
            let Some((_, more)) = lines.next() else {
                return Err(at("a quote is never closed".to_owned()));
            };
            value.push('\n');
            value.push_str(more);
        }
        let known = known(&found, outside);
        found.insert(name.to_owned(), of_value(&value, &known).map_err(at)?);
    }
    Ok(found)
}

/// What a value may use: what stands above it, and more than that what is set outside.
fn known(found: &BTreeMap<String, String>, outside: &Variables) -> Variables {
    let mut known = found.clone();
    known.extend(outside.clone());
    known
}

/// Does the value begin with a quote that is not closed?
fn is_open(value: &str) -> bool {
    matches!(value.chars().next(), Some('\'' | '"')) && quoted(value).is_none()
}

/// What is between the quotes at the start of a text, and what follows.
fn quoted(value: &str) -> Option<(&str, &str)> {
    let quote = value.chars().next()?;
    let mut is_escaped = false;
    for (at, sign) in value.char_indices().skip(1) {
        match sign {
            _ if is_escaped => is_escaped = false,
            '\\' if quote == '"' => is_escaped = true,
            sign if sign == quote => return Some((&value[1..at], &value[at + 1..])),
            _ => {}
        }
    }
    None
}

fn of_value(value: &str, known: &Variables) -> Result<String, String> {
    if let Some('\'' | '"') = value.chars().next() {
        let (inner, after) = quoted(value).ok_or("a quote is never closed")?;
        let after = after.trim_start();
        if !after.is_empty() && !after.starts_with('#') {
            return Err(format!("{after:?} follows a quoted value"));
        }
        return match value.starts_with('\'') {
            true => Ok(inner.to_owned()),
            false => replace(&unescaped(inner), known).map(|replaced| replaced.text),
        };
    }
    let end = value.find(" #").or_else(|| value.find("\t#")).unwrap_or(value.len());
    let value = if value.starts_with('#') { "" } else { value[..end].trim_end() };
    replace(value, known).map(|replaced| replaced.text)
}

/// `\n`, `\r`, `\t`, `\"` and `\\`; `\$` is a sign and no variable.
fn unescaped(text: &str) -> String {
    let mut plain = String::new();
    let mut signs = text.chars();
    while let Some(sign) = signs.next() {
        match (sign, sign == '\\') {
            (_, false) => plain.push(sign),
            (_, true) => match signs.next() {
                Some('n') => plain.push('\n'),
                Some('r') => plain.push('\r'),
                Some('t') => plain.push('\t'),
                Some('$') => plain.push_str("$$"),
                Some(other @ ('"' | '\\')) => plain.push(other),
                Some(other) => plain.extend(['\\', other]),
                None => plain.push('\\'),
            },
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outside() -> Variables {
        [("HOME".to_owned(), "/root".to_owned())].into()
    }

    fn read(text: &str) -> BTreeMap<String, String> {
        parse(text, Form::Quoted, &outside()).expect("it is read")
    }

    #[test]
    fn every_way_to_write_a_value() {
        let table = [
            ("A=b", "b"),
            ("A=", ""),
            ("A= b c ", "b c"),
            ("  export A=b", "b"),
            ("A=b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A=#c", ""),
            ("A='$HOME # x'", "$HOME # x"),
            ("A=\"$HOME # x\" # comment", "/root # x"),
            ("A=${HOME}/x", "/root/x"),
            ("A=\"a\\nb\\\"c\\$d\\x\"", "a\nb\"c$d\\x"),
            ("A=\"one\ntwo\"", "one\ntwo"),
            ("A=b=c", "b=c"),
            ("A=$$x", "$x"),
            ("B=1\nA=${B}2", "12"),
            ("A='it''s'", ""),
        ];
        for (text, value) in &table[..table.len() - 1] {
            assert_eq!(read(text)["A"], *value, "{text}");
        }
        assert!(parse("A='it''s'", Form::Quoted, &outside()).is_err());
        assert_eq!(read("HOME\nNOBODY\n"), outside());
        assert_eq!(read("\u{feff}# x\n\nHOME=/x\n")["HOME"], "/x");
    }

    #[test]
    fn in_the_raw_form_everything_is_the_value() {
        let found = parse("A='$B' # x \n", Form::Raw, &outside()).expect("it is read");
        assert_eq!(found["A"], "'$B' # x ");
    }

    #[test]
    fn faults_name_their_line() {
        for (text, fault) in [
            ("A=1\n=2", "line 2: \"\" is no name of a variable; write NAME=value"),
            ("A B=1", "line 1: \"A B\" is no name of a variable; write NAME=value"),
            ("A=1\nB='x\ny", "line 2: a quote is never closed"),
            ("A=${", "line 1: `${` holds no variable after a `$`; write `$$` for the sign itself"),
        ] {
            assert_eq!(parse(text, Form::Quoted, &outside()), Err(fault.to_owned()));
        }
    }
}
