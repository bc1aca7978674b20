//! The trace of a run: a hash over everything that happened, and the last events as text.
//!
//! Two runs of one seed must have the same hash, which covers the bytes of every packet and the
//! text of every other event. A difference means that something other than the seed had an
//! influence.

use std::collections::VecDeque;
use std::fmt;

/// Events kept as text: as many as a failing seed prints.
pub const LAST_EVENTS: usize = 50;

/// Are events printed as they happen?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Echo {
    /// No.
    Silent,
    /// To standard error, one line each.
    Printed,
}

/// The hash of a run: equal for equal runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceHash(pub u64);

impl fmt::Display for TraceHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The trace of one run.
#[derive(Debug)]
pub struct Trace {
    hasher: blake3::Hasher,
    last: VecDeque<String>,
    events: u64,
    deeds: blake3::Hasher,
    echo: Echo,
}

impl Trace {
    /// A trace in which nothing has happened.
    pub fn new(echo: Echo) -> Trace {
        Trace {
            hasher: blake3::Hasher::new_derive_key("edgectl chaos trace 1"),
            last: VecDeque::with_capacity(LAST_EVENTS),
            events: 0,
            deeds: blake3::Hasher::new_derive_key("edgectl chaos deeds 1"),
            echo,
        }
    }

    /// Something happened. `bytes` are hashed together with the text and not shown.
    pub fn note(&mut self, at: u64, words: fmt::Arguments<'_>, bytes: &[u8]) {
        let line = format!("{:>7}.{:03} {words}", at / 1000, at % 1000);
        self.hasher.update(line.as_bytes());
        self.hasher.update(bytes);
        self.events += 1;
        if self.echo == Echo::Printed {
            eprintln!("{line}");
        }
        if self.last.len() == LAST_EVENTS {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    /// A node did something to its programs, or answered an operator.
    pub fn deed(&mut self, at: u64, words: fmt::Arguments<'_>) {
        self.note(at, words, &[]);
        self.deeds.update(format!("{at} {words}").as_bytes());
    }

    /// The hash over all deeds: equal for runs in which the nodes did the same at the same times,
    /// whatever the packets between them were.
    pub fn deeds(&self) -> TraceHash {
        first_8(&self.deeds.finalize())
    }

    /// The last events, oldest first.
    pub fn last(&self) -> impl Iterator<Item = &str> {
        self.last.iter().map(String::as_str)
    }

    /// How many events there were.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The hash over all of them.
    pub fn hash(&self) -> TraceHash {
        first_8(&self.hasher.finalize())
    }
}

fn first_8(hash: &blake3::Hash) -> TraceHash {
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    TraceHash(u64::from_be_bytes(first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_changed_byte_of_one_packet_changes_the_hash() {
        let hash = |byte| {
            let mut trace = Trace::new(Echo::Silent);
            trace.note(1, format_args!("n0 to n1"), &[1, 2, byte]);
            trace.hash()
        };
        assert_eq!(hash(3), hash(3));
        assert_ne!(hash(3), hash(4));
    }

    #[test]
    fn only_the_last_fifty_events_are_kept() {
        let mut trace = Trace::new(Echo::Silent);
        for at in 0..80 {
            trace.note(at, format_args!("event"), &[]);
        }
        assert_eq!(trace.last().count(), LAST_EVENTS);
        assert_eq!(trace.events(), 80);
        assert!(trace.last().next().is_some_and(|line| line.contains("0.030")));
    }
}
