//! `edgectl node rekey`: another identity for this machine, while its agent does not run.
//!
//! Key, fleet's key and records are moved aside, under the name of the old node; volumes, images and
//! the files of tasks stay. The machine is a new node afterwards, which joins with a token. Nothing is
//! deleted.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crdt_state::NodeId;

use crate::identity::{FLEET_KEY_FILE, IdentityError, NODE_KEY_FILE, NodeKey};
use crate::lock::{BadSealedKeys, Locked, SEALED_KEYS_FILE};
use crate::quarantine::QUARANTINE_FILE;
use crate::store::{STORE_FILE, Store, StoreError};

/// What to do when tasks run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunningTasks {
    /// Refuse: the next agent stops them, as it does not know their services.
    Refuse,
    /// Go on.
    Ignore,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rekeyed {
    /// The node that this machine was.
    pub before: NodeId,
    /// The node that it is now.
    pub after: NodeId,
    /// The files that were moved aside.
    pub aside: Vec<PathBuf>,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum NotRekeyed {
    /// There is no key to replace.
    #[error(
        "there is no node in {}: no {NODE_KEY_FILE}\n  name the agent's data directory: edgectl node \
         rekey --data-dir DIR", path.display()
    )]
    NoNode {
        /// The data directory.
        path: PathBuf,
    },
    /// The agent runs.
    #[error("the agent of this machine runs\n  stop it first: systemctl stop edgectl")]
    AgentRuns,
    /// Tasks run.
    #[error(
        "{count} tasks run on this machine, and the agent would stop them as those of another node\n  \
         stop them first (edgectl node update --availability drain self), or repeat with --force"
    )]
    TasksRun {
        /// How many.
        count: usize,
    },
    /// The key cannot be read or made.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The sealed keys cannot be read.
    #[error(transparent)]
    Sealed(#[from] BadSealedKeys),
    /// The store cannot be opened.
    #[error(transparent)]
    Store(StoreError),
    /// A file cannot be moved.
    #[error(
        "cannot move {} aside: {error}\n  see that the disk is writable, and repeat it", path.display()
    )]
    Move {
        /// The file.
        path: PathBuf,
        /// The system's message.
        error: std::io::Error,
    },
}

/// Gives the machine with this data directory another identity.
pub fn rekey(data_dir: &Path, running: RunningTasks) -> Result<Rekeyed, NotRekeyed> {
    let locked = Locked::look(data_dir)?;
    if locked.is_none() && !data_dir.join(NODE_KEY_FILE).exists() {
        return Err(NotRekeyed::NoNode { path: data_dir.to_owned() });
    }
    match Store::open(data_dir, None) {
        Ok(_) | Err(StoreError::Sealed { .. }) => {}
        Err(StoreError::InUse { .. }) => return Err(NotRekeyed::AgentRuns),
        Err(error) => return Err(NotRekeyed::Store(error)),
    }
    let count = tasks(&data_dir.join("runs"));
    if count > 0 && running == RunningTasks::Refuse {
        return Err(NotRekeyed::TasksRun { count });
    }
    // Nobody needs to open what is locked to give it up.
    let before = match locked {
        Some(locked) => locked.node(),
        None => NodeKey::load_or_create(data_dir)?.node(),
    };
    let mut aside = Vec::new();
    // The key comes last: whatever interrupts this, it can be repeated.
    for name in [FLEET_KEY_FILE, STORE_FILE, NODE_KEY_FILE, SEALED_KEYS_FILE] {
        aside.extend(set_aside(&data_dir.join(name), before)?);
    }
    let after = NodeKey::load_or_create(data_dir)?.node();
    // An agent in quarantine begins as soon as it is gone.
    aside.extend(set_aside(&data_dir.join(QUARANTINE_FILE), before)?);
    Ok(Rekeyed { before, after, aside })
}

