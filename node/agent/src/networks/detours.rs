//! The detours that this node takes, and those that it leaves open a while longer.
//!
//! They are kept in a file beside the namespaces, so that an agent that is restarted leads packets as
//! before until it knows more. A restart of the machine empties it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crdt_state::NodeId;
use overlay::detour::Detours;
use serde::{Deserialize, Serialize};

/// The name of the file.
const FILE: &str = "detours.json";

/// For how long a detour that is no longer taken stays open. The other end probes a silent path
/// every 30 s, in fleets of hundreds every few minutes.
const OPEN_TIME: Duration = Duration::from_secs(900);

/// The file's content: ids of nodes.
#[derive(Default, Serialize, Deserialize)]
struct Kept {
    taken: Vec<String>,
    open: Vec<String>,
}

/// The detours of this node.
pub(super) struct DetourHolder {
    file: PathBuf,
    taken: BTreeSet<NodeId>,
    /// Since when a detour is no longer taken.
    left: BTreeMap<NodeId, Instant>,
}

impl DetourHolder {
    /// As an earlier agent left them, if one did.
    pub(super) fn open(directory: &Path) -> DetourHolder {
        let file = directory.join(FILE);
        let kept: Kept = fs::read(&file)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let nodes = |ids: &[String]| -> BTreeSet<NodeId> {
            ids.iter().filter_map(|id| id.parse().ok()).collect()
        };
        let now = Instant::now();
        let left = nodes(&kept.open).into_iter().map(|node| (node, now)).collect();
        DetourHolder { file, taken: nodes(&kept.taken), left }
    }

    /// To whom detours are taken.
    pub(super) fn taken(&self) -> &BTreeSet<NodeId> {
        &self.taken
    }

    /// Takes these from now on, and no others.
    pub(super) fn take(&mut self, nodes: BTreeSet<NodeId>) {
        let before = std::mem::replace(&mut self.taken, nodes);
        let now = Instant::now();
        self.left.extend(before.difference(&self.taken).map(|node| (*node, now)));
        self.left.retain(|node, _| !self.taken.contains(node));
        self.save();
    }

    /// Closes those that have been open for long enough. Returns whether there were any.
    pub(super) fn close(&mut self) -> bool {
        let before = self.left.len();
        self.left.retain(|_, since| since.elapsed() < OPEN_TIME);
        let is_any = self.left.len() < before;
        if is_any {
            self.save();
        }
        is_any
    }

    /// As networks need them.
    pub(super) fn now(&self) -> Detours {
        Detours { taken: self.taken.clone(), open: self.left.keys().copied().collect() }
    }

    /// Forgets all; the directory can then be removed.
    pub(super) fn clear(&mut self) {
        self.taken.clear();
        self.left.clear();
        self.save();
    }

    fn save(&self) {
        let kept = Kept {
            taken: self.taken.iter().map(NodeId::to_string).collect(),
            open: self.left.keys().map(NodeId::to_string).collect(),
        };
        let result = match kept.taken.is_empty() && kept.open.is_empty() {
            true => match fs::remove_file(&self.file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                other => other,
            },
            false => serde_json::to_vec(&kept)
                .map_err(io::Error::from)
                .and_then(|bytes| fs::write(&self.file, bytes)),
        };
        if let Err(error) = result {
            tracing::warn!("networks: cannot write {}: {error}", self.file.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_agent_takes_the_same_detours_and_leaves_the_same_open() {
        let directory = tempfile::tempdir().expect("a directory");
        let node = |number: u8| NodeId([number; 16]);
        let mut first = DetourHolder::open(directory.path());
        assert_eq!(first.now(), Detours::default());
        first.take([node(1), node(2)].into());
        first.take([node(2), node(3)].into());
        let now = Detours { taken: [node(2), node(3)].into(), open: [node(1)].into() };
        assert_eq!(first.now(), now);
        let mut second = DetourHolder::open(directory.path());
        assert_eq!(second.now(), now);
        assert!(!second.close(), "it was left just now");
        second.take([node(1)].into());
        assert_eq!(second.now().open, [node(2), node(3)].into());
        second.clear();
        assert_eq!(fs::read_dir(directory.path()).expect("it is there").count(), 0);
        fs::write(directory.path().join(FILE), "{").expect("written");
        assert_eq!(DetourHolder::open(directory.path()).now(), Detours::default());
    }
}
