//! The loop on the node's thread: facts in, actions out.
//!
//! It waits for the first fact, passes it to the node, and carries out the node's actions in order.
//! Nothing here waits for anything else, and nothing here decides.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crdt_state::task::{Run, RunEvent};
use gossip::{MemberState, Now};
use node_core::history::Entry;
use node_core::{Action, Event, Input, Node, Subject};
use runtime::{Driver, RunEvents};
use tokio::sync::{mpsc, oneshot, watch};

use super::clock::NodeClock;
use super::command::{Command, Written};
use super::history::History;
use super::networks::Networks;
use super::shared::Shared;
use super::{ExitReason, fleet_key, joining, sealing, secrets};
use crate::store::{StoreEvent, StoreWriter};
use crate::transport::{Arrival, DialFailure, Transport};

/// Facts that are taken in one go, at most, before actions are carried out.
const BATCH_MAX: usize = 64;

/// Addresses whose failure was reported, at most; above, all are reported once more.
const REPORTED_MAX: usize = 64;

/// Where facts come from.
pub(super) struct Sources {
    pub(super) arrivals: mpsc::Receiver<Arrival>,
    pub(super) runs: RunEvents,
    pub(super) disk: mpsc::UnboundedReceiver<StoreEvent>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) joins: mpsc::Receiver<SocketAddr>,
    pub(super) volumes: watch::Receiver<()>,
}

/// The node and the parts that carry out its actions.
pub(super) struct NodeLoop {
    pub(super) node: Node,
    pub(super) clock: NodeClock,
    pub(super) shared: Arc<Shared>,
    pub(super) transport: Transport,
    pub(super) store: StoreWriter,
    pub(super) driver: Box<dyn Driver>,
    pub(super) joins: mpsc::Sender<SocketAddr>,
    /// The history of the node, if it is written.
    pub(super) history: Option<History>,
    pub(super) pending: PendingReplies,
}

/// Callers that wait for an answer, and failures that were reported.
#[derive(Default)]
pub(super) struct PendingReplies {
    tickets: BTreeMap<u64, Written>,
    last_ticket: u64,
    leaving: Vec<oneshot::Sender<()>>,
    /// Addresses to join, and whether their failure was reported.
    joining: BTreeMap<SocketAddr, Reported>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reported {
    Nothing,
    Failure,
}

/// The subject of one turn.
enum Fact {
    Arrival(Arrival),
    Run(Run, RunEvent),
    Disk(StoreEvent),
    Command(Command),
    Join(SocketAddr),
    /// A volume was made or removed.
    Volumes,
    Timer,
    /// This node's handles are all gone.
    Abandoned,
}

impl NodeLoop {
    /// Runs until it is told to stop, or the node has left the fleet.
    pub(super) async fn run(mut self, mut sources: Sources) -> ExitReason {
        let timer = tokio::time::sleep_until(self.clock.instant(Now::START));
        tokio::pin!(timer);
        let ending = loop {
            self.tell_revision();
            self.tell_networks();
            if let Some(ending) = self.perform() {
                break ending;
            }
            timer.as_mut().reset(self.clock.instant(self.node.deadline()));
            let fact = tokio::select! {
                Some(arrival) = sources.arrivals.recv() => Fact::Arrival(arrival),
                Some((run, event)) = sources.runs.recv() => Fact::Run(run, event),
                Some(event) = sources.disk.recv() => Fact::Disk(event),
                Some(addr) = sources.joins.recv() => Fact::Join(addr),
                Ok(()) = sources.volumes.changed() => Fact::Volumes,
                command = sources.commands.recv() => {
                    command.map_or(Fact::Abandoned, Fact::Command)
                }
                () = &mut timer => Fact::Timer,
            };
            if let Some(ending) = self.take(fact) {
                break ending;
            }
            self.take_waiting(&mut sources);
        };
        self.transport.close().await;
        ending
    }

    /// Takes waiting facts from the two busy sources, so that a burst leads to one plan.
    fn take_waiting(&mut self, sources: &mut Sources) {
        for _ in 0..BATCH_MAX {
            if let Ok(arrival) = sources.arrivals.try_recv() {
                self.take(Fact::Arrival(arrival));
            } else if let Ok((run, event)) = sources.runs.try_recv() {
                self.take(Fact::Run(run, event));
            } else {
                return;
            }
        }
    }

