//! The entries of a tar stream, for layers and `cp`: ustar, GNU's long names and sparse files, PAX.
//!
//! Reads forward only and holds one entry's header at a time. Headers are read here because of two
//! limits of the `tar` crate. It splits PAX records at line ends, which cuts binary attributes (a
//! file capability may well contain a byte 10), and it knows one of the four forms of sparse files.
//! A header is trusted only as far as its type allows, and no length leads to an allocation without
//! a bound.

mod header;
mod pax;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use header::{BLOCK, Header};
use pax::Pax;

/// Longest long name or PAX header; Go's reader has the same bound.
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// The kind of file that an entry makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Dir,
    Symlink,
    HardLink,
    Char,
    Block,
    Fifo,
}

/// A piece of a file: where it belongs and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) length: u64,
}

/// One entry. Its data is read from [`Entries`] until the next one is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: Kind,
    /// Permission bits, including setuid, setgid and sticky.
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Seconds and nanoseconds.
    pub(crate) mtime: (i64, u32),
    /// Size of the file, including its holes.
    pub(crate) size: u64,
    pub(crate) device: (u32, u32),
    /// Names and values.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The stored pieces of a sparse file, in order; `None`: all of the file is stored.
    pub(crate) pieces: Option<Vec<Piece>>,
}

/// Why the data of an entry was not written to its file.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// The stream failed.
    Read(io::Error),
    /// The disk refused.
    Write(io::Error),
}

impl Entry {
    /// Copies the stored pieces to their places in a new file; the rest of a sparse file stays a
    /// hole.
    pub(crate) fn write_to(
        &self,
        file: &mut File,
        data: &mut dyn Read,
        buffer: &mut [u8],
    ) -> Result<(), Unwritten> {
        let all = [Piece { offset: 0, length: self.size }];
        for piece in self.pieces.as_deref().unwrap_or(&all) {
            if piece.offset > 0 {
                file.seek(SeekFrom::Start(piece.offset)).map_err(Unwritten::Write)?;
            }
            let mut left = piece.length;
            while left > 0 {
                let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
                let count = data.read(&mut buffer[..wanted]).map_err(Unwritten::Read)?;
                if count == 0 {
                    return Err(Unwritten::Read(io::ErrorKind::UnexpectedEof.into()));
                }
                file.write_all(&buffer[..count]).map_err(Unwritten::Write)?;
                left -= count as u64;
            }
        }
        if self.pieces.is_some() {
            file.set_len(self.size).map_err(Unwritten::Write)?;
        }
        Ok(())
    }
}

/// A stream that is no tar, or a broken one.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// It ended or failed in the middle.
    #[error("cannot be read: {0}")]
    Read(#[from] io::Error),
    /// It has invalid content.
    #[error("is no sound tar: {0}")]
    Junk(String),
}

/// The entries of a stream, one after the other.
pub(crate) struct Entries<R> {
    reader: R,
    /// Bytes left of the current entry's data.
    left: u64,
    padding: u64,
}

impl<R: Read> Entries<R> {
    pub(crate) fn new(reader: R) -> Entries<R> {
        Entries { reader, left: 0, padding: 0 }
    }

