//! Unlock keys as operators keep them, and what opens a node besides: a file of its own.
//!
//! ```text
//! EDGEKEY-1-<64 hex digits>
//! ```
//! The text must never appear in a log or an error.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crdt_state::fleet_key::FleetKeyFact;
use crdt_state::secret::ContentKey;

use crate::config::FleetKey;

/// The prefix.
const HEAD: &str = "EDGEKEY-1-";

/// A key file has at least as many bytes: less could be guessed.
const FILE_BYTES_MIN: usize = 32;

/// More is not read of one.
const FILE_BYTES_MAX: usize = 64 * 1024;

/// 32 secret bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct UnlockKey(ContentKey);

/// Why a text or a file is no unlock key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadUnlockKey {
    /// Something else.
    #[error(
        "an unlock key begins with {HEAD}, and has {chars} characters\n  try: edgectl swarm unlock-key, on \
         another node", chars = HEAD.len() + 64
    )]
    NotOne,
    /// The file cannot be read.
    #[error("{0}")]
    Unreadable(String),
    /// The file has too few bytes.
    #[error(
        "a key file has at least {FILE_BYTES_MIN} bytes, this one has {0}\n  try: head -c 32 /dev/urandom > FILE"
    )]
    TooShort(usize),
    /// The file has too many.
    #[error("a key file has at most {FILE_BYTES_MAX} bytes")]
    TooLong,
    /// Others may read the file.
    #[error("others than its owner may read it\n  try: chmod 600 {0}")]
    Readable(String),
}

impl UnlockKey {
    /// From 32 secret bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> UnlockKey {
        UnlockKey(ContentKey::from_random(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        self.0.bytes()
    }

    /// What everybody may know of it.
    pub fn fact(&self) -> FleetKeyFact {
        FleetKeyFact::of(self.bytes())
    }

    /// The text: only for who is to keep it.
    pub fn reveal(&self) -> String {
        format!("{HEAD}{}", FleetKey::from_bytes(*self.bytes()).reveal())
    }

    /// The key that follows from the content of a file; a file with the text of an unlock key has this one.
    pub fn of_file(path: &Path) -> Result<UnlockKey, BadUnlockKey> {
        use std::io::Read;
        use std::os::unix::fs::MetadataExt;
        let failed = |error: std::io::Error| BadUnlockKey::Unreadable(error.to_string());
        let file = std::fs::File::open(path).map_err(failed)?;
        if file.metadata().map_err(failed)?.mode() & 0o007 != 0 {
            return Err(BadUnlockKey::Readable(path.display().to_string()));
        }
        let mut content = Vec::new();
        file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut content).map_err(failed)?;
        if content.len() > FILE_BYTES_MAX {
            return Err(BadUnlockKey::TooLong);
        }
        if let Some(key) = std::str::from_utf8(&content).ok().and_then(|text| text.parse().ok()) {
            return Ok(key);
        }
        if content.len() < FILE_BYTES_MIN {
            return Err(BadUnlockKey::TooShort(content.len()));
        }
        Ok(UnlockKey::from_bytes(blake3::derive_key("edgectl key file 1", &content)))
    }
}

impl From<ContentKey> for UnlockKey {
    fn from(key: ContentKey) -> UnlockKey {
        UnlockKey(key)
    }
}

impl FromStr for UnlockKey {
    type Err = BadUnlockKey;

    fn from_str(text: &str) -> Result<UnlockKey, BadUnlockKey> {
        let digits = text.trim().strip_prefix(HEAD).filter(|digits| digits.len() == 64);
        let key = digits.and_then(|digits| digits.parse::<FleetKey>().ok());
        key.map(|key| UnlockKey::from_bytes(*key.bytes())).ok_or(BadUnlockKey::NotOne)
    }
}

impl fmt::Debug for UnlockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnlockKey(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_is_read_back_from_its_text_and_nothing_else_is_one() {
        let key = UnlockKey::from_bytes([7; 32]);
        assert_eq!(format!(" {}\n", key.reveal()).parse(), Ok(key.clone()));
        assert_eq!(format!("{key:?}"), "UnlockKey(hidden)");
        for text in ["", "EDGEKEY-1-", "EDGEKEY-1-07", &key.reveal()[1..], &"7".repeat(64)] {
            assert_eq!(text.parse::<UnlockKey>(), Err(BadUnlockKey::NotOne), "{text}");
        }
    }

    #[test]
    fn a_key_file_has_enough_bytes_and_is_read_by_its_owner_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("key");
        let read = |content: &[u8], mode| {
            std::fs::write(&path, content).expect("written");
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, mode).expect("set");
            UnlockKey::of_file(&path)
        };
        let key = UnlockKey::from_bytes([7; 32]);
        assert_eq!(read(key.reveal().as_bytes(), 0o600), Ok(key));
        let own = read(&[9; 32], 0o400).expect("a key");
        assert_eq!(read(&[9; 32], 0o640), Ok(own.clone()));
        assert_ne!(read(&[8; 32], 0o600), Ok(own));
        assert_eq!(read(b"secret\n", 0o600), Err(BadUnlockKey::TooShort(7)));
        assert!(matches!(read(&[9; 32], 0o644), Err(BadUnlockKey::Readable(_))));
        assert!(matches!(read(&vec![9; 70_000], 0o600), Err(BadUnlockKey::TooLong)));
        let gone = UnlockKey::of_file(&dir.path().join("gone"));
        assert!(matches!(gone, Err(BadUnlockKey::Unreadable(_))), "{gone:?}");
    }
}
