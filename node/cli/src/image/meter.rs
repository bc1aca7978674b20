//! The progress of a transfer that takes longer than a second.
//!
//! One line on stderr that is overwritten, if stderr is a terminal; otherwise nothing.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::size::size;

/// Shorter transfers show no line.
const SILENT: Duration = Duration::from_secs(1);
const INTERVAL: Duration = Duration::from_millis(200);

/// A count of bytes.
pub struct Meter {
    verb: &'static str,
    whole: Option<u64>,
    done: u64,
    begun: Instant,
    shown: Option<Instant>,
    is_watched: bool,
}

impl Meter {
    /// `verb` is in the past tense: `sent`. `whole` is the total size, if it is known.
    pub fn new(verb: &'static str, whole: Option<u64>) -> Meter {
        let is_watched = std::io::stderr().is_terminal();
        Meter { verb, whole, done: 0, begun: Instant::now(), shown: None, is_watched }
    }

    /// Adds this many bytes.
    pub fn advance(&mut self, bytes: usize) {
        self.done += bytes as u64;
        let is_due = self.shown.is_none_or(|shown| shown.elapsed() >= INTERVAL);
        if self.is_watched && self.begun.elapsed() >= SILENT && is_due {
            self.shown = Some(Instant::now());
            let line = line(self.verb, self.done, self.whole);
            // An error is ignored: the line is not essential.
            let _ = write!(std::io::stderr().lock(), "\r{line}\x1b[K");
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }
}

fn line(verb: &str, done: u64, whole: Option<u64>) -> String {
    match whole.filter(|whole| *whole > 0) {
        Some(whole) => {
            format!("{verb} {} of {} ({} %)", size(done), size(whole), done * 100 / whole)
        }
        None => format!("{verb} {}", size(done)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_of_how_much() {
        assert_eq!(line("sent", 5_000_000, Some(20_000_000)), "sent 5MB of 20MB (25 %)");
        assert_eq!(line("received", 5_000, None), "received 5kB");
    }
}