    /// Skips what is left of the current entry and reads the next header; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>, TarError> {
        let mut long_name = None;
        let mut long_link = None;
        let mut pax = Pax::default();
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                let dangling = long_name.is_some() || long_link.is_some();
                return if dangling { Err(junk("it ends after a long name")) } else { Ok(None) };
            };
            self.enter(header.size()?);
            match header.kind_byte() {
                b'L' => long_name = Some(self.text()?),
                b'K' => long_link = Some(self.text()?),
                b'x' => pax = Pax::parse(&self.small()?)?,
                // Applies to the whole archive: comments, as git writes them.
                b'g' => {}
                b'V' => {}
                _ => return self.entry(&header, pax, long_name, long_link).map(Some),
            }
        }
    }

    /// Reads to the end of the stream behind the last entry, and returns the reader.
    pub(crate) fn finish(mut self) -> Result<R, TarError> {
        io::copy(&mut self.reader, &mut io::sink())?;
        Ok(self.reader)
    }

    fn entry(
        &mut self,
        header: &Header,
        pax: Pax,
        long_name: Option<Vec<u8>>,
        long_link: Option<Vec<u8>>,
    ) -> Result<Entry, TarError> {
        let path = pax.path.clone().or(long_name).unwrap_or_else(|| header.path());
        let link = pax.link.clone().or(long_link).unwrap_or_else(|| header.link());
        let kind = header.kind(&path)?;
        if let Some(size) = pax.size {
            self.enter(size);
        }
        if !matches!(kind, Kind::File) {
            self.enter(0);
        }
        let stored = self.left;
        let (size, pieces) = match header.kind_byte() {
            b'S' => self.old_sparse(header)?,
            _ if pax.is_sparse() && kind == Kind::File => self.pax_sparse(&pax)?,
            _ => (stored, None),
        };
        let id = |given: Option<i64>, field: i64, what: &str| {
            u32::try_from(given.unwrap_or(field))
                .map_err(|_| junk(&format!("{what} is out of range")))
        };
        Ok(Entry {
            kind,
            mode: header.mode()?,
            uid: id(pax.uid, header.uid()?, "an owner")?,
            gid: id(pax.gid, header.gid()?, "a group")?,
            mtime: pax.mtime.unwrap_or((header.mtime()?, 0)),
            size,
            device: header.device()?,
            xattrs: pax.xattrs,
            pieces,
            path,
            link,
        })
    }

    fn old_sparse(&mut self, header: &Header) -> Result<(u64, Option<Vec<Piece>>), TarError> {
        let mut pieces = header.sparse_pieces()?;
        let mut more = header.is_extended();
        while more {
            let mut block = [0; BLOCK];
            self.reader.read_exact(&mut block)?;
            more = header::read_pieces(&block[..504], &mut pieces)? && block[504] != 0;
            bounded(&pieces)?;
        }
        let size = header.real_size()?;
        self.checked(size, pieces)
    }

    fn pax_sparse(&mut self, pax: &Pax) -> Result<(u64, Option<Vec<Piece>>), TarError> {
        let pieces = if pax.sparse_in_data {
            let before = self.left;
            let pieces = self.sparse_map()?;
            // The map is padded to whole blocks.
            let read = before - self.left;
            let rest = read.next_multiple_of(BLOCK as u64) - read;
            self.read_exact(&mut vec![0; usize::try_from(rest).expect("less than a block")])?;
            pieces
        } else {
            pax.sparse.clone()
        };
        bounded(&pieces)?;
        let size = pax.sparse_size.ok_or_else(|| junk("a sparse file has no size"))?;
        self.checked(size, pieces)
    }

    /// Decimal numbers, one per line: the number of pieces, then offset and length of each.
    fn sparse_map(&mut self) -> Result<Vec<Piece>, TarError> {
        let count = self.decimal_line()?;
        let mut pieces = Vec::new();
        for _ in 0..count {
            let (offset, length) = (self.decimal_line()?, self.decimal_line()?);
            pieces.push(Piece { offset, length });
            bounded(&pieces)?;
        }
        Ok(pieces)
    }

    fn decimal_line(&mut self) -> Result<u64, TarError> {
        let mut number: u64 = 0;
        loop {
            let mut byte = [0];
            self.read_exact(&mut byte)?;
            let digit = match byte[0] {
                b'\n' => return Ok(number),
                digit @ b'0'..=b'9' => u64::from(digit - b'0'),
                _ => return Err(junk("a sparse map holds no number")),
            };
            let next = number.checked_mul(10).and_then(|number| number.checked_add(digit));
            number = next.ok_or_else(|| junk("a sparse map holds too large a number"))?;
        }
    }

    /// Checks that the pieces are in order, within the file, and as long as the stored data.
    fn checked(
        &self,
        size: u64,
        mut pieces: Vec<Piece>,
    ) -> Result<(u64, Option<Vec<Piece>>), TarError> {
        let mut end = 0;
        let mut stored: u64 = 0;
        pieces.retain(|piece| piece.length > 0);
        for piece in &pieces {
            let next = piece.offset.checked_add(piece.length);
            match next.filter(|next| piece.offset >= end && *next <= size) {
                Some(next) => end = next,
                None => return Err(junk("the pieces of a sparse file overlap or leave it")),
            }
            stored += piece.length;
        }
        if stored != self.left {
            return Err(junk("a sparse file stores another length than its pieces"));
        }
        Ok((size, Some(pieces)))
    }

    fn enter(&mut self, size: u64) {
        self.left = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
    }

    fn skip(&mut self) -> Result<(), TarError> {
        let skipped = self.left.saturating_add(self.padding);
        let copied = io::copy(&mut self.reader.by_ref().take(skipped), &mut io::sink())?;
        // Some programs omit the padding of the very last entry.
        if copied < self.left {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.enter(0);
        Ok(())
    }

    fn header(&mut self) -> Result<Option<Header>, TarError> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.reader.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                count => filled += count,
            }
        }
        Header::parse(block)
    }

    fn small(&mut self) -> Result<Vec<u8>, TarError> {
        if self.left > HEADER_BYTES_MAX {
            return Err(junk("a header is longer than a megabyte"));
        }
        let mut bytes = vec![0; usize::try_from(self.left).expect("a megabyte")];
        self.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<Vec<u8>, TarError> {
        let mut bytes = self.small()?;
        let length = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// The data of the current entry, as it is stored.
impl<R: Read> Read for Entries<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if wanted == 0 {
            return Ok(0);
        }
        let count = self.reader.read(&mut buffer[..wanted])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= count as u64;
        Ok(count)
    }
}

fn bounded(pieces: &[Piece]) -> Result<(), TarError> {
    if pieces.len() as u64 * 16 > HEADER_BYTES_MAX {
        return Err(junk("a sparse file has more than 65,536 pieces"));
    }
    Ok(())
}

fn junk(why: &str) -> TarError {
    TarError::Junk(why.to_owned())
}

#[cfg(test)]
mod tests;
