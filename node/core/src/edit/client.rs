//! Clients of the API as an operator asks for them.

use crdt_state::ClientId;
use crdt_state::limits::CLIENT_NAME_CHARS_MAX;

/// Why a client's certificate was not made, or not taken back. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadClient {
    /// The text is not a valid name.
    #[error(
        "invalid name `{0}` of a client: 1 to {CLIENT_NAME_CHARS_MAX} of a-z, 0-9 and -, beginning and ending with a letter or digit; write it like anna-laptop"
    )]
    Name(String),
    /// Another client has the name.
    #[error(
        "there is a client {0} already; choose another name, or take its certificate back first: edgectl ca revoke {0}"
    )]
    NameTaken(String),
    /// No such client.
    #[error("client {0} not found; `edgectl ca ls` lists them")]
    Missing(ClientId),
}

/// Is it the name of a client? It becomes a label of a name in the certificate.
pub fn is_client_name(name: &str) -> bool {
    let is_inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=CLIENT_NAME_CHARS_MAX).contains(&name.len())
        && name.bytes().all(is_inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::is_client_name;

    #[test]
    fn the_name_of_a_client_is_a_label() {
        for name in ["a", "anna-laptop", "7", &"a".repeat(63)] {
            assert!(is_client_name(name), "{name}");
        }
        for name in ["", "-a", "a-", "Anna", "a.b", "a b", "ä", &"a".repeat(64)] {
            assert!(!is_client_name(name), "{name}");
        }
    }
}
