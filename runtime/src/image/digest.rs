//! The name of content: `sha256:` and 64 lower-case hexadecimal digits.
//!
//! A parsed digest is safe to use as a file name. It does not prove that any content was checked
//! against it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

const PREFIX: &str = "sha256:";
const HEX: usize = 64;

/// `sha256:<64 hex>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

/// Something else than a digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a digest: it must be sha256: and 64 hexadecimal digits")]
pub struct BadDigest(pub String);

impl Digest {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Digest {
        Digest::finish(Sha256::new_with_prefix(bytes))
    }

    /// Of all that a hasher has seen.
    pub(crate) fn finish(hasher: Sha256) -> Digest {
        let mut text = String::with_capacity(PREFIX.len() + HEX);
        text.push_str(PREFIX);
        for byte in hasher.finalize() {
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is a digit"));
            }
        }
        Digest(text)
    }

    /// From 64 hexadecimal digits, as files are named.
    pub fn from_hex(hex: &str) -> Result<Digest, BadDigest> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if hex.len() == HEX && hex.bytes().all(is_hex) {
            return Ok(Digest(format!("{PREFIX}{hex}")));
        }
        Err(BadDigest(hex.to_owned()))
    }

    /// The 64 digits.
    pub fn hex(&self) -> &str {
        &self.0[PREFIX.len()..]
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first 12 digits, as `docker images` shows them.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl FromStr for Digest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<Digest, BadDigest> {
        let hex = text.strip_prefix(PREFIX).ok_or_else(|| BadDigest(text.to_owned()))?;
        Digest::from_hex(hex).map_err(|_| BadDigest(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = BadDigest;

    fn try_from(text: String) -> Result<Digest, BadDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_of_nothing_is_the_known_one() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::of(b"").as_str(), empty);
        assert_eq!(empty.parse(), Ok(Digest::of(b"")));
        assert_eq!(Digest::of(b"").short(), "e3b0c44298fc");
    }

    #[test]
    fn nothing_that_could_leave_a_folder_is_a_digest() {
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let dots = format!("sha256:../../{}", &hex[6..]);
        let upper = format!("sha256:{}", hex.to_uppercase());
        for junk in ["", "sha256:", hex, &dots, &upper, &format!("sha512:{hex}")] {
            assert_eq!(junk.parse::<Digest>(), Err(BadDigest(junk.to_owned())), "{junk}");
        }
    }
}
