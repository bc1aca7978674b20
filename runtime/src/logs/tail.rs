//! Where the last lines of a log begin.
//!
//! The log is read from its end, because it may be large and its last lines are few. A line may be
//! several entries: it is counted at the entry that ends it, so that reading never begins in the
//! middle of a line. Only where both streams have lines of several entries at the same time, one of
//! these lines may be cut.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::entry::{self, Ends, OVERHEAD_BYTES_MAX};

/// Bytes that are read at a time.
const CHUNK_BYTES: usize = 16 * 1024;

/// The count of lines, from the newest file of a log to the oldest.
#[derive(Debug)]
pub struct Tail {
    wanted: u64,
    found: u64,
    /// Per stream: was there an entry already? The last one of a stream ends a line in any case.
    has_entry: [bool; 2],
    reached: bool,
}

impl Tail {
    /// The last `wanted` lines.
    pub fn new(wanted: u64) -> Tail {
        Tail { wanted, found: 0, has_entry: [false; 2], reached: false }
    }

    /// Is the beginning of the first of them found? If not, the next older file has more.
    pub fn is_whole(&self) -> bool {
        self.reached
    }

    /// Counts the lines of a file from its end; returns the offset where reading begins.
    pub fn reach_back(&mut self, file: &File) -> io::Result<u64> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut offset = file.metadata()?.len();
        // Where the last seen entry begins: bytes behind the last newline are no entry yet.
        let mut begin = None;
        while offset > 0 {
            let length = offset.min(CHUNK_BYTES as u64);
            offset -= length;
            let part = &mut chunk[..length as usize];
            file.read_exact_at(part, offset)?;
            for (index, _) in part.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
                let start = offset + index as u64 + 1;
                if let Some(end) = begin.replace(start)
                    && self.is_beyond(file, start)?
                {
                    return Ok(end);
                }
            }
        }
        match begin {
            Some(end) if self.is_beyond(file, 0)? => Ok(end),
            _ => Ok(0),
        }
    }

    /// Does the entry that begins here end a line that is not wanted any more?
    fn is_beyond(&mut self, file: &File, start: u64) -> io::Result<bool> {
        let mut head = [0; OVERHEAD_BYTES_MAX];
        let length = file.read_at(&mut head, start)?;
        let Some((stream, ends)) = entry::decode_head(&head[..length]) else { return Ok(false) };
        let is_last = !std::mem::replace(&mut self.has_entry[stream.index()], true);
        if ends == Ends::Piece && !is_last {
            return Ok(false);
        }
        self.reached = self.found == self.wanted;
        self.found += u64::from(!self.reached);
        Ok(self.reached)
    }
}
