//! What is kept of a slot's past, and that nothing depends on it.

use crdt_state::rollout::{FailureAction, UpdateRules};
use crdt_state::spec::{RestartCondition, Scale, UpdateOrder, UpdatePolicy};
use crdt_state::task::{Run, TaskState};
use node_core::{Edit, TaskView};

use crate::host::{Host, spec};
use crate::pair::Pair;

/// The events of this action, by attempt.
fn told(host: &Host, action: &str) -> Vec<String> {
    let of = host.events.iter().filter(|event| event.action == action);
    of.map(|event| event.attributes[0].1.clone()).collect()
}

/// Past attempts and tasks that are listed.
fn past(tasks: &[TaskView]) -> usize {
    let of = |task: &TaskView| {
        let status = task.status.as_ref().expect("it was reported");
        status.history.len() + usize::from(!task.desired_running)
    };
    tasks.iter().map(of).sum()
}

/// The one task ends with code 1 and is started again, so many times.
fn crash(host: &mut Host, times: u32) -> Run {
    let mut run = host.start_all()[0];
    for _ in 0..times {
        host.exit(run, 1);
        host.wait(300_000);
        run = host.start_all()[0];
    }
    run
}

#[test]
fn the_past_is_forgotten_with_its_files_when_its_end_was_told() {
    let mut host = Host::new();
    host.create(spec("web", 1));
    let last = crash(&mut host, 8);
    assert_eq!(past(&host.tasks()), 5);
    let numbers: Vec<u32> = host.forgotten.iter().map(|run| run.attempt).collect();
    assert_eq!((last.attempt, numbers), (9, vec![1, 2, 3]));
    assert_eq!(told(&host, "die"), ["1", "2", "3", "4", "5", "6", "7", "8"]);
    assert_eq!(told(&host, "destroy"), ["1", "2", "3"]);
}

#[test]
fn a_task_that_ended_for_good_is_past_when_another_takes_its_place() {
    let mut host = Host::new();
    let mut once = spec("web", 1);
    once.template.restart.condition = RestartCondition::None;
    let id = host.create(once.clone());
    let run = host.start_all()[0];
    host.exit(run, 0);
    assert_eq!((host.states(), past(&host.tasks())), (vec![TaskState::Complete], 0));
    once.template.env.push("VERSION=2".into());
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(once) }).expect("updated");
    host.start_all();
    let wanted: Vec<bool> = host.tasks().iter().map(|task| task.desired_running).collect();
    assert_eq!((wanted, past(&host.tasks())), (vec![true, false], 1));
}

#[test]
fn a_slot_that_moved_shows_the_latest_of_all_its_nodes() {
    let (mut pair, id) = Pair::with_a_task_on_the_first();
    for host in [0, 1, 0] {
        for _ in 0..4 {
            let run = pair.hosts[host].node.report(pair.hosts[host].now).tasks();
            let of = |task: &TaskView| {
                task.desired_running && task.node == Some(pair.hosts[host].node.me())
            };
            let task = run.iter().find(|task| of(task)).expect("it runs here").clone();
            let attempt = task.status.expect("it was reported").current.number;
            pair.hosts[host].exit(Run { task: task.id, attempt }, 1);
            pair.wait(300_000);
            pair.hosts[host].start_all();
            pair.wait(5_000);
        }
        let other = 1 - host;
        let mut web = spec("web", 1);
        web.placement.constraints = vec![format!("node.hostname==pi-{}", other + 1)];
        let edit = Edit::UpdateService { id, version: None, spec: Box::new(web) };
        pair.hosts[0].edit(edit).expect("updated");
        pair.wait(20_000);
        pair.hosts[other].start_all();
        pair.wait(20_000);
        for run in std::mem::take(&mut pair.hosts[host].stopped) {
            pair.hosts[host].exit(run, 0);
        }
        pair.wait(20_000);
        for shown in [0, 1].map(|at: usize| pair.hosts[at].tasks()) {
            let latest = shown.iter().filter(|task| task.desired_running).count();
            assert_eq!((latest, past(&shown)), (1, 5), "{shown:#?}");
        }
    }
}

