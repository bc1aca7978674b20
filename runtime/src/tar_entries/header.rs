//! A header block of 512 bytes, which describes the entry that follows.
//!
//! Fields are read by their position; which fields there are depends on the magic. After a wrong
//! checksum the rest of the archive cannot be read.

use super::{Kind, Piece, TarError, junk};

pub(super) const BLOCK: usize = 512;

pub(super) struct Header([u8; BLOCK]);

impl Header {
    /// `None` for a block of zeros: the end of the archive.
    pub(super) fn parse(block: [u8; BLOCK]) -> Result<Option<Header>, TarError> {
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let header = Header(block);
        let expected = number(&header.0[148..156])?;
        let blank = |(at, byte): (usize, &u8)| if (148..156).contains(&at) { b' ' } else { *byte };
        let bytes = || header.0.iter().enumerate().map(blank);
        // Some old programs summed the bytes as signed numbers.
        let unsigned: i64 = bytes().map(i64::from).sum();
        let signed: i64 = bytes().map(|byte| i64::from(byte.cast_signed())).sum();
        if expected != unsigned && expected != signed {
            return Err(junk("the checksum of a header is wrong"));
        }
        Ok(Some(header))
    }

    pub(super) fn kind_byte(&self) -> u8 {
        self.0[156]
    }

    /// In formats from before folders had a type, a name that ends in a slash is a folder.
    pub(super) fn kind(&self, path: &[u8]) -> Result<Kind, TarError> {
        Ok(match self.kind_byte() {
            0 | b'0' if path.ends_with(b"/") => Kind::Dir,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::Char,
            b'4' => Kind::Block,
            b'5' => Kind::Dir,
            b'6' => Kind::Fifo,
            other => {
                let name = String::from_utf8_lossy(path);
                let other = char::from(other);
                return Err(TarError::Junk(format!("{name} has the unknown type {other:?}")));
            }
        })
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let name = text(&self.0[..100]);
        let prefix = text(&self.0[345..500]);
        if &self.0[257..263] != b"ustar\0" || prefix.is_empty() {
            return name.to_vec();
        }
        [prefix, b"/", name].concat()
    }

    pub(super) fn link(&self) -> Vec<u8> {
        text(&self.0[157..257]).to_vec()
    }

    pub(super) fn size(&self) -> Result<u64, TarError> {
        positive(number(&self.0[124..136])?)
    }

    pub(super) fn mode(&self) -> Result<u32, TarError> {
        Ok(u32::try_from(number(&self.0[100..108])? & 0o7777).expect("twelve bits"))
    }

    pub(super) fn uid(&self) -> Result<i64, TarError> {
        number(&self.0[108..116])
    }

    pub(super) fn gid(&self) -> Result<i64, TarError> {
        number(&self.0[116..124])
    }

    pub(super) fn mtime(&self) -> Result<i64, TarError> {
        number(&self.0[136..148])
    }

    /// Major and minor number; 0 where the format has none.
    pub(super) fn device(&self) -> Result<(u32, u32), TarError> {
        if !matches!(self.kind_byte(), b'3' | b'4') || &self.0[257..262] != b"ustar" {
            return Ok((0, 0));
        }
        let field = |bytes| {
            u32::try_from(number(bytes)?).map_err(|_| junk("a device number is out of range"))
        };
        Ok((field(&self.0[329..337])?, field(&self.0[337..345])?))
    }

    pub(super) fn sparse_pieces(&self) -> Result<Vec<Piece>, TarError> {
        let mut pieces = Vec::new();
        read_pieces(&self.0[386..482], &mut pieces)?;
        Ok(pieces)
    }

    pub(super) fn is_extended(&self) -> bool {
        self.0[482] != 0
    }

    pub(super) fn real_size(&self) -> Result<u64, TarError> {
        positive(number(&self.0[483..495])?)
    }
}

/// Reads pieces of 24 bytes each; `false` when the list ended.
pub(super) fn read_pieces(bytes: &[u8], pieces: &mut Vec<Piece>) -> Result<bool, TarError> {
    for piece in bytes.chunks_exact(24) {
        if piece[0] == 0 {
            return Ok(false);
        }
        let (offset, length) = (positive(number(&piece[..12])?)?, positive(number(&piece[12..])?)?);
        pieces.push(Piece { offset, length });
    }
    Ok(true)
}

fn text(field: &[u8]) -> &[u8] {
    let length = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
    &field[..length]
}

/// Octal digits between blanks, or a binary number if the first bit is set.
fn number(field: &[u8]) -> Result<i64, TarError> {
    if field[0] & 0x80 != 0 {
        let first = i64::from(((field[0] & 0x7f) << 1).cast_signed() >> 1);
        return field[1..]
            .iter()
            .try_fold(first, |number, byte| {
                number.checked_mul(256).map(|number| number | i64::from(*byte))
            })
            .ok_or_else(|| junk("a number is out of range"));
    }
    let digits = text(field).trim_ascii();
    digits.iter().try_fold(0_i64, |number, digit| match digit {
        b'0'..=b'7' => Ok((number << 3) | i64::from(digit - b'0')),
        _ => Err(junk("a number of a header is not octal")),
    })
}

fn positive(number: i64) -> Result<u64, TarError> {
    u64::try_from(number).map_err(|_| junk("a length is negative"))
}
