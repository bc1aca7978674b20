//! What agents of one fleet write for each other is encoded by position: a value with one more field
//! is one that older agents cannot read. They would hold it, pass it on, and act as if nobody had
//! written it: of a node's blocks that means to give its addresses away once more. So the bytes of
//! every value are written down here. Whoever has more to say takes a facet or a kind of its own,
//! which older agents keep and pass on without a look.
//!
//! A byte that differs is never put right here, but there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::IpAddr;

use crdt_state::condition::NodeConditions;
use crdt_state::handover::Handovers;
use crdt_state::image::ImageFact;
use crdt_state::network::{
    AddressRange, Attachment, Attachments, Balancing, Block, NetworkSpec, NodeNetworks, NodeTunnel,
    PickedPort, PickedPorts, SlotAddresses, TaskAddresses,
};
use crdt_state::node::{Availability, NodeDescription};
use crdt_state::resource::NamedResources;
use crdt_state::rollout::{
    Direction, FailureAction, FailurePolicy, Failures, RollbackPolicy, RolloutReport,
    RolloutReports, Steering, UpdateRules, Verdict,
};
use crdt_state::spec::{
    Container, Device, Dns, Endpoint, Extension, HealthCheck, Life, Mount, MountSource,
    NetworkMode, Placement, Platform, PublishedPort, Resources, RestartCondition, RestartPolicy,
    Runtime, Scale, StoredTemplate, Template, TemplateVersion, Ulimit, UpdateOrder, UpdatePolicy,
};
use crdt_state::task::{Attempt, Health, Slot, TaskRecord, TaskState, TaskStatus};
use crdt_state::volume::{GivenUp, NodeVolumes, VolumeFact};
use crdt_state::{NetworkId, NodeId, Previous, ServiceId, Stamp, StoreId, TaskId, Writer, wire};
use serde::Serialize;
use serde::de::DeserializeOwned;

#[path = "frozen/autoscale.rs"]
mod autoscale;
#[path = "frozen/clients.rs"]
mod clients;
#[path = "frozen/configs.rs"]
mod configs;
#[path = "frozen/fleet.rs"]
mod fleet;
#[path = "frozen/jobs.rs"]
mod jobs;
#[path = "frozen/relations.rs"]
mod relations;
#[path = "frozen/stacks.rs"]
mod stacks;
#[path = "frozen/tokens.rs"]
mod tokens;

const NODE: NodeId = NodeId([1; 16]);
const SERVICE: ServiceId = ServiceId([2; 16]);
const NETWORK: NetworkId = NetworkId([3; 16]);
const TASK: TaskId = TaskId([4; 16]);

/// The values whose bytes are not what they were.
#[derive(Default)]
struct Differing(Vec<String>);

