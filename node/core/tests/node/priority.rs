//! Priority, as nodes carry it out: who is in the way ends first, and says for whom.

use crdt_state::ServiceId;
use crdt_state::resource::NamedResources;
use crdt_state::task::Run;
use node_core::{Edit, ServiceSpec};

use crate::host::{Host, spec};
use crate::pair::Pair;

/// A host with three cameras.
fn host() -> Host {
    let names = ["back", "front", "side"].map(str::to_owned);
    let cameras = NamedResources::from([("camera".to_owned(), names.into())]);
    Host::equipped(1, &Default::default(), Vec::new(), &cameras)
}

fn needing(name: &str, replicas: u32, cameras: u64, priority: i32) -> ServiceSpec {
    let mut spec = spec(name, replicas);
    spec.template.reservations.generic = [("camera".to_owned(), cameras)].into();
    spec.placement.priority = priority;
    spec
}

fn reason(host: &Host, id: ServiceId, slot: usize) -> String {
    let tasks = host.tasks().into_iter().filter(|task| task.service == id && task.desired_running);
    tasks.collect::<Vec<_>>()[slot - 1].reason.clone().unwrap_or_default()
}

#[test]
fn what_is_in_the_way_ends_before_the_task_of_higher_priority_starts() {
    let mut host = host();
    let low = host.create(needing("low", 3, 1, 0));
    let runs = host.start_all();
    let high = host.create(needing("high", 1, 2, 10));
    host.wait(1_000);
    assert_eq!(host.stopped.len(), 2, "the room of two is needed: {:?}", host.stopped);
    assert!(host.started.is_empty(), "their room is not free yet");
    let said = reason(&host, high, 1);
    assert!(said.contains("waits until low.") && said.contains("has ended here"), "{said}");
    host.exit(host.stopped[0], 0);
    host.wait(1_000);
    assert!(host.started.is_empty(), "one of two");
    host.exit(host.stopped[1], 0);
    host.wait(1_000);
    assert_eq!(host.started.len(), 1);
    let taker = host.start_all()[0];
    assert_eq!(reason(&host, high, 1), "");
    host.wait(600_000);
    assert_eq!((host.started.len(), host.stopped.len()), (0, 2), "nothing goes back and forth");
    let stays: Vec<&Run> = runs.iter().filter(|run| !host.stopped.contains(run)).collect();
    assert_eq!(stays.len(), 1);
    let said = [2, 3].map(|slot| reason(&host, low, slot));
    assert_eq!(said, ["its room was taken by service high of priority 10"; 2]);
    let why = host.node.report(host.now).why_service(low);
    let displaced =
        why.iter().find(|slot| slot.summary.ends_with(&said[0])).expect("there are two");
    assert_eq!(displaced.code, "preempted");
    assert!(displaced.fixes[0].contains("update --priority 11 low "), "{displaced:?}");
    // The room is free again.
    host.edit(Edit::RemoveService { id: high }).expect("removed");
    host.exit(taker, 0);
    host.wait(60_000);
    assert_eq!(host.started.len(), 2);
}

#[test]
fn an_equal_priority_displaces_nobody() {
    let mut host = host();
    host.create(needing("low", 3, 1, 5));
    host.start_all();
    host.create(needing("high", 1, 2, 5));
    host.wait(600_000);
    assert!(host.stopped.is_empty() && host.started.is_empty());
}

#[test]
fn a_raised_priority_displaces_what_runs() {
    let mut host = host();
    host.create(needing("low", 3, 1, 0));
    host.start_all();
    let id = host.create(needing("high", 1, 3, 0));
    assert!(host.stopped.is_empty());
    let spec = Box::new(needing("high", 1, 3, 1));
    host.edit(Edit::UpdateService { id, version: None, spec }).expect("raised");
    assert_eq!(host.stopped.len(), 3);
}

#[test]
fn a_displaced_task_starts_elsewhere_and_is_not_waited_for() {
    let mut pair = Pair::joined();
    for host in &mut pair.hosts {
        host.log.clear();
    }
    // A port of the node: one task of either service fits on each node.
    let on_port = |name: &str, node: &str, priority| {
        let mut spec = spec(name, 1);
        let port = crdt_state::spec::PublishedPort {
            published: 8_080,
            target: 80,
            protocol: "tcp".to_owned(),
            host: true,
        };
        spec.endpoint.ports = vec![port];
        spec.placement.priority = priority;
        if !node.is_empty() {
            spec.placement.constraints = vec![format!("node.hostname=={node}")];
        }
        spec
    };
    pair.hosts[0].create(on_port("low", "", 0));
    pair.wait(20_000);
    let at = usize::from(pair.hosts[0].started.is_empty());
    pair.hosts[at].start_all();
    pair.wait(20_000);
    pair.hosts[0].create(on_port("high", if at == 0 { "pi-1" } else { "pi-2" }, 1));
    pair.wait(20_000);
    assert_eq!(pair.hosts[at].stopped.len(), 1, "it does not wait for its successor");
    assert_eq!(pair.hosts[1 - at].started.len(), 1, "which begins at once");
    assert!(pair.hosts[at].started.is_empty(), "the port is not free yet");
    let stopped = pair.hosts[at].stopped[0];
    pair.hosts[at].exit(stopped, 0);
    pair.wait(20_000);
    assert_eq!(pair.hosts[at].started.len(), 1);
}

#[test]
fn what_runs_where_it_may_not_makes_room_too() {
    let mut host = host();
    let me = host.node.me();
    let labelled = |zone: &str| Edit::UpdateNode {
        id: me,
        version: None,
        availability: None,
        labels: Some([("zone".to_owned(), zone.to_owned())].into()),
    };
    host.edit(labelled("a")).expect("labelled");
    let mut low = needing("low", 1, 1, 0);
    low.placement.constraints = vec!["node.labels.zone==a".to_owned()];
    host.create(low);
    host.start_all();
    host.edit(labelled("b")).expect("labelled");
    host.wait(60_000);
    assert!(host.stopped.is_empty(), "it stays: no other node may take it");
    host.create(needing("high", 1, 3, 1));
    host.wait(1_000);
    assert_eq!((host.stopped.len(), host.started.len()), (1, 0), "it makes room first");
    host.exit(host.stopped[0], 0);
    host.wait(1_000);
    assert_eq!(host.started.len(), 1);
}

#[test]
fn a_task_that_moves_is_not_stopped_for_what_comes_after_it() {
    let mut pair = Pair::of([1, 2].map(|no| Host::with_resource(no, "camera", 3)));
    let at = |name: &str, node: &str, cameras, priority| {
        let mut spec = needing(name, 1, cameras, priority);
        spec.placement.constraints = vec![format!("node.hostname=={node}")];
        spec
    };
    pair.hosts[0].create(at("high", "pi-1", 1, 10));
    let moves = pair.hosts[0].create(at("moves", "pi-1", 1, 0));
    pair.wait(20_000);
    assert_eq!(pair.hosts[0].start_all().len(), 2);
    pair.wait(20_000);
    let spec = Box::new(at("moves", "pi-2", 1, 0));
    pair.hosts[0].edit(Edit::UpdateService { id: moves, version: None, spec }).expect("moved");
    // What it leaves goes to a service of lower priority.
    pair.hosts[0].create(at("low", "pi-1", 2, -5));
    pair.wait(60_000);
    assert!(pair.hosts[0].stopped.is_empty(), "its successor does not run yet");
    pair.hosts[1].start_all();
    pair.wait(20_000);
    assert_eq!(pair.hosts[0].stopped.len(), 1);
}
