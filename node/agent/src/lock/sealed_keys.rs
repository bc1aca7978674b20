//! The file with the sealed keys of a node.
//!
//! It is JSON, so that whoever finds it sees what it is; what is in it says so of itself, and every sealed
//! part is bound to its place.

use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crdt_state::NodeId;
use crdt_state::secret::ContentKey;
use serde::{Deserialize, Serialize};

use super::sealing_key::SealingKey;
use super::unlock_key::UnlockKey;
use crate::identity::write_secret_file;

/// The file in the data directory.
pub const SEALED_KEYS_FILE: &str = "keys.sealed";

const FORMAT: u64 = 1;

/// More is not read of it.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Why the file cannot be used. It was not changed.
#[derive(Debug, thiserror::Error)]
pub enum BadSealedKeys {
    /// It cannot be read or written.
    #[error("cannot read or write {}: {error}\n  see that the disk is mounted, writable and not full", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's message.
        error: std::io::Error,
    },
    /// It is damaged, or of a newer version.
    #[error(
        "{} has no sealed keys that this edgectl can read\n  restore it from a copy; without one: \
         edgectl node rekey, and the machine joins as a new node", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
}

/// What a slot of the file is opened by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SlotKind {
    /// The unlock key of the fleet.
    UnlockKey,
    /// A key file of this node.
    KeyFile,
}

/// The master key, sealed by one key.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Slot {
    opened_by: SlotKind,
    /// A hash of the key that opens it.
    check: String,
    sealed: String,
}

/// The file.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct SealedKeys {
    what: String,
    format: u64,
    #[serde(with = "as_text")]
    node: NodeId,
    slots: Vec<Slot>,
    /// The keys of the node and of the fleet.
    keys: String,
}

/// The keys that a node keeps.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct KeptKeys {
    pub(super) node: [u8; 32],
    /// `None`: it is in the configuration, or was never used.
    pub(super) fleet: Option<[u8; 32]>,
}

/// Sealed keys that were not opened.
#[derive(Debug, Clone)]
pub struct Locked {
    path: PathBuf,
    file: SealedKeys,
}

/// Sealed keys that were opened.
#[derive(Clone)]
pub struct Unlocked {
    locked: Locked,
    master: ContentKey,
    pub(super) keys: KeptKeys,
}

impl Locked {
    /// Looks whether the keys of a data directory are sealed.
    pub fn look(data_dir: &Path) -> Result<Option<Locked>, BadSealedKeys> {
        use std::io::Read;
        let path = data_dir.join(SEALED_KEYS_FILE);
        let mut text = String::new();
        let read =
            File::open(&path).and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(BadSealedKeys::Damaged { path });
            }
            Err(error) => return Err(BadSealedKeys::File { path, error }),
        }
        match serde_json::from_str::<SealedKeys>(&text) {
            Ok(file) if file.format == FORMAT => Ok(Some(Locked { path, file })),
            _ => Err(BadSealedKeys::Damaged { path }),
        }
    }

    /// The node that has the keys, as the file says it.
    pub fn node(&self) -> NodeId {
        self.file.node
    }

    /// Opens them; `None`: the key is another one, or the file is gone, because the machine got another
    /// identity meanwhile.
    pub fn open(&self, key: &UnlockKey) -> Option<Unlocked> {
        let data_dir = self.path.parent()?;
        Locked::look(data_dir).ok().flatten().filter(|now| now.file.node == self.file.node)?;
        let opened = self.file.slots.iter().find_map(|slot| {
            let context = slot_context(self.file.node, slot.opened_by);
            open(key.bytes(), &context, &slot.sealed)
        })?;
        let master = ContentKey::from_random(opened.as_slice().try_into().ok()?);
        let keys = open(master.bytes(), &keys_context(self.file.node), &self.file.keys)?;
        let keys = KeptKeys::from_bytes(&keys)?;
        Some(Unlocked { locked: self.clone(), master, keys })
    }
}

impl Unlocked {
    /// Seals keys by a new master key, which an unlock key opens.
    pub(super) fn new(
        data_dir: &Path,
        node: NodeId,
        keys: KeptKeys,
        unlock: &UnlockKey,
    ) -> Result<Unlocked, getrandom::Error> {
        let mut master = [0; 32];
        getrandom::fill(&mut master)?;
        let file = SealedKeys {
            what: "the keys of a node of edgectl, sealed: edgectl swarm unlock".to_owned(),
            format: FORMAT,
            node,
            slots: Vec::new(),
            keys: String::new(),
        };
        let locked = Locked { path: data_dir.join(SEALED_KEYS_FILE), file };
        let mut new = Unlocked { locked, master: ContentKey::from_random(master), keys };
        new.set_keys(new.keys.clone());
        new.set_slot(SlotKind::UnlockKey, unlock);
        Ok(new)
    }

    /// The key of the store.
    pub fn store_key(&self) -> SealingKey {
        SealingKey::new(&blake3::derive_key("edgectl sealed store 1", self.master.bytes()))
    }

    pub(super) fn set_keys(&mut self, keys: KeptKeys) {
        let file = &mut self.locked.file;
        file.keys = seal(self.master.bytes(), &keys_context(file.node), &keys.to_bytes());
        self.keys = keys;
    }

