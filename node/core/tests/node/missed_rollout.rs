//! A rollout that was over while a node was away: what fails there later does not undo it.

use crdt_state::ServiceId;
use crdt_state::rollout::{FailureAction, FailurePolicy};
use crdt_state::spec::{Facet, Scale};
use crdt_state::task::{RunEvent, Slot};
use node_core::{Edit, ServiceSpec};

use crate::host::{Host, spec};
use crate::pair::Pair;

const NEW: &str = "RELEASE=2";

/// What the new release does on a node.
#[derive(Clone, Copy, PartialEq, Eq)]
enum New {
    Works,
    Fails,
}

/// A service with a task on each node, whose updates roll back at the first failure.
fn global() -> ServiceSpec {
    let mut web = spec("web", 1);
    web.scale = Scale::Global;
    web.update_rules.failure.action = FailureAction::Rollback;
    web
}

/// Ends what is to end and starts what is to start; where the new release fails it exits.
fn follow(host: &mut Host, new: New) {
    for run in std::mem::take(&mut host.stopped) {
        host.exit(run, 0);
    }
    for start in std::mem::take(&mut host.started) {
        host.report(start.run, RunEvent::Started { pid: 7 });
        if new == New::Fails && start.template.env.iter().any(|variable| variable == NEW) {
            host.exit(start.run, 1);
        }
    }
}

/// Lets minutes pass.
fn pass(pair: &mut Pair, seconds: u32, on_second: New) {
    for _ in 0..seconds {
        pair.wait(1_000);
        follow(&mut pair.hosts[0], New::Works);
        follow(&mut pair.hosts[1], on_second);
    }
}

fn runs_the_new_one(host: &Host, id: ServiceId) -> bool {
    let service = host.node.service(id).expect("it is there");
    service.template.env.iter().any(|variable| variable == NEW)
}

fn update(host: &mut Host, id: ServiceId) {
    let mut web = global();
    web.template.env.push(NEW.to_owned());
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(web) }).expect("updated");
}

#[test]
fn a_node_that_was_away_does_not_undo_a_rollout_that_all_others_completed() {
    let mut pair = Pair::joined();
    let id = pair.hosts[0].create(global());
    pass(&mut pair, 30, New::Works);
    pair.is_heard = [false, false];
    pass(&mut pair, 30, New::Works);
    update(&mut pair.hosts[0], id);
    pass(&mut pair, 60, New::Works);
    pair.is_heard = [true, true];
    pass(&mut pair, 120, New::Fails);
    for host in &pair.hosts {
        assert!(runs_the_new_one(host, id), "the release that works elsewhere stays");
    }
    let tried = pair.hosts[1].node.service(id).expect("known").template_version;
    let said = pair.hosts[1].tasks();
    let mut own = said.iter().filter_map(|task| task.status.as_ref());
    assert!(own.any(|status| status.template == tried && status.current.number > 1), "it failed");
}

#[test]
fn a_node_that_was_there_all_the_time_does() {
    let mut pair = Pair::joined();
    let id = pair.hosts[0].create(global());
    pass(&mut pair, 30, New::Works);
    update(&mut pair.hosts[0], id);
    pass(&mut pair, 120, New::Fails);
    for host in &pair.hosts {
        assert!(!runs_the_new_one(host, id), "it is rolled back");
    }
}

/// The release that a host's tasks run, if they run one.
fn releases(pair: &Pair) -> Vec<String> {
    let of = |host: &Host| {
        let status = |task: node_core::TaskView| task.status.filter(|s| s.desired_running);
        let services: Vec<_> = host.node.services().cloned().collect();
        let mut found = Vec::new();
        for status in host.tasks().into_iter().filter_map(status) {
            let template = services[0].template_of(status.template).expect("a known one");
            found.extend(template.env.iter().filter(|v| v.starts_with("RELEASE")).cloned());
        }
        found
    };
    pair.hosts.iter().flat_map(of).collect()
}

#[test]
fn of_two_rollouts_on_two_sides_one_counts_as_a_whole_and_the_other_is_listed() {
    let mut pair = Pair::joined();
    let id = pair.hosts[0].create(global());
    pass(&mut pair, 30, New::Works);
    pair.is_heard = [false, false];
    pass(&mut pair, 30, New::Works);
    update(&mut pair.hosts[0], id);
    let mut other = global();
    other.template.env.push("RELEASE=3".to_owned());
    let edit = Edit::UpdateService { id, version: None, spec: Box::new(other) };
    pair.hosts[1].edit(edit).expect("updated");
    pass(&mut pair, 60, New::Works);
    pair.is_heard = [true, true];
    pass(&mut pair, 120, New::Works);
    let found = releases(&pair);
    let counts = pair.hosts[0].node.service(id).expect("known").template.env.clone();
    assert!(found.len() >= 2 && found.iter().all(|release| counts.contains(release)), "{found:?}");
    for host in &pair.hosts {
        let conflicts = host.node.replica().conflicts();
        let listed = conflicts
            .iter()
            .any(|conflict| conflict.winner.facet == Facet::TEMPLATE && conflict.losers.len() == 1);
        assert!(listed, "{conflicts:?}");
    }
}

