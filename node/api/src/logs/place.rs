//! How far a run's log was read, so that reading continues after a break without a gap and without
//! showing a line again.
//!
//! Entries have no numbers. As long as the clock of their node does not go back, their times do not
//! either, and entries of one time keep their order. So the time of the last entry, and the number
//! of entries of that time that were read, tell where to continue.

use crdt_state::task::Run;
use runtime::logs::LogEntry;

use node_agent::transport::LogRequest;

/// A position in the log of one run.
#[derive(Debug)]
pub struct LogPosition {
    tail: Option<u64>,
    since_ms: Option<u64>,
    /// The time of the last entry, and how many of that time were read.
    last: Option<(u64, u64)>,
    /// When the oldest line began that has entries of that time.
    from_ns: u64,
    /// Entries of that time which will come again.
    again: u64,
    /// Per stream, when the incomplete line began: with a later start the rest of it would not
    /// come.
    began_ns: [Option<u64>; 2],
}

impl LogPosition {
    /// The beginning of the requested part.
    pub fn new(tail: Option<u64>, since_ns: Option<u64>) -> LogPosition {
        let since_ms = since_ns.map(|since| since / 1_000_000);
        LogPosition { tail, since_ms, last: None, from_ns: 0, again: 0, began_ns: [None; 2] }
    }

    /// The request that continues from here to the end.
    pub fn request(&mut self, run: Run) -> LogRequest {
        let follow = false;
        let Some((last_ns, count)) = self.last else {
            return LogRequest { run, tail: self.tail, since_wall_ms: self.since_ms, follow };
        };
        self.again = count;
        let began = self.began_ns.into_iter().flatten().min();
        let from_ns = self.from_ns.min(last_ns);
        let since_ms = began.map_or(from_ns, |began| began.min(from_ns)) / 1_000_000;
        LogRequest { run, tail: None, since_wall_ms: Some(since_ms), follow }
    }

    /// Advances to an entry; false if it was read before.
    pub fn is_new(&mut self, entry: &LogEntry) -> bool {
        if self.again > 0 {
            let (last_ns, _) = self.last.unwrap_or_default();
            if entry.wall_ns <= last_ns {
                self.again -= u64::from(entry.wall_ns == last_ns);
                return false;
            }
            self.again = 0;
        }
        let began = &mut self.began_ns[entry.stream.index()];
        let began_ns = began.unwrap_or(entry.wall_ns);
        *began = (!entry.bytes.ends_with(b"\n")).then_some(began_ns);
        (self.last, self.from_ns) = match self.last {
            Some((last_ns, count)) if last_ns == entry.wall_ns => {
                (Some((last_ns, count + 1)), self.from_ns.min(began_ns))
            }
            _ => (Some((entry.wall_ns, 1)), began_ns),
        };
        true
    }
}

#[cfg(test)]
mod tests {
    use crdt_state::TaskId;
    use runtime::logs::Stream;

    use super::*;

    fn entry(wall_ms: u64, text: &str) -> LogEntry {
        LogEntry {
            wall_ns: wall_ms * 1_000_000 + 7,
            stream: Stream::Stdout,
            bytes: text.as_bytes().to_vec(),
        }
    }

    /// The answer of a node: entries of lines that began since the given time.
    fn answer(log: &[LogEntry], request: &LogRequest) -> Vec<LogEntry> {
        let since_ns = request.since_wall_ms.unwrap_or(0) * 1_000_000;
        let mut shown = None;
        let is_wanted = |entry: &&LogEntry| {
            let is_shown = shown.unwrap_or(entry.wall_ns >= since_ns);
            shown = (!entry.bytes.ends_with(b"\n")).then_some(is_shown);
            is_shown
        };
        log.iter().filter(is_wanted).cloned().collect()
    }

    #[test]
    fn reading_goes_on_after_a_break_anywhere_without_gap_or_repetition() {
        let said = [(1, "a\n"), (1, "b\n"), (2, "c\n"), (3, "d"), (4, "e"), (4, "f\n"), (4, "g\n")];
        let log: Vec<LogEntry> = said.iter().map(|(ms, text)| entry(*ms, text)).collect();
        let run = Run { task: TaskId([1; 16]), attempt: 1 };
        for first in 0..=log.len() {
            for second in first..=log.len() {
                let mut place = LogPosition::new(None, None);
                let mut read = Vec::new();
                for written in [first, second, log.len()] {
                    let request = place.request(run);
                    let came = answer(&log[..written], &request);
                    read.extend(came.into_iter().filter(|entry| place.is_new(entry)));
                }
                assert_eq!(read, log, "broken off after {first} and {second}");
            }
        }
    }
}
