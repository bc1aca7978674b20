//! The frames between the client of a session and the helper inside a task's circumstances.
//!
//! ```text
//! kind  0 0 0  length (u32, big end first)   payload
//! ```
//! The header is Docker's for a multiplexed stream, so that a program's output needs no
//! translation: kinds 0 to 2 are Docker's, the others never leave the fleet. Bytes come from a
//! peer: decoding must never panic, and never hold more than one frame.

/// In front of every payload.
pub const HEADER_BYTES: usize = 8;

/// One payload at most: an order with a long environment is the largest.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;

/// Bytes of a stream that are put into one frame: half the window of a stream between nodes.
pub const CHUNK_BYTES: usize = 16 * 1024;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// To the program, or of an archive to unpack.
    Stdin = 0,
    /// Of the program, or of an archive that is packed.
    Stdout = 1,
    /// Of the program.
    Stderr = 2,
    /// The request, the first frame: [`super::ExecRequest`] in JSON.
    Order = 3,
    /// No more [`Kind::Stdin`] will come.
    End = 4,
    /// The terminal has another size: rows and columns, u16 each, big end first.
    Resize = 5,
    /// The program runs, or the target of an archive is open: a process id, u32, or 0.
    Started = 6,
    /// The session is over: the exit code, i32. The last frame.
    Exited = 7,
    /// The session failed: [`super::ExecRefusal`] in JSON. The last frame.
    Refused = 8,
    /// What is at a path: [`crate::copy::PathStat`] in JSON.
    Stat = 9,
}

impl Kind {
    const ALL: [Kind; 10] = [
        Kind::Stdin,
        Kind::Stdout,
        Kind::Stderr,
        Kind::Order,
        Kind::End,
        Kind::Resize,
        Kind::Started,
        Kind::Exited,
        Kind::Refused,
        Kind::Stat,
    ];
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it is.
    pub kind: Kind,
    /// At most [`PAYLOAD_BYTES_MAX`].
    pub payload: Vec<u8>,
}

/// The bytes that arrived are no stream of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what arrives is no session; is the other agent of another version?")]
pub struct NoFrame;

impl Frame {
    /// A frame of this kind.
    pub fn new(kind: Kind, payload: impl Into<Vec<u8>>) -> Frame {
        Frame { kind, payload: payload.into() }
    }

    /// A terminal of this size.
    pub fn resize(size: super::Size) -> Frame {
        let [a, b] = size.rows.to_be_bytes();
        let [c, d] = size.columns.to_be_bytes();
        Frame::new(Kind::Resize, [a, b, c, d])
    }

    /// The number in [`Kind::Started`] or [`Kind::Exited`].
    pub fn number(&self) -> Option<i32> {
        Some(i32::from_be_bytes(self.payload.as_slice().try_into().ok()?))
    }

    /// The size in [`Kind::Resize`].
    pub fn size(&self) -> Option<super::Size> {
        let &[a, b, c, d] = self.payload.as_slice() else { return None };
        let (rows, columns) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
        Some(super::Size { rows, columns })
    }

    /// Appends the frame to `out`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        encode(self.kind, &self.payload, out);
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.payload.len());
        self.encode(&mut out);
        out
    }
}

/// Appends a frame to `out`.
pub fn encode(kind: Kind, payload: &[u8], out: &mut Vec<u8>) {
    assert!(payload.len() <= PAYLOAD_BYTES_MAX, "larger things are sent in parts");
    out.extend_from_slice(&[kind as u8, 0, 0, 0]);
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
}

/// Splits a stream into frames, wherever its bytes are cut.
#[derive(Debug, Default)]
pub struct Decoder {
    bytes: Vec<u8>,
}

impl Decoder {
    /// Takes the bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole frame.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, NoFrame> {
        let Some(header) = self.bytes.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let &[kind, _, _, _, a, b, c, d] = header;
        let kind = Kind::ALL.into_iter().find(|known| *known as u8 == kind).ok_or(NoFrame)?;
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > PAYLOAD_BYTES_MAX {
            return Err(NoFrame);
        }
        let Some(payload) = self.bytes.get(HEADER_BYTES..HEADER_BYTES + length) else {
            return Ok(None);
        };
        let frame = Frame::new(kind, payload);
        self.bytes.drain(..HEADER_BYTES + length);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Size;

    #[test]
    fn frames_are_found_wherever_the_bytes_are_cut() {
        let frames = [
            Frame::new(Kind::Stdout, *b"abc"),
            Frame::new(Kind::End, []),
            Frame::new(Kind::Exited, 3_i32.to_be_bytes()),
        ];
        let bytes: Vec<u8> = frames.iter().flat_map(Frame::to_bytes).collect();
        let mut decoder = Decoder::default();
        let mut found = Vec::new();
        for byte in bytes {
            decoder.push(&[byte]);
            found.extend(decoder.next_frame().expect("frames"));
        }
        assert_eq!(found, frames);
        assert_eq!(found[2].number(), Some(3));
    }

    #[test]
    fn what_a_program_prints_has_dockers_header() {
        assert_eq!(Frame::new(Kind::Stderr, *b"x").to_bytes(), b"\x02\0\0\0\0\0\0\x01x");
    }

    #[test]
    fn junk_and_lengths_that_nobody_sends_are_refused() {
        for junk in [[99, 0, 0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0xff, 0, 0, 0]] {
            let mut decoder = Decoder::default();
            decoder.push(&junk);
            assert_eq!(decoder.next_frame(), Err(NoFrame));
        }
    }

    #[test]
    fn a_size_reads_back() {
        let size = Size { rows: 24, columns: 300 };
        assert_eq!(Frame::resize(size).size(), Some(size));
        assert_eq!(Frame::new(Kind::Resize, [1]).size(), None);
    }
}
