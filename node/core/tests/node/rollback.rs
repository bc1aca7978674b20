//! Failed updates and rollbacks, of one node: which template runs, and what is said.

use crdt_state::ServiceId;
use crdt_state::rollout::{Direction, FailureAction, FailurePolicy, UpdateRules};
use crdt_state::task::{Run, RunEvent, TaskState};
use node_core::{Edit, Refusal, Rollout, RolloutState, ServiceSpec, Steer};

use crate::host::{Host, spec};

const RELEASE_2: &str = "RELEASE=2";

pub(crate) fn rules(action: FailureAction, max_ratio: u32) -> UpdateRules {
    UpdateRules { failure: FailurePolicy { action, max_ratio }, canary: 0 }
}

fn release(replicas: u32, variable: &str, rules: UpdateRules) -> ServiceSpec {
    let mut spec = ServiceSpec { update_rules: rules, ..spec("web", replicas) };
    spec.template.env.push(variable.to_owned());
    spec
}

/// A service that has run its first release for a while.
fn running(replicas: u32, rules: UpdateRules) -> (Host, ServiceId) {
    let mut host = Host::new();
    let id = host.create(release(replicas, "RELEASE=1", rules));
    follow(&mut host, "nothing");
    host.wait(60_000);
    (host, id)
}

fn update(host: &mut Host, id: ServiceId, spec: ServiceSpec) {
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(spec) }).expect("updated");
}

fn steer(host: &mut Host, id: ServiceId, steer: Steer) -> Result<(), Refusal> {
    host.edit(Edit::SteerRollout { id, steer }).map(|_| ())
}

fn roll_back(host: &mut Host, id: ServiceId) -> Result<(), Refusal> {
    host.edit(Edit::RollBackService { id, version: None }).map(|_| ())
}

/// Starts what is to start and ends what is to end. A task of the release that is `broken` exits as
/// soon as it runs.
fn follow(host: &mut Host, broken: &str) {
    for _ in 0..100 {
        for run in std::mem::take(&mut host.stopped) {
            host.exit(run, 0);
        }
        for start in std::mem::take(&mut host.started) {
            host.report(start.run, RunEvent::Started { pid: 7 });
            if start.template.env.iter().any(|variable| variable == broken) {
                host.exit(start.run, 1);
            }
        }
        if host.started.is_empty() && host.stopped.is_empty() {
            return;
        }
    }
    panic!("it comes to rest");
}

/// As [`follow`], until monitor times of that many slots are over.
pub(crate) fn follow_for(host: &mut Host, broken: &str, slots: u32) {
    for _ in 0..=slots {
        follow(host, broken);
        host.wait(5_001);
    }
}

fn seen(host: &Host, id: ServiceId) -> Rollout {
    let service = host.node.service(id).expect("it is there");
    host.node.report(host.now).rollout(service).expect("it was updated")
}

fn state(host: &Host, id: ServiceId) -> (&'static str, String) {
    let seen = seen(host, id);
    (seen.state.as_str(seen.direction), seen.message)
}

/// How many tasks run with this variable.
fn run_with(host: &Host, id: ServiceId, variable: &str) -> usize {
    let service = host.node.service(id).expect("it is there");
    let tasks = host.tasks();
    let running = tasks.iter().filter_map(|task| task.status.as_ref()).filter(|status| {
        let template = service.template_of(status.template);
        status.desired_running
            && status.current.state == TaskState::Running
            && template.is_some_and(|template| template.env.iter().any(|held| held == variable))
    });
    running.count()
}

/// The run of the only task.
fn only_run(host: &Host) -> Run {
    let tasks = host.tasks();
    let mut wanted = tasks.iter().filter_map(|task| task.status.as_ref());
    let status = wanted.find(|status| status.desired_running).expect("a task");
    Run { task: status.id, attempt: status.current.number }
}

