//! A machine with the key of a node that also runs elsewhere, and longer: a copy of its disk. It stays out
//! of the fleet, over restarts too, until it gets a key of its own. Its tasks go on.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crdt_state::NodeId;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::identity::write_secret_file;
use crate::transport::{FoundCopy, Later, WeakTransport};

/// The file in the data directory.
pub const QUARANTINE_FILE: &str = "quarantined";

/// Members may say at most this often that there is another machine.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// How often it is looked whether the file is gone.
const ENDED_INTERVAL: Duration = Duration::from_secs(2);

/// Why a machine is quarantined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Whose key it has.
    pub node: String,
    /// Where the other machine was met.
    pub other: SocketAddr,
}

impl Quarantine {
    /// The quarantine of the machine with this data directory, if there is one.
    ///
    /// # Errors
    /// The file cannot be read. One with another content counts as a quarantine that tells nothing.
    pub fn look(data_dir: &Path) -> std::io::Result<Option<Quarantine>> {
        let unknown = || Quarantine { node: "?".to_owned(), other: ([0, 0, 0, 0], 0).into() };
        match std::fs::read(data_dir.join(QUARANTINE_FILE)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| unknown()))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Waits until somebody has ended it.
    pub async fn ended(data_dir: &Path) {
        while !matches!(Quarantine::look(data_dir), Ok(None)) {
            tokio::time::sleep(ENDED_INTERVAL).await;
        }
    }

    /// What operators are told.
    pub fn sentence(&self, data_dir: &Path) -> String {
        format!(
            "this machine has the key of node {}, which also runs at {}, and longer: it is in quarantine, \
             outside of the fleet; its tasks go on\n\
             why: its disk, or its data directory, is a copy\n\
             try: edgectl node rekey --force --data-dir {}, and join with a token: it is a node of its own \
             then",
            self.node,
            self.other,
            data_dir.display()
        )
    }
}

/// Finds other machines with the key of this node, where members say that there are.
pub(super) struct Copies {
    node: String,
    data_dir: PathBuf,
    transport: WeakTransport,
    looked: Mutex<Option<Instant>>,
    quarantined: watch::Sender<bool>,
}

impl Copies {
    pub(super) fn new(node: NodeId, data_dir: &Path, transport: WeakTransport) -> Arc<Copies> {
        let (looked, quarantined) = (Mutex::default(), watch::Sender::default());
        let (node, data_dir) = (node.to_string(), data_dir.to_owned());
        Arc::new(Copies { node, data_dir, transport, looked, quarantined })
    }

    /// Turns true when this machine has to stay out of the fleet.
    pub(super) fn quarantined(&self) -> watch::Receiver<bool> {
        self.quarantined.subscribe()
    }

    /// A member hears this node at that address too. Nothing is believed: whoever is there is met.
    pub(super) async fn look(&self, other: SocketAddr) {
        {
            let mut looked = self.looked.lock().expect("nothing panics while it is held");
            if looked.is_some_and(|at| at.elapsed() < LOOK_INTERVAL) {
                return;
            }
            *looked = Some(Instant::now());
        }
        if let Some(transport) = self.transport.upgrade() {
            transport.look_for_copy(other).await;
        }
    }

    /// Another machine has proved the key of this node.
    pub(super) fn found(&self, FoundCopy { addr, later }: FoundCopy) {
        if later == Later::Other {
            tracing::error!(
                "the machine at {addr} has a copy of this node's key, and began later: it goes into quarantine; \
                 there: edgectl node rekey --force"
            );
            return;
        }
        let quarantine = Quarantine { node: self.node.clone(), other: addr };
        tracing::error!("{}", quarantine.sentence(&self.data_dir));
        let text = serde_json::to_string(&quarantine).expect("two texts");
        if let Err(error) = write_secret_file(&self.data_dir.join(QUARANTINE_FILE), &text) {
            // It is found again after the next start.
            tracing::error!("cannot write {QUARANTINE_FILE}: {error}");
        }
        self.quarantined.send_replace(true);
    }
}
