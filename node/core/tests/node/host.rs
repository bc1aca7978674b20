//! A host for one node: it performs the node's actions at once, or not, and keeps a list of them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use crdt_state::replica::Replica;
use crdt_state::resource::NamedResources;
use crdt_state::signature::{HashSigner, HashVerifier, Signer};
use crdt_state::spec::{HealthCheck, Labels, Scale, Template, UpdatePolicy};
use crdt_state::stamp::Writer;
use crdt_state::task::{AdoptedRun, Exit, Run, RunEvent, TaskStart, TaskState};
use crdt_state::volume::NodeVolumes;
use crdt_state::{NodeId, RecordKey, ServiceId, StoreId};
use gossip::{GossipConfig, Now};
use node_core::{
    Action, Edit, Edited, Event, FleetKeyNews, FleetKeyOffer, FoundDevices, Input, KeyShare,
    NetworkFacts, Node, NodeConfig, NodeFacts, Refusal, ServiceSpec, TaskView,
};

pub(crate) struct Host {
    pub(crate) node: Node,
    pub(crate) now: Now,
    pub(crate) disk: BTreeMap<RecordKey, Vec<u8>>,
    /// Writes are acknowledged only when this is set.
    pub(crate) disk_answers: bool,
    pub(crate) unanswered: Vec<u64>,
    pub(crate) started: Vec<TaskStart>,
    pub(crate) stopped: Vec<Run>,
    /// Runs whose files are no longer wanted.
    pub(crate) forgotten: Vec<Run>,
    /// Until when runs may live, as they were told last.
    pub(crate) expiries: BTreeMap<Run, Now>,
    pub(crate) answers: Vec<Result<Edited, Refusal>>,
    pub(crate) log: Vec<&'static str>,
    pub(crate) events: Vec<Event>,
    /// Its time of day, less its monotonic time.
    pub(crate) clock_ms: u64,
    /// The node's actions for the network: what it sent, and connections.
    pub(crate) sent: Vec<Action>,
    /// Keys of secrets that it was asked to give to others.
    pub(crate) shares: Vec<KeyShare>,
    pub(crate) fleet_keys: Vec<FleetKeyOffer>,
    /// What it was to seal its disk by.
    pub(crate) sealing: Vec<FleetKeyNews>,
}

pub(crate) fn replica(store: u64, disk: &BTreeMap<RecordKey, Vec<u8>>) -> Replica {
    replica_of(1, store, disk)
}

fn replica_of(no: u8, store: u64, disk: &BTreeMap<RecordKey, Vec<u8>>) -> Replica {
    let signer = HashSigner::from_seed(u64::from(no));
    let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(store) };
    let mut replica = Replica::new(writer, Box::new(signer), Arc::new(HashVerifier));
    for (key, bytes) in disk {
        replica.load(*key, bytes).expect("what was written loads");
    }
    replica.drain_changed();
    replica
}

/// Where the host of this number listens.
pub(crate) fn addr(no: u8) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, no], 7946))
}

impl Host {
    pub(crate) fn new() -> Host {
        Host::boot(1, BTreeMap::new(), Vec::new())
    }

    /// The host `pi-NO`, with an empty disk.
    pub(crate) fn numbered(no: u8) -> Host {
        let facts = facts(no);
        Host::boot_as(facts, replica_of(no, 1, &BTreeMap::new()), 1, Vec::new(), None)
    }

    pub(crate) fn boot(
        store: u64,
        disk: BTreeMap<RecordKey, Vec<u8>>,
        adopted: Vec<AdoptedRun>,
    ) -> Host {
        Host::boot_with(store, disk, adopted, None)
    }

    /// Boots a host with these volumes on its disk.
    pub(crate) fn boot_with(
        store: u64,
        disk: BTreeMap<RecordKey, Vec<u8>>,
        adopted: Vec<AdoptedRun>,
        volumes: Option<NodeVolumes>,
    ) -> Host {
        let mut host = Host::boot_as(facts(1), replica(store, &disk), store, adopted, volumes);
        // What the node wrote while it booted is newer.
        for (key, bytes) in disk {
            host.disk.entry(key).or_insert(bytes);
        }
        host
    }

