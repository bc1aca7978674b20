//! The key that all nodes of a fleet share: it seals datagrams and proves membership on QUIC
//! connections. It must never appear in a log, a message or a list of processes.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// The prefix of a token of earlier versions, which was the key itself.
const TOKEN_HEAD: &str = "EDGE-1-";

/// 32 secret bytes, given as 64 hex digits or in base64.
#[derive(Clone, PartialEq, Eq)]
pub struct FleetKey([u8; 32]);

/// Why a text is not a fleet key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFleetKey {
    /// Wrong digits or a wrong number of them.
    #[error("a key is 32 bytes, written as 64 hex digits or 44 characters of base64")]
    Text,
    /// The file with it cannot be read.
    #[error("{0}")]
    File(String),
}

impl FleetKey {
    /// From secret bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> FleetKey {
        FleetKey(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first line of a file.
    pub fn read(path: &Path) -> Result<FleetKey, BadFleetKey> {
        let text =
            std::fs::read_to_string(path).map_err(|error| BadFleetKey::File(error.to_string()))?;
        text.lines().next().unwrap_or_default().parse()
    }

    /// Reads a token of earlier versions, or a bare key. Everybody who has it is a member.
    pub fn from_token(text: &str) -> Result<FleetKey, BadFleetKey> {
        let text = text.trim();
        text.strip_prefix(TOKEN_HEAD).unwrap_or(text).parse()
    }

    /// 64 hex digits: only for writing the key file.
    pub fn reveal(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl fmt::Debug for FleetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FleetKey(…)")
    }
}

impl FromStr for FleetKey {
    type Err = BadFleetKey;

    fn from_str(text: &str) -> Result<FleetKey, BadFleetKey> {
        let text = text.trim();
        let bytes = if text.len() == 64 { from_hex(text) } else { from_base64(text) };
        bytes.and_then(|bytes| bytes.try_into().ok()).map(FleetKey).ok_or(BadFleetKey::Text)
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|c| c.to_digit(16)).collect();
    Some(digits?.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

/// With or without padding, in the usual alphabet or the one for URLs.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=');
    STANDARD_NO_PAD.decode(text).or_else(|_| URL_SAFE_NO_PAD.decode(text)).ok()
}
