//! Builds lines from the entries of one run: an entry holds 16 KiB at most, so a line may need
//! several.
//!
//! A line has the time of its beginning. It ends in a newline even if its run ended without one, so
//! that the output of the next run begins on a new line.

use runtime::logs::LogEntry;

/// A longer line is split here and continues as a separate line. A request holds one line per task
/// and stream at most: 100 lines of fifty tasks that all print such long lines are 100 MiB; of
/// programs that print normal text they are some KiB.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// The incomplete lines of one run.
#[derive(Debug, Default)]
pub struct Lines {
    streams: [Open; 2],
}

#[derive(Debug, Default)]
struct Open {
    line: Option<LogEntry>,
    /// The last line was split: a newline that follows ends it and begins no new line.
    was_cut: bool,
}

impl Lines {
    /// Takes an entry; returns the line that it completes, if any.
    pub fn push(&mut self, entry: LogEntry) -> Option<LogEntry> {
        let open = &mut self.streams[entry.stream.index()];
        if std::mem::take(&mut open.was_cut) && entry.bytes == b"\n" {
            return None;
        }
        let mut line = match open.line.take() {
            None => entry,
            Some(mut line) => {
                line.bytes.extend_from_slice(&entry.bytes);
                line
            }
        };
        let is_whole = line.bytes.ends_with(b"\n");
        if !is_whole && line.bytes.len() < LINE_BYTES_MAX {
            open.line = Some(line);
            return None;
        }
        if !is_whole {
            line.bytes.push(b'\n');
            open.was_cut = true;
        }
        Some(line)
    }

    /// The run is over: returns the lines that it left without a newline, in order of time.
    pub fn finish(&mut self) -> Vec<LogEntry> {
        let mut left: Vec<LogEntry> = std::mem::take(self)
            .streams
            .into_iter()
            .filter_map(|open| open.line)
            .filter(|line| !line.bytes.is_empty())
            .collect();
        left.sort_by_key(|line| line.wall_ns);
        left.iter_mut().for_each(|line| line.bytes.push(b'\n'));
        left
    }
}

#[cfg(test)]
mod tests {
    use runtime::logs::Stream;

    use super::*;

    fn entry(wall_ns: u64, stream: Stream, bytes: &[u8]) -> LogEntry {
        LogEntry { wall_ns, stream, bytes: bytes.to_vec() }
    }

    #[test]
    fn the_pieces_of_a_line_are_one_line_of_the_time_of_the_first() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(entry(1, Stream::Stdout, &[b'a'; 16_384])), None);
        let between = entry(2, Stream::Stderr, b"between\n");
        assert_eq!(lines.push(between.clone()), Some(between));
        assert_eq!(lines.push(entry(3, Stream::Stdout, &[b'a'; 16_384])), None);
        let whole = lines.push(entry(4, Stream::Stdout, b"z\n")).expect("it is whole");
        assert_eq!((whole.wall_ns, whole.bytes.len()), (1, 2 * 16_384 + 2));
        assert_eq!(lines.finish(), []);
    }

    #[test]
    fn what_a_run_left_without_a_newline_gets_one() {
        let mut lines = Lines::default();
        assert_eq!(lines.push(entry(2, Stream::Stdout, b"out")), None);
        assert_eq!(lines.push(entry(1, Stream::Stderr, b"err")), None);
        let left = [entry(1, Stream::Stderr, b"err\n"), entry(2, Stream::Stdout, b"out\n")];
        assert_eq!(lines.finish(), left);
        assert_eq!(lines.finish(), []);
    }

    #[test]
    fn a_line_without_end_is_cut_and_nothing_of_it_is_lost() {
        let mut lines = Lines::default();
        let pieces = 3 * LINE_BYTES_MAX / 16_384;
        let mut said = Vec::new();
        for at in 0..pieces {
            said.extend(lines.push(entry(at as u64, Stream::Stdout, &[b'a'; 16_384])));
        }
        said.extend(lines.push(entry(9, Stream::Stdout, b"\n")));
        assert_eq!(said.len(), 3);
        assert!(said.iter().all(|line| line.bytes.len() == LINE_BYTES_MAX + 1));
        let next = entry(10, Stream::Stdout, b"\n");
        assert_eq!(lines.push(next.clone()), Some(next), "an empty line of its own");
    }
}
