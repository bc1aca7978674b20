//! The lock of a node: what it keeps on its disk is sealed, and opened by an unlock key or a key file.
//!
//! ```text
//! unlock key of the fleet ─┐
//!                          ├─open─▶ master key ─opens─▶ the keys of the node and the fleet
//! key file of this node  ──┘                  └───────▶ the values of the store
//! ```
//! The master key is made when a node seals what it keeps, and never changes until it is unsealed; another
//! unlock key only opens it from then on. Sealed keys are one file, which is there if and only if the
//! node is sealed: whatever interrupts the sealing, the next start goes on with it. Decision 36.

mod key_file;
mod keyring;
mod sealed_keys;
mod sealing_key;
mod unlock_key;

pub use key_file::opened_by_file;
pub use keyring::{Keyring, KeyringError};
pub use sealed_keys::{BadSealedKeys, Locked, SEALED_KEYS_FILE, Unlocked};
pub use sealing_key::SealingKey;
pub use unlock_key::{BadUnlockKey, UnlockKey};