    fn take(&mut self, fact: Fact) -> Option<ExitReason> {
        match fact {
            Fact::Arrival(arrival) => self.on_arrival(arrival),
            Fact::Run(run, event) => self.step(Input::Run { run, event }),
            Fact::Disk(event) => self.on_disk(event),
            Fact::Command(Command::Stop) | Fact::Abandoned => return Some(ExitReason::Stopped),
            Fact::Command(command) => self.on_command(command),
            Fact::Join(addr) => self.on_join(addr),
            Fact::Volumes => self.report_volumes(),
            Fact::Timer => self.step(Input::TimerFired),
        }
        None
    }

    pub(super) fn step(&mut self, input: Input) {
        let (now, wall_ms) = (self.clock.now(), NodeClock::wall_ms());
        let Some(history) = &self.history else { return self.node.step(now, wall_ms, input) };
        let before = self.node.replica().digest();
        history.note(&Entry::Input { now, wall_ms, input: Box::new(input.clone()) });
        self.node.step(now, wall_ms, input);
        let after = self.node.replica().digest();
        if after != before {
            history.note(&Entry::Digest(after));
        }
    }

    /// Notifies readers when the node's state has changed. This happens before the actions, so that
    /// a caller who gets an answer reads a state that includes the answered change.
    fn tell_revision(&mut self) {
        let settlings = self.node.settlings();
        let is_changed = self
            .shared
            .revision
            .send_if_modified(|revision| std::mem::replace(revision, settlings) != settlings);
        if is_changed {
            self.transport.set_evicted(self.node.evicted());
            self.transport.set_members(self.node.members());
            let members = self.node.gossip().members();
            let there = members.filter(|member| member.state != MemberState::Left);
            self.shared.own_addresses.know_members(there.map(|member| member.addr));
        }
    }

    /// Tells the networks what changed. This happens before the actions, so that a task that is
    /// started finds its networks.
    fn tell_networks(&mut self) {
        if let Some(networks) = &self.shared.networks {
            networks.follow(&mut self.node);
        }
    }

    fn on_arrival(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Datagram { sender, from, bytes } => {
                self.step(Input::Datagram { sender, from, bytes });
            }
            Arrival::Message { from, bytes } => self.step(Input::Message { from, bytes }),
            Arrival::Connected { node, addr } => {
                if self.pending.joining.remove(&addr).is_some() {
                    tracing::info!("joined the fleet through {addr}, node {node}");
                }
                self.shared.refused.forget(addr);
                self.step(Input::Connected { node, addr });
            }
            Arrival::NotConnected { addr, why } => {
                if self.pending.on_not_connected(addr, &why) {
                    self.shared.refused.note(addr, why);
                }
            }
            Arrival::Undelivered { to } => self.step(Input::Undelivered { to }),
        }
    }