#[test]
fn a_broken_update_rolls_back_by_itself() {
    let (mut host, id) = running(3, rules(FailureAction::Rollback, 0));
    update(&mut host, id, release(3, "BROKEN=1", rules(FailureAction::Rollback, 0)));
    follow_for(&mut host, "BROKEN=1", 3);
    let (state_word, message) = state(&host, id);
    assert_eq!(state_word, "rollback_completed", "{message}");
    assert!(message.starts_with("update rolled back due to failure"), "{message}");
    assert!(message.contains("web.1 on pi-1: task: non-zero exit (1)"), "{message}");
    assert_eq!(run_with(&host, id, "RELEASE=1"), 3);
    let service = host.node.service(id).expect("it is there");
    assert!(service.template.env.contains(&"RELEASE=1".to_owned()), "that is what inspect shows");

    // Neither a restart of the agent nor a scale brings the broken release back.
    let mut host = Host::boot(2, host.disk.clone(), Vec::new());
    follow_for(&mut host, "BROKEN=1", 1);
    update(&mut host, id, release(5, "RELEASE=1", rules(FailureAction::Rollback, 0)));
    follow_for(&mut host, "BROKEN=1", 1);
    assert_eq!(run_with(&host, id, "RELEASE=1"), 5);
    // Who sends it again means it.
    update(&mut host, id, release(5, "BROKEN=1", rules(FailureAction::Rollback, 0)));
    follow_for(&mut host, "nothing", 5);
    assert_eq!((state(&host, id).0, run_with(&host, id, "BROKEN=1")), ("completed", 5));
}

#[test]
fn so_many_failures_are_tolerated_and_not_one_more() {
    for (broken_tasks, word) in [(3, "completed"), (4, "paused")] {
        let (mut host, id) = running(10, rules(FailureAction::Pause, 300_000));
        let mut next = release(10, RELEASE_2, rules(FailureAction::Pause, 300_000));
        next.update_policy.parallelism = 0;
        update(&mut host, id, next);
        let mut failed: Vec<Run> = Vec::new();
        for _ in 0..20 {
            for run in std::mem::take(&mut host.stopped) {
                host.exit(run, 0);
            }
            for start in std::mem::take(&mut host.started) {
                host.report(start.run, RunEvent::Started { pid: 7 });
                let is_new = start.template.env.contains(&RELEASE_2.to_owned());
                if is_new && failed.len() < broken_tasks {
                    host.exit(start.run, 1);
                    failed.push(start.run);
                }
            }
        }
        host.wait(5_001);
        follow(&mut host, "nothing");
        let (state_word, message) = state(&host, id);
        assert_eq!(state_word, word, "{broken_tasks} failed: {message}");
        let back = run_with(&host, id, "RELEASE=1");
        assert_eq!(back, if word == "paused" { broken_tasks } else { 0 }, "never below");
        assert_eq!(run_with(&host, id, RELEASE_2) + back, 10);
    }
}

#[test]
fn an_operator_rolls_back_and_forward_again_whatever_was_scaled_since() {
    let (mut host, id) = running(2, UpdateRules::default());
    let refused = roll_back(&mut host, id).expect_err("it was never updated").to_string();
    assert!(refused.contains("does not have a previous spec"), "{refused}");
    update(&mut host, id, release(2, RELEASE_2, UpdateRules::default()));
    follow_for(&mut host, "nothing", 2);
    let mut scaled = release(4, RELEASE_2, UpdateRules::default());
    scaled.labels.insert("team".to_owned(), "shop".to_owned());
    update(&mut host, id, scaled);
    follow_for(&mut host, "nothing", 1);
    for (word, variable) in [("back", "RELEASE=1"), ("forward", RELEASE_2), ("back", "RELEASE=1")] {
        roll_back(&mut host, id).expect(word);
        let (state_word, message) = state(&host, id);
        assert_eq!(state_word, "rollback_started", "{word}: {message}");
        follow_for(&mut host, "nothing", 4);
        assert_eq!(state(&host, id).0, "rollback_completed", "{word}");
        assert_eq!(run_with(&host, id, variable), 4, "{word}");
        let service = host.node.service(id).expect("it is there");
        assert_eq!(service.labels["team"], "shop", "{word}");
    }
}

#[test]
fn a_rollback_of_a_scale_gives_the_replicas_back() {
    let (mut host, id) = running(2, UpdateRules::default());
    update(&mut host, id, release(5, "RELEASE=1", UpdateRules::default()));
    follow(&mut host, "nothing");
    roll_back(&mut host, id).expect("rolled back");
    follow(&mut host, "nothing");
    assert_eq!(run_with(&host, id, "RELEASE=1"), 2);
}

