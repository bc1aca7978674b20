//! A member that signs records that no operator could write. Whatever it sends, the node goes on,
//! and it handles the records of other members as if that member had sent nothing.

use std::sync::Arc;

use crdt_state::node::NodeDescription;
use crdt_state::replica::Replica;
use crdt_state::spec::{
    Endpoint, Facet, HealthCheck, Labels, Life, Mount, MountSource, Placement, PublishedPort,
    Resources, RestartCondition, RestartPolicy, Scale, StoredTemplate, Template, TemplateVersion,
    UpdateOrder, UpdatePolicy,
};
use crdt_state::task::{Attempt, Health, Slot, TaskRecord, TaskState, TaskStatus};
use crdt_state::volume::{NodeVolumes, VolumeFact};
use crdt_state::{
    HashSigner, HashVerifier, NodeId, RecordKey, ServiceId, Signer, StoreId, TaskId, Writer,
};
use node_core::{Edit, Input};
use proptest::prelude::*;

use super::host::{Host, spec};

const POISONED: ServiceId = ServiceId([1; 16]);

pub(crate) fn member(seed: u64) -> Replica {
    let signer = HashSigner::from_seed(seed);
    let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
    Replica::new(writer, Box::new(signer), Arc::new(HashVerifier))
}

/// The member sends every record that it holds.
pub(crate) fn tell(host: &mut Host, member: &Replica) {
    let keys = (0..=255).flat_map(|kind| member.keys(crdt_state::Kind(kind)));
    let bytes = gossip::encode_rumour(member.me(), member.delta(keys.collect::<Vec<_>>()));
    host.feed(Input::Message { from: member.me(), bytes });
}

fn create(member: &mut Replica, id: ServiceId, name: &str) {
    let life = Life::Present { name: name.into(), created: member.next_stamp() };
    member.edit(RecordKey::service(id), Facet::LIFE, &life, 0);
}

#[test]
fn four_billion_replicas_are_planned_by_nobody_and_survive_a_restart_as_little() {
    let mut host = Host::new();
    host.create(spec("web", 2));
    host.start_all();
    let mut adversary = member(9);
    create(&mut adversary, POISONED, "poison");
    let scale = Scale::Replicated { replicas: u32::MAX };
    adversary.edit(RecordKey::service(POISONED), Facet::SCALE, &scale, 0);
    tell(&mut host, &adversary);
    host.wait(60_000);
    assert_eq!(host.states(), [TaskState::Running; 2]);
    let [row] = &host.node.report(host.now).unfit()[..] else {
        panic!("{:?}", host.node.report(host.now).unfit())
    };
    assert_eq!((row.kind(), row.name.as_str()), ("service", "poison"));
    assert_eq!(row.writer, Some(adversary.me()));
    let key = RecordKey::service(POISONED);
    assert_eq!(host.disk[&key], adversary.encode_record(&key).expect("held"), "kept as it is");
    let again = Host::boot(1, host.disk.clone(), Vec::new());
    assert_eq!(again.node.report(again.now).unfit().len(), 1);
    assert_eq!(host.edit(Edit::RemoveService { id: POISONED }).err(), None);
    assert_eq!(host.node.report(host.now).unfit(), []);
}

#[test]
fn the_tasks_of_a_service_that_cannot_be_read_go_on_until_it_can() {
    let mut host = Host::new();
    let id = host.create(spec("web", 2));
    host.start_all();
    let mut adversary = member(9);
    let key = RecordKey::service(id);
    adversary.merge(&host.node.replica().delta([key]));
    for stop_grace_ms in [u64::MAX, u64::MAX - 1] {
        let template = Template { stop_grace_ms, ..Template::default() };
        adversary.edit(key, Facet::TEMPLATE, &StoredTemplate(template.clone()), 0);
    }
    tell(&mut host, &adversary);
    host.wait(60_000);
    assert!(host.node.service(id).is_none());
    assert_eq!((host.stopped.len(), host.started.len()), (0, 0), "nothing is ended or begun");
    adversary.edit(key, Facet::TEMPLATE, &StoredTemplate(spec("web", 2).template), 0);
    tell(&mut host, &adversary);
    host.wait(60_000);
    assert_eq!(host.states(), [TaskState::Running; 2]);
    assert_eq!((host.stopped.len(), host.started.len()), (0, 0));
}