    /// Boots a host with these generic resources that have names.
    pub(crate) fn equipped(
        boot: u64,
        disk: &BTreeMap<RecordKey, Vec<u8>>,
        adopted: Vec<AdoptedRun>,
        named: &NamedResources,
    ) -> Host {
        let mut facts = NodeFacts { named_resources: named.clone(), ..facts(1) };
        let counts = named.iter().map(|(kind, names)| (kind.clone(), names.len() as u64));
        facts.resources.generic = counts.collect();
        Host::boot_as(facts, replica(boot, disk), boot, adopted, None)
    }

    /// Boots a host on which these devices are found, with this many of kinds that it declares.
    pub(crate) fn with_devices(
        boot: u64,
        disk: &BTreeMap<RecordKey, Vec<u8>>,
        adopted: Vec<AdoptedRun>,
        (devices, declared): (FoundDevices, &[(&str, u64)]),
    ) -> Host {
        let mut facts = NodeFacts { devices, ..facts(1) };
        let declared = declared.iter().map(|(kind, count)| ((*kind).to_owned(), *count));
        facts.resources.generic = declared.collect();
        Host::boot_as(facts, replica(boot, disk), boot, adopted, None)
    }

    /// The host `pi-NO` with that many of a resource that is counted.
    pub(crate) fn with_resource(no: u8, kind: &str, count: u64) -> Host {
        let mut facts = facts(no);
        facts.resources.generic = [(kind.to_owned(), count)].into();
        Host::boot_as(facts, replica_of(no, 1, &BTreeMap::new()), 1, Vec::new(), None)
    }

    /// The host `pi-NO` as it starts again with what is on its disk, and with no task.
    pub(crate) fn booted_again(no: u8, boot: u64, disk: BTreeMap<RecordKey, Vec<u8>>) -> Host {
        let mut host =
            Host::boot_as(facts(no), replica_of(no, boot, &disk), boot, Vec::new(), None);
        for (key, bytes) in disk {
            host.disk.entry(key).or_insert(bytes);
        }
        host
    }

    fn boot_as(
        facts: NodeFacts,
        replica: Replica,
        boot: u64,
        adopted: Vec<AdoptedRun>,
        volumes: Option<NodeVolumes>,
    ) -> Host {
        let gossip = GossipConfig::default();
        let config = NodeConfig { gossip, facts, boot, seed: 7, volumes, networks: networks() };
        let node = Node::new(config, replica, adopted, Now(0), 0);
        let mut host = Host {
            node,
            now: Now(0),
            disk: BTreeMap::new(),
            disk_answers: true,
            unanswered: Vec::new(),
            started: Vec::new(),
            stopped: Vec::new(),
            forgotten: Vec::new(),
            expiries: BTreeMap::new(),
            answers: Vec::new(),
            log: Vec::new(),
            events: Vec::new(),
            clock_ms: 0,
            sent: Vec::new(),
            shares: Vec::new(),
            fleet_keys: Vec::new(),
            sealing: Vec::new(),
        };
        host.drain();
        host
    }

    pub(crate) fn feed(&mut self, input: Input) {
        self.node.step(self.now, self.wall_ms(), input);
        self.drain();
    }

    pub(crate) fn drain(&mut self) {
        while let Some(action) = self.node.poll_action() {
            match action {
                Action::Persist { seq, puts, drops } => {
                    self.log.push("persist");
                    self.disk.extend(puts);
                    for key in drops {
                        self.disk.remove(&key);
                    }
                    if self.disk_answers {
                        self.node.step(self.now, self.wall_ms(), Input::Persisted { seq });
                    } else {
                        self.unanswered.push(seq);
                    }
                }
                Action::StartRun(start) => {
                    self.log.push("start");
                    self.started.push(*start);
                }
                Action::StopRun { run, .. } => {
                    self.log.push("stop");
                    self.stopped.push(run);
                }
                Action::ExpireRun { run, at } => _ = self.expiries.insert(run, at),
                Action::Answer { result, .. } => {
                    self.log.push("answer");
                    self.answers.push(result);
                }
                Action::SendDatagram { .. }
                | Action::SendMessage { .. }
                | Action::Connect { .. } => self.sent.push(action),
                Action::Event(event) => self.events.push(event),
                Action::ForgetRun { run } => self.forgotten.push(run),
                Action::Departed => {}
                Action::ShareKey(share) => self.shares.push(share),
                Action::Acquaint(_) | Action::TellCopies { .. } => {}
                Action::TakeFleetKey(offer) => self.fleet_keys.push(offer),
                Action::Seal(news) => self.sealing.push(news),
            }
        }
    }