#[test]
fn a_rollback_has_a_policy_of_its_own() {
    let (mut host, id) = running(3, UpdateRules::default());
    let mut next = release(3, RELEASE_2, UpdateRules::default());
    next.rollback_policy.pace.parallelism = 0;
    next.rollback_policy.pace.monitor_ms = 1_000;
    update(&mut host, id, next);
    follow_for(&mut host, "nothing", 3);
    roll_back(&mut host, id).expect("rolled back");
    follow(&mut host, "nothing");
    assert_eq!(run_with(&host, id, "RELEASE=1"), 3, "all at once");
    host.wait(1_001);
    assert_eq!(seen(&host, id).direction, Direction::Back);
    assert_eq!(seen(&host, id).state, RolloutState::Completed);
}

#[test]
fn a_paused_rollout_goes_on_when_it_is_resumed_and_at_no_scale() {
    let (mut host, id) = running(3, UpdateRules::default());
    assert!(steer(&mut host, id, Steer::Pause).is_err(), "nothing is under way");
    update(&mut host, id, release(3, RELEASE_2, UpdateRules::default()));
    follow(&mut host, "nothing");
    steer(&mut host, id, Steer::Pause).expect("paused");
    assert!(steer(&mut host, id, Steer::Pause).is_err(), "it is already");
    follow_for(&mut host, "nothing", 3);
    assert_eq!(run_with(&host, id, RELEASE_2), 1);
    assert_eq!(state(&host, id).0, "paused");
    // A scale and a label go on with nothing; a new slot runs what is good.
    update(&mut host, id, release(4, RELEASE_2, UpdateRules::default()));
    follow_for(&mut host, "nothing", 3);
    assert_eq!((run_with(&host, id, RELEASE_2), run_with(&host, id, "RELEASE=1")), (1, 3));
    // Docker's client has no word for it but an update that changes nothing.
    update(&mut host, id, release(4, RELEASE_2, UpdateRules::default()));
    follow_for(&mut host, "nothing", 4);
    assert_eq!(run_with(&host, id, RELEASE_2), 4);
    assert_eq!(state(&host, id).0, "completed");
    assert!(steer(&mut host, id, Steer::Resume).is_err(), "nothing is paused");
}

#[test]
fn a_failed_rollout_that_is_resumed_tries_its_slots_again() {
    let (mut host, id) = running(3, UpdateRules::default());
    update(&mut host, id, release(3, RELEASE_2, UpdateRules::default()));
    follow_for(&mut host, RELEASE_2, 3);
    assert_eq!((state(&host, id).0, run_with(&host, id, "RELEASE=1")), ("paused", 3));
    steer(&mut host, id, Steer::Resume).expect("resumed");
    assert_eq!(state(&host, id).0, "updating");
    follow_for(&mut host, "nothing", 3);
    assert_eq!((state(&host, id).0, run_with(&host, id, RELEASE_2)), ("completed", 3));
}

#[test]
fn canaries_wait_to_be_promoted() {
    let canary = UpdateRules { canary: 2, ..UpdateRules::default() };
    let (mut host, id) = running(5, canary);
    assert!(steer(&mut host, id, Steer::Promote).is_err(), "no update is under way");
    update(&mut host, id, release(5, RELEASE_2, canary));
    follow_for(&mut host, "nothing", 6);
    assert_eq!(run_with(&host, id, RELEASE_2), 2);
    let waiting = seen(&host, id);
    assert!(waiting.awaits_promotion && waiting.state == RolloutState::Paused);
    assert!(waiting.message.contains("edgectl service promote web"), "{}", waiting.message);
    steer(&mut host, id, Steer::Promote).expect("promoted");
    follow_for(&mut host, "nothing", 5);
    assert_eq!((state(&host, id).0, run_with(&host, id, RELEASE_2)), ("completed", 5));
    assert!(steer(&mut host, id, Steer::Promote).is_err(), "it was");
    roll_back(&mut host, id).expect("rolled back");
    follow_for(&mut host, "nothing", 5);
    assert_eq!(run_with(&host, id, "RELEASE=1"), 5, "a rollback waits for nobody");
}

#[test]
fn a_rollout_without_an_earlier_good_template_is_paused_and_says_so() {
    let mut host = Host::new();
    let rules = rules(FailureAction::Rollback, 0);
    let id = host.create(release(1, "NEVER=1", rules));
    follow_failing(&mut host, "NEVER=1");
    update(&mut host, id, release(1, "BROKEN=1", rules));
    follow_failing(&mut host, "BROKEN=1");
    let (state_word, message) = state(&host, id);
    assert_eq!(state_word, "paused", "{message}");
    assert!(message.contains("no earlier version ran healthy"), "{message}");
}

