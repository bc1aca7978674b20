//! What a node reports about the rollout of a service: Docker's status, and its specification before the last edit.

use crdt_state::ServiceId;
use crdt_state::task::Run;
use node_core::{Edit, RolloutState, ServiceSpec};

use crate::host::{Host, spec};

fn changed(replicas: u32, variable: &str) -> ServiceSpec {
    let mut spec = spec("web", replicas);
    spec.template.env.push(variable.into());
    spec
}

fn update(host: &mut Host, id: ServiceId, spec: ServiceSpec) {
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(spec) }).expect("updated");
}

fn state(host: &Host, id: ServiceId) -> Option<RolloutState> {
    let service = host.node.service(id).expect("it is there");
    host.node.report(host.now).rollout(service).map(|rollout| rollout.state)
}

/// Ends the runs that are to end and starts the runs that are to start, until none is left.
fn follow(host: &mut Host) -> Vec<Run> {
    let mut started = Vec::new();
    while !host.started.is_empty() || !host.stopped.is_empty() {
        for run in std::mem::take(&mut host.stopped) {
            host.exit(run, 0);
        }
        started.extend(host.start_all());
    }
    started
}

#[test]
fn a_rollout_is_updating_until_all_slots_stayed_and_completed_for_good() {
    let mut host = Host::new();
    let id = host.create(spec("web", 2));
    let _ = follow(&mut host);
    host.wait(60_000);
    update(&mut host, id, spec("web", 3));
    let _ = follow(&mut host);
    assert_eq!(state(&host, id), None, "its template was never updated");
    host.wait(60_000);
    update(&mut host, id, changed(3, "VERSION=2"));
    assert_eq!(state(&host, id), Some(RolloutState::Updating));
    let mut latest = Vec::new();
    for _ in 0..3 {
        latest.extend(follow(&mut host));
        assert_eq!(state(&host, id), Some(RolloutState::Updating));
        host.wait(5_001);
    }
    assert_eq!(state(&host, id), Some(RolloutState::Completed));
    // Later failures do not change the state of the rollout.
    for _ in 0..4 {
        let run = latest.pop().expect("a run");
        host.exit(run, 1);
        host.wait(300_000);
        latest.extend(follow(&mut host));
    }
    assert_eq!(state(&host, id), Some(RolloutState::Completed));
    // A client that scales it waits for the new tasks.
    update(&mut host, id, changed(5, "VERSION=2"));
    assert_eq!(state(&host, id), Some(RolloutState::Updating));
    let _ = follow(&mut host);
    host.wait(5_001);
    assert_eq!(state(&host, id), Some(RolloutState::Completed));
    // An agent that starts later still reports a state.
    let again = Host::boot(1, host.disk.clone(), Vec::new());
    assert!(state(&again, id).is_some());
}

#[test]
fn a_rollout_whose_slot_keeps_failing_is_paused_until_it_is_mended() {
    let mut host = Host::new();
    let id = host.create(spec("web", 2));
    let _ = follow(&mut host);
    host.wait(60_000);
    update(&mut host, id, changed(2, "BROKEN=1"));
    for _ in 0..2 {
        assert_eq!(state(&host, id), Some(RolloutState::Updating));
        let first = follow(&mut host)[0];
        host.exit(first, 3);
    }
    let service = host.node.service(id).expect("it is there");
    let held = host.node.report(host.now).rollout(service).expect("updated");
    assert_eq!(held.state, RolloutState::Paused);
    assert!(
        held.message.starts_with("update paused due to failure or early termination of task ")
            && held.message.contains("web.1 on pi-1: failed: task: non-zero exit (3)"),
        "{}",
        held.message
    );
    update(&mut host, id, changed(2, "MENDED=1"));
    assert_eq!(state(&host, id), Some(RolloutState::Updating));
    for _ in 0..2 {
        let _ = follow(&mut host);
        host.wait(5_001);
    }
    assert_eq!(state(&host, id), Some(RolloutState::Completed));
}

#[test]
fn what_a_service_was_before_its_last_edit_is_kept() {
    let mut host = Host::new();
    let id = host.create(spec("web", 2));
    let previous = |host: &Host| host.node.service(id).and_then(ServiceSpec::before);
    assert_eq!(previous(&host), None);
    update(&mut host, id, spec("web", 2));
    assert_eq!(previous(&host), None, "nothing was changed");
    update(&mut host, id, changed(2, "VERSION=2"));
    assert_eq!(previous(&host).expect("kept"), spec("web", 2));
    update(&mut host, id, changed(3, "VERSION=2"));
    assert_eq!(previous(&host).expect("kept"), changed(2, "VERSION=2"));
}
