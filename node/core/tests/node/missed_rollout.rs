//! A rollout that was over while a node was away: what fails there later does not undo it.

use crdt_state::ServiceId;
use crdt_state::rollout::FailureAction;
use crdt_state::spec::{Facet, Scale};
use crdt_state::task::RunEvent;
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
