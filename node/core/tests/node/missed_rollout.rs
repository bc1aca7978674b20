//! A rollout that was over while a node was away: what fails there later does not undo it.

use crdt_state::ServiceId;
use crdt_state::rollout::FailureAction;
use crdt_state::spec::Scale;
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
