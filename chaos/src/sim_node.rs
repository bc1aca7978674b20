//! The node under test, and everything that this crate reads from it.
//!
//! This is the only file that knows how a node is made, driven and read. It must never read more of
//! a node than an agent or the API can: only what operators and peers can see is judged.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use crdt_state::node::NodeDescription;
use crdt_state::service::{Service, services};
use crdt_state::spec::{Labels, Life, Resources};
use crdt_state::task::{AdoptedRun, Run, Slot, TaskState};
use crdt_state::{
    Digest, HashSigner, HashVerifier, Kind, NodeId, Record, RecordKey, Replica, ServiceId, Signer,
    Stamp, Writer, wire,
};
use gossip::{GossipConfig, MemberState, Now};
use node_core::network_state::NetworkState;
use node_core::plan::Placed;
use node_core::view::{NodeView, Presence};
use node_core::{Action, Input, NetworkFacts, Node, NodeConfig, NodeFacts, TaskView};
use overlay::plan::OverlayPlan;

use crate::check::reasons::Shown;
use crate::check::writes::WriteId;
use crate::disk::Disk;
use crate::network::MachineNo;
use crate::operator::Seen;

mod conflicts;
mod jobs;
mod networks;
mod unwanted;
mod waiting;

pub use conflicts::{Answered, is_removal, removals_on_disk};
pub use jobs::completed_on_disk;

/// A write that a record holds, with its value.
pub type Held = (WriteId, Vec<u8>);

/// A node and its records.
pub struct SimNode {
    node: Node,
    now: Now,
    /// Its networks, kept up to date as an agent does.
    networks: NetworkState,
    /// What its kernel was told to hold.
    plan: OverlayPlan,
}

impl fmt::Debug for SimNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimNode").field("id", &self.node.me()).finish_non_exhaustive()
    }
}

/// The arguments for the start of a machine's agent.
#[derive(Debug)]
pub struct Start<'a> {
    /// The machine.
    pub machine: MachineNo,
    /// The address of its agent.
    pub address: SocketAddr,
    /// Its seed; the key is derived from it too.
    pub seed: u64,
    /// Its disk.
    pub disk: &'a mut Disk,
    /// The runs that were found.
    pub adopted: Vec<AdoptedRun>,
    /// The time of day.
    pub wall_ms: u64,
    /// How gossip behaves.
    pub gossip: GossipConfig,
}

/// The key of a machine; it never changes.
fn signer(seed: u64) -> HashSigner {
    HashSigner::from_seed(seed)
}

/// The id of the node on the machine of this seed.
pub fn node_id(seed: u64) -> NodeId {
    NodeId::of(&signer(seed).public_key())
}

impl SimNode {
    /// Starts an agent as the real one does: boot counter, store, runs.
    pub fn boot(start: Start<'_>) -> SimNode {
        let boot = start.disk.boot();
        let writer = Writer { node: node_id(start.seed), store: start.disk.store() };
        let mut replica =
            Replica::new(writer, Box::new(signer(start.seed)), Arc::new(HashVerifier));
        for (key, bytes) in start.disk.records() {
            replica.load(*key, bytes).expect("a disk gives back what was written");
        }
        let config = NodeConfig {
            gossip: start.gossip,
            facts: facts(start.machine, start.address),
            boot,
            seed: start.seed.wrapping_add(boot),
            volumes: None,
            networks: NetworkFacts {
                refusal: String::new(),
                data_address: Some(start.address.ip()),
                mtu: 1_500,
                routes: Vec::new(),
            },
        };
        let now = Now::START;
        SimNode::of(Node::new(config, replica, start.adopted, now, start.wall_ms), now)
    }

    /// Wraps a node that was made elsewhere.
    pub fn of(node: Node, now: Now) -> SimNode {
        let (networks, plan) = (networks::new_networks(), OverlayPlan::default());
        let mut node = SimNode { node, now, networks, plan };
        node.follow_networks();
        node
    }

    /// The last addresses of the fleet's members that this node knows, from its records.
    pub fn remembered(&self) -> Vec<SocketAddr> {
        let replica = self.node.replica();
        let others = replica.keys(Kind::NODE).filter(|key| NodeId(key.id) != self.node.me());
        let first = |key: RecordKey| {
            let (_, description) = replica.owned::<NodeDescription>(&key)?;
            let addr = description.addresses.first().filter(|_| !description.left)?;
            addr.parse().ok()
        };
        others.filter_map(first).collect()
    }

    /// The records.
    pub fn replica(&self) -> &Replica {
        self.node.replica()
    }

    /// Feeds one fact to the node.
    pub fn step(&mut self, now: u64, wall_ms: u64, input: Input) {
        self.now = Now(now);
        self.node.step(self.now, wall_ms, input);
        self.follow_networks();
    }

