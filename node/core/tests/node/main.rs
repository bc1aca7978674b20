//! One node, given inputs by hand: what it orders, in which order, and what it reports.

mod autoscale;
mod autoscale_edits;
mod bad_schedules;
mod blue_green;
mod conditions;
mod configs;
mod conflicts;
mod departed_networks;
mod devices;
mod dry_run;
mod encrypted;
mod extensions;
mod host;
mod jobs;
mod leases;
mod lost_verdict;
mod missed_rollout;
mod names;
mod names_behind;
mod network_names;
mod networks;
mod pair;
mod past;
mod poison;
mod ports;
mod priority;
mod relations;
mod resources;
mod returned_networks;
mod rollback;
mod rollout;
mod runs;
mod schedule_clocks;
mod schedules;
mod secrets;
mod site_routes;
mod slot_order;
mod standalone;
mod timers;
mod together;
mod tokens;
mod unread_leases;
mod versions;
mod views;
mod volumes;

use std::collections::BTreeMap;

use crdt_state::ServiceId;
use crdt_state::spec::RestartCondition;
use crdt_state::task::{AdoptedRun, Exit, Health, RunEvent, TaskState};
use node_core::node::BOOT_HOLD_MS;
use node_core::{Edit, Input, ServiceSpec};

use host::{Host, health, spec};

#[test]
fn a_service_is_written_before_it_is_acknowledged_and_before_it_starts() {
    let mut host = Host::new();
    host.log.clear();
    host.disk_answers = false;
    host.feed(Input::Edit {
        ticket: 1,
        edit: Box::new(Edit::CreateService(Box::new(spec("web", 2)))),
    });
    assert_eq!(host.log, ["persist"], "nothing that depends on the write before it is on disk");
    host.disk_answers = true;
    let seq = host.unanswered.pop().expect("a write is under way");
    host.feed(Input::Persisted { seq });
    assert!(host.answers.pop().expect("answered").is_ok());
    assert_eq!(host.started.len(), 2);
    assert_eq!(host.started[1].template.env, ["SLOT=2"]);
}

#[test]
fn a_start_that_waits_for_the_disk_is_taken_back_with_the_service() {
    let mut host = Host::new();
    host.disk_answers = false;
    let edit = |edit| Input::Edit { ticket: 1, edit: Box::new(edit) };
    host.feed(edit(Edit::CreateService(Box::new(spec("web", 2)))));
    let id = host.node.services().next().expect("it is there, if not yet on disk").id;
    host.feed(edit(Edit::RemoveService { id }));
    host.disk_answers = true;
    let seq = host.unanswered.pop().expect("a write is under way");
    host.feed(Input::Persisted { seq });
    host.wait(60_000);
    assert_eq!((host.started.len(), host.stopped.len()), (0, 0));
    assert!(host.tasks().is_empty());
}

#[test]
fn an_idle_node_writes_nothing() {
    let mut host = Host::new();
    host.create(spec("web", 3));
    host.start_all();
    host.wait(60_000);
    host.log.clear();
    host.wait(3_600_000);
    assert_eq!(host.log, Vec::<&str>::new());
}

#[test]
fn a_program_that_ends_is_started_again_at_once_and_then_ever_later() {
    let mut host = Host::new();
    host.create(spec("web", 1));
    let first = host.start_all()[0];
    host.exit(first, 1);
    let second = host.start_all()[0];
    assert_eq!((second.task, second.attempt), (first.task, 2), "an attempt of the same task");
    host.exit(second, 1);
    assert!(host.started.is_empty(), "the second restart waits");
    host.wait(5_001);
    assert_eq!(host.started.len(), 1);
    let history = host.tasks()[0].status.as_ref().unwrap().history.clone();
    assert_eq!(history.len(), 2);
    assert!(history[0].message.contains("non-zero exit (1)"), "{}", history[0].message);
}

#[test]
fn a_task_that_completed_stays_so_if_the_policy_says_on_failure() {
    let mut host = Host::new();
    let mut job = spec("job", 1);
    job.template.restart.condition = RestartCondition::OnFailure;
    host.create(job);
    let run = host.start_all()[0];
    host.exit(run, 0);
    host.wait(600_000);
    assert_eq!(host.states(), [TaskState::Complete]);
    assert!(host.started.is_empty());
}

#[test]
fn an_unhealthy_task_is_stopped_and_started_again() {
    let mut host = Host::new();
    let mut checked = spec("web", 1);
    checked.template.health = Some(health());
    host.create(checked);
    let run = host.start_all()[0];
    assert!(host.tasks()[0].reason.is_some(), "running and not yet healthy");
    host.report(run, RunEvent::HealthChanged(Health::Healthy));
    assert_eq!(host.tasks()[0].reason, None);
    host.report(run, RunEvent::HealthChanged(Health::Unhealthy));
    assert_eq!(host.stopped, [run]);
    host.report(run, RunEvent::Exited { exit: Exit::Signal(15), oom: false });
    assert_eq!(host.started[0].run.attempt, 2);
}

