//! Go's `printf` for lists and maps: each of their values is formatted as the verb says, with its
//! flags, width and precision: `%q` of a list is `["a" "b"]`.
//!
//! The engine of the templates does this for `%v` alone. A verb whose argument is a list is
//! written out here as verbs of its values, and everything else is left to the engine.

use std::iter::Peekable;
use std::str::Chars;

use gotmpl::{TemplateError, Value};

/// `printf FORMAT VALUE...`
///
/// # Errors
///
/// Those of the engine: there is no format.
pub fn printf(args: &[Value]) -> Result<Value, TemplateError> {
    let written_out = match args.split_first() {
        Some((Value::String(format), values)) if values.iter().any(is_composite) => {
            Writer::write_out(format, values)
        }
        _ => None,
    };
    engine("printf", written_out.as_deref().unwrap_or(args))
}

/// A function of the engine's own, which it gives to templates only.
pub(super) fn engine(name: &str, args: &[Value]) -> Result<Value, TemplateError> {
    let operands: String = (0..args.len()).map(|index| format!(" (index . {index})")).collect();
    let text = gotmpl::Template::new(name)
        .parse(&format!("{{{{{name}{operands}}}}}"))?
        .execute_to_string(&Value::List(args.into()))?;
    Ok(Value::String(text.into()))
}

fn is_composite(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_))
}

/// Writes a format again for values of which none is a list, in the order in which it takes them.
struct Writer<'a> {
    values: &'a [Value],
    next: usize,
    order: Order,
    format: String,
    taken: Vec<Value>,
}

/// Whether a format takes its values one after the other: only then are those left over extra.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Written,
    Indexed,
}

impl Writer<'_> {
    /// Format and values; `None` if the format has a mistake, which the engine is to name.
    fn write_out(format: &str, values: &[Value]) -> Option<Vec<Value>> {
        let order = Order::Written;
        let mut writer =
            Writer { values, next: 0, order, format: String::new(), taken: Vec::new() };
        let mut chars = format.chars().peekable();
        while let Some(char) = chars.next() {
            match char {
                '%' => writer.verb(&mut chars)?,
                other => writer.format.push(other),
            }
        }
        let mut args = vec![Value::String(writer.format.into())];
        args.append(&mut writer.taken);
        if writer.order == Order::Written {
            args.extend(values.iter().skip(writer.next).cloned());
        }
        Some(args)
    }

    /// One verb, behind its `%`.
    fn verb(&mut self, chars: &mut Peekable<Chars<'_>>) -> Option<()> {
        let mut verb = String::from("%");
        let mut widths = Vec::new();
        while let Some(flag) = chars.next_if(|char| "+-# 0".contains(*char)) {
            verb.push(flag);
        }
        self.number(chars, &mut verb, &mut widths)?;
        if chars.next_if_eq(&'.').is_some() {
            verb.push('.');
            self.number(chars, &mut verb, &mut widths)?;
        }
        self.index(chars)?;
        let letter = chars.next()?;
        verb.push(letter);
        if letter == '%' {
            self.format.push_str(&verb);
            return Some(());
        }
        // The type of a list, and Go's own notation of one, are of the whole.
        let is_of_the_whole = matches!(letter, 'T' | 'p') || letter == 'v' && verb.contains('#');
        let Some(value) = self.take() else {
            self.format.push_str(&format!("%%!{letter}(MISSING)"));
            return Some(());
        };
        match is_of_the_whole {
            true => self.one(&value, &verb, &widths),
            false => self.each(&value, &verb, &widths),
        }
        Some(())
    }

    /// A width or a precision: digits, or `*`, which takes a value.
    fn number(
        &mut self,
        chars: &mut Peekable<Chars<'_>>,
        verb: &mut String,
        widths: &mut Vec<Value>,
    ) -> Option<()> {
        self.index(chars)?;
        if chars.next_if_eq(&'*').is_some() {
            verb.push('*');
            widths.push(self.take()?);
        }
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            verb.push(digit);
        }
        Some(())
    }

    /// `[2]`: the next value to take is the second.
    fn index(&mut self, chars: &mut Peekable<Chars<'_>>) -> Option<()> {
        if chars.next_if_eq(&'[').is_none() {
            return Some(());
        }
        let mut digits = String::new();
        while let Some(digit) = chars.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        chars.next_if_eq(&']')?;
        self.order = Order::Indexed;
        self.next = digits.parse::<usize>().ok()?.checked_sub(1)?;
        (self.next < self.values.len()).then_some(())
    }

    fn take(&mut self) -> Option<Value> {
        let value = self.values.get(self.next)?.clone();
        self.next += 1;
        Some(value)
    }

    /// A value, or all that a list or map has.
    fn each(&mut self, value: &Value, verb: &str, widths: &[Value]) {
        match value {
            Value::List(items) => {
                self.format.push('[');
                for (index, item) in items.iter().enumerate() {
                    self.format.push_str(if index > 0 { " " } else { "" });
                    self.within(item, verb, widths);
                }
                self.format.push(']');
            }
            Value::Map(entries) => {
                self.format.push_str("map[");
                for (index, (key, value)) in entries.iter().enumerate() {
                    self.format.push_str(if index > 0 { " " } else { "" });
                    self.one(&Value::String(key.clone()), verb, widths);
                    self.format.push(':');
                    self.within(value, verb, widths);
                }
                self.format.push(']');
            }
            _ => self.one(value, verb, widths),
        }
    }

    /// What is absent inside of a list has no type that a verb could be wrong for.
    fn within(&mut self, value: &Value, verb: &str, widths: &[Value]) {
        match value {
            Value::Nil => self.format.push_str("<nil>"),
            _ => self.each(value, verb, widths),
        }
    }

    fn one(&mut self, value: &Value, verb: &str, widths: &[Value]) {
        self.format.push_str(verb);
        self.taken.extend(widths.iter().cloned());
        self.taken.push(value.clone());
    }
}
