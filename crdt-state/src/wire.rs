//! The encoding of everything stored and sent: one version byte, then bincode 2, within a limit.
//!
//! The only file that names bincode, so that it can be replaced. It must never decode without a
//! limit: a length of ten bytes would otherwise abort the process. Types that pass through here
//! have no elements of size zero, no `skip_serializing_if`, no `flatten` and no `untagged`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::junk::Junk;

/// The version written in front of every encoding. A structure is frozen per version.
pub const VERSION: u8 = 1;

/// A record, or a part of one, on the wire: a value of at most [`VALUE_BYTES_MAX`] together with a
/// causal clock of 6,000 writers (32 bytes each).
pub const RECORD_BYTES_MAX: usize = 256 * 1024;

/// The value of one facet or of one owned record. A template with 500 variables of 100 bytes is
/// 50 KB. Whoever takes values from people refuses larger ones before they are written.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// One reliable message: four of the largest records, or some thousand task records.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// A record in the store: as many parts as may come together by merging. The disk is ours; this
/// bounds only what damage can do.
pub const STORED_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The version byte and the value's encoding. The same value has the same bytes everywhere.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bincode::serde::encode_into_std_write(value, &mut bytes, bincode::config::standard())
        .expect("our types encode, and a vector takes every byte");
    bytes
}

/// Reads what [`encode`] wrote, if it is at most [`RECORD_BYTES_MAX`] bytes, without any left over.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Junk> {
    decode_within::<RECORD_BYTES_MAX, T>(bytes)
}

/// Reads what [`encode`] wrote, if it is at most `LIMIT` bytes, without any left over. `LIMIT`
/// also bounds what is set aside for lengths that the bytes only claim.
pub fn decode_within<const LIMIT: usize, T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Junk> {
    if bytes.len() > LIMIT {
        return Err(Junk::TooLarge);
    }
    let (version, body) = bytes.split_first().ok_or(Junk::Undecodable)?;
    if *version != VERSION {
        return Err(Junk::UnknownVersion);
    }
    let config = bincode::config::standard().with_limit::<LIMIT>();
    match bincode::serde::decode_from_slice(body, config) {
        Ok((value, consumed)) if consumed == body.len() => Ok(value),
        _ => Err(Junk::Undecodable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_reads_back() {
        let value = (7u8, u64::MAX, vec!["a".to_string(), String::new()], Some(-1i32));
        assert_eq!(decode(&encode(&value)), Ok(value));
    }

    #[test]
    fn the_first_byte_is_the_version() {
        assert_eq!(encode(&5u8), [VERSION, 5]);
        assert_eq!(decode::<u8>(&[VERSION + 1, 5]), Err(Junk::UnknownVersion));
    }

    #[test]
    fn bytes_left_over_are_junk() {
        let mut bytes = encode(&5u8);
        bytes.push(0);
        assert_eq!(decode::<u8>(&bytes), Err(Junk::Undecodable));
        assert_eq!(decode::<u8>(&[]), Err(Junk::Undecodable));
    }

    #[test]
    fn a_claimed_length_sets_nothing_aside() {
        let claim = [VERSION, 253, 255, 255, 255, 255, 255, 255, 255, 15];
        assert_eq!(decode::<Vec<u8>>(&claim), Err(Junk::Undecodable));
        assert_eq!(decode::<String>(&claim), Err(Junk::Undecodable));
        assert_eq!(decode::<Vec<(u64, u64)>>(&claim), Err(Junk::Undecodable));
    }

    #[test]
    fn a_value_of_the_largest_size_passes_and_a_larger_one_does_not() {
        let body = vec![1u8; RECORD_BYTES_MAX - 6];
        let bytes = encode(&body);
        assert_eq!(bytes.len(), RECORD_BYTES_MAX);
        assert_eq!(decode::<Vec<u8>>(&bytes), Ok(body));
        let larger = encode(&vec![1u8; RECORD_BYTES_MAX]);
        assert_eq!(decode::<Vec<u8>>(&larger), Err(Junk::TooLarge));
    }
}
