//! Where this node keeps its own key and the one of the fleet: in a file for each, or sealed in one.

use std::path::{Path, PathBuf};

use super::sealed_keys::{BadSealedKeys, KeptKeys, SlotKind, Unlocked};
use super::sealing_key::SealingKey;
use super::unlock_key::UnlockKey;
use super::{Locked, SEALED_KEYS_FILE};
use crate::config::{Config, FleetKey};
use crate::identity::{self, FLEET_KEY_FILE, IdentityError, NODE_KEY_FILE, NodeKey};

/// Why the keys cannot be used. Nothing was lost.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The files.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The file with the sealed ones.
    #[error(transparent)]
    Sealed(#[from] BadSealedKeys),
    /// They are sealed, and nobody has opened them.
    #[error("the node is locked\n  try: edgectl swarm unlock")]
    Locked,
}

/// The keys that this node keeps.
pub struct Keyring {
    data_dir: PathBuf,
    node: NodeKey,
    /// `None`: they are in files of their own.
    sealed: Option<Unlocked>,
    /// The store is being unsealed, and the keys are to be as soon as it is.
    is_unsealing: bool,
}

impl Keyring {
    /// Reads them, and makes them where there are none. Sealed keys have to be opened before.
    pub fn open(data_dir: &Path, unlocked: Option<Unlocked>) -> Result<Keyring, KeyringError> {
        let data_dir = data_dir.to_owned();
        let Some(sealed) = unlocked else {
            if Locked::look(&data_dir)?.is_some() {
                return Err(KeyringError::Locked);
            }
            let node = NodeKey::load_or_create(&data_dir)?;
            return Ok(Keyring { data_dir, node, sealed: None, is_unsealing: false });
        };
        let node = NodeKey::from_secret(sealed.keys.node);
        let keyring = Keyring { data_dir, node, sealed: Some(sealed), is_unsealing: false };
        // Files that an interrupted sealing has left.
        keyring.remove_files();
        Ok(keyring)
    }

    /// The node's key.
    pub fn node(&self) -> &NodeKey {
        &self.node
    }

    /// Are they sealed?
    pub fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// By what the store is sealed.
    pub fn store_key(&self) -> Option<SealingKey> {
        self.sealed.as_ref().map(Unlocked::store_key)
    }

    /// The fleet's key: the configured one, else the kept one, made if there is none.
    pub fn fleet_key(&mut self, config: &Config) -> Result<FleetKey, KeyringError> {
        if let Some(key) = &config.fleet_key {
            return Ok(key.clone());
        }
        match self.sealed.as_ref().map(|sealed| sealed.keys.fleet) {
            None => Ok(identity::fleet_key(&self.data_dir)?),
            Some(Some(key)) => Ok(FleetKey::from_bytes(key)),
            Some(None) => {
                let mut key = [0; 32];
                getrandom::fill(&mut key).map_err(IdentityError::Random)?;
                let key = FleetKey::from_bytes(key);
                self.replace_fleet_key(&key)?;
                Ok(key)
            }
        }
    }

    /// Keeps another key of the fleet. Of keys in files, the one before is kept beside it.
    pub fn replace_fleet_key(&mut self, key: &FleetKey) -> Result<(), KeyringError> {
        let Some(sealed) = &self.sealed else {
            return Ok(identity::replace_fleet_key(&self.data_dir, key)?);
        };
        let mut changed = sealed.clone();
        changed.set_keys(KeptKeys { fleet: Some(*key.bytes()), ..sealed.keys.clone() });
        self.keep(changed)
    }

    /// What cannot be written is not believed to be there.
    fn keep(&mut self, changed: Unlocked) -> Result<(), KeyringError> {
        changed.write()?;
        self.sealed = Some(changed);
        Ok(())
    }

