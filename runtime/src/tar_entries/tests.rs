//! Streams made by hand: which are read correctly, and which are refused.

use super::*;

/// A ustar header with a correct checksum, and its data.
fn block(name: &str, kind: u8, data: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; BLOCK];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[124..135].copy_from_slice(format!("{:011o}", data.len()).as_bytes());
    header[156] = kind;
    header[257..263].copy_from_slice(b"ustar\0");
    header[148..156].copy_from_slice(b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let body = key.len() + value.len() + 3;
    let length = (1..).find(|digits| (body + digits).to_string().len() == *digits);
    let length = body + length.expect("a length fits itself");
    let mut bytes = format!("{length} {key}=").into_bytes();
    bytes.extend_from_slice(value);
    bytes.push(b'\n');
    bytes
}

fn first(bytes: &[u8]) -> Result<Option<Entry>, TarError> {
    Entries::new(bytes).next()
}

#[test]
fn an_attribute_may_hold_line_ends_and_zeros() {
    let value = b"\x01\0\0\x02\n\n5 a=b\n\0\0";
    let mut bytes = block("pax", b'x', &record("SCHILY.xattr.security.capability", value));
    bytes.extend(block("ping", b'0', b"x"));
    let entry = first(&bytes).expect("sound").expect("an entry");
    assert_eq!(entry.xattrs, [(b"security.capability".to_vec(), value.to_vec())]);
}

#[test]
fn a_long_name_is_the_name_of_the_next_entry_alone() {
    let name = "n".repeat(300);
    let mut bytes = block("././@LongLink", b'L', format!("{name}\0").as_bytes());
    bytes.extend(block("nnn", b'0', b"12"));
    bytes.extend(block("short", b'0', b""));
    let mut entries = Entries::new(bytes.as_slice());
    assert_eq!(entries.next().expect("sound").expect("first").path, name.as_bytes());
    assert_eq!(entries.next().expect("sound").expect("second").path, b"short");
    assert_eq!(entries.next().expect("sound"), None);
}

#[test]
fn a_time_before_1970_is_a_second_earlier_and_the_rest() {
    let of = |text: &str| {
        let mut bytes = block("pax", b'x', &record("mtime", text.as_bytes()));
        bytes.extend(block("a", b'0', b""));
        first(&bytes).expect("sound").expect("an entry").mtime
    };
    assert_eq!(of("1700000000.25"), (1_700_000_000, 250_000_000));
    assert_eq!(of("-1.25"), (-2, 750_000_000));
    assert_eq!(of("-3"), (-3, 0));
}

#[test]
fn a_stream_cut_anywhere_is_an_error_or_shorter_and_no_panic() {
    let mut bytes = block("pax", b'x', &record("path", b"some/longer/name"));
    bytes.extend(block("a", b'0', &[7; 700]));
    bytes.extend(block("b", b'5', b""));
    for length in 0..bytes.len() {
        let mut entries = Entries::new(&bytes[..length]);
        let read = std::iter::from_fn(|| entries.next().ok().flatten()).count();
        assert!(read < 2, "cut at {length}");
    }
}

#[test]
fn a_flipped_bit_in_a_header_is_found() {
    let bytes = block("name", b'0', b"");
    // The last byte of the checksum field is not part of the checksum.
    for at in (0..BLOCK).filter(|at| *at != 155) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(first(&flipped).is_err(), "byte {at}");
    }
}

#[test]
fn pieces_that_overlap_or_leave_their_file_are_refused() {
    for map in ["0,10,5,10", "0,99", "10,5,0,5", "18446744073709551615,2", "0"] {
        let mut pax = record("GNU.sparse.size", b"20");
        pax.extend(record("GNU.sparse.map", map.as_bytes()));
        let mut bytes = block("pax", b'x', &pax);
        bytes.extend(block("a", b'0', &[1; 20]));
        assert!(first(&bytes).is_err(), "{map}");
    }
}

#[test]
fn an_unreasonable_header_is_refused_before_memory_is_taken_for_it() {
    let mut bytes = block("pax", b'x', b"");
    bytes[124..136].copy_from_slice(b"77777777777\0");
    bytes[148..156].copy_from_slice(b"        ");
    let sum: u32 = bytes[..BLOCK].iter().map(|byte| u32::from(*byte)).sum();
    bytes[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    assert!(matches!(first(&bytes), Err(TarError::Junk(_))));
}
