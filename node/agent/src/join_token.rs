//! Join tokens as operators copy them: one word with number, secret and checksum.
//!
//! ```text
//! EDGE-2-<number, 16 hex digits><secret, 32><checksum, 8>
//! ```
//! The checksum tells a token that was cut short or mistyped from one that no fleet has. A token's
//! text must never appear in a log or an error.

use std::fmt;
use std::str::FromStr;

use crdt_state::read::TokenState;
use crdt_state::token::{self, SECRET_BYTES, TokenId, TokenOrigin};

use crate::config::FleetKey;

/// The prefix; the digits after it are lower case.
const HEAD: &str = "EDGE-2-";

/// Number, secret, checksum.
const BYTES: usize = 8 + SECRET_BYTES + 4;

/// Characters of a token.
const CHARS: usize = HEAD.len() + 2 * BYTES;

/// A token with its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText {
    id: TokenId,
    secret: [u8; SECRET_BYTES],
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTokenText {
    /// Something else.
    #[error("a token begins with EDGE-2-, and has {CHARS} characters")]
    NotOne,
    /// Its end is missing.
    #[error("the token was cut short: it has {wanted} characters, this one has {0}", wanted = CHARS)]
    CutShort(usize),
    /// There is more than a token.
    #[error("there is more than a token: it has {wanted} characters, this one has {0}", wanted = CHARS)]
    TooLong(usize),
    /// A character is wrong.
    #[error("the token was not copied as it is: its checksum does not fit")]
    Mistyped,
}

impl TokenText {
    /// A new token, with random number and secret.
    pub fn random() -> Result<TokenText, getrandom::Error> {
        let (mut id, mut secret) = ([0; 8], [0; SECRET_BYTES]);
        getrandom::fill(&mut id)?;
        getrandom::fill(&mut secret)?;
        Ok(TokenText { id: TokenId(id), secret })
    }

    /// The standing token of this number: its secret follows from the fleet's key, so that every
    /// member can show it.
    pub fn standing(fleet_key: &FleetKey, id: TokenId) -> TokenText {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl standing join token 1");
        hasher.update(fleet_key.bytes()).update(&id.0);
        let mut secret = [0; SECRET_BYTES];
        hasher.finalize_xof().fill(&mut secret);
        TokenText { id, secret }
    }

    /// Is a text meant to be a token, whole or not?
    pub fn is_meant(text: &str) -> bool {
        text.trim().starts_with(HEAD)
    }

    /// Its number.
    pub fn id(&self) -> TokenId {
        self.id
    }

    /// What the fleet has in place of the secret.
    pub fn verifier(&self) -> [u8; 32] {
        token::verifier(self.id, &self.secret)
    }

    /// The word to copy.
    pub fn reveal(&self) -> String {
        let checksum = checksum(&self.id, &self.secret);
        let bytes = self.id.0.iter().chain(&self.secret).chain(&checksum);
        std::iter::once(HEAD.to_owned()).chain(bytes.map(|byte| format!("{byte:02x}"))).collect()
    }
}

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenText({}…)", self.id)
    }
}

impl FromStr for TokenText {
    type Err = BadTokenText;

    fn from_str(text: &str) -> Result<TokenText, BadTokenText> {
        let text = text.trim();
        let digits = text.strip_prefix(HEAD).ok_or(BadTokenText::NotOne)?;
        let digits: Option<Vec<u8>> =
            digits.chars().map(|c| c.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
        let digits = digits.ok_or(BadTokenText::Mistyped)?;
        match digits.len() {
            short if short < 2 * BYTES => return Err(BadTokenText::CutShort(text.len())),
            long if long > 2 * BYTES => return Err(BadTokenText::TooLong(text.len())),
            _ => {}
        }
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        let (id, rest) = bytes.split_first_chunk::<8>().expect("the length was checked");
        let (secret, found) = rest.split_first_chunk().expect("the length was checked");
        let id = TokenId(*id);
        if checksum(&id, secret) != found {
            return Err(BadTokenText::Mistyped);
        }
        Ok(TokenText { id, secret: *secret })
    }
}

fn checksum(id: &TokenId, secret: &[u8; SECRET_BYTES]) -> [u8; 4] {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl join token checksum 1");
    hasher.update(&id.0).update(secret);
    *hasher.finalize().as_bytes().first_chunk().expect("a hash is longer")
}

/// Is it a token of the fleet with this key? Not so is a standing token that was made before the key
/// was replaced, or by a node on its own before it joined.
pub fn is_of(state: &TokenState, fleet_key: &FleetKey) -> bool {
    match state.token.origin {
        TokenOrigin::Issued => true,
        TokenOrigin::Standing => {
            TokenText::standing(fleet_key, state.token.id).verifier() == state.token.verifier
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> TokenText {
        TokenText::standing(&FleetKey::from_bytes([1; 32]), TokenId([7; 8]))
    }

    #[test]
    fn a_token_reads_back_and_one_that_was_cut_or_mistyped_is_told_apart() {
        let text = token().reveal();
        assert_eq!(text.parse(), Ok(token()));
        assert_eq!(format!(" {text}\n").parse(), Ok(token()));
        for length in HEAD.len()..text.len() {
            let short = text[..length].parse::<TokenText>();
            assert_eq!(short, Err(BadTokenText::CutShort(length)));
        }
        assert_eq!(format!("{text}0").parse::<TokenText>(), Err(BadTokenText::TooLong(64)));
        let last = if text.ends_with('0') { "1" } else { "0" };
        let wrong = format!("{}{last}", &text[..text.len() - 1]);
        assert_eq!(wrong.parse::<TokenText>(), Err(BadTokenText::Mistyped));
        for other in ["", "EDGE-1-5f", "SWMTKN-1-x", "EDGE-2"] {
            assert_eq!(other.parse::<TokenText>(), Err(BadTokenText::NotOne), "{other}");
        }
    }

    #[test]
    fn a_standing_token_is_the_same_on_every_member_and_of_one_key() {
        assert_eq!(token(), TokenText::standing(&FleetKey::from_bytes([1; 32]), TokenId([7; 8])));
        let other = TokenText::standing(&FleetKey::from_bytes([2; 32]), TokenId([7; 8]));
        assert!(token() != other && token().verifier() != other.verifier());
        assert!(!format!("{:?}", token()).contains(&token().reveal()[30..50]));
    }
}
