//! Jobs on one node and between two: a slot that ended with code 0 never runs again in its
//! iteration, whatever became of the node where it ran.

use crdt_state::job::JobReport;
use crdt_state::spec::{RestartCondition, Scale};
use crdt_state::task::{Run, Slot, TaskState};
use crdt_state::{RecordKey, ServiceId};
use node_core::edit::BadJob;
use node_core::{Edit, Refusal, Removal, ServiceSpec, TaskView};

use crate::host::{Host, spec};
use crate::pair::Pair;

fn job(completions: u32, max_concurrent: u32) -> ServiceSpec {
    let mut job = spec("job", 1);
    job.template.restart.condition = RestartCondition::OnFailure;
    job.scale = Scale::JobReplicated { completions, max_concurrent };
    job
}

fn update(host: &mut Host, id: ServiceId, change: impl FnOnce(&mut ServiceSpec)) {
    let service = host.node.services().find(|service| service.id == id).expect("it is there");
    let mut spec = ServiceSpec::of(service);
    change(&mut spec);
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(spec) }).expect("updated");
}

fn completed(host: &Host, id: ServiceId) -> usize {
    let service = host.node.services().find(|service| service.id == id).expect("it is there");
    host.node.report(host.now).job(service).expect("it is a job").completed
}

fn slots(host: &Host) -> Vec<Slot> {
    host.started.iter().map(|start| start.slot).collect()
}

/// Ends every task as soon as it runs, until nothing starts any more. Returns the slots in order.
fn run_to_the_end(host: &mut Host) -> Vec<Slot> {
    let mut ran = Vec::new();
    while !host.started.is_empty() {
        ran.extend(slots(host));
        for run in host.start_all() {
            host.exit(run, 0);
        }
        host.wait(1_000);
    }
    ran
}

#[test]
fn as_many_run_as_may_and_each_one_that_completes_makes_room() {
    let mut host = Host::new();
    let id = host.create(job(5, 2));
    assert_eq!(slots(&host), [1, 2].map(Slot::Number));
    let first = host.start_all()[0];
    host.exit(first, 0);
    assert_eq!((slots(&host), completed(&host, id)), (vec![Slot::Number(3)], 1));
    let second = host.start_all()[0];
    host.exit(second, 3);
    assert_eq!(slots(&host), [Slot::Number(3)], "one that fails is tried again");
    host.start_all();
    assert_eq!(host.tasks().iter().filter(|task| task.waits_for_others).count(), 2);
}

#[test]
fn a_slot_whose_policy_gives_up_has_failed_for_good() {
    let mut host = Host::new();
    let mut once = job(3, 1);
    once.template.restart.condition = RestartCondition::None;
    let id = host.create(once);
    let first = host.start_all()[0];
    host.exit(first, 1);
    assert_eq!(slots(&host), [Slot::Number(2)]);
    assert_eq!(run_to_the_end(&mut host), [2, 3].map(Slot::Number));
    host.wait(600_000);
    assert_eq!(completed(&host, id), 2);
    assert_eq!(host.started.len(), 0);
    let why = host.node.report(host.now).why_service(id);
    assert!(why[0].summary.contains("failed for good on pi-1"), "{}", why[0].summary);
    assert!(why[1].summary.contains("is complete: it ended with code 0 on pi-1"));
}

#[test]
fn an_agent_that_starts_again_runs_nothing_that_is_complete() {
    let mut host = Host::new();
    let id = host.create(job(3, 3));
    let runs = host.start_all();
    host.exit(runs[1], 0);
    let mut again = Host::boot(1, host.disk.clone(), Vec::new());
    again.wait(60_000);
    assert_eq!(slots(&again), [1, 3].map(Slot::Number), "the machine went down under two");
    run_to_the_end(&mut again);
    assert_eq!(completed(&again, id), 3);
}

#[test]
fn an_update_of_the_template_runs_all_again_also_one_that_goes_back() {
    let mut host = Host::new();
    let id = host.create(job(2, 1));
    assert_eq!(run_to_the_end(&mut host).len(), 2);
    update(&mut host, id, |spec| spec.labels = [("tier".to_owned(), "batch".to_owned())].into());
    update(&mut host, id, |spec| {
        spec.scale = Scale::JobReplicated { completions: 3, max_concurrent: 1 };
    });
    assert_eq!(run_to_the_end(&mut host), [Slot::Number(3)], "these begin no iteration");
    for args in ["7", "1000"] {
        update(&mut host, id, |spec| spec.template.args = vec![args.to_owned()]);
        assert_eq!(completed(&host, id), 0);
        assert_eq!(run_to_the_end(&mut host), [1, 2, 3].map(Slot::Number));
    }
    let service = host.node.services().next().expect("there is one");
    assert_eq!(host.node.report(host.now).job(service).expect("a job").iteration, 2);
}

#[test]
fn what_runs_of_an_older_iteration_ends_before_the_next_begins() {
    let mut host = Host::new();
    let id = host.create(job(1, 1));
    let run = host.start_all()[0];
    update(&mut host, id, |spec| spec.template.force_update += 1);
    host.wait(1_000);
    assert_eq!((host.stopped.as_slice(), host.started.len()), ([run].as_slice(), 0));
    host.exit(run, 0);
    assert_eq!(host.started.len(), 1);
    assert_eq!(completed(&host, id), 0, "what was asked to stop has not completed");
}