    /// Takes the next action.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.node.poll_action()
    }

    /// When the timer is due, in the agent's own time; `None`: never.
    pub fn deadline(&self) -> Option<u64> {
        let at = self.node.deadline();
        (at != Now::NEVER).then_some(at.0)
    }

    /// What an operator sees on this node.
    pub fn seen(&self) -> Seen {
        let nodes = self.node.replica().keys(Kind::NODE).map(|key| NodeId(key.id)).collect();
        let (conflicts, names) = (self.conflicts(), self.shared_names());
        Seen { services: self.services(), nodes, conflicts, names }
    }

    /// The digest of the state.
    pub fn digest(&self) -> Digest {
        self.node.replica().digest()
    }

    /// Bytes of the state.
    pub fn state_bytes(&self) -> usize {
        self.node.replica().bytes()
    }

    /// The hash of the member view: all inputs of the plan besides the state.
    pub fn members_hash(&self) -> u64 {
        let view = self.node.view();
        let mut hasher = DefaultHasher::new();
        for (id, node) in &view.nodes {
            (id, node.presence as u8).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// The owner of every slot of every service.
    pub fn placement(&self) -> BTreeMap<(ServiceId, Slot), Option<NodeId>> {
        let plan = self.node.plan();
        let slots = plan.services.iter().flat_map(|(service, plan)| {
            plan.slots.iter().map(|(slot, placed)| match placed {
                Placed::On(node, _) => ((*service, *slot), Some(*node)),
                Placed::Nowhere(_) => ((*service, *slot), None),
            })
        });
        slots.collect()
    }

    /// The hash of the placement.
    pub fn placement_hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.placement().hash(&mut hasher);
        hasher.finish()
    }

    /// The services that exist.
    pub fn services(&self) -> Vec<Service> {
        services(self.node.replica())
    }

    /// One service.
    pub fn service(&self, id: ServiceId) -> Option<Service> {
        Service::read(self.node.replica(), id)
    }

    /// Is a service known to be removed?
    pub fn is_removed(&self, id: ServiceId) -> bool {
        let life = self.node.replica().life(&RecordKey::service(id));
        matches!(life, Some(Life::Removed { .. }))
    }

    /// The names and values of all writes to shared records.
    pub fn shared_writes(&self) -> Vec<Held> {
        let replica = self.node.replica();
        let keys = SHARED.into_iter().flat_map(|kind| replica.keys(kind));
        keys.flat_map(|key| replica.record(&key).map(|r| writes_of(key, r)).unwrap_or_default())
            .collect()
    }

    /// Its own id.
    pub fn id(&self) -> NodeId {
        self.node.me()
    }

    /// All nodes that take part, as the planner sees them.
    pub fn node_views(&self) -> Vec<NodeView> {
        self.node.view().nodes.values().cloned().collect()
    }

    /// Availability and labels of a node, as the planner sees it; `None` if it takes no part.
    pub fn node_view(&self, id: NodeId) -> Option<NodeView> {
        self.node.view().nodes.get(&id).cloned()
    }

    /// Would this node contact the other one at this address? A node contacts members, unless they
    /// have left, and the nodes that its records name.
    pub fn calls(&self, id: NodeId, address: SocketAddr) -> bool {
        let is_called =
            |member: &gossip::Member| member.addr == address && member.state != MemberState::Left;
        self.node.gossip().member(id).is_some_and(is_called) || self.remembered().contains(&address)
    }

    /// The members that this node sees, with their states, for people.
    pub fn sees(&self) -> String {
        let view = self.node.view();
        let member = |member: &gossip::Member| {
            let presence = view.nodes.get(&member.id).map(|node| node.presence);
            format!("{} {:?} {presence:?}", self.node.hostname(member.id), member.state)
        };
        self.node.gossip().members().map(member).collect::<Vec<_>>().join(", ")
    }

    /// The state of a member.
    pub fn member_state(&self, id: NodeId) -> Option<MemberState> {
        self.node.gossip().member(id).map(|member| member.state)
    }

    /// The highest counter that this node has seen.
    pub fn counter(&self) -> u64 {
        self.node.replica().lamport()
    }

    /// The runs of a slot that this node believes to be running, with the counter since when.
    pub fn known_runs(&self, service: ServiceId, slot: Slot) -> BTreeMap<Run, u64> {
        self.reported_runs(|task| (task.service, task.slot) == (service, slot))
    }

    /// This node's own runs that it reports as running, with the counter that says since when.
    pub fn own_runs(&self) -> BTreeMap<Run, u64> {
        self.reported_runs(|task| task.node == Some(self.id()))
    }

    fn reported_runs(&self, is_meant: impl Fn(&TaskView) -> bool) -> BTreeMap<Run, u64> {
        let tasks = self.node.report(self.now).tasks();
        let run = |task: &TaskView| {
            let status = task.status.as_ref()?;
            let run = Run { task: task.id, attempt: status.current.number };
            (status.current.state == TaskState::Running).then_some((run, status.running_since))
        };
        tasks.iter().filter(|task| is_meant(task)).filter_map(run).collect()
    }

    /// By what membership knows it.
    pub fn identity(&self) -> gossip::Identity {
        self.node.gossip().me()
    }

    /// How many new identities it took since it was started.
    pub fn renewals(&self) -> u64 {
        let me = self.identity();
        me.generation - gossip::Identity::at_boot(me.node, me.boots()).generation
    }

    /// The run of a slot that the planned owner reports.
    pub fn owners_run(&self, service: ServiceId, slot: Slot) -> Option<Run> {
        let owner = self.node.plan().owner(service, slot)?;
        let tasks = self.node.report(self.now).tasks();
        let runs = tasks.iter().find(|task| {
            let status = task.status.as_ref();
            let runs = status.is_some_and(|status| status.current.state == TaskState::Running);
            runs && task.service == service && task.slot == slot && task.node == Some(owner)
        })?;
        Some(Run { task: runs.id, attempt: runs.status.as_ref()?.current.number })
    }

    /// Does this node see the other one as present, and as having the slot?
    pub fn sees_holder(&self, other: NodeId, service: ServiceId, slot: Slot) -> bool {
        let view = self.node.view();
        let is_here = view.nodes.get(&other).is_some_and(|node| node.presence == Presence::Here);
        let holders = view.services.get(&service).into_iter().flat_map(|s| &s.holders);
        is_here && holders.into_iter().any(|h| h.node == other && h.slot == slot)
    }

    /// Everything that this node knows of a slot, for people.
    pub fn known_of(&self, service: ServiceId, slot: Slot) -> String {
        let tasks = self.node.report(self.now).tasks();
        let known = tasks.iter().filter(|task| task.service == service && task.slot == slot);
        let words = known.map(|task| {
            let TaskView { node, desired_running, reason, status, .. } = task;
            let host = node.map(|node| self.node.hostname(node)).unwrap_or_default();
            let (state, since) = status.as_ref().map_or(("unsaid", u64::MAX), |status| {
                (status.current.state.as_str(), status.running_since)
            });
            format!("{host} {state} since write {since}, wanted {desired_running}, {reason:?}")
        });
        let owner = self.node.plan().owner(service, slot).map(|node| self.node.hostname(node));
        format!("{}; planned on {owner:?}", words.collect::<Vec<_>>().join("; "))
    }

    /// Every wanted slot as it is shown to operators.
    pub fn shown(&self) -> Vec<Shown> {
        let tasks = self.node.report(self.now).tasks();
        let mut shown: BTreeMap<(ServiceId, Slot), Shown> = BTreeMap::new();
        for task in tasks.iter().filter(|task| task.desired_running) {
            let runs = task
                .status
                .as_ref()
                .is_some_and(|status| status.current.state == TaskState::Running);
            let name = format!("{} {:?}", task.service_name, task.slot);
            let entry = shown.entry((task.service, task.slot));
            let entry = entry.or_insert(Shown { name, runs, reason: None });
            entry.runs |= runs;
            entry.reason = entry.reason.take().or_else(|| task.reason.clone());
        }
        for (service, slot) in self.placement().into_keys() {
            let name = format!("{service} {slot:?}, which is not listed at all");
            shown.entry((service, slot)).or_insert(Shown { name, runs: false, reason: None });
        }
        shown.into_values().collect()
    }
}

