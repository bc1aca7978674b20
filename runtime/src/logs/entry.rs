//! One entry of a log and its line on the disk.

/// Bytes of a line kept in one entry; a longer line becomes several, as in Docker's json-file.
pub const LINE_BYTES_MAX: usize = 16 * 1024;

/// Bytes that an entry's line has besides the message: 20 digits at most, two blanks, the stream,
/// the newline.
pub const OVERHEAD_BYTES_MAX: usize = 24;

/// The stream that an entry was written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// 0 for standard output, 1 for standard error: its place in a pair.
    pub fn index(self) -> usize {
        match self {
            Stream::Stdout => 0,
            Stream::Stderr => 1,
        }
    }
}

/// One line that a program wrote, or a piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The node's time of day, nanoseconds since 1970.
    pub wall_ns: u64,
    /// Where.
    pub stream: Stream,
    /// The message, with the newline if the line ends here: the concatenated entries of a stream
    /// are what the program wrote.
    pub bytes: Vec<u8>,
}

/// Does the message end its line?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ends {
    /// Yes.
    Line,
    /// No, the line continues.
    Piece,
}

/// Appends the line of one entry; `message` has no newline in it.
pub fn encode(into: &mut Vec<u8>, wall_ns: u64, stream: Stream, ends: Ends, message: &[u8]) {
    let letter = match (stream, ends) {
        (Stream::Stdout, Ends::Line) => b'o',
        (Stream::Stderr, Ends::Line) => b'e',
        (Stream::Stdout, Ends::Piece) => b'O',
        (Stream::Stderr, Ends::Piece) => b'E',
    };
    into.extend_from_slice(wall_ns.to_string().as_bytes());
    into.extend_from_slice(&[b' ', letter, b' ']);
    into.extend_from_slice(message);
    into.push(b'\n');
}

/// Decodes the beginning of an entry's line, which may be cut after [`OVERHEAD_BYTES_MAX`] bytes.
pub fn decode_head(line: &[u8]) -> Option<(Stream, Ends)> {
    let blank = line.iter().position(|byte| *byte == b' ')?;
    match line.get(blank + 1)? {
        b'o' => Some((Stream::Stdout, Ends::Line)),
        b'e' => Some((Stream::Stderr, Ends::Line)),
        b'O' => Some((Stream::Stdout, Ends::Piece)),
        b'E' => Some((Stream::Stderr, Ends::Piece)),
        _ => None,
    }
}

/// Reads a line, which ends in a newline; `None` if it is junk.
pub fn decode(line: &[u8]) -> Option<LogEntry> {
    let line = line.strip_suffix(b"\n")?;
    let blank = line.iter().position(|byte| *byte == b' ')?;
    let (time, rest) = line.split_at(blank);
    let wall_ns = std::str::from_utf8(time).ok()?.parse().ok()?;
    let [b' ', letter, b' ', message @ ..] = rest else { return None };
    let stream = match letter {
        b'o' | b'O' => Stream::Stdout,
        b'e' | b'E' => Stream::Stderr,
        _ => return None,
    };
    let mut bytes = message.to_vec();
    if letter.is_ascii_lowercase() {
        bytes.push(b'\n');
    }
    Some(LogEntry { wall_ns, stream, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_as_the_program_wrote_it() {
        let cases = [(Ends::Line, &b"a b \xff"[..], &b"a b \xff\n"[..]), (Ends::Piece, b"", b"")];
        for (ends, message, expected) in cases {
            let mut line = Vec::new();
            encode(&mut line, 17, Stream::Stderr, ends, message);
            let entry = decode(&line).expect("it is one");
            assert_eq!((entry.wall_ns, entry.stream), (17, Stream::Stderr));
            assert_eq!(entry.bytes, expected);
        }
    }

    #[test]
    fn a_line_cut_anywhere_is_junk_or_shorter_and_no_panic() {
        let mut line = Vec::new();
        encode(&mut line, u64::MAX, Stream::Stdout, Ends::Line, b"hello");
        for length in 0..line.len() {
            assert_eq!(decode(&line[..length]), None);
        }
        assert_eq!(decode(b"99999999999999999999999 o x\n"), None);
    }
}