impl Differing {
    /// Are these the bytes of the value, there and back? Long ones are known by their hash.
    fn check<T>(&mut self, name: &str, value: &T, bytes: &str)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        let encoded = wire::encode(value);
        let hex: String = encoded.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = match hex.len() {
            0..=64 => hex,
            _ => format!("{} bytes {}", encoded.len(), &blake3::hash(&encoded).to_hex()[..32]),
        };
        assert_eq!(wire::decode::<T>(&encoded).as_ref(), Ok(value), "{name}");
        if shown != bytes {
            self.0.push(format!("{name}: {shown}"));
        }
    }

    fn end(self) {
        assert_eq!(self.0, [""; 0], "agents of earlier versions cannot read this");
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn stamp(lamport: u64) -> Stamp {
    Stamp { lamport, writer: Writer { node: NODE, store: StoreId(5) } }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn what_is_said_of_networks_is_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    let range = AddressRange {
        subnet: "10.1.0.0/16".parse().expect("a subnet"),
        gateway: ip("10.1.0.1"),
        range: Some("10.1.128.0/17".parse().expect("a subnet")),
        reserved: BTreeMap::from([("router".to_owned(), ip("10.1.0.2"))]),
    };
    let six = AddressRange {
        subnet: "fd00::/64".parse().expect("a subnet"),
        gateway: ip("fd00::1"),
        range: None,
        reserved: BTreeMap::new(),
    };
    let spec = NetworkSpec {
        ranges: vec![range, six],
        vni: 4_097,
        internal: true,
        attachable: false,
        encrypted: true,
        mtu: Some(1_400),
        options: pairs(&[("edge.multicast", "true"), ("of.a.later.version", "1")]),
    };
    differing.check("NetworkSpec", &spec, "122 bytes ca2e7857dacf2fb2458ad8a5eb8e62a1");
    let aliases = words(&["db", "store"]);
    let attached: Attachments =
        vec![Attachment { network: NETWORK, aliases, options: pairs(&[("name", "value")]) }];
    differing.check("Attachments", &attached, "40 bytes e3a9b03d6f223dff0c55ceff2366d0f2");
    let virtual_addresses = BTreeMap::from([(NETWORK, vec![ip("10.1.192.0"), ip("fd00::9")])]);
    differing.check(
        "Balancing",
        &Balancing { by_name: true, virtual_addresses },
        "42 bytes e22e85e87613a9ff071c6c38ddd2b957",
    );
    let block = Block { subnet: "10.1.0.64/26".parse().expect("a subnet"), claimed: 300 };
    let networks = NodeNetworks {
        refusal: "no vxlan".to_owned(),
        data_address: Some(ip("192.0.2.1")),
        mtu: 1_500,
        routes: vec!["192.0.2.0/24".parse().expect("a subnet")],
        blocks: BTreeMap::from([(NETWORK, vec![block])]),
    };
    differing.check("NodeNetworks", &networks, "53 bytes 539858b8a94d8694d1be4ab44e9fad83");
    let tunnel = NodeTunnel {
        refusal: "no tun".to_owned(),
        public_key: [7; 32],
        port: 7_947,
        life: 1 << 40,
    };
    differing.check("NodeTunnel", &tunnel, "52 bytes 731679fe12660d9ba11d5b67696e133d");
    let networks = BTreeMap::from([(NETWORK, vec![ip("10.1.0.65")])]);
    let task = TaskAddresses { task: TASK, networks, withdrawn: true };
    let addresses =
        SlotAddresses { service: SERVICE, slot: Slot::Number(3), node: NODE, tasks: vec![task] };
    differing.check("SlotAddresses", &addresses, "76 bytes 5ad4056fe010f339b6c708ae0acea9ed");
    let port = PickedPort { target: 80, protocol: "tcp".to_owned(), published: 30_001 };
    differing.check(
        "PickedPorts",
        &PickedPorts::from([(TASK, vec![port])]),
        "010104040404040404040404040404040404015003746370fb3175",
    );
    differing.end();
}

#[test]
fn what_is_said_of_tasks_and_nodes_is_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    let attempt = |number, state| Attempt {
        number,
        state,
        health: Health::Healthy,
        pid: Some(100),
        exit_code: Some(-1),
        message: "why".to_owned(),
        wall_ms: 1_700_000_000_000,
    };
    let status = TaskStatus {
        id: TASK,
        template: TemplateVersion(u64::MAX),
        desired_running: true,
        running_since: 9,
        created_wall_ms: 1_700_000_000_000,
        current: attempt(2, TaskState::Running),
        history: vec![attempt(1, TaskState::Failed)],
    };
    let record =
        TaskRecord { service: SERVICE, slot: Slot::Node(NODE), node: NODE, tasks: vec![status] };
    differing.check("TaskRecord", &record, "128 bytes 5157ff1a64221bacdb2e523d26ce1e37");
    let description = NodeDescription {
        hostname: "pi-1".to_owned(),
        os: "linux".to_owned(),
        arch: "aarch64".to_owned(),
        resources: resources(),
        engine_labels: pairs(&[("site", "shop")]),
        engine_version: "1".to_owned(),
        addresses: words(&["192.0.2.1:7946"]),
        joined: stamp(1),
        left: false,
    };
    differing.check("NodeDescription", &description, "85 bytes 62caa9d1b0fdd7742eba9c363dc03bce");
    differing.check("Availability", &Availability::Drain, "0102");
    let fact = VolumeFact { id: 7, created_wall_ms: 8, missing: true };
    differing.check(
        "NodeVolumes",
        &NodeVolumes::from([("data".to_owned(), fact)]),
        "01010464617461070801",
    );
    differing.check("GivenUp", &GivenUp::from([7]), "010107");
    differing.check(
        "NodeConditions",
        &NodeConditions::from(pairs(&[("disk-full", "why")])),
        "0101096469736b2d66756c6c03776879",
    );
    let names = ["back", "front"].map(str::to_owned);
    differing.check(
        "NamedResources",
        &NamedResources::from([("camera".to_owned(), names.into())]),
        "01010663616d65726102046261636b0566726f6e74",
    );
    let asked = BTreeMap::from([(Slot::Number(1), 5)]);
    let handovers = Handovers {
        store: StoreId(6),
        asks: BTreeMap::from([((SERVICE, NODE), asked.clone())]),
        keeps: BTreeMap::from([((SERVICE, NODE), (StoreId(7), asked))]),
    };
    differing.check("Handovers", &handovers, "77 bytes 72dc8021b96ad41643ea79650d44ff8c");
    let image =
        ImageFact { digest: "sha256:0".to_owned(), platforms: vec![platform()], size_bytes: 9 };
    differing.check("ImageFact", &image, "01087368613235363a3001056c696e75780361726d02763709");
    differing.end();
}