#[test]
fn a_task_that_was_to_start_again_does_so_when_its_service_can_be_read() {
    let mut host = Host::new();
    let id = host.create(spec("web", 1));
    while let Some(start) = host.started.pop() {
        host.exit(start.run, 1);
    }
    let said = |host: &Host| {
        let tasks = host.disk.iter().filter(|(key, _)| key.kind == crdt_state::Kind::TASK);
        tasks.map(|(_, bytes)| bytes.clone()).collect::<Vec<_>>()
    };
    assert_eq!(host.states(), [TaskState::Assigned]);
    let before = said(&host);
    let mut adversary = member(9);
    let key = RecordKey::service(id);
    adversary.merge(&host.node.replica().delta([key]));
    let template = Template { stop_grace_ms: u64::MAX, ..Template::default() };
    adversary.edit(key, Facet::TEMPLATE, &StoredTemplate(template.clone()), 0);
    tell(&mut host, &adversary);
    host.wait(600_000);
    assert_eq!((host.started.len(), said(&host)), (0, before), "it waits");
    adversary.edit(key, Facet::TEMPLATE, &StoredTemplate(spec("web", 1).template), 0);
    tell(&mut host, &adversary);
    host.wait(1);
    host.start_all();
    assert_eq!(host.states(), [TaskState::Running]);
}

#[test]
fn an_edit_is_refused_what_a_record_is_refused() {
    let mut host = Host::new();
    let mut endless = spec("web", 1);
    endless.template.stop_grace_ms = u64::MAX;
    let refused = host.edit(Edit::CreateService(Box::new(endless))).expect_err("refused");
    assert!(refused.to_string().contains("stop grace period"), "{refused}");
    let mut slow = spec("web", 1);
    slow.update_policy.monitor_ms = u64::MAX;
    assert!(host.edit(Edit::CreateService(Box::new(slow))).is_err());
}

/// Numbers where arithmetic breaks, and some where it does not.
fn number() -> impl Strategy<Value = u64> {
    let edges = [0, 1, 2, 7, 1_000, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, u64::MAX - 1];
    prop_oneof![prop::sample::select(edges.to_vec()), Just(u64::MAX), any::<u64>()]
}

fn duration() -> impl Strategy<Value = u64> {
    let most = crdt_state::limits::DURATION_MS_MAX;
    prop_oneof![0..20_000u64, Just(most), Just(most + 1), number()]
}

fn resources() -> impl Strategy<Value = Resources> {
    (number(), number(), number(), number()).prop_map(|(nano_cpus, memory_bytes, pids, gpu)| {
        let generic = [("gpu".to_owned(), gpu)].into();
        Resources { nano_cpus, memory_bytes, pids, generic }
    })
}

fn template() -> impl Strategy<Value = Template> {
    let health = (duration(), duration(), any::<u32>());
    let parts = (duration(), resources(), duration(), prop::option::of(number()), health);
    let mounts = prop::collection::vec((".{0,12}", number()), 0..3);
    (parts, mounts, ".{0,20}").prop_map(|(parts, mounts, word)| {
        let (stop_grace_ms, reservations, delay_ms, max_attempts, health) = parts;
        let (interval_ms, timeout_ms, retries) = health;
        let mount = |(name, size_bytes): (String, u64)| {
            let source = match size_bytes % 2 {
                0 => MountSource::Tmpfs { size_bytes, mode: size_bytes as u32 },
                _ => MountSource::Volume { name, no_copy: false, labels: Labels::new() },
            };
            Mount { source, target: "{{.Task.Slot}}".into(), read_only: false }
        };
        let mut template = Template {
            command: vec![word.clone()],
            env: vec![format!("A={word}"), "B={{.Nonsense}}".into()],
            stop_grace_ms,
            reservations,
            health: Some(HealthCheck {
                test: vec!["CMD".into(), word],
                interval_ms,
                timeout_ms,
                retries,
                start_period_ms: interval_ms,
                start_interval_ms: timeout_ms,
            }),
            ..Template::default()
        };
        let condition = RestartCondition::Any;
        template.restart = RestartPolicy { condition, delay_ms, max_attempts, window_ms: delay_ms };
        template.container.mounts = mounts.into_iter().map(mount).collect();
        template
    })
}

