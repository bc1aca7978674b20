//! Services whose slots start in order, on one node and on two.

use crdt_state::ServiceId;
use crdt_state::relation::SlotOrder;
use crdt_state::spec::{RestartCondition, Scale};
use crdt_state::task::{Health, Run, RunEvent, Slot};
use node_core::{Edit, Edited, ServiceSpec};

use crate::host::{Host, health, spec};
use crate::pair::Pair;

fn ordered(replicas: u32) -> ServiceSpec {
    let mut db = spec("db", replicas);
    db.relations.slot_order = SlotOrder::Ascending;
    db
}

fn update(host: &mut Host, id: ServiceId, spec: ServiceSpec) {
    let edit = Edit::UpdateService { id, version: None, spec: Box::new(spec) };
    assert_eq!(host.edit(edit), Ok(Edited::Service(id)));
}

/// The number of the only slot that was ordered to start, and its run.
fn only_start(host: &mut Host) -> (u32, Run) {
    let start = host.started.pop().expect("a start was ordered");
    assert!(host.started.is_empty(), "one after the other");
    let Slot::Number(number) = start.slot else { panic!("it has numbers") };
    (number, start.run)
}

/// The number of the only slot that was told to end, which then ends.
fn only_end(host: &mut Host) -> u32 {
    let run = host.stopped.pop().expect("an end was ordered");
    assert!(host.stopped.is_empty(), "one after the other");
    let tasks = host.tasks();
    let task = tasks.iter().find(|task| task.id == run.task).expect("it is known");
    let Slot::Number(number) = task.slot else { panic!("it has numbers") };
    host.exit(run, 0);
    number
}

fn started(host: &mut Host, run: Run) {
    host.report(run, RunEvent::Started { pid: 7 });
}

/// All three slots of `db` run for a while.
fn running() -> (Host, ServiceId) {
    let mut host = Host::new();
    let id = host.create(ordered(3));
    for number in 1..=3 {
        let (first, run) = only_start(&mut host);
        assert_eq!(first, number);
        started(&mut host, run);
    }
    host.wait(60_000);
    (host, id)
}

#[test]
fn a_slot_starts_when_those_before_it_run_healthy() {
    let mut host = Host::new();
    let mut db = ordered(2);
    db.template.health = Some(health());
    let id = host.create(db);
    let (first, run) = only_start(&mut host);
    started(&mut host, run);
    host.wait(60_000);
    assert!(host.started.is_empty(), "the first has not been found healthy");
    let why = host.node.report(host.now).why_service(id).remove(1);
    assert!(why.summary.contains("waits for db.1, which does not run healthy"), "{why:?}");
    host.report(run, RunEvent::HealthChanged(Health::Healthy));
    assert_eq!((first, only_start(&mut host).0), (1, 2));
}

#[test]
fn slots_end_from_the_last_one() {
    let (mut host, id) = running();
    update(&mut host, id, ordered(1));
    assert_eq!([only_end(&mut host), only_end(&mut host)], [3, 2]);
    assert!(host.stopped.is_empty());
    update(&mut host, id, ordered(3));
    let (second, run) = only_start(&mut host);
    started(&mut host, run);
    assert_eq!((second, only_start(&mut host).0), (2, 3));
    // A service that is removed ends at once.
    let (mut host, id) = running();
    let edit = Edit::RemoveService { id };
    host.edit(edit).expect("removed");
    assert_eq!(host.stopped.len(), 3);
}

#[test]
fn an_update_begins_with_the_last_slot() {
    let (mut host, id) = running();
    let mut next = ordered(3);
    next.template.env.push("RELEASE=2".into());
    update(&mut host, id, next);
    for number in [3, 2, 1] {
        assert_eq!(only_end(&mut host), number);
        let (again, run) = only_start(&mut host);
        assert_eq!(again, number);
        started(&mut host, run);
        assert!(host.stopped.is_empty(), "the monitor time is not over");
        host.wait(5_001);
    }
}

