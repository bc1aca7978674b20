//! How other threads reach the node, which has a thread of its own.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crdt_state::secret::Plaintext;
use crdt_state::task::Run;
use crdt_state::token::TokenEnd;
use crdt_state::{NodeId, read};
use gossip::Now;
use node_core::{Edit, Edited, Event, FleetKeyOffer, Node, Refusal, SealedSecret};
use runtime::cgroup::ability::Ability;
use runtime::image::auth::Login;
use runtime::image::{Images, PullError, Reference};
use tokio::sync::{broadcast, mpsc, oneshot};

use super::command::{Command, Query, Unanswered};
use super::images::{ImagePuller, Pinned};
use super::joining::{self, Unresolved};
use super::logs::LogStream;
use super::path_failure::PathFailure;
use super::path_row::PathRow;
use super::revision::Changes;
use super::shared::Shared;
use crate::config::{Config, FleetKey, JoinAddr};
use crate::join_token::TokenText;
use crate::lock::{KeyringError, UnlockKey};
use crate::transport::{DialFailure, JoinGrant, LogRequest};

/// Commands that wait for the node at most; above, callers wait.
pub(super) const COMMANDS_MAX: usize = 64;

/// Events that a slow listener may be behind; then it misses the oldest ones.
pub(super) const EVENTS_MAX: usize = 256;

/// After this time without an answer to an edit the state of the disk is checked, because the edit
/// waits for it. A fifth of this time while the disk is known to refuse writes.
const EDIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of UDP payload on the wire since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// Sent.
    pub sent_bytes: u64,
    /// Received.
    pub received_bytes: u64,
}

/// Why a node does not belong to the fleet whose key it was given.
#[derive(Debug, thiserror::Error)]
pub enum NotTakenOver {
    /// The node does not answer.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// The key cannot be kept.
    #[error(transparent)]
    Key(#[from] KeyringError),
}

/// Access to the node; clones reach the same one.
#[derive(Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
    pub(super) commands: mpsc::Sender<Command>,
}

/// A handle that keeps neither the node alive nor its socket open.
#[derive(Clone)]
pub(super) struct WeakHandle {
    shared: Weak<Shared>,
    commands: mpsc::WeakSender<Command>,
}

impl WeakHandle {
    pub(super) fn upgrade(&self) -> Option<Handle> {
        Some(Handle { shared: self.shared.upgrade()?, commands: self.commands.upgrade()? })
    }
}

impl Handle {
    pub(super) fn downgrade(&self) -> WeakHandle {
        WeakHandle { shared: Arc::downgrade(&self.shared), commands: self.commands.downgrade() }
    }

