//! Colours for terminals: bold for what matters most, red and yellow for what needs action.

use std::io::IsTerminal;

/// The meaning of a piece of text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// A heading.
    Strong,
    /// In order.
    Good,
    /// Needs attention.
    Warning,
    /// Wrong.
    Bad,
}

/// Colours text, or leaves it as it is.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    is_on: bool,
}

impl Paint {
    /// For stdout.
    pub fn stdout() -> Paint {
        Paint { is_on: std::io::stdout().is_terminal() && wants_colour() }
    }

    /// For stderr.
    pub fn stderr() -> Paint {
        Paint { is_on: std::io::stderr().is_terminal() && wants_colour() }
    }

    /// Never.
    #[cfg(test)]
    pub fn off() -> Paint {
        Paint { is_on: false }
    }

    /// The text in its tone.
    pub fn tone(self, tone: Tone, text: &str) -> String {
        if !self.is_on {
            return text.to_owned();
        }
        let code = match tone {
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

/// <https://no-color.org>: set and not empty means no.
fn wants_colour() -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    !is_refused && !is_dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_left_alone_when_colour_is_off() {
        assert_eq!(Paint::off().tone(Tone::Bad, "unreachable"), "unreachable");
        assert_eq!(Paint { is_on: true }.tone(Tone::Bad, "x"), "\x1b[31mx\x1b[0m");
    }
}