/// As [`follow`] with one attempt: nothing good takes the place of what fails.
fn follow_failing(host: &mut Host, broken: &str) {
    for run in std::mem::take(&mut host.stopped) {
        host.exit(run, 0);
    }
    for start in std::mem::take(&mut host.started) {
        host.report(start.run, RunEvent::Started { pid: 7 });
        if start.template.env.iter().any(|variable| variable == broken) {
            host.exit(start.run, 1);
        }
    }
}

#[test]
fn what_fails_after_its_monitor_time_changes_no_state_and_is_told() {
    let (mut host, id) = running(1, rules(FailureAction::Rollback, 0));
    update(&mut host, id, release(1, RELEASE_2, rules(FailureAction::Rollback, 0)));
    follow_for(&mut host, "nothing", 1);
    assert_eq!(state(&host, id), ("completed", "update completed".to_owned()));
    for _ in 0..4 {
        let run = only_run(&host);
        host.exit(run, 1);
        host.wait(300_000);
        follow(&mut host, "nothing");
    }
    let run = only_run(&host);
    host.exit(run, 9);
    let (state_word, message) = state(&host, id);
    assert_eq!(state_word, "completed");
    assert!(message.contains("since then web.1 on pi-1 keeps failing"), "{message}");
}

#[test]
fn a_new_task_that_fits_on_no_node_is_a_failure_and_stops_nothing() {
    let (mut host, id) = running(2, rules(FailureAction::Rollback, 0));
    let mut large = release(2, RELEASE_2, rules(FailureAction::Rollback, 0));
    large.template.reservations.generic.insert("gpu".to_owned(), 1);
    update(&mut host, id, large);
    follow(&mut host, "nothing");
    assert_eq!(run_with(&host, id, "RELEASE=1"), 2);
    host.wait(599_000);
    assert_eq!(state(&host, id).0, "updating");
    host.wait(2_000);
    let (state_word, message) = state(&host, id);
    assert!(state_word.starts_with("rollback_"), "{state_word}: {message}");
    assert!(message.contains("no node can take the new task"), "{message}");
    assert_eq!(run_with(&host, id, "RELEASE=1"), 2);
}

#[test]
fn what_is_said_of_other_services_is_no_update_to_go_back_from() {
    let (mut host, id) = running(2, rules(FailureAction::Pause, 0));
    update(&mut host, id, release(2, RELEASE_2, rules(FailureAction::Pause, 0)));
    follow_for(&mut host, "nothing", 3);
    let mut apart = release(2, RELEASE_2, rules(FailureAction::Pause, 0));
    host.create(spec("db", 1));
    apart.relations.affinities.rules = vec!["service!=db".to_owned()];
    update(&mut host, id, apart);
    roll_back(&mut host, id).expect("to the first release");
    let service = host.node.service(id).expect("there");
    assert!(service.template.env.contains(&"RELEASE=1".to_owned()), "{:?}", service.template.env);
    assert_eq!(service.relations.affinities.rules.len(), 1, "these stay");
}

#[test]
fn what_is_said_of_failures_does_not_depend_on_how_much_of_the_past_is_kept() {
    let said = |limit: i64| {
        let (mut host, id) = running(1, rules(FailureAction::Rollback, 0));
        let keep = Edit::UpdateFleet { version: None, task_history_limit: Some(limit) };
        host.edit(keep).expect("possible");
        update(&mut host, id, release(1, RELEASE_2, rules(FailureAction::Rollback, 0)));
        follow_for(&mut host, RELEASE_2, 2);
        let rolled_back = state(&host, id).1;
        // What it went back to fails as well, later.
        for _ in 0..4 {
            host.wait(300_000);
            follow(&mut host, "nothing");
            let run = only_run(&host);
            host.exit(run, 9);
        }
        (rolled_back, state(&host, id).1)
    };
    let (none, all) = (said(0), said(50));
    assert!(none.0.contains(": web.1 on pi-1: "), "{}", none.0);
    assert!(none.1.contains("keeps failing: failed: task: non-zero exit (9)"), "{}", none.1);
    assert_eq!(none, all);
}