#[derive(Debug, Clone)]
enum Said {
    Template(Box<Template>),
    Scale(u32),
    Global,
    Placement(Vec<String>, u32, i32),
    Policy(u32, u64, u64, bool),
    Ports(u16, String),
    Life(String, u64),
    Bytes(u16, Vec<u8>),
    Node(String, Box<Resources>, Vec<String>),
    Volumes(String, u64),
    Task(u32, bool, Vec<(u8, u64, u32)>),
}

fn said() -> impl Strategy<Value = Said> {
    let scale = prop::sample::select(vec![0, 1, 3, 40, 100_001, 1 << 31, u32::MAX]);
    let constraint = prop_oneof![Just("node.ip==0.0.0.0/0".to_owned()), ".{0,20}"];
    prop_oneof![
        template().prop_map(|template| Said::Template(Box::new(template))),
        scale.prop_map(Said::Scale),
        Just(Said::Global),
        (prop::collection::vec(constraint, 0..3), any::<u32>(), any::<i32>())
            .prop_map(|(texts, most, priority)| Said::Placement(texts, most, priority)),
        (any::<u32>(), duration(), duration(), any::<bool>())
            .prop_map(|(at, delay, monitor, first)| Said::Policy(at, delay, monitor, first)),
        (any::<u16>(), prop_oneof![Just("tcp".to_owned()), ".{0,5}"])
            .prop_map(|(port, protocol)| Said::Ports(port, protocol)),
        (prop_oneof![Just("web".to_owned()), ".{0,80}"], number())
            .prop_map(|(name, lamport)| Said::Life(name, lamport)),
        (0..12u16, prop::collection::vec(any::<u8>(), 0..60))
            .prop_map(|(facet, bytes)| Said::Bytes(facet, bytes)),
        (".{0,300}", resources(), prop::collection::vec(".{0,30}", 0..80))
            .prop_map(|(name, has, addrs)| Said::Node(name, Box::new(has), addrs)),
        (".{0,300}", number()).prop_map(|(name, id)| Said::Volumes(name, id)),
        (
            any::<u32>(),
            any::<bool>(),
            prop::collection::vec((0..10u8, number(), any::<u32>()), 0..70)
        )
            .prop_map(|(slot, own, tasks)| Said::Task(slot % 5, own, tasks)),
    ]
}

fn say(member: &mut Replica, of: ServiceId, said: Said) {
    let key = RecordKey::service(of);
    let stamp = member.next_stamp();
    match said {
        Said::Template(template) => {
            member.edit(key, Facet::TEMPLATE, &StoredTemplate(*template), 0)
        }
        Said::Scale(replicas) => member.edit(key, Facet::SCALE, &Scale::Replicated { replicas }, 0),
        Said::Global => member.edit(key, Facet::SCALE, &Scale::Global, 0),
        Said::Placement(constraints, max_per_node, priority) => {
            let preferences = constraints.clone();
            let placement = Placement { constraints, preferences, max_per_node, priority };
            member.edit(key, Facet::PLACEMENT, &placement, 0)
        }
        Said::Policy(parallelism, delay_ms, monitor_ms, first) => {
            let order = if first { UpdateOrder::StartFirst } else { UpdateOrder::StopFirst };
            let policy = UpdatePolicy { parallelism, delay_ms, monitor_ms, order };
            member.edit(key, Facet::UPDATE_POLICY, &policy, 0)
        }
        Said::Ports(published, protocol) => {
            let port = PublishedPort { published, target: 1, protocol, host: true };
            member.edit(key, Facet::ENDPOINT, &Endpoint { ports: vec![port] }, 0)
        }
        Said::Life(name, lamport) => {
            let created = crdt_state::Stamp { lamport: lamport.max(1_000), ..stamp };
            member.edit(key, Facet::LIFE, &Life::Present { name, created }, 0)
        }
        Said::Bytes(facet, bytes) => member.edit(key, Facet(facet), &bytes, 0),
        other => {
            say_owned(member, of, other);
            stamp
        }
    };
}

