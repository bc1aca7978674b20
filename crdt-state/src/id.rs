//! Identifiers: 16 bytes, shown as 25 characters of base 36, the form that Docker's tools expect.
//!
//! An id is never reused. It has no meaning besides equality and a total order, which is the same
//! on every node.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Characters of an id as it is shown: 128 bits need 25 digits of base 36.
pub const ID_CHARS: usize = 25;

/// Why a text is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id has {ID_CHARS} characters, 0-9 and a-z")]
pub struct BadId;

fn write_base36(bytes: [u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut rest = u128::from_be_bytes(bytes);
    let mut text = [b'0'; ID_CHARS];
    for place in text.iter_mut().rev() {
        *place = DIGITS[(rest % 36) as usize];
        rest /= 36;
    }
    f.write_str(std::str::from_utf8(&text).expect("base 36 digits are ASCII"))
}

fn read_base36(text: &str) -> Result<[u8; 16], BadId> {
    if text.len() != ID_CHARS {
        return Err(BadId);
    }
    let mut value: u128 = 0;
    for c in text.bytes() {
        let digit = match c {
            b'0'..=b'9' => c - b'0',
            b'a'..=b'z' => c - b'a' + 10,
            _ => return Err(BadId),
        };
        value =
            value.checked_mul(36).and_then(|v| v.checked_add(u128::from(digit))).ok_or(BadId)?;
    }
    Ok(value.to_be_bytes())
}

macro_rules! id_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_base36(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                read_base36(text).map($name)
            }
        }
    };
}

id_type!(
    /// A node: the first 16 bytes of the blake3 hash of its public key.
    NodeId
);
id_type!(
    /// A service. Creating the same name again makes a new id.
    ServiceId
);
id_type!(
    /// A network. Creating the same name again makes a new id.
    NetworkId
);
id_type!(
    /// A config. Creating the same name again makes a new id.
    ConfigId
);
id_type!(
    /// A certificate of a client of the API: a hash of it, see [`ClientId::of`].
    ClientId
);
id_type!(
    /// A secret. Creating the same name again makes a new id.
    SecretId
);
id_type!(
    /// A task: the hash of service, slot, node and version of the template, see [`TaskId::of`].
    TaskId
);

/// The store that a writer's counters belong to. Every new store gets a new id, so that a writer
/// that lost its disk is never mistaken for the writer it was before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StoreId(pub u64);

/// The first 16 bytes of a hash.
pub fn first_16(hash: &blake3::Hash) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.as_bytes()[..16]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_what_it_shows() {
        for bytes in [[0; 16], [255; 16], *b"0123456789abcdef"] {
            let id = NodeId(bytes);
            assert_eq!(id.to_string().len(), ID_CHARS);
            assert_eq!(id.to_string().parse::<NodeId>(), Ok(id));
        }
    }

    #[test]
    fn a_text_that_is_no_id_is_refused() {
        for text in ["", "abc", "zzzzzzzzzzzzzzzzzzzzzzzzz", "A000000000000000000000000"] {
            assert_eq!(text.parse::<NodeId>(), Err(BadId));
        }
    }
}