/// Files of earlier identities of this machine. Nobody seals them: whoever changed the key may want to go back.
pub fn kept_aside(data_dir: &Path) -> Vec<PathBuf> {
    let old = format!("{FLEET_KEY_FILE}.old");
    let is_one = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut of = [FLEET_KEY_FILE, STORE_FILE, NODE_KEY_FILE].iter();
        let of = of.any(|of| name.strip_prefix(of).is_some_and(|rest| rest.starts_with('.')));
        of && name != old && name != format!("{STORE_FILE}.new")
    };
    let files = fs::read_dir(data_dir).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> = files.filter(is_one).collect();
    found.sort();
    found
}

/// The tasks that run.
fn tasks(runs: &Path) -> usize {
    let dirs = fs::read_dir(runs).into_iter().flatten().flatten();
    dirs.filter(|dir| runtime::run_dir::program_of(&dir.path()).is_some()).count()
}

fn set_aside(path: &Path, before: NodeId) -> Result<Option<PathBuf>, NotRekeyed> {
    let mut name = path.file_name().expect("a file of the data directory").to_owned();
    name.push(format!(".{before}"));
    let aside = path.with_file_name(name);
    let moved = fs::rename(path, &aside)
        .and_then(|()| File::open(path.parent().expect("the data directory"))?.sync_all());
    match moved {
        Ok(()) => Ok(Some(aside)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(NotRekeyed::Move { path: path.to_owned(), error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::{Keyring, UnlockKey};

    #[test]
    fn a_machine_is_another_node_afterwards_and_nothing_is_lost() {
        let dir = tempfile::tempdir().expect("a directory");
        let before = NodeKey::load_or_create(dir.path()).expect("a key").node();
        fs::write(dir.path().join(FLEET_KEY_FILE), "7".repeat(64)).expect("written");
        fs::create_dir_all(dir.path().join("volumes/db")).expect("made");
        let done = rekey(dir.path(), RunningTasks::Refuse).expect("rekeyed");
        assert_eq!(done.before, before);
        assert_eq!(NodeKey::load_or_create(dir.path()).expect("a key").node(), done.after);
        assert_ne!(done.before, done.after);
        assert_eq!(done.aside.len(), 3);
        assert!(done.aside.iter().all(|path| path.exists()));
        assert!(!dir.path().join(FLEET_KEY_FILE).exists(), "it needs a token to come back");
        assert!(dir.path().join("volumes/db").exists());
        let mut aside = done.aside;
        aside.sort();
        assert_eq!(kept_aside(dir.path()), aside);
    }

    #[test]
    fn a_locked_machine_whose_key_is_lost_becomes_another_node() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut keyring = Keyring::open(dir.path(), None).expect("a key");
        let before = keyring.node().node();
        keyring.seal(&UnlockKey::from_bytes([1; 32])).expect("sealed");
        drop(Store::open(dir.path(), keyring.store_key()).expect("a sealed store"));
        let waiting = Locked::look(dir.path()).expect("readable").expect("sealed");
        let done = rekey(dir.path(), RunningTasks::Refuse).expect("rekeyed");
        assert_eq!(done.before, before);
        assert_eq!(done.aside.len(), 2, "{:?}", done.aside);
        assert!(Locked::look(dir.path()).expect("readable").is_none());
        assert!(
            waiting.open(&UnlockKey::from_bytes([1; 32])).is_none(),
            "an agent that still waits"
        );
        assert_eq!(NodeKey::load_or_create(dir.path()).expect("a key").node(), done.after);
    }

    #[test]
    fn nothing_is_done_where_there_is_no_node_or_while_its_agent_runs() {
        let dir = tempfile::tempdir().expect("a directory");
        let refused = rekey(dir.path(), RunningTasks::Refuse);
        assert!(matches!(refused, Err(NotRekeyed::NoNode { .. })), "{refused:?}");
        let before = NodeKey::load_or_create(dir.path()).expect("a key").node();
        let _agent = Store::open(dir.path(), None).expect("a store");
        let refused = rekey(dir.path(), RunningTasks::Ignore);
        assert!(matches!(refused, Err(NotRekeyed::AgentRuns)), "{refused:?}");
        assert_eq!(NodeKey::load_or_create(dir.path()).expect("a key").node(), before);
    }
}