#[test]
fn what_a_running_task_cannot_have_is_told_until_it_ends() {
    let mut host = Host::new();
    let id = host.create(spec("web", 1));
    let run = host.start_all()[0];
    let message = "the limit of 20 processes is not enforced".to_owned();
    host.report(run, RunEvent::Noted { message: message.clone() });
    let current = |host: &Host| host.tasks()[0].status.as_ref().unwrap().current.clone();
    assert_eq!(current(&host).note(), Some(message.as_str()));
    assert_eq!(host.tasks()[0].reason, None, "it is well all the same");
    let why = host.node.report(host.now).why_service(id);
    assert!(why[0].running && why[0].summary.ends_with(&message), "{}", why[0].summary);
    host.exit(run, 1);
    host.report(run, RunEvent::Noted { message });
    assert_eq!(current(&host).note(), None, "nothing that is over says anything");
}

#[test]
fn scaling_down_stops_the_highest_slots_and_forgets_them() {
    let mut host = Host::new();
    let id = host.create(spec("web", 3));
    let runs = host.start_all();
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(spec("web", 1)) }).unwrap();
    assert_eq!(host.stopped.len(), 2);
    assert!(!host.stopped.contains(&runs[0]));
    for run in host.stopped.clone() {
        host.exit(run, 0);
    }
    assert_eq!(host.states(), [TaskState::Running]);
}

#[test]
fn a_new_template_replaces_slot_after_slot() {
    let mut host = Host::new();
    let id = host.create(spec("web", 3));
    let old = host.start_all();
    let mut changed = spec("web", 3);
    changed.template.env.push("VERSION=2".into());
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(changed) }).unwrap();
    assert_eq!(host.stopped, [old[0]], "one at a time");
    host.exit(old[0], 0);
    host.start_all();
    assert_eq!(host.stopped.len(), 1, "the next one waits for the monitor time");
    host.wait(5_001);
    assert_eq!(host.stopped, [old[0], old[1]]);
    host.exit(old[1], 0);
    host.start_all();
    host.wait(5_001);
    host.exit(old[2], 0);
    host.start_all();
    host.wait(60_000);
    let running = host.tasks().into_iter().filter(|t| t.desired_running).collect::<Vec<_>>();
    assert_eq!(running.len(), 3);
    assert!(running.iter().all(|t| t.reason.is_none()));
}

#[test]
fn a_constraint_that_fits_nowhere_stops_nothing() {
    let mut host = Host::new();
    let id = host.create(spec("web", 2));
    let runs = host.start_all();
    let mut nowhere = spec("web", 2);
    nowhere.placement.constraints = vec!["node.labels.zone==moon".into()];
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(nowhere.clone()) }).unwrap();
    host.wait(600_000);
    assert!(host.stopped.is_empty());
    let why = host.node.report(host.now).why_service(id);
    assert!(why[0].summary.contains("until there is a place"), "{}", why[0].summary);
    // An update of its template, which could not start anywhere, does not stop it either.
    nowhere.template.env.push("VERSION=2".into());
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(nowhere) }).unwrap();
    host.wait(600_000);
    assert!(host.stopped.is_empty() && host.started.is_empty());
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(spec("web", 2)) }).unwrap();
    host.wait(600_000);
    assert!(host.stopped.is_empty() && host.started.is_empty(), "the same template again");
    assert_eq!(host.states(), [TaskState::Running; 2]);
    host.exit(runs[0], 1);
    assert_eq!(host.started.len(), 1);
}

#[test]
fn a_killed_agent_adopts_what_runs_and_restarts_nothing() {
    let mut host = Host::new();
    host.create(spec("web", 2));
    let starts = host.started.clone();
    host.start_all();
    let adopted = starts
        .iter()
        .map(|s| AdoptedRun { start: s.clone(), event: RunEvent::Started { pid: 101 } })
        .collect();
    let mut again = Host::boot(1, host.disk.clone(), adopted);
    again.wait(60_000);
    assert!(again.started.is_empty() && again.stopped.is_empty());
    assert_eq!(again.states(), [TaskState::Running; 2]);
}

#[test]
fn a_run_that_ended_while_the_agent_was_away_is_started_again() {
    let mut host = Host::new();
    host.create(spec("web", 1));
    let start = host.started[0].clone();
    host.start_all();
    let event = RunEvent::Exited { exit: Exit::Code(3), oom: false };
    let mut again = Host::boot(1, host.disk.clone(), vec![AdoptedRun { start, event }]);
    again.wait(BOOT_HOLD_MS);
    assert_eq!(again.started.len(), 1);
    assert_eq!(again.started[0].run.attempt, 2);
}