    /// Seals them, or lets another unlock key open them. What is returned is to seal the store from now
    /// on; `None`: it is sealed already, and nobody began to unseal it.
    pub fn seal(&mut self, unlock: &UnlockKey) -> Result<Option<SealingKey>, KeyringError> {
        let was_unsealing = std::mem::take(&mut self.is_unsealing);
        if self.sealed.is_some() {
            self.set_slot(SlotKind::UnlockKey, unlock)?;
            return Ok(self.store_key().filter(|_| was_unsealing));
        }
        let kept = self.data_dir.join(FLEET_KEY_FILE);
        let kept = kept.try_exists().map_err(|error| IdentityError::File { path: kept, error })?;
        let fleet = match kept {
            true => Some(*identity::fleet_key(&self.data_dir)?.bytes()),
            false => None,
        };
        let keys = KeptKeys { node: self.node.secret(), fleet };
        let node = self.node.node();
        let sealed = Unlocked::new(&self.data_dir, node, keys, unlock);
        let sealed = sealed.map_err(IdentityError::Random)?;
        sealed.write()?;
        self.sealed = Some(sealed);
        self.remove_files();
        Ok(self.store_key())
    }

    /// Lets a file of this node open them, too. Nothing is done while they are not sealed.
    pub fn trust_file(&mut self, key: &UnlockKey) -> Result<(), KeyringError> {
        self.set_slot(SlotKind::KeyFile, key)
    }

    fn set_slot(&mut self, kind: SlotKind, key: &UnlockKey) -> Result<(), KeyringError> {
        let Some(mut changed) = self.sealed.clone() else { return Ok(()) };
        if changed.set_slot(kind, key) {
            self.keep(changed)?;
        }
        Ok(())
    }

    /// Returns whether the store is to be unsealed.
    pub fn begin_unsealing(&mut self) -> bool {
        self.is_unsealing = self.sealed.is_some();
        self.is_unsealing
    }

    /// The store was unsealed: keeps the keys in files again. Nothing is done if they are to be sealed
    /// by now: then the store is about to be, too, and without its key it could not be read.
    pub fn unseal(&mut self) -> Result<(), KeyringError> {
        let Some(sealed) = self.sealed.as_ref().filter(|_| self.is_unsealing) else {
            return Ok(());
        };
        identity::keep_node_key(&self.data_dir, &sealed.keys.node)?;
        if let Some(fleet) = sealed.keys.fleet {
            identity::replace_fleet_key(&self.data_dir, &FleetKey::from_bytes(fleet))?;
        }
        let path = self.data_dir.join(SEALED_KEYS_FILE);
        std::fs::remove_file(&path)
            .and_then(|()| std::fs::File::open(&self.data_dir)?.sync_all())
            .map_err(|error| BadSealedKeys::File { path, error })?;
        (self.sealed, self.is_unsealing) = (None, false);
        Ok(())
    }

