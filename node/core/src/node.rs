//! The pure node: facts in, orders out.
//!
//! [`Node::step`] feeds one fact to the machine that it concerns, then settles: records that
//! changed are read again, the plan of what they touch is made anew, this node's slots are brought
//! towards it, and what changed on the way is written before anything that depends on it is sent.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::node::NodeDescription;
use crdt_state::replica::Replica;
use crdt_state::spec::{Labels, Resources};
use crdt_state::task::{AdoptedRun, TaskRecord};
use crdt_state::volume::NodeVolumes;
use crdt_state::{Kind, NodeId, RecordKey, ServiceId};
use gossip::{Gossip, GossipConfig, Identity, MemberEvent, Now, Output};
use serde::{Deserialize, Serialize};

use crate::catalog::{Catalog, Touched};
use crate::conditions::Conditions;
use crate::event::{Event, Subject};
use crate::handover::Handover;
use crate::input::{Action, Input};
use crate::outbox::Outbox;
use crate::plan::Plan;
use crate::rollout::RolloutProgress;
use crate::tasks::{StepTime, Tasks};
use crate::view::View;

mod conditions;
mod edits;
mod names;
mod read;
mod reconcile;
mod settle;
mod task_events;
mod tell;
mod timers;
mod unfit;
mod update_status;
mod volumes;
mod why;

pub use read::{NodeRow, TaskView};
pub use settle::desired;
pub use timers::NodeTimer;
pub use unfit::UnfitRow;
pub use update_status::{Rollout, RolloutState};
pub use volumes::VolumeRow;
pub use why::{HeldMove, NodeVerdict, NodeWhy, SlotWhy};

/// At boot, nothing is started before this many milliseconds have passed or a member was heard for
/// [`LOOK_AROUND_MS`]: others may have taken over while this node was away. A site without any
/// network starts after it.
pub const BOOT_HOLD_MS: u64 = 3_000;

/// From the first member heard to the first start: the time of one comparison.
pub const LOOK_AROUND_MS: u64 = 700;

/// How long after the first member was heard tasks of unknown services are kept, in milliseconds:
/// three comparisons on the default profile.
pub const ORPHAN_MS: u64 = 30_000;

/// How long a node that leaves waits for others to take its tasks over, in milliseconds.
pub const LEAVE_MS: u64 = 15_000;

/// What a node knows of itself when it starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Host name.
    pub hostname: String,
    /// `linux`.
    pub os: String,
    /// As Docker spells it: `x86_64`, `aarch64`, `armv7l`.
    pub arch: String,
    /// What the machine has.
    pub resources: Resources,
    /// Labels from the config file.
    pub engine_labels: Labels,
    /// Version of the agent.
    pub engine_version: String,
    /// Where it listens, best first.
    pub addresses: Vec<String>,
}

/// What a node is made from, besides its records.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeConfig {
    /// Profile and switches of gossip.
    pub gossip: GossipConfig,
    /// Itself.
    pub facts: NodeFacts,
    /// The persisted counter of starts, already raised.
    pub boot: u64,
    /// All of its randomness.
    pub seed: u64,
    /// The named volumes on its disk; `None` if nobody has looked, and then it says nothing of
    /// them.
    pub volumes: Option<NodeVolumes>,
}

/// Where a departure stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Departure {
    /// It stays.
    None,
    /// It waits for others to take its tasks over, until then.
    HandingOver { until: Now },
    /// It has said goodbye.
    Gone,
}

/// One node.
pub struct Node {
    me: NodeId,
    facts: NodeFacts,
    failover_delay_ms: u64,
    replica: Replica,
    gossip: Gossip,
    catalog: Catalog,
    view: View,
    plan: Plan,
    tasks: Tasks,
    seen: RolloutProgress,
    handover: Handover,
    /// What is on this node's disk, once somebody has looked.
    volumes: Option<NodeVolumes>,
    conditions: Conditions,
    outbox: Outbox,
    dirty: Touched,
    /// When presence may change by itself: failover delays, the end of the boot grace.
    presence_deadline: Now,
    /// Services that are due by themselves: the next turn of a rollout, the end of an orphan.
    due_at: BTreeMap<ServiceId, Now>,
    /// Tasks of services that no record speaks of go on until then: a node that lost its disk
    /// first hears what its peers know.
    orphans_until: Now,
    booted_until: Now,
    departure: Departure,
    /// How often it settled, for tests and for whoever asks what a node spends its time with.
    settlings: u64,
}

