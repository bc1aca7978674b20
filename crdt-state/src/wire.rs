//! The encoding of everything stored and sent: one version byte, then bincode 2, within a limit.
//!
//! This is the only file that names bincode, so that it can be replaced. It must never decode
//! without a limit: otherwise ten bytes that claim a huge length would abort the process. Types
//! that are encoded here have no elements of size zero, no `skip_serializing_if`, no `flatten` and
//! no `untagged`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::junk::Junk;

/// The version byte in front of every encoding. A structure is frozen per version.
pub const VERSION: u8 = 1;

/// The largest record, or part of one, on the wire: a value of at most [`VALUE_BYTES_MAX`] together
/// with a causal clock of 6,000 writers (32 bytes each).
pub const RECORD_BYTES_MAX: usize = 256 * 1024;

/// The largest value of one facet or of one owned record. A template with 500 variables of 100
/// bytes is 50 KB. Code that takes values from people refuses larger ones before they are written.
pub const VALUE_BYTES_MAX: usize = 64 * 1024;

/// The largest reliable message: four of the largest records, or some thousand task records.
pub const MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The largest size that a record may reach by merging: twelve of the largest values. A record from
/// outside that would make it larger is junk. After an edit of the node itself the record still
/// fits into [`MESSAGE_BYTES_MAX`], the limit for reading it back from the store.
pub const MERGED_BYTES_MAX: usize = 768 * 1024;

/// The limit given to bincode, which counts a number with its width in memory: 8 bytes for what may
/// be one byte on the wire. A false length reserves at most this much address space, for a moment.
const CLAIMED_BYTES_MAX: usize = 8 * 1024 * 1024;

const _: () = assert!(8 * MESSAGE_BYTES_MAX <= CLAIMED_BYTES_MAX);

/// The version byte and the value's encoding. The same value has the same bytes everywhere.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bincode::serde::encode_into_std_write(value, &mut bytes, bincode::config::standard())
        .expect("our types encode, and a vector takes every byte");
    bytes
}

/// Decodes the result of [`encode`] of at most [`RECORD_BYTES_MAX`] bytes. Left-over bytes are an
/// error.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Junk> {
    decode_within(bytes, RECORD_BYTES_MAX)
}

/// Decodes the result of [`encode`] of at most `bytes_max` bytes (no more than the largest
/// message). Left-over bytes are an error.
pub fn decode_within<T: DeserializeOwned>(bytes: &[u8], bytes_max: usize) -> Result<T, Junk> {
    if bytes.len() > bytes_max.min(CLAIMED_BYTES_MAX / 8) {
        return Err(Junk::TooLarge);
    }
    let (version, body) = bytes.split_first().ok_or(Junk::Undecodable)?;
    if *version != VERSION {
        return Err(Junk::UnknownVersion);
    }
    let config = bincode::config::standard().with_limit::<CLAIMED_BYTES_MAX>();
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
        for (length, result) in [(RECORD_BYTES_MAX - 6, true), (RECORD_BYTES_MAX - 5, false)] {
            let bytes = encode(&vec![1u8; length]);
            assert_eq!(decode::<Vec<u8>>(&bytes).is_ok(), result, "{}", bytes.len());
        }
    }

    #[test]
    fn numbers_that_are_short_on_the_wire_do_not_run_into_the_limit() {
        let bytes = encode(&vec![1u64; MESSAGE_BYTES_MAX - 6]);
        let numbers = decode_within::<Vec<u64>>(&bytes, MESSAGE_BYTES_MAX);
        assert_eq!(numbers.map(|numbers| numbers.len()), Ok(MESSAGE_BYTES_MAX - 6));
    }
}