/// The kinds that operators write.
const SHARED: [Kind; 3] = [Kind::SERVICE, Kind::NODE_SETTINGS, Kind::EVICTION];

/// The names and values of all writes in a shared record; none in an owned one.
pub fn writes_of(key: RecordKey, record: &Record) -> Vec<Held> {
    let Some(shared) = record.as_shared() else { return Vec::new() };
    let name = |facet, stamp: Stamp| WriteId { key, facet, stamp };
    shared.writes().map(|(facet, write)| (name(facet, write.stamp), write.value.clone())).collect()
}

/// The same for bytes on a disk.
pub fn writes_on_disk(key: RecordKey, bytes: &[u8]) -> Vec<Held> {
    on_disk(key, bytes).map(|record| writes_of(key, &record)).unwrap_or_default()
}

fn on_disk(key: RecordKey, bytes: &[u8]) -> Option<Record> {
    Record::decode(&key, bytes, wire::MERGED_BYTES_MAX).ok()
}

fn facts(machine: MachineNo, address: SocketAddr) -> NodeFacts {
    NodeFacts {
        hostname: format!("n{machine}"),
        os: "linux".to_owned(),
        arch: "x86_64".to_owned(),
        resources: Resources::default(),
        named_resources: BTreeMap::new(),
        devices: BTreeMap::new(),
        engine_labels: Labels::from([("site".to_owned(), ["even", "odd"][machine % 2].to_owned())]),
        engine_version: "0.1.0".to_owned(),
        addresses: vec![address.to_string()],
    }
}