    fn on_disk(&mut self, event: StoreEvent) {
        let mut disk = self.shared.disk.lock().expect("nothing panics while it holds this");
        match event {
            StoreEvent::Refused { error } => {
                tracing::error!(
                    "the disk refuses to be written: {error}; tasks go on, changes wait in memory \
                     and are tried again; see that it is mounted, writable and not full"
                );
                *disk = Some(error);
            }
            StoreEvent::Recovered => {
                tracing::info!("the disk is written again, nothing was lost");
                *disk = None;
            }
            StoreEvent::Resealed(done) => sealing::resealed(&self.shared, done),
            StoreEvent::Persisted { seq } => {
                drop(disk);
                self.step(Input::Persisted { seq });
            }
        }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Read(query) => query(&self.node, self.clock.now()),
            Command::Edit { edit, written } => {
                let ticket = self.pending.ticket(written);
                self.step(Input::Edit { ticket, edit });
            }
            Command::Join(name) => self.join(name),
            Command::Conditions(found) => self.step(Input::ConditionsFound(found)),
            Command::Networks(facts) => self.step(Input::NetworksFound(facts)),
            Command::Addresses(found) => self.step(Input::AddressesFound(found)),
            Command::Clocks(found) => self.step(Input::ClocksFound(found)),
            Command::Use(found) => self.step(Input::UseFound(found)),
            Command::Devices(found) => self.step(Input::DevicesFound(found)),
            Command::Tunnel(found) => self.step(Input::TunnelFound(found)),
            Command::NetworkNews(news) => {
                let me = self.node.me();
                let name_of = |id| self.node.hostname(id);
                let subject = Subject::Node { id: me, name: name_of(me) };
                self.on_event(news.event(subject, name_of, NodeClock::wall_ms()));
            }
            Command::Leave { done } => {
                self.pending.leaving.push(done);
                self.step(Input::Leave);
            }
            Command::ReportVolumes { written } => {
                self.report_volumes();
                self.flush(written);
            }
            Command::RemoveVolume { name, removed, written } => {
                let result = self.remove_volume(&name);
                if result.is_ok() {
                    self.flush(written);
                }
                // The caller may be gone; the volume is removed in any case.
                let _ = removed.send(result);
            }
            Command::Stop => unreachable!("it ends the loop"),
        }
    }

    fn flush(&mut self, written: Written) {
        let ticket = self.pending.ticket(written);
        self.step(Input::Flush { ticket });
    }

    /// Begins to resolve a node to ask first.
    pub(super) fn join(&mut self, name: crate::config::JoinAddr) {
        let found = self.joins.clone();
        tokio::spawn(joining::resolve(name, Arc::clone(&self.shared), found));
    }

    fn on_join(&mut self, addr: SocketAddr) {
        if addr != self.transport.local_addr() {
            self.pending.joining.insert(addr, Reported::Nothing);
            self.step(Input::Join { addr });
        }
    }

    /// Carries out the node's actions in order.
    fn perform(&mut self) -> Option<ExitReason> {
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Acquaint(key) => self.transport.acquaint(key),
                Action::Seal(news) => {
                    sealing::take(&self.shared, &self.store, news, self.shared.files.key());
                }
                Action::TakeFleetKey(offer) => {
                    fleet_key::take(&self.shared, &offer, self.shared.files.key());
                }
                Action::SendDatagram { to, addr, bytes } => {
                    self.transport.send_datagram(to, addr, &bytes);
                }
                Action::SendMessage { to, addr, bytes } => {
                    self.transport.send_message(to, addr, bytes);
                }
                Action::TellCopies { node, addrs } => self.transport.tell_copies(node, addrs),
                Action::Connect { addr } => self.transport.connect(addr),
                Action::Persist { seq, puts, drops } => self.store.persist(seq, puts, drops),
                Action::StartRun(start) => self.driver.start(&start),
                Action::StopRun { run, signal, grace_ms } => {
                    self.driver.stop(run, signal.as_deref(), grace_ms);
                }
                Action::ExpireRun { run, at } => self.driver.expire(run, self.clock.boot_ms(at)),
                Action::ForgetRun { run } => self.driver.forget(run),
                Action::Answer { ticket, result } => {
                    if let Some(answer) = self.pending.tickets.remove(&ticket) {
                        // The caller may be gone; the change stays.
                        let _ = answer.send(result);
                    }
                }
                Action::Event(event) => self.on_event(event),
                Action::ShareKey(share) => {
                    if let Some(wrapped) = secrets::share(&share, self.shared.files.key()) {
                        self.step(Input::KeysWrapped(wrapped));
                    }
                }
                Action::Departed => {
                    self.shared.networks.iter().for_each(Networks::leave);
                    for done in self.pending.leaving.drain(..) {
                        let _ = done.send(());
                    }
                    return Some(match self.node.removed_by() {
                        Some(by) => ExitReason::Removed { by },
                        None => ExitReason::Departed,
                    });
                }
            }
        }
        None
    }

    fn on_event(&self, event: Event) {
        let Event { subject, action, attributes, .. } = &event;
        let facts: Vec<String> = attributes.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let facts = facts.join(" ");
        match subject {
            Subject::Service { name, .. } => tracing::info!("service {name}: {action} {facts}"),
            Subject::Network { name, .. } => tracing::info!("network {name}: {action}"),
            Subject::File { id, name } => tracing::info!("{} {name}: {action}", id.class()),
            Subject::Node { id, name } if name.is_empty() => {
                tracing::info!("node {id}: {action} {facts}");
            }
            Subject::Node { name, .. } => tracing::info!("node {name}: {action} {facts}"),
            Subject::Task { name, .. } => tracing::debug!("task {name}: {action} {facts}"),
        }
        // An error means that there is no listener.
        let _ = self.shared.events.send(event);
    }
}

impl PendingReplies {
    /// A new ticket, and who waits for it.
    fn ticket(&mut self, written: Written) -> u64 {
        self.last_ticket += 1;
        self.tickets.insert(self.last_ticket, written);
        self.last_ticket
    }

    /// Reports once that an address which an operator named does not answer. Returns whether it is
    /// such an address.
    fn on_not_connected(&mut self, addr: SocketAddr, why: &DialFailure) -> bool {
        if *why == DialFailure::Myself {
            self.joining.remove(&addr);
            return false;
        }
        if self.joining.len() > REPORTED_MAX {
            self.joining.clear();
        }
        match self.joining.get_mut(&addr) {
            Some(reported @ Reported::Nothing) => {
                *reported = Reported::Failure;
                tracing::warn!("cannot join through {addr}: {why}\n  it is tried again");
            }
            Some(Reported::Failure) | None => tracing::debug!("no connection with {addr}: {why}"),
        }
        self.joining.contains_key(&addr)
    }
}