impl Node {
    /// A node that comes up with the records from its store and the runs that it found.
    pub fn new(
        config: NodeConfig,
        replica: Replica,
        adopted: Vec<AdoptedRun>,
        now: Now,
        wall_ms: u64,
    ) -> Node {
        let me = replica.me();
        let profile = config.gossip.profile;
        let catalog = Catalog::read(&replica);
        let all = catalog.services.keys().chain(catalog.tasks.keys()).copied().collect();
        let written = catalog.handovers.get(&me).cloned();
        let handover = Handover::restore(me, replica.writer().store, written);
        let alone = !replica.is_holding_back()
            && !catalog.nodes.iter().any(|(id, node)| *id != me && node.is_member());
        let hold_until = if alone { now } else { now.plus(BOOT_HOLD_MS) };
        let identity = Identity::at_boot(me, config.boot);
        let boot_grace_ms = BOOT_HOLD_MS
            + profile.suspicion_ms
            + profile.failover_delay_ms
            + 4 * profile.probe_interval_ms;
        let mut node = Node {
            me,
            tasks: Tasks::new(me, config.facts.hostname.clone(), hold_until),
            facts: config.facts,
            failover_delay_ms: profile.failover_delay_ms,
            gossip: Gossip::new(config.gossip, identity, config.seed, now),
            replica,
            catalog,
            view: View::default(),
            plan: Plan::default(),
            seen: RolloutProgress::default(),
            handover,
            volumes: config.volumes,
            conditions: Conditions::default(),
            outbox: Outbox::default(),
            dirty: Touched { services: all, nodes: true, handovers: BTreeSet::new() },
            presence_deadline: now,
            orphans_until: Now::NEVER,
            due_at: BTreeMap::new(),
            booted_until: now.plus(boot_grace_ms),
            departure: Departure::None,
            settlings: 0,
        };
        node.boot(now, wall_ms, adopted);
        node
    }

    fn boot(&mut self, now: Now, wall_ms: u64, adopted: Vec<AdoptedRun>) {
        self.describe(wall_ms);
        // Before anything is planned: what is not on the disk must not be begun anew.
        self.say_volumes(wall_ms);
        self.say_conditions(wall_ms);
        let time = self.step_time(now, wall_ms);
        let mine: Vec<TaskRecord> = self.catalog.tasks_of(self.me).cloned().collect();
        for (run, event) in self.tasks.restore(time, mine, adopted) {
            let service =
                self.tasks.slot_of(run).and_then(|(id, _)| self.catalog.services.get(&id));
            self.tasks.handle_run(time, run, event, service);
        }
        self.settle(now, wall_ms);
    }

    /// Says what this node is, if that differs from what it last said.
    fn describe(&mut self, wall_ms: u64) {
        let key = RecordKey::node(self.me);
        let held = self.replica.owned::<NodeDescription>(&key).map(|(_, description)| description);
        let joined =
            held.map_or_else(|| self.replica.next_stamp(), |description| description.joined);
        let facts = self.facts.clone();
        let description = NodeDescription {
            hostname: facts.hostname,
            os: facts.os,
            arch: facts.arch,
            resources: facts.resources,
            engine_labels: facts.engine_labels,
            engine_version: facts.engine_version,
            addresses: facts.addresses,
            joined,
            left: self.departure != Departure::None,
        };
        self.replica.put_owned(key, &description, wall_ms);
    }

    /// Takes one fact.
    pub fn step(&mut self, now: Now, wall_ms: u64, input: Input) {
        match input {
            Input::Datagram { from, bytes } => {
                self.gossip.handle_datagram(now, from, &bytes, &mut self.replica);
            }
            Input::Message { from, bytes } => {
                self.gossip.handle_message(now, from, &bytes, &mut self.replica);
            }
            Input::Connected { node, addr } => self.gossip.handle_connected(now, node, addr),
            Input::Undelivered { to } => self.gossip.handle_unreachable(now, to),
            Input::TimerFired => {}
            Input::Join { addr } => self.gossip.join(now, addr),
            Input::Leave => self.depart(now, wall_ms),
            Input::Edit { ticket, edit } => {
                let result = self.edit(wall_ms, *edit);
                let changed = self.replica.drain_changed();
                self.on_records(now, wall_ms, changed);
                self.outbox.push_held(Action::Answer { ticket, result });
            }
            Input::Run { run, event } => {
                let time = self.step_time(now, wall_ms);
                let service =
                    self.tasks.slot_of(run).and_then(|(id, _)| self.catalog.services.get(&id));
                self.tasks.handle_run(time, run, event, service);
            }
            Input::VolumesFound(found) => {
                self.volumes = Some(found);
                self.say_volumes(wall_ms);
            }
            Input::VolumeRemoved { name } => self.on_volume_removed(wall_ms, &name),
            Input::ConditionsFound(found) => self.on_conditions(now, wall_ms, &found),
            Input::Persisted { seq } => {
                let keys = self.outbox.on_persisted(seq);
                self.gossip.on_changed(now, &keys);
            }
        }
        if self.gossip.deadline() <= now {
            self.gossip.handle_timeout(now, &mut self.replica);
        }
        if self.conditions.deadline() <= now {
            self.go_on_with_conditions(now, wall_ms);
        }
        self.settle_if_due(now, wall_ms);
    }

