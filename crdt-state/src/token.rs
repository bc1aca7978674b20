//! Join tokens: what a machine shows that is to become a member of the fleet.
//!
//! The record of a token is written once; what ends it is a facet of its own that only grows. Who was
//! let in with it is in an owned record of each member that let somebody in, so that two sides of a
//! partition that take one token both keep what they did. The secret of a token is in no record.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, first_16};
use crate::key::{Kind, RecordKey};

/// Bytes of a token's secret.
pub const SECRET_BYTES: usize = 16;

/// Uses that the record of one member keeps: at 24 bytes each less than the largest value. Above, the
/// oldest uses of tokens with unlimited uses are forgotten.
pub const USES_KEPT_MAX: usize = 2_000;

/// The most uses that a token may be limited to.
pub const USES_MAX: u32 = 1_000;

/// A token's number, which is no secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TokenId(pub [u8; 8]);

/// The text is no token's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the number of a token has 16 hex digits")]
pub struct BadTokenId;

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenId({self})")
    }
}

impl FromStr for TokenId {
    type Err = BadTokenId;

    fn from_str(text: &str) -> Result<TokenId, BadTokenId> {
        let is_hex = text.len() == 16 && text.bytes().all(|c| c.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_hex);
        number.map(|number| TokenId(number.to_be_bytes())).ok_or(BadTokenId)
    }
}

/// Which of Docker's roles the token was asked for. Every node is equal, whichever it joined with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum TokenRole {
    /// `worker`.
    Worker,
    /// `manager`.
    Manager,
}

impl TokenRole {
    /// Docker's word.
    pub fn as_str(self) -> &'static str {
        match self {
            TokenRole::Worker => "worker",
            TokenRole::Manager => "manager",
        }
    }
}

/// Where a token's secret comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenOrigin {
    /// It follows from the fleet's key and the number: every member can show it again.
    Standing,
    /// It is random, and was shown once.
    Issued,
}

/// The value of [`crate::spec::Facet::TOKEN`], written once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinToken {
    /// Its number.
    pub id: TokenId,
    /// What it was asked for.
    pub role: TokenRole,
    /// Where its secret comes from.
    pub origin: TokenOrigin,
    /// Derived from the secret: who knows it can check the secret, and not join with it elsewhere.
    pub verifier: [u8; 32],
    /// How many nodes may join with it; 0: any number. At most [`USES_MAX`].
    pub uses_max: u32,
    /// The site of nodes that join with it; empty: none is set.
    pub site: String,
    /// After how many milliseconds it ends by itself; 0: never.
    pub expires_after_ms: u64,
}

/// Why a token is not taken any more: the value of [`crate::spec::Facet::TOKEN_END`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenEnd {
    /// An operator removed it.
    Removed,
    /// Another one stands in its place.
    Rotated,
    /// Its time is over.
    Expired,
}

/// One node that was let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUse {
    /// With which token.
    pub token: TokenId,
    /// Who.
    pub joiner: NodeId,
}

/// Whom a member let in, the last one last: the value of [`Kind::TOKEN_USES`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TokenUses(pub Vec<TokenUse>);

impl RecordKey {
    /// The key of a token.
    pub fn token(id: TokenId) -> RecordKey {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl join token record 1");
        hasher.update(&id.0);
        RecordKey { kind: Kind::TOKEN, id: first_16(&hasher.finalize()) }
    }

    /// The key of whom a member let in.
    pub fn token_uses(member: NodeId) -> RecordKey {
        RecordKey::owned(Kind::TOKEN_USES, member, &[])
    }
}

/// What is in a token's record in place of its secret.
pub fn verifier(id: TokenId, secret: &[u8; SECRET_BYTES]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl join token verifier 1");
    hasher.update(&id.0).update(secret);
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_reads_back_from_its_text() {
        let id = TokenId([0, 1, 2, 3, 0xfc, 0xfd, 0xfe, 0xff]);
        assert_eq!(id.to_string(), "00010203fcfdfeff");
        assert_eq!(id.to_string().parse(), Ok(id));
        for bad in ["", "00010203fcfdfef", "+0010203fcfdfeff", "00010203fcfdfegg"] {
            assert_eq!(bad.parse::<TokenId>(), Err(BadTokenId), "{bad}");
        }
    }

    #[test]
    fn a_verifier_is_of_one_token_and_one_secret() {
        let of = |id: u8, secret: u8| verifier(TokenId([id; 8]), &[secret; SECRET_BYTES]);
        assert_eq!(of(1, 1), of(1, 1));
        assert!(of(1, 1) != of(1, 2) && of(1, 1) != of(2, 1));
    }
}
