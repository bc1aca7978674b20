//! The pure node: facts in, orders out.
//!
//! ```text
//! Input ─▶ gossip ─▶ replica ─▶ planner ─▶ reconciler ─▶ outbox ─▶ Action
//!             ▲         │ ▲                    │ ▲          │
//!             └─────────┘ └─── own records ────┘ └─ Run     └── held until the records are on disk
//! ```
//! [`Node::step`] feeds one fact to the machine that it concerns, then settles. Settling reads
//! changed records again, plans again what depends on them, and brings this node's slots towards
//! the plan. Changes are written to disk before anything that depends on them is sent.

use std::collections::BTreeSet;

use crdt_state::read;
use crdt_state::replica::Replica;
use crdt_state::task::AdoptedRun;
use crdt_state::volume::NodeVolumes;
use crdt_state::{Kind, NodeId, PublicKey, RecordKey};
use gossip::{Gossip, GossipConfig, Identity, Now, Output};
use serde::{Deserialize, Serialize};

use crate::acquaintances::Acquaintances;
use crate::addressing::{Addressing, NetworkFacts};
use crate::autoscale::Autoscaler;
use crate::copies::Copies;
use crate::departure::Departure;
use crate::devices::Devices;
use crate::edit::{Edit, Edited, Refusal};
use crate::editor::{Editor, add_keys};
use crate::fleet_keys::FleetKeys;
use crate::input::{Action, Input};
use crate::network_news::NetworkNews;
use crate::outbox::Outbox;
use crate::own_records::{NodeFacts, OwnRecords};
use crate::planner::Planner;
use crate::reconciler::Reconciler;
use crate::resources::GivenResources;
use crate::schedules::Schedules;
use crate::secrets::KeySharing;
use crate::tasks::StepTime;
use crate::token_expiry::TokenExpiry;
use crate::withdrawals::Withdrawals;

mod autoscale;
mod devices;
mod events;
mod evictions;
mod leases;
mod networks;
mod readers;
mod schedules;
mod settle;
mod timers;

pub use timers::NodeTimer;

/// At boot, a node starts nothing until this many milliseconds have passed, or until
/// [`LOOK_AROUND_MS`](crate::reconciler::LOOK_AROUND_MS) after it first heard a member: other nodes
/// may have taken over while it was away. A site without any network starts its tasks after this
/// time. A node that knows no other member does not wait.
pub const BOOT_HOLD_MS: u64 = 3_000;

/// What a node is made from, besides its records.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeConfig {
    /// Profile and switches of gossip.
    pub gossip: GossipConfig,
    /// What the node knows of itself.
    pub facts: NodeFacts,
    /// The persisted counter of agent starts, already increased for this start.
    pub boot: u64,
    /// The seed of all its randomness.
    pub seed: u64,
    /// The named volumes on its disk; `None` if the disk was not read: then it reports none.
    pub volumes: Option<NodeVolumes>,
    /// The machine's part in networks.
    #[serde(default)]
    pub networks: NetworkFacts,
}

/// One node.
pub struct Node {
    me: NodeId,
    replica: Replica,
    gossip: Gossip,
    planner: Planner,
    reconciler: Reconciler,
    own_records: OwnRecords,
    addressing: Addressing,
    devices: Devices,
    resources: GivenResources,
    withdrawals: Withdrawals,
    schedules: Schedules,
    autoscaler: Autoscaler,
    key_sharing: KeySharing,
    fleet_keys: FleetKeys,
    unlock_keys: FleetKeys,
    acquaintances: Acquaintances,
    copies: Copies,
    departure: Departure,
    token_expiry: TokenExpiry,
    outbox: Outbox,
    /// When settling continues, if the last settling left work over.
    settle_again_at: Now,
    /// See [`Node::drain_network_news`].
    network_news: NetworkNews,
    /// The number of settlings: the revision of the state that readers see.
    settlings: u64,
}