#[test]
fn canaries_are_the_last_slots() {
    let (mut host, id) = running();
    let mut next = ordered(3);
    next.template.env.push("RELEASE=2".into());
    next.update_rules.canary = 1;
    update(&mut host, id, next);
    assert_eq!(only_end(&mut host), 3);
    let (_, run) = only_start(&mut host);
    started(&mut host, run);
    host.wait(60_000);
    assert!(host.stopped.is_empty());
    let service = host.node.service(id).expect("it is there");
    let rollout = host.node.report(host.now).rollout(service).expect("it was updated");
    assert!(rollout.awaits_promotion, "{}", rollout.message);
}

#[test]
fn an_update_that_mends_a_service_does_not_wait_for_what_it_mends() {
    let (mut host, id) = running();
    // They start again, and are never up.
    for run in runs(&host) {
        host.exit(run, 1);
    }
    host.wait(6_000);
    host.started.clear();
    let mut next = ordered(4);
    next.template.env.push("RELEASE=2".into());
    update(&mut host, id, next);
    let mut begun = Vec::new();
    for _ in 0..8 {
        for run in std::mem::take(&mut host.stopped) {
            host.exit(run, 0);
        }
        for start in std::mem::take(&mut host.started) {
            begun.push(start.slot);
            started(&mut host, start.run);
        }
        host.wait(5_001);
    }
    assert_eq!(begun[0], Slot::Number(4), "though none of the others was up");
    begun.sort();
    assert_eq!(begun, [1, 2, 3, 4].map(Slot::Number), "each once, with the new release");
}

/// The runs of three slots by their numbers.
fn runs(host: &Host) -> [Run; 3] {
    let tasks = host.tasks();
    [1, 2, 3].map(|number| {
        let task = tasks.iter().find(|task| task.slot == Slot::Number(number));
        let status = task.and_then(|task| task.status.as_ref()).expect("it was reported");
        Run { task: status.id, attempt: status.current.number }
    })
}

#[test]
fn what_ran_here_starts_again_whatever_the_others_do() {
    let (mut host, id) = running();
    let [first, second, _] = runs(&host);
    host.exit(first, 1);
    host.exit(second, 1);
    host.wait(60_000);
    let mut again: Vec<Slot> = host.started.iter().map(|start| start.slot).collect();
    again.sort();
    assert_eq!(again, [Slot::Number(1), Slot::Number(2)], "by themselves");
    let mut next = ordered(3);
    next.template.env.push("RELEASE=2".into());
    update(&mut host, id, next);
    host.started.clear();
    assert_eq!(only_end(&mut host), 3);
    assert!(host.started.iter().any(|start| start.slot == Slot::Number(3)), "with a new template");
}

#[test]
fn nodes_wait_for_slots_of_each_other() {
    let mut pair = Pair::joined();
    pair.hosts[0].create(ordered(4));
    for number in 1..=4 {
        pair.wait(2_000);
        let at = (0..2).find(|at| !pair.hosts[*at].started.is_empty()).expect("a start");
        assert!(pair.hosts[1 - at].started.is_empty(), "the other one waits");
        let (first, run) = only_start(&mut pair.hosts[at]);
        assert_eq!(first, number);
        started(&mut pair.hosts[at], run);
    }
}

#[test]
fn tasks_without_numbers_have_no_order() {
    let mut host = Host::new();
    for scale in [Scale::Global, Scale::JobReplicated { completions: 2, max_concurrent: 1 }] {
        let mut spec = ServiceSpec { scale, ..ordered(1) };
        spec.template.restart.condition = RestartCondition::OnFailure;
        let refused =
            host.edit(Edit::CreateService(Box::new(spec))).expect_err("it makes no sense");
        assert!(refused.to_string().contains("--slot-order ascending is for"), "{refused}");
    }
}
