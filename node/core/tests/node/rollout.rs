//! What a node reports about the rollout of a service: Docker's status, and its specification before the last edit.

use crdt_state::ServiceId;
use crdt_state::rollout::Direction;
use crdt_state::task::{Run, Slot};
use node_core::{Edit, Rollout, RolloutState, ServiceSpec};

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

fn rollout(host: &Host, id: ServiceId) -> Rollout {
    let service = host.node.service(id).expect("it is there");
    host.node.report(host.now).rollout(service).expect("it was updated")
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
fn a_rollout_of_which_a_slot_fails_is_paused_until_it_is_mended() {
    let mut host = Host::new();
    let id = host.create(spec("web", 2));
    let _ = follow(&mut host);
    host.wait(60_000);
    update(&mut host, id, changed(2, "BROKEN=1"));
    assert_eq!(state(&host, id), Some(RolloutState::Updating));
    let first = follow(&mut host)[0];
    host.exit(first, 3);
    let held = rollout(&host, id);
    assert_eq!((held.state, held.direction), (RolloutState::Paused, Direction::Forward));
    assert!(
        held.message.starts_with("update paused due to failure or early termination of task ")
            && held.message.contains("web.1 on pi-1: task: non-zero exit (3)"),
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

/// Three replicas that run, then an update whose first task fails.
fn held_rollout() -> (Host, ServiceId, Vec<Run>, Run) {
    let mut host = Host::new();
    let id = host.create(spec("web", 3));
    let old = host.start_all();
    let mut broken = spec("web", 3);
    broken.template.env.push("BROKEN=1".into());
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(broken) }).expect("updated");
    host.exit(old[0], 0);
    let first = host.start_all()[0];
    host.exit(first, 1);
    (host, id, old, first)
}

#[test]
fn while_a_rollout_is_held_a_replacement_runs_the_last_good_template() {
    let (mut host, id, old, first) = held_rollout();
    // So does the slot that failed: a failed update never ends below what there was.
    assert!(host.started.iter().all(|start| start.run.task != first.task));
    let again = host.started.iter().find(|start| start.slot == Slot::Number(1)).expect("started");
    assert!(!again.template.env.contains(&"BROKEN=1".to_owned()), "{:?}", again.template.env);
    host.start_all();
    host.started.clear();
    host.exit(old[1], 137);
    let again = host.started.iter().find(|start| start.slot == Slot::Number(2)).expect("restarted");
    assert!(!again.template.env.contains(&"BROKEN=1".to_owned()), "{:?}", again.template.env);
    assert_eq!(again.run.task, old[1].task, "a further attempt of the same task");
    // New slots run the last good template as well, also when the service is scaled meanwhile.
    let mut more = spec("web", 4);
    more.template.env.push("BROKEN=1".into());
    host.start_all();
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(more) }).unwrap();
    let new = host.started.iter().find(|start| start.slot == Slot::Number(4)).expect("started");
    assert!(!new.template.env.contains(&"BROKEN=1".to_owned()));
}

#[test]
fn an_update_over_a_held_one_keeps_the_template_that_was_good() {
    let (mut host, id, old, _) = held_rollout();
    let mut worse = spec("web", 3);
    worse.template.env.push("WORSE=1".into());
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(worse) }).unwrap();
    host.started.clear();
    host.exit(old[2], 137);
    let again = host.started.iter().find(|start| start.slot == Slot::Number(3)).expect("restarted");
    assert_eq!(again.template.env, ["SLOT=3"]);
}