#[test]
fn a_rollout_that_failed_on_one_side_is_rolled_back_on_both() {
    let mut pair = Pair::joined();
    let id = pair.hosts[0].create(global());
    pass(&mut pair, 30, New::Works);
    update(&mut pair.hosts[0], id);
    // The other one knows of it, and is cut off before its turn.
    pair.wait(1_000);
    follow(&mut pair.hosts[0], New::Works);
    pair.is_heard = [false, false];
    pass(&mut pair, 60, New::Fails);
    assert!(runs_the_new_one(&pair.hosts[0], id), "it works there");
    assert!(!runs_the_new_one(&pair.hosts[1], id), "and not here");
    pair.is_heard = [true, true];
    pass(&mut pair, 120, New::Fails);
    for host in &pair.hosts {
        assert!(!runs_the_new_one(host, id), "the verdict counts on both sides");
    }
    assert_eq!(releases(&pair), [""; 0], "the first release has no number");
}

/// A pair of which only the first host knows of an update of all at once that pauses when a task
/// fails, and has been told to start its new task.
fn updated_on_the_first() -> (Pair, ServiceId) {
    let paused = || {
        let mut web = global();
        web.update_rules.failure.action = FailureAction::Pause;
        web.update_policy.parallelism = 0;
        web.update_policy.monitor_ms = 60_000;
        web
    };
    let mut pair = Pair::joined();
    let id = pair.hosts[0].create(paused());
    pass(&mut pair, 30, New::Works);
    pair.is_heard = [false, false];
    let mut web = paused();
    web.template.env.push(NEW.to_owned());
    let edit = Edit::UpdateService { id, version: None, spec: Box::new(web) };
    pair.hosts[0].edit(edit).expect("updated");
    for run in std::mem::take(&mut pair.hosts[0].stopped) {
        pair.hosts[0].exit(run, 0);
    }
    (pair, id)
}

/// Links the hosts again, until the second one knows of the update.
fn tell_the_second(pair: &mut Pair, id: ServiceId) {
    pair.is_heard = [true, true];
    for _ in 0..100 {
        if runs_the_new_one(&pair.hosts[1], id) {
            return;
        }
        pair.wait(500);
    }
    panic!("it never hears of it");
}

/// The new release fails on the second host, and does this on the first one.
fn pass_with(pair: &mut Pair, seconds: u32, on_first: New) {
    for _ in 0..seconds {
        pair.wait(1_000);
        follow(&mut pair.hosts[0], on_first);
        follow(&mut pair.hosts[1], New::Fails);
    }
}

#[test]
fn a_slot_goes_back_although_its_node_heard_of_the_update_when_the_other_began_it() {
    let (mut pair, id) = updated_on_the_first();
    let starting = std::mem::take(&mut pair.hosts[0].started);
    assert_eq!(starting.len(), 1);
    tell_the_second(&mut pair, id);
    pair.hosts[0].started = starting;
    pass_with(&mut pair, 120, New::Works);
    assert_eq!(releases(&pair), [NEW; 2], "both see that only the first host runs it");
}

#[test]
fn a_slot_goes_back_although_its_node_heard_of_the_update_when_the_other_had_done_it() {
    let (mut pair, id) = updated_on_the_first();
    let [start] = &std::mem::take(&mut pair.hosts[0].started)[..] else { panic!("one task") };
    pair.hosts[0].report(start.run, RunEvent::Started { pid: 7 });
    tell_the_second(&mut pair, id);
    pass_with(&mut pair, 10, New::Works);
    assert_eq!(releases(&pair), [NEW; 4], "one fails, and does not count");
    pair.hosts[0].exit(start.run, 1);
    pass_with(&mut pair, 120, New::Fails);
    assert_eq!(releases(&pair), [""; 0], "both run the first release");
}

/// The run of the fourth slot, as both hosts see it.
fn last_runs(pair: &Pair) -> Vec<(Slot, crdt_state::TaskId, u32)> {
    let tasks = pair.hosts.iter().flat_map(Host::tasks);
    let wanted = tasks.filter_map(|task| {
        let status = task.status.filter(|status| status.desired_running)?;
        Some((task.slot, status.id, status.current.number))
    });
    wanted.filter(|(slot, ..)| *slot == Slot::Number(4)).collect()
}

#[test]
fn failures_that_are_too_many_together_stop_no_further_slot() {
    let mut web = spec("web", 4);
    // One of four is tolerated, two are not.
    web.update_rules.failure =
        FailurePolicy { action: FailureAction::Rollback, max_ratio: 300_000 };
    web.update_policy.parallelism = 2;
    let mut pair = Pair::joined();
    let id = pair.hosts[0].create(web.clone());
    pass(&mut pair, 30, New::Works);
    let before = last_runs(&pair);
    assert_eq!(before.len(), 2, "each host sees it");
    web.template.env.push(NEW.to_owned());
    let edit = Edit::UpdateService { id, version: None, spec: Box::new(web) };
    pair.hosts[0].edit(edit).expect("updated");
    pair.wait(10);
    // One is tolerated, on the host of the fourth slot. It hears of the other host's failure, which
    // is too much, before that host hears of its own.
    let fourth = pair.hosts[0].node.plan().owner(id, Slot::Number(4));
    let its = usize::from(fourth != Some(pair.hosts[0].node.me()));
    pair.is_heard[its] = false;
    for host in [its, 1 - its] {
        follow(&mut pair.hosts[host], New::Fails);
        pair.wait(10);
    }
    pair.is_heard = [true, true];
    for _ in 0..60 {
        pair.wait(1_000);
        for host in &mut pair.hosts {
            follow(host, New::Fails);
        }
    }
    assert_eq!(releases(&pair), [""; 0], "it was rolled back");
    assert_eq!(last_runs(&pair), before, "the fourth never stopped");
}