/// Writes a record that a node owns.
fn say_owned(member: &mut Replica, of: ServiceId, said: Said) {
    let (me, joined) = (member.me(), member.next_stamp());
    match said {
        Said::Node(hostname, resources, addresses) => {
            let (os, arch) = ("linux".to_owned(), "x86_64".to_owned());
            let engine_version = hostname.clone();
            let engine_labels = Labels::new();
            let resources = *resources;
            let description = NodeDescription {
                hostname,
                os,
                arch,
                resources,
                engine_labels,
                engine_version,
                addresses,
                joined,
                left: false,
            };
            member.put_owned(RecordKey::node(me), &description, 0);
        }
        Said::Volumes(name, id) => {
            let fact = VolumeFact { id, created_wall_ms: id, missing: id % 2 == 0 };
            member.put_owned(RecordKey::volumes(me), &NodeVolumes::from([(name, fact)]), id);
        }
        Said::Task(slot, own, tasks) => {
            let node = if own { me } else { NodeId([7; 16]) };
            let tasks = tasks.into_iter().map(status).collect();
            let record = TaskRecord { service: of, slot: Slot::Number(slot), node, tasks };
            member.put_owned(RecordKey::task(me, of, record.slot), &record, 0);
        }
        _ => unreachable!("a facet"),
    }
}

/// A task in any state, with numbers of any size.
fn status((state, number, attempt): (u8, u64, u32)) -> TaskStatus {
    let states = [
        TaskState::Pending,
        TaskState::Assigned,
        TaskState::Preparing,
        TaskState::Starting,
        TaskState::Running,
        TaskState::Complete,
        TaskState::Failed,
        TaskState::Shutdown,
        TaskState::Rejected,
        TaskState::Orphaned,
    ];
    TaskStatus {
        id: TaskId([state; 16]),
        template: TemplateVersion(number),
        desired_running: number % 3 > 0,
        running_since: number,
        created_wall_ms: number,
        current: Attempt {
            number: attempt,
            state: states[usize::from(state)],
            health: Health::Unchecked,
            pid: Some(attempt),
            exit_code: Some(i32::MIN),
            message: String::new(),
            wall_ms: number,
        },
        history: Vec::new(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_a_member_signs_the_service_of_others_runs(
        records in prop::collection::vec((0..3usize, said()), 1..24)
    ) {
        let mut host = Host::new();
        let sound = host.create(spec("sound", 3));
        host.start_all();
        let other = host.create(spec("other", 2));
        host.start_all();
        let mut adversary = member(9);
        create(&mut adversary, POISONED, "web");
        adversary.merge(&host.node.replica().delta([RecordKey::service(other)]));
        for (of, record) in records {
            let of = [POISONED, other, ServiceId([3; 16])][of];
            say(&mut adversary, of, record);
            tell(&mut host, &adversary);
            host.start_all();
            host.wait(2_000);
        }
        host.wait(120_000);
        let running = host.node.service(sound).map(|service| host.node.report(host.now).running(service));
        prop_assert_eq!(running, Some((3, 3)));
        // All of it is kept, and read back as it was.
        let again = Host::boot(1, host.disk.clone(), Vec::new());
        prop_assert_eq!(again.node.report(again.now).unfit(), host.node.report(host.now).unfit());
        for (key, digest, _) in adversary.unfit() {
            prop_assert_eq!(host.node.replica().record_digest(&key), Some(digest));
        }
    }
}
