//! Signals as people write them: `SIGTERM`, `term`, `15`, `SIGRTMIN+3`.

use std::str::FromStr;

use nix::libc;
use nix::sys::signal::Signal;

/// The signal that asks a task to end when its template names none.
pub const STOP_SIGNAL_DEFAULT: i32 = libc::SIGTERM;

/// A text that names no signal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no signal is called {0:?}: write a name like SIGTERM or INT, or a number from 1 to 64")]
pub struct UnknownSignal(pub String);

/// The number of a signal.
pub fn parse(text: &str) -> Result<i32, UnknownSignal> {
    let unknown = || UnknownSignal(text.to_owned());
    if let Ok(number) = text.parse::<i32>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(unknown()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(real_time) = parse_real_time(name) {
        return Ok(real_time);
    }
    Signal::from_str(&format!("SIG{name}")).map(|signal| signal as i32).map_err(|_| unknown())
}

fn parse_real_time(name: &str) -> Option<i32> {
    let (base, offset) = if let Some(rest) = name.strip_prefix("RTMIN") {
        (libc::SIGRTMIN(), rest)
    } else {
        (libc::SIGRTMAX(), name.strip_prefix("RTMAX")?)
    };
    let offset = if offset.is_empty() { 0 } else { offset.parse::<i32>().ok()? };
    let number = base.checked_add(offset)?;
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&number).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_known_by_name_with_or_without_sig_and_by_number() {
        for text in ["SIGTERM", "TERM", "term", "sigterm", "15"] {
            assert_eq!(parse(text), Ok(15), "{text}");
        }
        assert_eq!(parse("SIGRTMIN+3"), Ok(libc::SIGRTMIN() + 3));
        assert_eq!(parse("RTMAX-1"), Ok(libc::SIGRTMAX() - 1));
    }

    #[test]
    fn what_is_no_signal_is_refused_with_a_hint() {
        for text in ["", "SIG", "0", "65", "-9", "SIGNOPE", "RTMIN+99", "SIGSIGTERM"] {
            let refused = parse(text).expect_err(text);
            assert!(refused.to_string().contains("SIGTERM"), "{refused}");
        }
    }
}