/// Has the fleet keep that much.
fn keep(host: &mut Host, limit: i64) {
    let edit = Edit::UpdateFleet { version: None, task_history_limit: Some(limit) };
    host.edit(edit).expect("possible");
}

#[test]
fn a_lower_limit_is_shown_at_once_and_holds_when_the_slot_is_written_next() {
    let mut host = Host::new();
    host.create(spec("web", 1));
    let run = crash(&mut host, 4);
    keep(&mut host, 1);
    host.log.clear();
    host.wait(3_600_000);
    assert_eq!(host.log, Vec::<&str>::new(), "an idle fleet is silent");
    assert_eq!((past(&host.tasks()), host.forgotten.len()), (1, 0));
    host.exit(run, 1);
    assert_eq!((past(&host.tasks()), host.forgotten.len()), (1, 4));
    host.wait(300_000);

    keep(&mut host, 0);
    assert_eq!(past(&host.tasks()), 0);
    crash(&mut host, 3);
    assert_eq!((past(&host.tasks()), host.forgotten.len()), (0, 8));
    assert_eq!(told(&host, "die").len(), 8, "every end was told");
    assert_eq!(told(&host, "destroy").len(), 8);
}

#[test]
fn a_higher_limit_lets_the_past_grow_from_then_on_and_outlives_the_agent() {
    let mut host = Host::new();
    keep(&mut host, 0);
    host.create(spec("web", 1));
    let run = crash(&mut host, 3);
    keep(&mut host, 10);
    assert_eq!(past(&host.tasks()), 0, "what is gone is gone");
    let mut again = Host::boot(1, host.disk.clone(), Vec::new());
    assert_eq!(again.node.report(again.now).fleet().task_history_limit, 10);
    again.wait(60_000);
    // The machine went down, which ended the run of before.
    assert_eq!((again.started[0].run.attempt, past(&again.tasks())), (run.attempt + 1, 1));
    crash(&mut again, 12);
    assert_eq!(past(&again.tasks()), 10);
}

#[test]
fn a_limit_that_is_none_changes_nothing_and_says_what_to_type() {
    let mut host = Host::new();
    keep(&mut host, 3);
    let (settings, digest) = (host.node.report(host.now).fleet(), host.node.replica().digest());
    for limit in [-1, 51, i64::MAX, i64::MIN] {
        let edit = Edit::UpdateFleet { version: None, task_history_limit: Some(limit) };
        let said = host.edit(edit).expect_err("not possible").to_string();
        assert!(said.contains(&limit.to_string()) && said.contains("from 0 to 50"), "{said}");
        assert!(said.contains("edgectl swarm update --task-history-limit 5"), "{said}");
    }
    let version = Some(settings.version + 1);
    let edit = Edit::UpdateFleet { version, task_history_limit: Some(4) };
    let said = host.edit(edit).expect_err("somebody else's").to_string();
    assert!(said.contains("update out of sequence"), "{said}");
    keep(&mut host, 3);
    assert_eq!(host.node.replica().digest(), digest, "nothing is written that is so anyway");
    let edit = Edit::UpdateFleet { version: Some(settings.version), task_history_limit: Some(4) };
    host.edit(edit).expect("as it was read");
    let now = host.node.report(host.now).fleet();
    assert!(now.task_history_limit == 4 && now.version > settings.version, "{now:?}");
}

