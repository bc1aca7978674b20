//! Docker's stream of progress: on a terminal a line per part that is rewritten in place, elsewhere
//! one line per change of state.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};

use serde::Deserialize;

use crate::client::Stream;
use crate::failure::Failure;

/// How much is printed on stderr meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Nothing.
    Nothing,
    /// The progress.
    Progress,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    status: String,
    stream: String,
    id: String,
    progress: String,
    error: String,
}

/// Shows the stream to its end; returns the messages about the whole. An error in the stream is the
/// failure.
pub async fn show(mut stream: Stream, verbosity: Verbosity) -> Result<Vec<String>, Failure> {
    let mut lines = ProgressLines::new(verbosity);
    let mut said = Vec::new();
    let mut bytes = Vec::new();
    while let Some(news) = stream.next().await? {
        bytes.extend_from_slice(&news);
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = bytes.drain(..=end).collect();
            let Ok(line) = serde_json::from_slice::<Line>(&line) else { continue };
            if !line.error.is_empty() {
                return Err(failure(&line.error));
            }
            lines.show(&line);
            if line.id.is_empty() {
                said.push(format!("{}{}", line.status, line.stream).trim_end().to_owned());
            }
        }
    }
    Ok(said)
}

fn failure(text: &str) -> Failure {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = Failure::new(lines.next().unwrap_or("it failed, without a reason"));
    lines.fold(first, |failure, line| failure.why(line))
}

struct ProgressLines {
    verbosity: Verbosity,
    is_terminal: bool,
    /// The row of each part, from the top.
    rows: BTreeMap<String, usize>,
    last: BTreeMap<String, String>,
}

impl ProgressLines {
    fn new(verbosity: Verbosity) -> ProgressLines {
        let is_terminal = std::io::stderr().is_terminal();
        ProgressLines { verbosity, is_terminal, rows: BTreeMap::new(), last: BTreeMap::new() }
    }

    fn show(&mut self, line: &Line) {
        if self.verbosity == Verbosity::Nothing {
            return;
        }
        let text = format!("{}{}", line.status, line.stream.trim_end());
        let mut out = std::io::stderr().lock();
        // An error in printing progress is no failure.
        let _ = if line.id.is_empty() {
            // Later rows begin below this line.
            self.rows.clear();
            writeln!(out, "{text}")
        } else if self.is_terminal {
            let count = self.rows.len();
            let row = *self.rows.entry(line.id.clone()).or_insert(count);
            let up = self.rows.len() - row;
            let text = format!("{}: {text} {}", line.id, line.progress);
            if row == count {
                writeln!(out, "{text}")
            } else {
                write!(out, "\x1b[{up}A\r\x1b[2K{text}\x1b[{up}B\r")
            }
        } else if self.last.insert(line.id.clone(), text.clone()).as_ref() != Some(&text) {
            writeln!(out, "{}: {text}", line.id)
        } else {
            Ok(())
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_an_error_is_what_happened_and_the_rest_why() {
        let shown =
            failure("nas:5000 does not have a/b:1\n  see that the name is right").to_string();
        assert_eq!(shown, "nas:5000 does not have a/b:1\n  why: see that the name is right");
    }
}
