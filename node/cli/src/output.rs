//! The output of commands: data on stdout, messages on stderr.
//!
//! Nothing moves or is coloured here unless the output is a terminal and `NO_COLOR` is not set.

mod cell;
mod listing;
mod natural;
mod style;
mod table;
mod template;
mod words;

use std::fmt;
use std::io::Write;

use serde::Serialize;

use super::failure::Failure;

pub use cell::{
    age, capital, error, id, image, now, ports, short_id, without_digest, zone_offset_s,
};
pub use listing::{Listing, Row, Shown};
pub use natural::{Natural, natural};
pub use node_values::{count, nearest};
pub use style::{Paint, Tone};
pub use table::{Table, cut};
pub use template::Template;
pub use words::{ago, compact_age};

/// Prints data: one line, or several with the last one ended.
pub fn print(data: impl fmt::Display) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{data}")?;
    out.flush()?;
    Ok(())
}

/// Prints a message that is no data. An error in printing is ignored.
pub fn say(talk: impl fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{talk}");
}

/// Prints a failure, unless the reader of the output is gone; an early answer goes to stdout.
pub fn complain(failure: &Failure) {
    if let Some(answer) = failure.answered() {
        // Nobody is left to be told that the reader is gone.
        let _ = print(answer);
    }
    if !failure.is_silent() {
        let label = Paint::stderr().tone(Tone::Bad, "error:");
        say(format!("{label} {failure}"));
    }
}

/// Prints values in the form of Docker's `inspect`: one indented JSON array, or each through a
/// template; nothing if none of them was found.
pub fn print_inspected<T: Serialize>(
    values: &[T],
    template: Option<&Template>,
) -> Result<(), Failure> {
    if values.is_empty() {
        return Ok(());
    }
    let Some(template) = template else {
        let mut out = Vec::new();
        let indent = serde_json::ser::PrettyFormatter::with_indent(b"    ");
        let mut serializer = serde_json::Serializer::with_formatter(&mut out, indent);
        values.serialize(&mut serializer).expect("values of the API are plain JSON");
        return print(String::from_utf8(out).expect("JSON is UTF-8"));
    };
    for value in values {
        print(template.render(value)?)?;
    }
    Ok(())
}
