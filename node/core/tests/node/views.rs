//! What a node reports about tasks and nodes, in states other than plain "it runs".

use crdt_state::node::{Availability, NodeDescription};
use crdt_state::replica::Replica;
use crdt_state::signature::{HashSigner, HashVerifier, Signer};
use crdt_state::stamp::Writer;
use crdt_state::task::{Attempt, Health, RunEvent, Slot, TaskRecord, TaskState, TaskStatus};
use crdt_state::{NodeId, RecordKey, ServiceId, StoreId, TaskId};
use node_core::Edit;

use crate::host::{Host, health, replica, spec};

/// The records of another node, as they come from the store.
struct Other {
    records: Replica,
    me: NodeId,
}

impl Other {
    fn new(host: &Host) -> Other {
        let signer = HashSigner::from_seed(2);
        let me = NodeId::of(&signer.public_key());
        let writer = Writer { node: me, store: StoreId(1) };
        let records = Replica::new(writer, Box::new(signer), std::sync::Arc::new(HashVerifier));
        let mut other = Other { records, me };
        for (key, bytes) in &host.disk {
            other.records.load(*key, bytes).expect("what was written loads");
        }
        other
    }

    fn describe(&mut self, left: bool) {
        let mut said = replica(1, &Host::new().disk)
            .owned::<NodeDescription>(&RecordKey::node(host_id()))
            .expect("a node says what it is")
            .1;
        said.hostname = "pi-2".into();
        said.left = left;
        self.records.put_owned(RecordKey::node(self.me), &said, 0);
    }

    fn say(&mut self, service: ServiceId, slot: u32, template: u64, state: TaskState) {
        let slot = Slot::Number(slot);
        let template = crdt_state::spec::TemplateVersion(template);
        let id = TaskId::of(service, slot, self.me, template);
        let mut current = Attempt::first(7);
        current.enter(state, 7);
        let status = TaskStatus {
            id,
            template,
            desired_running: true,
            running_since: 1,
            created_wall_ms: 5,
            current,
            history: Vec::new(),
        };
        let record = TaskRecord { service, slot, node: self.me, tasks: vec![status] };
        self.records.put_owned(RecordKey::task(self.me, service, slot), &record, 7);
    }

    /// A host that starts with all records that this node has.
    fn boot(&self) -> Host {
        let mut disk = std::collections::BTreeMap::new();
        for kind in [crdt_state::Kind::NODE, crdt_state::Kind::SERVICE, crdt_state::Kind::TASK] {
            for key in self.records.keys(kind) {
                let record = self.records.record(&key).expect("it was just listed");
                disk.insert(key, record.encode());
            }
        }
        Host::boot(1, disk, Vec::new())
    }
}

fn host_id() -> NodeId {
    NodeId::of(&HashSigner::from_seed(1).public_key())
}

#[test]
fn an_unhealthy_task_is_not_said_to_run_and_not_to_run() {
    let mut host = Host::new();
    let mut checked = spec("web", 1);
    checked.template.health = Some(health());
    let id = host.create(checked);
    let run = host.start_all()[0];
    host.report(run, RunEvent::HealthChanged(Health::Unhealthy));
    let summary = host.node.report(host.now).why_service(id).swap_remove(0).summary;
    assert_eq!(
        summary,
        "web.1 runs on pi-1 and is NOT HEALTHY: its health command fails; it is stopped and \
         started again"
    );
}

#[test]
fn what_a_node_that_left_said_last_is_orphaned() {
    let mut host = Host::new();
    let id = host.create(spec("web", 1));
    host.start_all();
    let mut other = Other::new(&host);
    other.describe(true);
    other.say(id, 1, 9, TaskState::Running);
    let host = other.boot();
    let tasks = host.tasks();
    let theirs = tasks.iter().find(|task| task.node == Some(other.me)).expect("it is shown");
    assert!(!theirs.desired_running && theirs.reason.is_none());
    let status = theirs.status.as_ref().expect("it was said");
    assert_eq!(status.current.state, TaskState::Orphaned);
    assert_eq!(theirs.unreachable_ms, None);
}