impl Node {
    /// A node that starts with the records from its store and the runs found on its machine.
    pub fn new(
        config: NodeConfig,
        replica: Replica,
        adopted: Vec<AdoptedRun>,
        now: Now,
        wall_ms: u64,
    ) -> Node {
        let me = replica.me();
        let profile = config.gossip.profile;
        let boot_grace_ms = BOOT_HOLD_MS
            + profile.suspicion_ms
            + profile.failover_delay_ms
            + 4 * profile.probe_interval_ms;
        let planner = Planner::new(me, &profile, &replica, now.plus(boot_grace_ms));
        let catalog = planner.catalog();
        let alone = !replica.is_holding_back()
            && !catalog.nodes.iter().any(|(id, node)| *id != me && node.is_member());
        let hold_until = if alone { now } else { now.plus(BOOT_HOLD_MS) };
        let hostname = config.facts.hostname.clone();
        let declared = (&config.facts.resources, &config.facts.named_resources);
        let found = config.facts.devices.clone();
        let published = read::named_resources_of(&replica, me);
        let identity = Identity::at_boot(me, config.boot);
        let mut node = Node {
            me,
            reconciler: Reconciler::new(me, hostname, (config.boot, hold_until), &replica, catalog),
            addressing: Addressing::new(me, config.networks, &catalog.networks),
            devices: Devices::restore(now, declared, found, &published),
            resources: GivenResources::new(config.facts.named_resources.clone()),
            withdrawals: Withdrawals::default(),
            own_records: OwnRecords::new(me, config.facts, config.volumes),
            gossip: Gossip::new(config.gossip, identity, config.seed, now),
            token_expiry: TokenExpiry::at_boot(&replica, now),
            acquaintances: Acquaintances::at_boot(&replica),
            planner,
            replica,
            schedules: Schedules::new(me),
            autoscaler: Autoscaler::new(me),
            key_sharing: KeySharing::new(me),
            fleet_keys: FleetKeys::new(Kind::FLEET_KEY),
            unlock_keys: FleetKeys::new(Kind::UNLOCK_KEY),
            copies: Copies::default(),
            departure: Departure::none(),
            outbox: Outbox::default(),
            settle_again_at: Now::NEVER,
            network_news: NetworkNews::everything(),
            settlings: 0,
        };
        node.boot(now, wall_ms, adopted);
        node
    }

    fn boot(&mut self, now: Now, wall_ms: u64, adopted: Vec<AdoptedRun>) {
        self.evicted().into_iter().for_each(|node| self.on_eviction(now, node));
        self.own_records.on_devices_offered(self.devices.offered());
        self.describe(wall_ms);
        // Before anything is planned: no task may start on an empty volume in place of a lost one.
        self.own_records.write_volumes(&mut self.replica, wall_ms);
        self.report_conditions(wall_ms);
        let time = self.step_time(now, wall_ms);
        self.addressing.restore(&adopted, &self.planner.catalog().networks);
        self.resources.restore(&adopted, &self.devices);
        self.reconciler.restore(time, adopted, self.planner.catalog());
        self.stop_lost(time);
        self.settle(now, wall_ms);
    }

    /// The key that this node signs with; `None` before it has described itself.
    pub fn public_key(&self) -> Option<PublicKey> {
        read::public_key_of(&self.replica, self.me)
    }

    /// Takes one fact.
    pub fn step(&mut self, now: Now, wall_ms: u64, input: Input) {
        match input {
            Input::Datagram { sender, from, bytes } => {
                self.gossip.handle_datagram(now, (sender, from), &bytes, &mut self.replica);
            }
            Input::Message { from, bytes } => self.on_message(now, from, &bytes),
            Input::Connected { node, addr } => self.gossip.handle_connected(now, node, addr),
            Input::Undelivered { to } => self.gossip.handle_unreachable(now, to),
            Input::TimerFired => {}
            Input::Join { addr } => self.gossip.join(now, addr),
            Input::Leave => {
                if self.departure.begin(now) {
                    self.describe(wall_ms);
                }
            }
            Input::Edit { ticket, edit } => {
                let result = self.edit(now, wall_ms, *edit);
                self.answer_when_written(now, wall_ms, ticket, result);
            }
            Input::Flush { ticket } => {
                self.answer_when_written(now, wall_ms, ticket, Ok(Edited::Done));
            }
            Input::Run { run, event } => {
                let time = self.step_time(now, wall_ms);
                self.reconciler.handle_run(time, run, event, self.planner.catalog());
            }
            Input::VolumesFound(found) => {
                self.own_records.on_volumes_found(found);
                self.own_records.write_volumes(&mut self.replica, wall_ms);
            }
            Input::VolumeRemoved { name } => {
                self.own_records.on_volume_removed(&mut self.replica, &name, wall_ms);
            }
            Input::NetworksFound(facts) => {
                self.network_news = NetworkNews::everything();
                self.addressing.on_facts_found(facts);
            }
            Input::AddressesFound(found) => {
                self.own_records.on_addresses_found(found);
                self.describe(wall_ms);
            }
            Input::TunnelFound(found) => self.addressing.on_tunnel_found(found),
            Input::ConditionsFound(found) => {
                self.own_records.on_conditions_found(now, &found);
                self.own_records.on_conditions_due(now);
                self.report_conditions(wall_ms);
            }
            Input::ClocksFound(found) => self.schedules.on_clocks_found(now, &found),
            Input::DevicesFound(found) => self.on_devices_found(now, wall_ms, found),
            Input::UseFound(found) => self.autoscaler.on_use(now, &found),
            Input::KeysWrapped(wrapped) => add_keys(&mut self.replica, wrapped, wall_ms),
            Input::Persisted { seq } => {
                let keys = self.outbox.on_persisted(seq);
                self.gossip.on_changed(now, &keys);
            }
        }
        self.ask_for_leases(now);
        if self.gossip.deadline() <= now {
            self.gossip.handle_timeout(now, &mut self.replica);
        }
        if self.own_records.conditions_deadline() <= now {
            self.own_records.on_conditions_due(now);
            self.report_conditions(wall_ms);
        }
        if self.devices.deadline() <= now {
            self.on_device_gone(now, wall_ms);
        }
        self.token_expiry.on_due(&mut self.replica, now, wall_ms);
        self.schedules.on_step(now, wall_ms);
        self.settle_if_due(now, wall_ms);
        self.send_leases();
    }