    /// Its time of day.
    pub(crate) fn wall_ms(&self) -> u64 {
        self.now.0 + self.clock_ms
    }

    pub(crate) fn wait(&mut self, ms: u64) {
        let until = self.now.plus(ms);
        while self.node.deadline() <= until {
            self.now = self.now.max(self.node.deadline());
            self.feed(Input::TimerFired);
        }
        self.now = until;
    }

    pub(crate) fn edit(&mut self, edit: Edit) -> Result<Edited, Refusal> {
        self.feed(Input::Edit { ticket: 0, edit: Box::new(edit) });
        self.answers.pop().expect("every edit is answered")
    }

    pub(crate) fn create(&mut self, spec: ServiceSpec) -> ServiceId {
        match self.edit(Edit::CreateService(Box::new(spec))) {
            Ok(Edited::Service(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn report(&mut self, run: Run, event: RunEvent) {
        self.feed(Input::Run { run, event });
    }

    /// Answers every start that was ordered since the last call.
    pub(crate) fn start_all(&mut self) -> Vec<Run> {
        let runs: Vec<Run> = self.started.drain(..).map(|start| start.run).collect();
        for run in &runs {
            self.report(*run, RunEvent::Started { pid: 100 + run.attempt });
        }
        runs
    }

    pub(crate) fn exit(&mut self, run: Run, code: i32) {
        self.report(run, RunEvent::Exited { exit: Exit::Code(code), oom: false });
    }

    pub(crate) fn tasks(&self) -> Vec<TaskView> {
        self.node.report(self.now).tasks()
    }

    pub(crate) fn states(&self) -> Vec<TaskState> {
        let said = |t: &TaskView| t.status.as_ref().map(|s| s.current.state);
        self.tasks().iter().filter_map(said).collect()
    }
}

/// A machine that can take part in networks.
pub(crate) fn networks() -> NetworkFacts {
    NetworkFacts {
        refusal: String::new(),
        data_address: Some(addr(1).ip()),
        mtu: 1_500,
        routes: Vec::new(),
    }
}

fn facts(no: u8) -> NodeFacts {
    NodeFacts {
        hostname: format!("pi-{no}"),
        os: "linux".into(),
        arch: "aarch64".into(),
        resources: Default::default(),
        named_resources: Default::default(),
        devices: Default::default(),
        engine_labels: Labels::new(),
        engine_version: "test".into(),
        addresses: vec![addr(no).to_string()],
    }
}

/// A health command; the tests say what it finds.
pub(crate) fn health() -> HealthCheck {
    HealthCheck {
        test: vec!["CMD".into(), "true".into()],
        interval_ms: 1_000,
        timeout_ms: 1_000,
        retries: 1,
        start_period_ms: 0,
        start_interval_ms: 1_000,
    }
}

pub(crate) fn spec(name: &str, replicas: u32) -> ServiceSpec {
    ServiceSpec {
        name: name.into(),
        template: Template {
            command: vec!["sleep".into()],
            args: vec!["1000".into()],
            env: vec!["SLOT={{.Task.Slot}}".into()],
            stop_grace_ms: 10_000,
            ..Template::default()
        },
        scale: Scale::Replicated { replicas },
        placement: Default::default(),
        update_policy: UpdatePolicy::default(),
        relations: Default::default(),
        update_rules: Default::default(),
        rollback_policy: Default::default(),
        partition: Default::default(),
        schedule: None,
        autoscale: None,
        endpoint: Default::default(),
        networks: Vec::new(),
        by_name: false,
        labels: Labels::new(),
    }
}
