//! This node's identity: an ed25519 key in the data directory, and how often the node has started.
//!
//! The key is made once and outlives every store; a node that loses it is another node. It never
//! leaves this process except into its own file. No date takes part: a clock at 1970 is fine.

mod boot;
mod key_file;

use std::path::{Path, PathBuf};

use crdt_state::NodeId;
use crdt_state::signature::PublicKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use ed25519_dalek::{Signer, SigningKey};

pub use boot::next_boot;
pub use key_file::write_secret_file;

use crate::config::FleetKey;

/// The file of the node's key in the data directory.
pub const NODE_KEY_FILE: &str = "node.key";

/// The file of the fleet's key in the data directory, unless the configuration has one.
pub const FLEET_KEY_FILE: &str = "fleet.key";

/// Why a node has no identity. Nothing was overwritten.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The data directory does not exist and cannot be made, or is not writable.
    #[error(
        "cannot use the data directory {}: {error}\n  \
         make it writable for this user, or name another with --data-dir DIR", path.display()
    )]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The system's message.
        error: std::io::Error,
    },
    /// A file cannot be read or written.
    #[error("cannot read or write {}: {error}\n  see that the disk is mounted, writable and not full", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's message.
        error: std::io::Error,
    },
    /// The file exists but holds no key.
    #[error(
        "{} is not a key: it must be 64 hex digits\n  \
         restore it from a copy; without one move it away, and the node joins as a new one",
        path.display()
    )]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// The system gives no random bytes.
    #[error("the system gives no random bytes: {0}\n  see that getrandom(2) is allowed here")]
    Random(getrandom::Error),
}

/// The node's own key.
#[derive(Clone)]
pub struct NodeKey {
    signing: SigningKey,
}

impl NodeKey {
    /// The key of this data directory, made if there is none.
    pub fn load_or_create(data_dir: &Path) -> Result<NodeKey, IdentityError> {
        let secret = key_file::read_or_create(&data_dir.join(NODE_KEY_FILE))?;
        Ok(NodeKey::from_secret(secret))
    }

    /// From 32 secret bytes.
    pub fn from_secret(secret: [u8; 32]) -> NodeKey {
        NodeKey { signing: SigningKey::from_bytes(&secret) }
    }

    /// The public half.
    pub fn public_key(&self) -> [u8; 32] {
        self.signing.verifying_key().to_bytes()
    }

    /// The node that has this key.
    pub fn node(&self) -> NodeId {
        NodeId::of(&PublicKey(self.public_key()))
    }

    /// The 32 secret bytes, for the code that signs with them.
    pub fn secret(&self) -> [u8; 32] {
        self.signing.to_bytes()
    }

    /// An ed25519 signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.signing.sign(message).to_bytes()
    }

    /// The secret key as PKCS #8, the form that TLS needs.
    pub fn pkcs8(&self) -> Vec<u8> {
        let document =
            self.signing.to_pkcs8_der().expect("an ed25519 key always has a PKCS #8 form");
        document.as_bytes().to_vec()
    }
}

impl std::fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NodeKey(…)")
    }
}

/// Makes the data directory, readable for its owner only, unless it exists.
pub fn make_data_dir(path: &Path) -> Result<(), IdentityError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| IdentityError::DataDir { path: path.to_owned(), error })
}

/// The fleet's key in a file of the data directory, made if there is none.
pub fn fleet_key(data_dir: &Path) -> Result<FleetKey, IdentityError> {
    key_file::read_or_create(&data_dir.join(FLEET_KEY_FILE)).map(FleetKey::from_bytes)
}

/// Writes the node's key into a file of the data directory.
pub fn keep_node_key(data_dir: &Path, secret: &[u8; 32]) -> Result<(), IdentityError> {
    key_file::write(&data_dir.join(NODE_KEY_FILE), secret)
}

/// Replaces the key of the data directory; the old key is kept beside it.
pub fn replace_fleet_key(data_dir: &Path, key: &FleetKey) -> Result<(), IdentityError> {
    key_file::replace(&data_dir.join(FLEET_KEY_FILE), key.bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_the_same_after_a_restart() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = NodeKey::load_or_create(dir.path()).expect("a new key");
        let again = NodeKey::load_or_create(dir.path()).expect("the same key");
        assert_eq!(first.public_key(), again.public_key());
        let other = tempfile::tempdir().expect("a directory");
        let third = NodeKey::load_or_create(other.path()).expect("a new key");
        assert_ne!(first.public_key(), third.public_key());
    }

    #[test]
    fn the_key_is_readable_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        NodeKey::load_or_create(dir.path()).expect("a new key");
        let mode = std::fs::metadata(dir.path().join(NODE_KEY_FILE)).expect("a file").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
    }

    #[test]
    fn a_fleet_key_that_is_replaced_is_kept_beside_it() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        let before = fleet_key(dir.path()).expect("a new key");
        let other = FleetKey::from_bytes([9; 32]);
        replace_fleet_key(dir.path(), &other).expect("replaced");
        assert_eq!(fleet_key(dir.path()).expect("the other key"), other);
        let old = dir.path().join("fleet.key.old");
        assert_eq!(FleetKey::read(&old).expect("a key"), before);
        let mode = std::fs::metadata(old).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_key_is_an_error_and_is_not_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join(NODE_KEY_FILE);
        for damaged in ["", "00", "not a key at all"] {
            std::fs::write(&path, damaged).expect("written");
            let error = NodeKey::load_or_create(dir.path()).expect_err("not a key");
            assert!(matches!(error, IdentityError::NotAKey { .. }), "{error}");
            assert_eq!(std::fs::read_to_string(&path).expect("still there"), damaged);
        }
    }

    #[test]
    fn every_start_counts_once_even_from_a_damaged_counter() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(next_boot(dir.path()).expect("counted"), 1);
        assert_eq!(next_boot(dir.path()).expect("counted"), 2);
        std::fs::write(dir.path().join("boot"), "junk").expect("written");
        assert_eq!(next_boot(dir.path()).expect("counted"), 1);
    }
}
