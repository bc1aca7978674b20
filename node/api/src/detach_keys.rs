//! The keys by which a client detaches from a terminal without ending what runs in it: `ctrl-p,ctrl-q`.

use super::failure::Failure;

/// Docker's keys.
const DEFAULT: &str = "ctrl-p,ctrl-q";

/// Looks for the keys in what a client types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys {
    /// None: nobody looks for them.
    keys: Vec<u8>,
    /// So many of them were typed last, and are not passed on yet.
    typed: usize,
}

impl DetachKeys {
    /// No keys detach.
    pub fn none() -> DetachKeys {
        DetachKeys { keys: Vec::new(), typed: 0 }
    }

    /// Reads them as clients send them: letters, and `ctrl-` with a letter or one of `@[\\]^_`, with
    /// commas between. Without any, Docker's.
    pub fn read(text: Option<&str>) -> Result<DetachKeys, Failure> {
        let text = text.filter(|text| !text.is_empty()).unwrap_or(DEFAULT);
        let keys = text.split(',').map(key).collect::<Option<Vec<u8>>>();
        let keys = keys.ok_or_else(|| {
            Failure::Bad(format!(
                "detachKeys=`{text}`: write single characters and ctrl-<character>, like {DEFAULT}"
            ))
        })?;
        Ok(DetachKeys { keys, typed: 0 })
    }

    /// Takes the keys out of what was typed; true if all of them were typed: then what came after
    /// them is dropped. Keys at the end that may be the beginning of them wait for the next ones.
    pub fn filter(&mut self, typed: &mut Vec<u8>) -> bool {
        if self.keys.is_empty() {
            return false;
        }
        let mut passed = Vec::with_capacity(typed.len());
        for byte in std::mem::take(typed) {
            if self.keys.get(self.typed) == Some(&byte) {
                self.typed += 1;
                if self.typed == self.keys.len() {
                    *typed = passed;
                    return true;
                }
                continue;
            }
            passed.extend_from_slice(&self.keys[..self.typed]);
            self.typed = usize::from(self.keys[0] == byte);
            if self.typed == 0 {
                passed.push(byte);
            }
        }
        *typed = passed;
        false
    }
}

fn key(word: &str) -> Option<u8> {
    match word.strip_prefix("ctrl-").map(str::as_bytes) {
        Some([letter @ b'a'..=b'z']) => Some(letter - b'a' + 1),
        Some([sign @ (b'@' | b'[' | b'\\' | b']' | b'^' | b'_')]) => Some(sign - b'@'),
        Some(_) => None,
        None => match word.as_bytes() {
            [byte] => Some(*byte),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_across_pieces_and_what_only_begins_like_them_is_passed_on() {
        let run = |pieces: &[&[u8]]| {
            let mut keys = DetachKeys::read(None).expect("Docker's");
            let mut passed = Vec::new();
            for piece in pieces {
                let mut piece = piece.to_vec();
                let is_detached = keys.filter(&mut piece);
                passed.extend(piece);
                if is_detached {
                    return (passed, true);
                }
            }
            (passed, false)
        };
        assert_eq!(run(&[b"ab\x10\x11c"]), (b"ab".to_vec(), true));
        assert_eq!(run(&[b"a\x10", b"\x11"]), (b"a".to_vec(), true));
        assert_eq!(run(&[b"a\x10", b"b"]), (b"a\x10b".to_vec(), false));
        assert_eq!(run(&[b"\x10\x10\x11"]), (b"\x10".to_vec(), true));
    }

    #[test]
    fn keys_are_written_as_in_docker() {
        let keys = |text: &str| DetachKeys::read(Some(text)).map(|keys| keys.keys);
        assert_eq!(keys("ctrl-a,x"), Ok(vec![1, b'x']));
        assert_eq!(keys(""), Ok(vec![16, 17]));
        for bad in ["ctrl-A", "ctrl-", "ab", "a,,b"] {
            assert!(keys(bad).is_err(), "{bad}");
        }
    }
}