    /// The next order.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.outbox.pop()
    }

    fn step_time(&self, now: Now, wall_ms: u64) -> StepTime {
        StepTime { now, wall_ms, lamport: self.replica.next_stamp().lamport }
    }

    fn depart(&mut self, now: Now, wall_ms: u64) {
        if self.departure == Departure::None {
            self.departure = Departure::HandingOver { until: now.plus(LEAVE_MS) };
            self.describe(wall_ms);
        }
    }

    /// Ends the departure when nothing runs here any more, or the others took too long.
    fn go_on_departing(&mut self, time: StepTime) {
        let evicted = self.catalog.nodes.get(&self.me).is_some_and(|node| node.evicted);
        if evicted && self.departure == Departure::None {
            self.departure = Departure::HandingOver { until: time.now };
        }
        let Departure::HandingOver { until } = self.departure else { return };
        if until <= time.now {
            self.tasks.stop_all(time);
        }
        if self.tasks.is_idle() && !self.outbox.is_writing() {
            self.departure = Departure::Gone;
            self.gossip.leave(time.now);
            self.outbox.push_held(Action::Departed);
        } else if until <= time.now {
            self.departure = Departure::HandingOver { until: time.now.plus(1_000) };
        }
    }

    /// Takes what gossip wants.
    fn drain_gossip(&mut self, now: Now, wall_ms: u64) {
        while let Some(output) = self.gossip.poll() {
            match output {
                Output::Swim { to, addr, bytes } => {
                    self.outbox.push(Action::SendDatagram { to, addr, bytes });
                }
                Output::Datagram { to, addr, bytes } => {
                    self.outbox.push_held(Action::SendDatagram { to, addr, bytes });
                }
                Output::Message { to, addr, bytes } => {
                    self.outbox.push_held(Action::SendMessage { to, addr, bytes });
                }
                Output::Connect { addr } => self.outbox.push(Action::Connect { addr }),
                Output::Member(event) => self.on_member(now, wall_ms, event),
                Output::Merged(_) | Output::Junk(_) => {}
            }
        }
    }

    fn on_member(&mut self, now: Now, wall_ms: u64, event: MemberEvent) {
        self.dirty.nodes = true;
        let mut attributes = Vec::new();
        let (id, action) = match event {
            MemberEvent::Up(id) => {
                self.tasks.release(now.plus(LOOK_AROUND_MS));
                self.orphans_until = self.orphans_until.min(now.plus(ORPHAN_MS));
                (id, "up")
            }
            MemberEvent::Suspected(id) => (id, "suspect"),
            MemberEvent::Unreachable(id) => {
                let evidence = self.gossip.member(id).and_then(|member| member.evidence);
                attributes.extend(evidence.map(|by| ("evidence", by.as_str().to_owned())));
                (id, "unreachable")
            }
            MemberEvent::Left(id) => (id, "left"),
            MemberEvent::Moved(id, _) => (id, "moved"),
            MemberEvent::Renewed(_) => return,
        };
        let subject = Subject::Node { id, name: self.hostname(id) };
        self.outbox.push(Action::Event(Event { subject, action, attributes, wall_ms }));
    }

    /// A node's host name, or nothing if it has not said it.
    pub fn hostname(&self, id: NodeId) -> String {
        let entry = self.catalog.nodes.get(&id).and_then(|node| node.description.as_ref());
        entry.map(|description| description.hostname.clone()).unwrap_or_default()
    }

    /// Records changed, here or elsewhere.
    fn on_records(&mut self, now: Now, wall_ms: u64, keys: BTreeSet<RecordKey>) {
        for key in &keys {
            let before = self.service_state(*key);
            self.catalog.update(&self.replica, *key, &mut self.dirty);
            self.tell_service(wall_ms, *key, before);
            if *key == RecordKey::node(self.me) {
                self.describe(wall_ms);
            }
            match key.kind {
                Kind::TASK => self.refute(*key),
                Kind::VOLUMES if key.id == self.me.0 => self.say_volumes(wall_ms),
                Kind::CONDITIONS if key.id == self.me.0 => self.say_conditions(wall_ms),
                Kind::EVICTION if key.id != self.me.0 => self.gossip.forget(now, NodeId(key.id)),
                _ => {}
            }
        }
        self.outbox.note_changed(keys);
    }

    /// A record in this node's name that it did not write in this life is said again as it is.
    fn refute(&mut self, key: RecordKey) {
        let Some((owner, said)) = self.replica.owned::<TaskRecord>(&key) else { return };
        if owner == self.me && self.tasks.record(said.service, said.slot) != Some(&said) {
            self.tasks.refute(said.service, said.slot);
        }
    }
}