#[test]
fn a_drain_that_cannot_end_says_what_keeps_it() {
    let mut host = Host::new();
    let id = host.create(spec("web", 1));
    let run = host.start_all()[0];
    let me = host.node.me();
    let drain = Edit::UpdateNode {
        id: me,
        version: None,
        availability: Some(Availability::Drain),
        labels: None,
    };
    host.edit(drain).expect("a node can be drained");
    let mut other = Other::new(&host);
    other.describe(false);
    let version = host.node.service(id).expect("it is there").template_version.0;
    other.say(id, 1, version, TaskState::Failed);
    let mut disk = other.boot().disk;
    disk.extend(host.disk.clone());
    let adopted = crdt_state::task::AdoptedRun {
        start: crdt_state::task::TaskStart {
            run,
            service: id,
            service_name: "web".into(),
            slot: Slot::Number(1),
            template_version: crdt_state::spec::TemplateVersion(version),
            template: spec("web", 1).template,
            interfaces: Vec::new(),
        },
        event: RunEvent::Started { pid: 101 },
    };
    let host = Host::boot(1, disk, vec![adopted]);
    let held = host.node.report(host.now).held_moves(&host.tasks());
    assert_eq!(held.len(), 1, "{:?}", host.tasks());
    assert!(held[0].is_failing && held[0].node == me && held[0].name == "web.1");
    let why = host.node.report(host.now).why_node(me).expect("it knows itself");
    let expected = "it is drained and still runs 1 task until the successors run healthy; \
                    web.1: its successor on pi-2: failed";
    assert!(why.summary.ends_with(expected), "{}", why.summary);
    assert_eq!(why.fixes, ["edgectl why web.1"]);
    let summary = host.node.report(host.now).why_service(id).swap_remove(0).summary;
    assert!(summary.ends_with("; pi-1 runs it meanwhile"), "{summary}");
}

#[test]
fn what_a_dead_node_said_last_does_not_keep_an_older_template_for_good() {
    let mut first = Host::new();
    let with = |words: &str| {
        let mut spec = spec("web", 2);
        spec.update_policy.parallelism = 0;
        spec.template.env.push(words.into());
        Box::new(spec)
    };
    let id = first.create(*with("A=1"));
    first.start_all();
    let version = |host: &Host| host.node.service(id).expect("it lives").template_version;
    let mut other = Other::new(&first);
    other.describe(false);
    other.say(id, 1, version(&first).0, TaskState::Running);
    let mut host = other.boot();
    host.wait(60_000);
    host.start_all();
    host.edit(Edit::UpdateService { id, version: None, spec: with("A=2") }).expect("updated");
    for run in std::mem::take(&mut host.stopped) {
        host.exit(run, 0);
    }
    host.start_all();
    let second = version(&host);
    host.edit(Edit::UpdateService { id, version: None, spec: with("A=3") }).expect("updated");
    let good = host.node.service(id).and_then(|service| service.last_good.clone());
    assert_eq!(good.map(|(version, _)| version), Some(second));
}

#[test]
fn why_tells_of_a_second_copy_in_a_partition_and_until_it_ends() {
    let (mut pair, id) = crate::pair::Pair::with_a_task_on_the_first();
    let why = |pair: &crate::pair::Pair, host: usize| {
        let host = &pair.hosts[host];
        host.node.report(host.now).why_service(id).remove(0).summary
    };
    assert!(!why(&pair, 0).contains("copy"), "{}", why(&pair, 0));
    pair.is_heard = [false, false];
    // The second host, which may run it from now on, sees the first one no more.
    pair.wait(1_000);
    let edit = Edit::UpdateService { id, version: None, spec: Box::new(spec("web", 1)) };
    pair.hosts[1].edit(edit).expect("changed");
    pair.wait(60_000);
    pair.hosts[1].start_all();
    let said = why(&pair, 1);
    assert!(said.contains("; pi-1 is not heard and may run a copy: "), "{said}");
    pair.is_heard = [true, true];
    let mut has_told = false;
    for _ in 0..120 {
        pair.wait(250);
        let said = [why(&pair, 0), why(&pair, 1)];
        has_told |= said.iter().any(|said| said.contains(" runs a copy, which ends when pi-"));
        for host in &mut pair.hosts {
            for run in std::mem::take(&mut host.stopped) {
                host.exit(run, 0);
            }
        }
    }
    assert!(has_told, "it was told while both ran and saw each other");
    for host in 0..2 {
        assert!(!why(&pair, host).contains("copy"), "{}", why(&pair, host));
    }
}