    /// The next order. A node is made known before anything is sent to it.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.acquaintances.take().map(Action::Acquaint).or_else(|| self.outbox.pop())
    }

    fn step_time(&self, now: Now, wall_ms: u64) -> StepTime {
        StepTime { now, wall_ms, lamport: self.replica.next_stamp().lamport }
    }

    fn edit(&mut self, now: Now, wall_ms: u64, edit: Edit) -> Result<Edited, Refusal> {
        if self.departure.has_begun() {
            return Err(Refusal::HasLeft);
        }
        self.report(now).check_expected(&edit)?;
        let (me, planner, gossip) = (self.me, &self.planner, &self.gossip);
        let replica = &mut self.replica;
        Editor { me, now, wall_ms, replica, planner, gossip, origin: None }.apply(edit)
    }

    /// Answers once everything that changed so far is on disk.
    fn answer_when_written(
        &mut self,
        now: Now,
        wall_ms: u64,
        ticket: u64,
        result: Result<Edited, Refusal>,
    ) {
        let changed = self.replica.drain_changed();
        self.on_records(now, wall_ms, changed);
        self.outbox.push_held(Action::Answer { ticket, result });
    }

    /// Writes what this node is, if that differs from what it wrote last.
    fn describe(&mut self, wall_ms: u64) {
        self.own_records.write_description(&mut self.replica, &self.departure, wall_ms);
    }

    /// Writes the conditions of this node and sends them at once, before they are on disk: a full
    /// disk is one of them. This is safe: of two records of one version all nodes keep the same
    /// one, and a node that starts reports its conditions again.
    fn report_conditions(&mut self, wall_ms: u64) {
        let Some(changed) = self.own_records.write_conditions(&mut self.replica, wall_ms) else {
            return;
        };
        self.gossip.tell_now(&self.replica, &BTreeSet::from([RecordKey::conditions(self.me)]));
        for (word, text) in changed {
            let attributes = vec![("condition", word), ("message", text)];
            self.tell_node(self.me, "condition", attributes, wall_ms);
        }
    }

    /// Handles what gossip wants to send or reports.
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

    /// Records changed, here or elsewhere.
    fn on_records(&mut self, now: Now, wall_ms: u64, keys: BTreeSet<RecordKey>) {
        for key in &keys {
            let before = self.told(*key);
            let reports = self.planner.catalog().rollouts_said_in(*key);
            let touched = self.planner.on_record(&self.replica, *key);
            self.addressing.on_record(*key, &touched, self.planner.catalog());
            self.note_network_news(key.kind, &touched);
            self.schedules.on_record(key.kind);
            self.autoscaler.on_record(key.kind);
            self.token_expiry.on_record(&self.replica, key.kind, now);
            self.key_sharing.on_record(key.kind);
            self.fleet_keys.on_record(key.kind);
            self.unlock_keys.on_record(key.kind);
            self.acquaintances.on_record(&self.replica, *key);
            self.tell(wall_ms, *key, before);
            if [RecordKey::node(self.me), RecordKey::named_resources(self.me)].contains(key) {
                self.describe(wall_ms);
            }
            match key.kind {
                Kind::TASK | Kind::COMPLETIONS | Kind::GRANTS => {
                    self.reconciler.refute(&self.replica, *key);
                }
                Kind::VOLUMES if key.id == self.me.0 => {
                    self.own_records.write_volumes(&mut self.replica, wall_ms);
                }
                Kind::CONDITIONS if key.id == self.me.0 => self.report_conditions(wall_ms),
                Kind::ROLLOUTS => {
                    let node = NodeId(key.id);
                    self.reconciler.on_rollouts(node, &reports, self.planner.catalog());
                }
                Kind::EVICTION => self.on_eviction(now, NodeId(key.id)),
                _ => {}
            }
        }
        self.outbox.note_changed(keys);
    }
}
