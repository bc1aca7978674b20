//! Clients of the API over TLS: `/edge/clients`.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A request for a client's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ClientAsk {
    /// Whose it will be.
    pub name: String,
    /// `operator` or `reader`.
    pub role: String,
}

/// What a client of the API over TLS needs, each in PEM.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ClientCertificate {
    /// The certificate of the fleet's authority: `ca.pem`.
    pub authority: String,
    /// The client's certificate: `cert.pem`.
    pub certificate: String,
    /// The client's key: `key.pem`. Nobody else has it.
    pub key: String,
    /// Where this node serves the API over TLS; empty: nowhere.
    pub api: String,
}

/// A certificate that was given out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ClientRow {
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// `operator` or `reader`.
    pub role: String,
    /// When it was given out, as that node's clock said it.
    pub created_at: Timestamp,
    /// The host name of the node that gave it out.
    pub issuer: String,
}
