//! The frames in which a blob travels between agents: one that begins, bytes, and one that ends; or
//! a refusal, at any time.

/// One frame of a blob.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// It comes from so far away.
    Begin { hops: u8 },
    /// The next bytes.
    Bytes(&'a [u8]),
    /// That was all.
    End,
    /// It does not come, or no further; for people.
    Refused(&'a str),
}

/// Reads a frame; `None` if it is none.
pub(super) fn read(frame: &[u8]) -> Option<Part<'_>> {
    match frame.split_first()? {
        (0, [hops]) => Some(Part::Begin { hops: *hops }),
        (1, bytes) => Some(Part::Bytes(bytes)),
        (2, []) => Some(Part::End),
        (3, why) => std::str::from_utf8(why).ok().map(Part::Refused),
        _ => None,
    }
}

pub(super) fn frame(part: &Part<'_>) -> Vec<u8> {
    match part {
        Part::Begin { hops } => vec![0, *hops],
        Part::Bytes(bytes) => [&[1], *bytes].concat(),
        Part::End => vec![2],
        Part::Refused(why) => [&[3], why.as_bytes()].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_and_junk_is_none() {
        for part in [
            Part::Begin { hops: 2 },
            Part::Bytes(b"abc"),
            Part::Bytes(b""),
            Part::End,
            Part::Refused("no"),
        ] {
            assert_eq!(read(&frame(&part)), Some(part));
        }
        for junk in [&[][..], &[0], &[0, 1, 2], &[2, 0], &[3, 0xff], &[4]] {
            assert_eq!(read(junk), None, "{junk:?}");
        }
    }
}
