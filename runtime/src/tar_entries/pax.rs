//! PAX records: `<length> <key>=<value>\n`; only the length ends a value, which may be any bytes.
//!
//! Unknown keys are ignored, as the format requires; an invalid value of a known key is an error.

use super::{Piece, TarError, junk};

/// The PAX header of the entry behind it.
#[derive(Debug, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<i64>,
    pub(super) gid: Option<i64>,
    pub(super) mtime: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Size of the file, including its holes.
    pub(super) sparse_size: Option<u64>,
    pub(super) sparse: Vec<Piece>,
    /// The pieces are listed at the beginning of the data.
    pub(super) sparse_in_data: bool,
    has_pieces: bool,
}

impl Pax {
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Pax, TarError> {
        let mut pax = Pax::default();
        let mut sparse_name = None;
        while !bytes.is_empty() {
            let (key, value, rest) = record(bytes).ok_or_else(|| junk("a PAX record is cut"))?;
            bytes = rest;
            match key {
                b"path" => pax.path = given(value),
                b"linkpath" => pax.link = given(value),
                b"size" => pax.size = Some(decimal(value)?),
                b"uid" => pax.uid = Some(i64::try_from(decimal(value)?).unwrap_or(i64::MAX)),
                b"gid" => pax.gid = Some(i64::try_from(decimal(value)?).unwrap_or(i64::MAX)),
                b"mtime" => pax.mtime = Some(moment(value)?),
                b"GNU.sparse.name" => sparse_name = given(value),
                b"GNU.sparse.major" => pax.sparse_in_data = value == b"1",
                b"GNU.sparse.size" | b"GNU.sparse.realsize" => {
                    pax.sparse_size = Some(decimal(value)?);
                }
                b"GNU.sparse.offset" => {
                    pax.has_pieces = true;
                    pax.sparse.push(Piece { offset: decimal(value)?, length: 0 });
                }
                b"GNU.sparse.numbytes" => {
                    let last = pax.sparse.last_mut();
                    last.ok_or_else(|| junk("a sparse piece has no offset"))?.length =
                        decimal(value)?;
                }
                b"GNU.sparse.map" => {
                    pax.has_pieces = true;
                    pax.sparse = map(value)?;
                }
                key => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        pax.xattrs.push((name.to_vec(), value.to_vec()));
                    }
                }
            }
        }
        pax.path = sparse_name.or(pax.path);
        Ok(pax)
    }

    pub(super) fn is_sparse(&self) -> bool {
        self.sparse_in_data || self.has_pieces
    }
}

fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let (record, rest) = bytes.split_at_checked(length)?;
    let body = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = body.iter().position(|byte| *byte == b'=')?;
    Some((&body[..equals], &body[equals + 1..], rest))
}

/// An empty value removes an earlier one.
fn given(value: &[u8]) -> Option<Vec<u8>> {
    (!value.is_empty()).then(|| value.to_vec())
}

fn decimal(value: &[u8]) -> Result<u64, TarError> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| junk("a PAX record holds no number"))
}

/// `1700000000.25`, or before 1970 `-1.25`: a second and a quarter before.
fn moment(value: &[u8]) -> Result<(i64, u32), TarError> {
    let bad = || junk("a PAX record holds no time");
    let text = std::str::from_utf8(value).map_err(|_| bad())?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().map_err(|_| bad())?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(bad());
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanos: u32 = digits.parse().map_err(|_| bad())?;
    match (whole.starts_with('-'), nanos) {
        (true, 1..) => Ok((seconds.saturating_sub(1), 1_000_000_000 - nanos)),
        _ => Ok((seconds, nanos)),
    }
}

/// `offset,length,offset,length…`
fn map(value: &[u8]) -> Result<Vec<Piece>, TarError> {
    let numbers: Vec<u64> =
        value.split(|byte| *byte == b',').map(decimal).collect::<Result<_, _>>()?;
    if !numbers.len().is_multiple_of(2) {
        return Err(junk("a sparse map is cut"));
    }
    Ok(numbers.chunks_exact(2).map(|pair| Piece { offset: pair[0], length: pair[1] }).collect())
}