#[test]
fn after_a_power_cut_everything_starts_without_any_network() {
    let mut host = Host::new();
    host.create(spec("web", 3));
    host.start_all();
    let mut again = Host::boot(1, host.disk.clone(), Vec::new());
    again.wait(BOOT_HOLD_MS);
    assert_eq!(again.started.len(), 3);
}

#[test]
fn a_node_that_lost_its_disk_adopts_what_runs() {
    let mut host = Host::new();
    host.create(spec("web", 1));
    let start = host.started[0].clone();
    host.start_all();
    let disk = BTreeMap::new();
    let adopted = vec![AdoptedRun { start, event: RunEvent::Started { pid: 101 } }];
    let mut again = Host::boot(2, disk, adopted);
    // The node has no record of the service, and no peer is there to ask: the task goes on.
    again.wait(3_600_000);
    assert!(again.stopped.is_empty() && again.started.is_empty());
    assert_eq!(again.disk.keys().filter(|k| k.kind == crdt_state::Kind::TASK).count(), 1);
}

#[test]
fn a_refused_edit_changes_nothing() {
    let mut host = Host::new();
    let id = host.create(spec("web", 1));
    let digest = host.node.replica().digest();
    let mut cases: Vec<(Edit, &str)> = Vec::new();
    let create = |spec: ServiceSpec| Edit::CreateService(Box::new(spec));
    cases.push((create(spec("web", 1)), "already exists"));
    cases.push((create(spec("-web", 1)), "not a service name"));
    cases.push((create(spec("big", 1_000_000)), "more than 100000"));
    let mut constrained = spec("a", 1);
    constrained.placement.constraints = vec!["node.colour==red".into()];
    cases.push((create(constrained), "not a property of a node"));
    let mut empty = spec("b", 1);
    (empty.template.command, empty.template.args) = (Vec::new(), Vec::new());
    cases.push((create(empty), "no image"));
    let mut placeholder = spec("c", 1);
    placeholder.template.env = vec!["A={{.Task.Port}}".into()];
    cases.push((create(placeholder), "not a placeholder"));
    let mut large = spec("d", 1);
    large.template.env = vec!["A".repeat(70_000)];
    cases.push((create(large), "at most 65536"));
    let version = Some(1_000_000);
    let update = Edit::UpdateService { id, version, spec: Box::new(spec("web", 2)) };
    cases.push((update, "out of sequence"));
    cases.push((Edit::RemoveService { id: ServiceId([9; 16]) }, "not found"));
    for (edit, words) in cases {
        let refusal = host.edit(edit).expect_err(words).to_string();
        assert!(refusal.contains(words), "{refusal}");
    }
    assert_eq!(host.node.replica().digest(), digest);
}

#[test]
fn every_task_that_does_not_run_has_a_reason() {
    let mut host = Host::new();
    let mut nowhere = spec("nowhere", 1);
    nowhere.placement.constraints = vec!["node.labels.zone==a".into()];
    let id = host.create(nowhere);
    host.create(spec("starting", 1));
    let tasks = host.tasks();
    assert_eq!(tasks.len(), 2);
    assert!(tasks.iter().all(|t| t.reason.as_ref().is_some_and(|r| !r.is_empty())), "{tasks:?}");
    let why = host.node.report(host.now).why_service(id);
    assert!(why[0].summary.contains("no suitable node"), "{}", why[0].summary);
    assert_eq!(
        why[0].fixes,
        ["edgectl service update --constraint-rm 'node.labels.zone==a' nowhere"]
    );
}

#[test]
fn a_node_without_a_build_of_the_image_says_which_is_missing() {
    let mut host = Host::new();
    let mut other = spec("other", 1);
    let platform = |arch: &str| crdt_state::spec::Platform {
        os: "linux".into(),
        arch: arch.into(),
        variant: String::new(),
    };
    other.template.container.platforms = vec![platform("amd64"), platform("riscv64")];
    let id = host.create(other);
    let why = host.node.report(host.now).why_service(id);
    let verdict = &why[0].nodes[0];
    assert_eq!(verdict.code, "platform");
    assert_eq!(verdict.detail, "arm64: the image has no arm64 build (it has amd64, riscv64)");
    assert!(why[0].fixes[0].starts_with("edgectl service update --image"), "{:?}", why[0].fixes);
    assert!(host.tasks()[0].reason.as_ref().is_some_and(|r| r.contains("no arm64 build")));
}

#[test]
fn a_service_that_is_removed_leaves_nothing_behind() {
    let mut host = Host::new();
    let id = host.create(spec("web", 2));
    let runs = host.start_all();
    host.edit(Edit::RemoveService { id }).unwrap();
    assert_eq!(host.stopped.len(), 2);
    for run in runs {
        host.exit(run, 0);
    }
    assert!(host.tasks().is_empty());
    assert!(host.node.plan().services.is_empty());
    host.create(spec("web", 1));
}