    /// Sealed keys are kept nowhere else. A file that cannot be removed now is tried again at the next
    /// start.
    fn remove_files(&self) {
        let files = [NODE_KEY_FILE, FLEET_KEY_FILE].map(|name| self.data_dir.join(name));
        let [node, fleet] = &files;
        // Also what an interrupted write has left.
        let others = [
            fleet.with_extension("key.old"),
            fleet.with_extension("new"),
            node.with_extension("new"),
        ];
        for path in files.iter().chain(&others) {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    tracing::error!("{} is not sealed: {error}", path.display());
                }
                _ => {}
            }
        }
        let _ = std::fs::File::open(&self.data_dir).and_then(|dir| dir.sync_all());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_sealing_another_unlock_key_and_unsealing() {
        let dir = tempfile::tempdir().expect("a directory");
        let files = || [NODE_KEY_FILE, FLEET_KEY_FILE].map(|name| dir.path().join(name).exists());
        let open = |key: u8| {
            let locked = Locked::look(dir.path()).expect("readable").expect("sealed");
            let unlocked = locked.open(&UnlockKey::from_bytes([key; 32])).expect("opened");
            Keyring::open(dir.path(), Some(unlocked)).expect("a keyring")
        };
        let config = Config::from_sources(None, |_| None, &[]).expect("the defaults are valid");
        let mut keyring = Keyring::open(dir.path(), None).expect("a keyring");
        let node = keyring.node().node();
        keyring.fleet_key(&config).expect("made");
        let fleet = FleetKey::from_bytes([9; 32]);
        keyring.replace_fleet_key(&fleet).expect("replaced");
        assert!(keyring.seal(&UnlockKey::from_bytes([1; 32])).expect("sealed").is_some());
        assert_eq!(files(), [false, false]);
        assert!(!dir.path().join("fleet.key.old").exists());
        assert!(matches!(Keyring::open(dir.path(), None), Err(KeyringError::Locked)));

        let mut keyring = open(1);
        assert_eq!(keyring.node().node(), node);
        assert_eq!(keyring.fleet_key(&config).expect("kept"), fleet);
        assert!(keyring.seal(&UnlockKey::from_bytes([2; 32])).expect("sealed").is_none());
        let fleet = FleetKey::from_bytes([8; 32]);
        keyring.replace_fleet_key(&fleet).expect("replaced");
        assert_eq!(files(), [false, false]);

        let mut keyring = open(2);
        assert!(keyring.begin_unsealing());
        keyring.unseal().expect("unsealed");
        assert_eq!(files(), [true, true]);
        let mut keyring = Keyring::open(dir.path(), None).expect("a keyring");
        assert_eq!(keyring.node().node(), node);
        assert_eq!(keyring.fleet_key(&config).expect("kept"), fleet);
    }

    #[test]
    fn keys_that_are_to_be_sealed_again_meanwhile_are_not_unsealed() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut keyring = Keyring::open(dir.path(), None).expect("a keyring");
        let unlock = UnlockKey::from_bytes([1; 32]);
        assert!(!keyring.begin_unsealing(), "nothing is sealed");
        keyring.seal(&unlock).expect("sealed");
        assert!(
            keyring.seal(&unlock).expect("sealed").is_none(),
            "no store is rewritten for nothing"
        );
        assert!(keyring.begin_unsealing());
        assert!(
            keyring.seal(&unlock).expect("sealed").is_some(),
            "the store may be unsealed by now"
        );
        keyring.unseal().expect("nothing to do");
        assert!(Locked::look(dir.path()).expect("readable").is_some());
        assert!(!dir.path().join(NODE_KEY_FILE).exists());
    }

    #[test]
    fn files_that_an_interrupted_sealing_left_are_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut keyring = Keyring::open(dir.path(), None).expect("a keyring");
        let secret = std::fs::read(dir.path().join(NODE_KEY_FILE)).expect("a key");
        let unlock = UnlockKey::from_bytes([1; 32]);
        keyring.seal(&unlock).expect("sealed");
        let names = [NODE_KEY_FILE, "node.new", "fleet.new", "fleet.key.old"];
        for name in names {
            std::fs::write(dir.path().join(name), &secret).expect("written");
        }
        let locked = Locked::look(dir.path()).expect("readable").expect("sealed");
        Keyring::open(dir.path(), locked.open(&unlock)).expect("a keyring");
        assert!(!names.iter().any(|name| dir.path().join(name).exists()));
    }

    #[test]
    fn an_unlock_key_that_could_not_be_written_is_written_the_next_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut keyring = Keyring::open(dir.path(), None).expect("a keyring");
        let keys = [1, 2].map(|byte| UnlockKey::from_bytes([byte; 32]));
        keyring.seal(&keys[0]).expect("sealed");
        // A folder is in the way of the file that would take the place of the other one.
        let in_the_way = dir.path().join("keys.new");
        std::fs::create_dir(&in_the_way).expect("made");
        assert!(keyring.seal(&keys[1]).is_err());
        assert!(keyring.replace_fleet_key(&FleetKey::from_bytes([9; 32])).is_err());
        std::fs::remove_dir(&in_the_way).expect("removed");
        keyring.seal(&keys[1]).expect("sealed");
        let locked = Locked::look(dir.path()).expect("readable").expect("sealed");
        let unlocked = locked.open(&keys[1]).expect("by the new key");
        assert_eq!(unlocked.keys.fleet, None, "a failed replacement is not kept by another one");
        assert!(locked.open(&keys[0]).is_none());
    }
}
