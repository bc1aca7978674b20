//! The digest of a plan: by it an edit is refused that would do something else than was shown.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The digest of an edit and of what it does to tasks. Equal digests: the same edit does the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDigest([u8; 6]);

impl PlanDigest {
    /// The first bytes of a hash.
    pub fn of(hash: &[u8; 32]) -> PlanDigest {
        let [a, b, c, d, e, f, ..] = *hash;
        PlanDigest([a, b, c, d, e, f])
    }
}

impl fmt::Display for PlanDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is not a digest: it has 12 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not the digest of a dry run, which has 12 hexadecimal digits; repeat the command with --dry-run to see it"
)]
pub struct BadDigest(String);

impl FromStr for PlanDigest {
    type Err = BadDigest;

    fn from_str(text: &str) -> Result<PlanDigest, BadDigest> {
        let bad = || BadDigest(text.to_owned());
        if text.len() != 12 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(bad());
        }
        let number = u64::from_str_radix(text, 16).map_err(|_| bad())?;
        let [_, _, digest @ ..] = number.to_be_bytes();
        Ok(PlanDigest(digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_shown_and_nothing_else_is() {
        let digest = PlanDigest::of(&[0xa7; 32]);
        assert_eq!(digest.to_string(), "a7a7a7a7a7a7");
        assert_eq!("a7a7a7a7a7a7".parse(), Ok(digest));
        for text in ["", "a7", "a7a7a7a7a7a7a7", "+7a7a7a7a7a7", "a7a7a7a7a7ag", "aéa7a7a7a7a"] {
            assert!(text.parse::<PlanDigest>().is_err(), "{text}");
        }
    }
}