#[test]
fn what_makes_no_sense_for_a_job_is_refused() {
    let mut host = Host::new();
    let mut create = |change: fn(&mut ServiceSpec)| {
        let mut spec = job(2, 1);
        change(&mut spec);
        host.edit(Edit::CreateService(Box::new(spec))).expect_err("refused")
    };
    let always = create(|spec| spec.template.restart.condition = RestartCondition::Any);
    assert_eq!(always, Refusal::Job(BadJob::RestartsAlways));
    let policy = create(|spec| spec.update_policy.parallelism = 2);
    assert_eq!(policy, Refusal::Job(BadJob::UpdateConfig));
    let none = create(|spec| {
        spec.scale = Scale::JobReplicated { completions: 1, max_concurrent: 0 };
    });
    assert_eq!(none, Refusal::Job(BadJob::NoneConcurrent));
    let id = host.create(job(2, 1));
    for scale in [Scale::JobGlobal, Scale::Replicated { replicas: 2 }] {
        let spec = Box::new(ServiceSpec { scale, ..job(2, 1) });
        let refused = host.edit(Edit::UpdateService { id, version: None, spec });
        assert_eq!(refused, Err(Refusal::Job(BadJob::ModeChange)));
    }
}

fn ended_well(task: &TaskView) -> bool {
    task.status.as_ref().is_some_and(|status| status.current.state == TaskState::Complete)
}

/// Each of the two runs one of two slots of a job. Returns the run of each.
fn both_run() -> (Pair, ServiceId, [Run; 2]) {
    let mut pair = Pair::joined();
    let id = pair.hosts[0].create(job(2, 2));
    pair.wait(20_000);
    let runs = [0, 1].map(|host| pair.hosts[host].start_all()[0]);
    pair.wait(20_000);
    (pair, id, runs)
}

#[test]
fn a_slot_stays_complete_when_its_node_is_gone_for_good() {
    let (mut pair, id, runs) = both_run();
    pair.hosts[1].exit(runs[1], 0);
    pair.wait(20_000);
    assert_eq!(completed(&pair.hosts[0], id), 1);
    pair.is_heard = [false, false];
    pair.wait(120_000);
    let gone = pair.hosts[1].node.me();
    pair.hosts[0].edit(Edit::RemoveNode { id: gone, removal: Removal::IfGone }).expect("removed");
    pair.wait(120_000);
    assert_eq!((completed(&pair.hosts[0], id), pair.hosts[0].started.len()), (1, 0));
    let shown = pair.hosts[0].tasks();
    let complete = shown.iter().filter(|task| task.desired_running && ended_well(task));
    assert_eq!(complete.count(), 1, "whoever waits for the job counts it");
    pair.hosts[0].exit(runs[0], 0);
    pair.wait(20_000);
    assert_eq!((completed(&pair.hosts[0], id), pair.hosts[0].started.len()), (2, 0));
}

#[test]
fn a_slot_whose_node_dies_before_it_has_completed_runs_elsewhere() {
    let (mut pair, id, _) = both_run();
    pair.is_heard = [false, false];
    pair.wait(120_000);
    assert_eq!(pair.hosts[0].started.len(), 1);
    assert_eq!(completed(&pair.hosts[0], id), 0);
}

#[test]
fn after_a_heal_a_copy_runs_on_until_the_other_has_completed() {
    let (mut pair, id, runs) = both_run();
    pair.is_heard = [false, false];
    pair.wait(120_000);
    let copies = [0, 1].map(|host| pair.hosts[host].start_all()[0]);
    pair.is_heard = [true, true];
    pair.wait(120_000);
    let stopped = |pair: &Pair| pair.hosts.each_ref().map(|host| host.stopped.clone());
    assert_eq!(stopped(&pair), [vec![], vec![]], "both copies of both slots go on");
    let [copy, other] = copies;
    pair.hosts[1].exit(runs[1], 0);
    pair.wait(20_000);
    assert_eq!(pair.hosts[0].stopped, [copy], "the slot has completed on the other node");
    pair.hosts[0].exit(copy, 0);
    pair.hosts[0].exit(runs[0], 0);
    pair.wait(20_000);
    pair.hosts[1].exit(other, 137);
    pair.wait(20_000);
    for host in &pair.hosts {
        assert_eq!(completed(host, id), 2);
    }
}

#[test]
fn a_node_that_lost_its_disk_forgets_nothing_that_it_completed() {
    let (mut pair, id, runs) = both_run();
    pair.hosts[1].exit(runs[1], 0);
    pair.wait(20_000);
    let second = pair.hosts[1].node.me();
    let report = |pair: &Pair, host: usize| {
        let key = RecordKey::completions(second, id);
        let held = pair.hosts[host].node.replica().owned::<JobReport>(&key).map(|(_, said)| said);
        held.map_or(0, |said| said.iterations.iter().map(|done| done.slots.iter().count()).sum())
    };
    assert_eq!(report(&pair, 0), 1);
    pair.hosts[1] = Host::booted_again(2, 9, Default::default());
    pair.hosts[1].feed(node_core::Input::Join { addr: crate::host::addr(1) });
    pair.wait(60_000);
    assert_eq!((report(&pair, 0), report(&pair, 1)), (1, 1));
    assert_eq!(completed(&pair.hosts[1], id), 1);
    assert_eq!(pair.hosts[1].started.len(), 0);
    // It completes a further slot, after the first node ended in silence.
    pair.is_heard = [false, false];
    pair.wait(120_000);
    let run = pair.hosts[1].start_all()[0];
    pair.hosts[1].exit(run, 0);
    assert_eq!((report(&pair, 1), completed(&pair.hosts[1], id)), (2, 2));
    assert!(pair.hosts[1].states().contains(&TaskState::Complete));
}