#[test]
fn what_operators_wrote_of_services_is_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    let life = Life::Present { name: "web".to_owned(), created: stamp(300) };
    differing.check("Life", &life, "010003776562fb2c010101010101010101010101010101010105");
    differing.check("Life, removed", &Life::Removed { name: "web".to_owned() }, "010103776562");
    differing.check(
        "Template",
        &StoredTemplate(template()),
        "343 bytes 46a1451855b92546dfac9b47519a8af7",
    );
    let scale = Scale::Replicated { replicas: 3 };
    differing.check("Scale", &scale, "010003");
    differing.check("Scale, global", &Scale::Global, "0101");
    let job = Scale::JobReplicated { completions: 5, max_concurrent: 2 };
    differing.check("Scale, job", &job, "01020502");
    differing.check("Scale, global job", &Scale::JobGlobal, "0103");
    let placement = Placement {
        constraints: words(&["node.hostname==pi-1"]),
        preferences: words(&["node.labels.site"]),
        max_per_node: 2,
        priority: -1,
    };
    differing.check("Placement", &placement, "42 bytes fead75dc8cda516b52f97583567c6929");
    let update_policy =
        UpdatePolicy { parallelism: 2, delay_ms: 3, monitor_ms: 4, order: UpdateOrder::StartFirst };
    differing.check("UpdatePolicy", &update_policy, "0102030401");
    let blue_green = UpdatePolicy { order: UpdateOrder::BlueGreen, ..update_policy.clone() };
    differing.check("UpdatePolicy, blue-green", &blue_green, "0102030402");
    let port =
        PublishedPort { published: 8_080, target: 80, protocol: "tcp".to_owned(), host: true };
    let endpoint = Endpoint { ports: vec![port] };
    differing.check("Endpoint", &endpoint, "0101fb901f500374637001");
    let labels = pairs(&[("tier", "front")]);
    differing.check("Labels", &labels, "010104746965720566726f6e74");
    let (name, template) = ("web".to_owned(), template());
    let previous = Previous { name, template, scale, placement, update_policy, endpoint, labels };
    differing.check("Previous", &Some(previous), "417 bytes 1da2f5e62ebf279d19f76546d1733ca9");
    differing.end();
}

fn resources() -> Resources {
    let generic = BTreeMap::from([("gpu".to_owned(), 1)]);
    Resources { nano_cpus: 1_000_000_000, memory_bytes: 1 << 30, pids: 100, generic }
}

fn platform() -> Platform {
    let [os, arch, variant] = ["linux", "arm", "v7"].map(str::to_owned);
    Platform { os, arch, variant }
}