    /// Runs `query` on the node's thread, which also runs the failure detector. The query must be
    /// short: it should copy only what is needed, and compute elsewhere.
    pub async fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Node) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        self.read_at(|node, _| query(node)).await
    }

    /// The same, for queries that depend on the time.
    pub async fn read_at<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Node, Now) -> T + Send + 'static,
    ) -> Result<T, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let query: Query = Box::new(move |node, now| {
            // The caller may be gone.
            let _ = answer.send(query(node, now));
        });
        self.send(Command::Read(query)).await?;
        answered.await.map_err(|_| Unanswered::Ending)
    }

    /// Opens a secret, to compare it with what a client sends; `None`: this node cannot read it.
    pub fn open_secret(&self, secret: &SealedSecret) -> Option<Plaintext> {
        self.shared.files.open(secret)
    }

    /// Makes a change; answered when the change is on this node's disk, or refused.
    pub async fn edit(&self, edit: Edit) -> Result<Result<Edited, Refusal>, Unanswered> {
        let (written, answer) = oneshot::channel();
        self.send(Command::Edit { edit: Box::new(edit), written }).await?;
        self.until_written(answer).await
    }

    /// Waits for the disk, and gives up when it refuses to be written.
    pub(super) async fn until_written(
        &self,
        answer: oneshot::Receiver<Result<Edited, Refusal>>,
    ) -> Result<Result<Edited, Refusal>, Unanswered> {
        tokio::pin!(answer);
        loop {
            let timeout = if self.disk_error().is_some() { EDIT_TIMEOUT / 5 } else { EDIT_TIMEOUT };
            match tokio::time::timeout(timeout, &mut answer).await {
                Ok(answer) => return answer.map_err(|_| Unanswered::Ending),
                Err(_) => match self.disk_error() {
                    Some(error) => return Err(Unanswered::Disk { error }),
                    None => continue,
                },
            }
        }
    }

    /// Keeps trying to contact the node at this address.
    pub async fn join(&self, addr: JoinAddr) -> Result<(), Unanswered> {
        self.send(Command::Join(addr)).await
    }

    /// Resolves the addresses of a node to ask.
    pub async fn look_up(&self, name: &JoinAddr) -> Result<Vec<SocketAddr>, Unresolved> {
        joining::look_up(name, self.local_addr()).await
    }

    /// Returns which node listens at an address, if that node is of the fleet with this key.
    pub async fn probe(&self, addr: SocketAddr, key: &FleetKey) -> Result<NodeId, DialFailure> {
        self.shared.transport.probe(addr, key.clone()).await
    }

    /// Gets the key of the fleet of the node at an address, by a token of that fleet.
    pub async fn join_by_token(
        &self,
        addr: SocketAddr,
        token: &TokenText,
    ) -> Result<(NodeId, JoinGrant), DialFailure> {
        self.shared.transport.join_by_token(addr, (token.id(), token.verifier())).await
    }

    /// The key of the fleet.
    pub fn fleet_key(&self) -> FleetKey {
        self.shared.fleet_key.lock().expect("nothing panics while it holds the key").clone()
    }

    /// The key by which the members seal what they keep on their disks, of what was wrapped for this node.
    pub fn open_unlock_key(&self, offer: &FleetKeyOffer) -> Option<UnlockKey> {
        offer.open(&self.shared.files.key().secret()).map(UnlockKey::from)
    }

    /// From now on, and also after the next start, this node belongs to the fleet with this key.
    /// For a node that is alone and whose key is not in its configuration.
    pub fn set_fleet_key(&self, key: FleetKey) -> Result<(), KeyringError> {
        self.shared.keyring().replace_fleet_key(&key)?;
        self.shared.transport.set_fleet_key(&key);
        *self.shared.fleet_key.lock().expect("nothing panics while it holds the key") = key;
        Ok(())
    }

    /// The same for a key that a member gave for a token. The tokens of the fleet of one that this
    /// node was end: a copy of one would lead into the other fleet.
    pub async fn take_over(&self, key: FleetKey) -> Result<(), NotTakenOver> {
        let held = self.read(|node| read::tokens(node.replica())).await?;
        for state in held.into_iter().filter(|state| state.end.is_none()) {
            let end = Edit::EndToken { id: state.token.id, end: TokenEnd::Removed };
            // A token that has ended meanwhile is no fault.
            let _ = self.edit(end).await?;
        }
        let _ = self.edit(Edit::EndFleetKeys).await?;
        Ok(self.set_fleet_key(key)?)
    }

    /// The nodes that were to be asked but do not answer, with the reason, by address or name.
    pub fn refused(&self) -> BTreeMap<String, String> {
        self.shared.refused.all()
    }

    /// Devices of this machine that cannot be offered to services, each with the reason.
    pub fn skipped_devices(&self) -> Vec<String> {
        let skipped = self.shared.skipped_devices.lock();
        skipped.expect("nothing panics while it holds this").iter().cloned().collect()
    }

    /// Addresses that recently tried to connect with another fleet key.
    pub fn rejected_peers(&self) -> Vec<IpAddr> {
        self.shared.transport.rejected_peers()
    }

    /// Leaves the fleet: others take over the tasks, then the agent ends. Answered when the agent
    /// has left.
    pub async fn leave(&self) -> Result<(), Unanswered> {
        let (done, left) = oneshot::channel();
        self.send(Command::Leave { done }).await?;
        left.await.map_err(|_| Unanswered::Ending)
    }

    /// All later events.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Wakes when the node's state has another revision than now.
    pub fn changes(&self) -> Changes {
        Changes::new(self.shared.revision.subscribe(), self.commands.clone())
    }

    /// The log of a run, on any node: `node` is the node that has it.
    pub async fn logs(&self, node: NodeId, request: LogRequest) -> Result<LogStream, Unanswered> {
        if node == self.shared.me {
            return Ok(LogStream::here(&self.log_dir(request.run), &request));
        }
        Ok(match self.route(node).await? {
            Some(route) => LogStream::from_peer(&self.shared.transport, route, request),
            None => LogStream::unknown(node),
        })
    }

    /// The folder with the log of a run of this node.
    pub fn log_dir(&self, run: Run) -> PathBuf {
        runtime::run_dir::path(&self.shared.runs, run)
    }

    /// The folder of all runs of this node.
    pub fn runs(&self) -> &Path {
        &self.shared.runs
    }

    /// The images of this node. Operations on them block: never call them on the node's thread.
    pub fn images(&self) -> &Images {
        self.shared.puller.images()
    }

    /// The puller of images.
    pub fn puller(&self) -> &ImagePuller {
        &self.shared.puller
    }

    /// The current digest of an image's name: from the fleet, the registry (which is given a few
    /// seconds), this node, or a peer, in that order. `login` comes from the client; without it the
    /// node's own is used. When none of them knows the name, the registry's reason is the error.
    pub async fn resolve(
        &self,
        reference: &Reference,
        login: Option<Login>,
    ) -> Result<Pinned, PullError> {
        self.shared.puller.resolve(reference, login).await
    }

    /// The configuration that the agent was started with.
    pub fn config(&self) -> &Config {
        &self.shared.config
    }

    /// Which limits are enforced on this node.
    pub fn ability(&self) -> &Ability {
        &self.shared.ability
    }

    /// This node.
    pub fn me(&self) -> NodeId {
        self.shared.me
    }

    /// The address that the agent listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.transport.local_addr()
    }

    /// The disk's error while it refuses writes: everything continues, but is not durable.
    pub fn disk_error(&self) -> Option<String> {
        self.shared.disk.lock().expect("nothing panics while it holds this").clone()
    }

    /// What the kernel does not hold as the networks of the fleet need it, as sentences.
    pub fn network_failures(&self) -> Vec<String> {
        let networks = self.shared.networks.as_ref();
        networks.map(|networks| networks.failures().own).unwrap_or_default()
    }

    /// The paths to other nodes of which tasks notice something.
    pub fn path_failures(&self) -> Vec<PathFailure> {
        let networks = self.shared.networks.as_ref();
        networks.map(|networks| networks.failures().paths).unwrap_or_default()
    }

    /// The paths to other nodes: all are probed first, which takes seconds.
    pub async fn check_paths(&self) -> Vec<PathRow> {
        match &self.shared.networks {
            None => Vec::new(),
            Some(networks) => networks.check_paths().await,
        }
    }

    /// Bytes on the wire since the start.
    pub fn traffic(&self) -> Traffic {
        let (sent_bytes, received_bytes) = self.shared.transport.traffic();
        Traffic { sent_bytes, received_bytes }
    }

    /// All counters since the start, by name.
    pub async fn counters(&self) -> Result<BTreeMap<String, u64>, Unanswered> {
        let counters = self.read(|node| {
            let counted = node.gossip().counters();
            let sent = counted.sent.iter().map(|(kind, tally)| ("sent", kind, tally));
            let received = counted.received.iter().map(|(kind, tally)| ("received", kind, tally));
            let mut named = BTreeMap::new();
            for (way, kind, tally) in sent.chain(received) {
                named.insert(format!("gossip.{way}.{}.count", kind.as_str()), tally.count);
                named.insert(format!("gossip.{way}.{}.bytes", kind.as_str()), tally.bytes);
            }
            for (reason, count) in &counted.junk {
                named.insert(format!("gossip.junk.{reason:?}").to_lowercase(), *count);
            }
            for (name, count) in [
                ("undelivered", counted.undelivered),
                ("oversize", counted.oversize),
                ("unaddressed", counted.unaddressed),
                ("verdicts.postponed", counted.verdicts_postponed),
                ("verdicts.refuted", counted.verdicts_refuted),
                ("timers.stale", counted.timers_stale),
                ("rumours.dropped", counted.rumours_dropped),
            ] {
                named.insert(format!("gossip.{name}"), count);
            }
            let damaged = node.replica().quarantined().count() as u64;
            named.insert("records.damaged".to_owned(), damaged);
            named.insert("records.unfit".to_owned(), node.replica().unfit().count() as u64);
            for (_, _, why) in node.replica().unfit() {
                *named.entry(format!("records.unfit.{}", why.as_str())).or_default() += 1;
            }
            named
        });
        let mut counters = counters.await?;
        for (reason, count) in self.shared.transport.counters().all() {
            counters.insert(format!("transport.dropped.{}", reason.as_str()), count);
        }
        for (error, count) in self.shared.transport.counters().unsent() {
            counters.insert(format!("transport.unsent.{error}"), count);
        }
        for (error, count) in self.shared.transport.counters().returned() {
            counters.insert(format!("transport.returned.{error}"), count);
        }
        if let Some(memory) = super::memory::allocated() {
            counters.insert("memory.used.bytes".to_owned(), memory.used_bytes as u64);
            counters.insert("memory.free.bytes".to_owned(), memory.free_bytes as u64);
        }
        for (times, family) in super::neighbours::overflows(Path::new("/proc")) {
            counters.insert(format!("machine.neighbours.{family}.overflows"), times);
        }
        if let Some(networks) = &self.shared.networks {
            let dropped = networks.dropped().await.counters();
            counters.extend(dropped.map(|(name, count)| (name.to_owned(), count)));
        }
        let traffic = self.traffic();
        counters.insert("transport.sent.bytes".to_owned(), traffic.sent_bytes);
        counters.insert("transport.received.bytes".to_owned(), traffic.received_bytes);
        Ok(counters)
    }

    /// Ends the agent with all tasks running.
    pub(super) async fn stop(&self) {
        let _ = self.send(Command::Stop).await;
    }

    pub(super) async fn send(&self, command: Command) -> Result<(), Unanswered> {
        self.commands.send(command).await.map_err(|_| Unanswered::Ending)
    }
}
