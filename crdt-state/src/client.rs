//! Clients of the API over TLS: the certificates that the fleet gave out, and those it took back.
//!
//! A certificate proves itself, also to a node that has not heard of it yet. The record is for people
//! who look for it, and for its removal, which wins over everything.

use serde::{Deserialize, Serialize};

use crate::id::{ClientId, first_16};
use crate::key::{Kind, RecordKey};

impl ClientId {
    /// That of a certificate in DER.
    pub fn of(certificate: &[u8]) -> ClientId {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl client certificate 1");
        hasher.update(certificate);
        ClientId(first_16(&hasher.finalize()))
    }
}

/// What a client may do: the value of [`crate::spec::Facet::CLIENT_ROLE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ClientRole {
    /// Everything.
    Operator,
    /// Look at everything that is no secret, and change nothing.
    Reader,
}

impl ClientRole {
    /// All of them.
    pub const ALL: [ClientRole; 2] = [ClientRole::Operator, ClientRole::Reader];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            ClientRole::Operator => "operator",
            ClientRole::Reader => "reader",
        }
    }

    /// The role of a word.
    pub fn parse(word: &str) -> Option<ClientRole> {
        ClientRole::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

impl RecordKey {
    /// The key of a client's certificate.
    pub fn client(id: ClientId) -> RecordKey {
        RecordKey { kind: Kind::CLIENT, id: id.0 }
    }
}