/// Every field has a value that is not its default.
fn template() -> Template {
    Template {
        runtime: Runtime::Container,
        image: "app:1".to_owned(),
        command: words(&["run"]),
        args: words(&["-x"]),
        env: words(&["A=1"]),
        dir: Some("/srv".to_owned()),
        user: Some("web".to_owned()),
        hostname: Some("till".to_owned()),
        stop_signal: Some("SIGINT".to_owned()),
        stop_grace_ms: 10_000,
        health: Some(HealthCheck {
            test: words(&["CMD", "true"]),
            interval_ms: 1,
            timeout_ms: 2,
            retries: 3,
            start_period_ms: 4,
            start_interval_ms: 5,
        }),
        restart: RestartPolicy {
            condition: RestartCondition::OnFailure,
            delay_ms: 6,
            max_attempts: Some(7),
            window_ms: 8,
        },
        limits: resources(),
        reservations: resources(),
        labels: pairs(&[("of", "container")]),
        log_options: pairs(&[("max-size", "10m")]),
        force_update: 9,
        container: container(),
        extension: Extension::default(),
    }
}

fn container() -> Container {
    let bind = MountSource::Bind {
        path: "/etc".to_owned(),
        propagation: "rslave".to_owned(),
        non_recursive: true,
        create: true,
    };
    let labels = pairs(&[("keep", "yes")]);
    let volume = MountSource::Volume { name: "data".to_owned(), no_copy: true, labels };
    let tmpfs = MountSource::Tmpfs { size_bytes: 1 << 20, mode: 0o700 };
    let mounts = [bind, volume, tmpfs].map(|source| {
        let target = "/there".to_owned();
        Mount { source, target, read_only: true }
    });
    let [host, inner, permissions] = ["/dev/a", "/dev/b", "rwm"].map(str::to_owned);
    Container {
        platforms: vec![platform()],
        init: true,
        read_only: true,
        tty: true,
        open_stdin: true,
        groups: words(&["audio"]),
        hosts: words(&["192.0.2.9 gate"]),
        dns: Dns {
            nameservers: words(&["192.0.2.53"]),
            search: words(&["lan"]),
            options: words(&["ndots:1"]),
        },
        cap_add: words(&["NET_ADMIN"]),
        cap_drop: words(&["CHOWN"]),
        ulimits: vec![Ulimit { name: "nofile".to_owned(), soft: -1, hard: 1_024 }],
        sysctls: pairs(&[("net.core.somaxconn", "9")]),
        mounts: mounts.to_vec(),
        devices: vec![Device { host, container: inner, permissions }],
        privileged: true,
        no_new_privileges: true,
        seccomp_unconfined: true,
        oom_score_adj: -5,
        network: NetworkMode::None,
    }
}

#[test]
fn what_is_said_of_rollouts_is_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    let failure = FailurePolicy { action: FailureAction::Rollback, max_ratio: 300_000 };
    differing.check("UpdateRules", &UpdateRules { failure, canary: 2 }, "0102fce093040002");
    let pace = UpdatePolicy {
        parallelism: 0,
        delay_ms: 1,
        monitor_ms: 300,
        order: UpdateOrder::StartFirst,
    };
    differing.check(
        "RollbackPolicy",
        &RollbackPolicy { pace, failure },
        "010001fb2c010102fce0930400",
    );
    let steering =
        Steering { of: stamp(3), direction: Direction::Back, is_held: true, is_promoted: true };
    differing.check("Steering", &steering, "01030101010101010101010101010101010105010101");
    let verdict = Verdict { failed: 4, of: 10, lamport: 300, wall_ms: 1_700_000_000_000 };
    let forward = Failures {
        slots: BTreeSet::from([Slot::Number(1), Slot::Node(NODE)]),
        task: Some(TASK),
        message: "why".to_owned(),
        verdict: Some(verdict),
    };
    let report = RolloutReport { of: stamp(3), forward, back: Failures::default() };
    differing.check(
        "RolloutReports",
        &RolloutReports::from([(SERVICE, report)]),
        "96 bytes 4e842f38fe15401d856514b9b6f1feae",
    );
    differing.end();
}