    /// Lets a key open the file, in the place of the one before of its kind. Returns whether that changed
    /// anything.
    pub(super) fn set_slot(&mut self, kind: SlotKind, key: &UnlockKey) -> bool {
        let check = STANDARD.encode(key.fact().check);
        let file = &mut self.locked.file;
        if file.slots.iter().any(|slot| slot.opened_by == kind && slot.check == check) {
            return false;
        }
        let sealed = seal(key.bytes(), &slot_context(file.node, kind), self.master.bytes());
        file.slots.retain(|slot| slot.opened_by != kind);
        file.slots.push(Slot { opened_by: kind, check, sealed });
        true
    }

    /// Writes the file.
    pub(super) fn write(&self) -> Result<(), BadSealedKeys> {
        let path = &self.locked.path;
        let text = serde_json::to_string_pretty(&self.locked.file).map_err(std::io::Error::from);
        text.and_then(|text| write_secret_file(path, &text))
            .map_err(|error| BadSealedKeys::File { path: path.clone(), error })
    }
}

impl KeptKeys {
    fn to_bytes(&self) -> Vec<u8> {
        [self.node.as_slice(), self.fleet.as_ref().map_or(&[], |key| key.as_slice())].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<KeptKeys> {
        let (node, fleet) = bytes.split_first_chunk::<32>()?;
        let fleet = match fleet {
            [] => None,
            fleet => Some(fleet.try_into().ok()?),
        };
        Some(KeptKeys { node: *node, fleet })
    }
}

/// Ids as they are shown everywhere.
mod as_text {
    use super::NodeId;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(node: &NodeId, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(node)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<NodeId, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(|_| D::Error::custom("not the id of a node"))
    }
}

fn slot_context(node: NodeId, kind: SlotKind) -> String {
    let kind = match kind {
        SlotKind::UnlockKey => "unlock key",
        SlotKind::KeyFile => "key file",
    };
    format!("edgectl master key 1, by {kind}, of {node}")
}

fn keys_context(node: NodeId) -> String {
    format!("edgectl sealed keys 1, of {node}")
}

/// Sealed bytes, in base64.
fn seal(key: &[u8; 32], context: &str, plain: &[u8]) -> String {
    STANDARD.encode(SealingKey::new(key).seal(context.as_bytes(), plain))
}

fn open(key: &[u8; 32], context: &str, sealed: &str) -> Option<Vec<u8>> {
    SealingKey::new(key).open(context.as_bytes(), &STANDARD.decode(sealed).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(dir: &Path) -> Unlocked {
        let keys = KeptKeys { node: [1; 32], fleet: Some([2; 32]) };
        let unlock = UnlockKey::from_bytes([3; 32]);
        let sealed = Unlocked::new(dir, NodeId([1; 16]), keys, &unlock).expect("random bytes");
        sealed.write().expect("written");
        sealed
    }

    fn look(dir: &Path) -> Locked {
        Locked::look(dir).expect("readable").expect("sealed")
    }

    fn opens(dir: &Path, key: u8) -> bool {
        look(dir).open(&UnlockKey::from_bytes([key; 32])).is_some()
    }

    #[test]
    fn the_newest_unlock_key_and_the_key_file_open_it_and_no_other_key_does() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut sealed = sealed(dir.path());
        assert!(opens(dir.path(), 3) && !opens(dir.path(), 4));
        let change = |sealed: &mut Unlocked, kind, key| {
            let changed = sealed.set_slot(kind, &UnlockKey::from_bytes([key; 32]));
            sealed.write().expect("written");
            changed
        };
        assert!(change(&mut sealed, SlotKind::KeyFile, 5));
        assert!(change(&mut sealed, SlotKind::UnlockKey, 4));
        assert!(!change(&mut sealed, SlotKind::UnlockKey, 4), "nothing is written again");
        assert!(!opens(dir.path(), 3) && opens(dir.path(), 4) && opens(dir.path(), 5));
        let again = look(dir.path()).open(&UnlockKey::from_bytes([5; 32])).expect("opened");
        assert_eq!(again.keys.node, [1; 32]);
        assert_eq!(again.keys.fleet, Some([2; 32]));
        assert_eq!(again.master, sealed.master);
    }

    #[test]
    fn no_key_is_readable_in_the_file_and_a_changed_file_opens_nothing() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().expect("a directory");
        sealed(dir.path());
        let node = |id| NodeId(id).to_string();
        let path = dir.path().join(SEALED_KEYS_FILE);
        let text = std::fs::read_to_string(&path).expect("text");
        for key in [1, 2, 3] {
            assert!(!text.contains(&STANDARD.encode([key; 32])), "{text}");
        }
        let mode = std::fs::metadata(&path).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(&path, text.replace(&node([1; 16]), &node([2; 16]))).expect("written");
        assert!(!opens(dir.path(), 3), "it is of another node");
        std::fs::write(&path, text.replace("unlock-key", "key-file")).expect("written");
        assert!(!opens(dir.path(), 3), "the slot is of another kind");
        for damaged in ["", "{}", &text[..text.len() / 2], &text.replace(": 1", ": 2")] {
            std::fs::write(&path, damaged).expect("written");
            let looked = Locked::look(dir.path());
            assert!(matches!(looked, Err(BadSealedKeys::Damaged { .. })), "{damaged}");
        }
    }
}