#[test]
fn limits_of_two_sides_of_a_partition_are_one_and_the_other_can_be_picked() {
    let mut pair = Pair::joined();
    keep(&mut pair.hosts[0], 7);
    pair.wait(20_000);
    let limits = |pair: &Pair| {
        [0, 1].map(|at| pair.hosts[at].node.report(pair.hosts[at].now).fleet().task_history_limit)
    };
    assert_eq!(limits(&pair), [7, 7]);
    pair.is_heard = [false, false];
    pair.wait(60_000);
    keep(&mut pair.hosts[0], 1);
    keep(&mut pair.hosts[1], 2);
    assert_eq!(limits(&pair), [1, 2], "each side has its own meanwhile");
    pair.is_heard = [true, true];
    pair.wait(120_000);
    let [one, other] = limits(&pair);
    assert_eq!(one, other);
    let conflicts = pair.hosts[1].node.replica().conflicts();
    let [conflict] = &conflicts[..] else { panic!("{conflicts:?}") };
    let (key, facet) = (conflict.key, conflict.facet);
    let stamp = conflict.losers[0].stamp;
    pair.hosts[1].edit(Edit::PickConflict { key, facet, stamp }).expect("it is listed");
    pair.wait(20_000);
    assert_eq!(limits(&pair), [3 - one, 3 - one]);
    assert_eq!(pair.hosts[0].node.replica().conflicts(), []);
}

/// What a host does in a history that follows from a seed: each task it starts and stops.
fn doings(limit: i64, seed: u64) -> Vec<String> {
    let mut host = Host::new();
    keep(&mut host, limit);
    let mut seed = seed;
    let mut dice = move |sides: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % sides
    };
    let conditions = [RestartCondition::Any, RestartCondition::OnFailure, RestartCondition::None];
    let orders = [UpdateOrder::StopFirst, UpdateOrder::StartFirst, UpdateOrder::BlueGreen];
    let actions = [FailureAction::Pause, FailureAction::Continue, FailureAction::Rollback];
    let mut web = spec("web", 2);
    web.template.restart.condition = conditions[dice(3) as usize];
    web.update_policy.order = orders[dice(3) as usize];
    web.update_rules.failure.action = actions[dice(3) as usize];
    if dice(4) == 0 {
        web.scale = Scale::JobReplicated { completions: 3, max_concurrent: 2 };
        web.template.restart.condition = conditions[1 + dice(2) as usize];
        web.update_policy = UpdatePolicy::default();
        web.update_rules = UpdateRules::default();
    }
    let id = host.create(web.clone());
    let (mut live, mut did) = (Vec::<Run>::new(), Vec::new());
    for _ in 0..40 {
        did.extend(host.started.iter().map(|start| {
            format!("{} starts {:?} {:?}", host.now.0, start.slot, start.template.env)
        }));
        live.extend(host.start_all());
        did.extend(host.stopped.iter().map(|run| format!("{} stops {}", host.now.0, run.task)));
        for run in std::mem::take(&mut host.stopped) {
            live.retain(|other| *other != run);
            host.exit(run, 0);
        }
        match dice(8) {
            0..3 if !live.is_empty() => {
                let run = live.remove(dice(live.len() as u64) as usize);
                host.exit(run, i32::from(dice(3) > 0));
            }
            3 => {
                web.template.env = vec![format!("VERSION={}", dice(3))];
                let spec = Box::new(web.clone());
                did.push(format!(
                    "{:?}",
                    host.edit(Edit::UpdateService { id, version: None, spec })
                ));
            }
            4 if dice(3) == 0 => {
                did.push(format!("{:?}", host.edit(Edit::RollBackService { id, version: None })));
            }
            5 if dice(3) == 0 && !web.scale.is_job() => {
                web.scale = Scale::Replicated { replicas: dice(4) as u32 };
                let spec = Box::new(web.clone());
                did.push(format!(
                    "{:?}",
                    host.edit(Edit::UpdateService { id, version: None, spec })
                ));
            }
            _ => host.wait([100, 6_000, 700_000][dice(3) as usize]),
        }
    }
    let standing = host.tasks().into_iter().filter(|task| task.desired_running);
    did.extend(standing.map(|task| format!("{:?} {:?}", task.slot, task.reason)));
    did
}

#[test]
fn nothing_that_a_node_does_depends_on_how_much_of_the_past_it_keeps() {
    for seed in 0..16 {
        let (none, all) = (doings(0, seed), doings(50, seed));
        assert_eq!(none, all, "seed {seed}");
        assert_eq!(doings(1, seed), all, "seed {seed}");
    }
}
