//! Jobs with a schedule: when they run, on one node and between two, and what clocks may do to them.

use std::collections::BTreeMap;

use crdt_state::schedule::{Missed, Overlap, RunReport, Schedule};
use crdt_state::spec::{RestartCondition, Scale};
use crdt_state::task::Slot;
use crdt_state::{RecordKey, ServiceId};
use node_core::schedules::{ClockFault, ScheduleStatus, TURN_MS};
use node_core::{Edit, Input, ServiceSpec};

use crate::host::{Host, spec};
use crate::pair::Pair;

pub(crate) const MINUTE_MS: u64 = 60_000;
pub(crate) const HOUR_MS: u64 = 60 * MINUTE_MS;
pub(crate) const DAY_MS: u64 = 24 * HOUR_MS;

/// 2026-11-30 02:59:00 UTC.
pub(crate) const START_MS: u64 = 1_796_007_540_000;

pub(crate) fn job(cron: &str) -> ServiceSpec {
    let mut job = spec("job", 1);
    job.template.restart.condition = RestartCondition::OnFailure;
    job.scale = Scale::JobReplicated { completions: 1, max_concurrent: 1 };
    let (cron, zone) = (cron.to_owned(), "UTC".to_owned());
    job.schedule = Some(Schedule { cron, zone, ..Schedule::default() });
    job
}

fn with(spec: ServiceSpec, overlap: Overlap, missed: Missed) -> ServiceSpec {
    let schedule = spec.schedule.map(|schedule| Schedule { overlap, missed, ..schedule });
    ServiceSpec { schedule, ..spec }
}

/// A host alone, a minute before three in the morning.
pub(crate) fn host() -> Host {
    let mut host = Host::new();
    host.clock_ms = START_MS;
    host
}

/// Two members of one fleet whose clocks show a minute before three, and who have compared them.
pub(crate) fn pair() -> Pair {
    let mut pair = strangers();
    compare_clocks(&mut pair);
    pair
}

/// The same before they have compared them.
pub(crate) fn strangers() -> Pair {
    let mut pair = Pair::joined();
    for host in &mut pair.hosts {
        host.clock_ms = START_MS - host.now.0;
    }
    pair
}

pub(crate) fn update(host: &mut Host, id: ServiceId, change: impl FnOnce(&mut ServiceSpec)) {
    let mut spec = ServiceSpec::of(host.node.service(id).expect("it is there"));
    change(&mut spec);
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(spec) }).expect("updated");
}

/// Ends what starts well, for as long as something starts. Returns how much there was.
pub(crate) fn complete(host: &mut Host) -> usize {
    let mut all = 0;
    while !host.started.is_empty() {
        for run in host.start_all() {
            host.exit(run, 0);
            all += 1;
        }
    }
    all
}

pub(crate) fn status(host: &Host, id: ServiceId) -> ScheduleStatus {
    let service = host.node.service(id).expect("it is there");
    host.node.report(host.now).schedule(service).expect("it has a schedule")
}

pub(crate) fn declared(host: &Host, by: &Host, id: ServiceId) -> Option<(u32, u64)> {
    let key = RecordKey::scheduled_runs(by.node.me(), id);
    let (_, report) = host.node.replica().owned::<RunReport>(&key)?;
    report.run.map(|run| (run.round, run.due_s * 1_000))
}

#[test]
fn a_job_runs_when_it_is_due_and_not_before() {
    let mut host = host();
    let id = host.create(job("0 3 * * *"));
    host.wait(MINUTE_MS - 1);
    assert_eq!(host.started.len(), 0, "not when it is created");
    assert_eq!(host.tasks().iter().filter(|task| task.waits_for_others).count(), 1);
    let why = &host.node.report(host.now).why_service(id)[0];
    assert_eq!(why.summary, "job.1 waits for its next run: 2026-11-30 03:00 UTC");
    assert!(why.running && why.fixes[0].contains("--force"), "{why:?}");
    let service = host.node.service(id).expect("there");
    assert_eq!(host.node.report(host.now).running(service), (0, 0));
    host.wait(1);
    assert_eq!(complete(&mut host), 1);
    host.wait(DAY_MS - 1);
    assert_eq!(complete(&mut host), 0);
    host.wait(1);
    assert_eq!(complete(&mut host), 1);
    let said = status(&host, id);
    assert_eq!(said.last.as_deref(), Some("2026-12-01 03:00 UTC"));
    assert_eq!(said.next.as_deref(), Some("2026-12-02 03:00 UTC"));
    let events: Vec<_> = host.events.iter().filter(|event| event.action == "run").collect();
    assert_eq!(events.len(), 2);
    assert_eq!(events[0].attributes, [("due", "2026-11-30 03:00 UTC".to_owned())]);
}

#[test]
fn between_two_runs_nothing_is_written() {
    let mut host = host();
    host.create(job("0 3 * * *"));
    host.wait(2 * MINUTE_MS);
    complete(&mut host);
    host.log.clear();
    host.wait(23 * HOUR_MS);
    assert_eq!(host.log, Vec::<&str>::new());
}

#[test]
fn force_runs_it_now_and_the_schedule_goes_on() {
    let mut host = host();
    let id = host.create(job("0 3 * * *"));
    update(&mut host, id, |spec| spec.template.force_update += 1);
    assert_eq!(complete(&mut host), 1);
    host.wait(MINUTE_MS);
    assert_eq!(complete(&mut host), 1);
    let runs = [1, 2].map(|_| {
        update(&mut host, id, |spec| spec.template.force_update += 1);
        host.node.service(id).and_then(|service| service.run).expect("declared").due_s
    });
    assert!(runs[0] < runs[1], "two in one second are two runs");
}

#[test]
fn a_new_template_waits_for_the_next_run_and_ends_the_present_one() {
    let mut host = host();
    let id = host.create(job("0 3 * * *"));
    host.wait(MINUTE_MS);
    let run = host.start_all()[0];
    update(&mut host, id, |spec| spec.labels = [("tier".to_owned(), "batch".to_owned())].into());
    assert_eq!(host.stopped, [], "a label is no new template");
    update(&mut host, id, |spec| spec.template.args = vec!["7".to_owned()]);
    assert_eq!(host.stopped, [run]);
    host.exit(run, 0);
    host.wait(DAY_MS - 1);
    assert_eq!(host.started.len(), 0);
    host.wait(1);
    assert_eq!(host.started[0].template.args, ["7"]);
}

#[test]
fn a_run_that_is_due_while_the_one_before_goes_on_is_passed_over() {
    let mut host = host();
    let id = host.create(job("*/10 * * * *"));
    host.wait(MINUTE_MS);
    let run = host.start_all()[0];
    host.wait(15 * MINUTE_MS);
    assert_eq!((host.started.len(), host.stopped.len()), (0, 0));
    let passed = status(&host, id).passed_over;
    assert_eq!(passed.as_deref(), Some("2026-11-30 03:10 UTC"));
    host.exit(run, 0);
    host.wait(4 * MINUTE_MS);
    assert_eq!(host.started.len(), 0, "it is not made up for");
    let mut again = Host::boot(1, host.disk.clone(), Vec::new());
    again.clock_ms = host.wall_ms();
    again.wait(50_000);
    assert_eq!(again.started.len(), 0, "nor after a restart");
    host.wait(MINUTE_MS);
    assert_eq!(complete(&mut host), 1);
}

#[test]
fn a_run_may_replace_the_one_before() {
    let mut host = host();
    host.create(with(job("*/10 * * * *"), Overlap::Replace, Missed::RunOnce));
    host.wait(MINUTE_MS);
    let run = host.start_all()[0];
    host.wait(10 * MINUTE_MS);
    assert_eq!((host.started.len(), host.stopped.as_slice()), (0, [run].as_slice()));
    host.exit(run, 0);
    assert_eq!(complete(&mut host), 1, "it begins when the earlier one has ended");
}

#[test]
fn of_the_runs_that_a_fleet_slept_through_the_latest_is_made_up_for_once() {
    for (missed, runs) in [(Missed::RunOnce, 1), (Missed::Skip, 0)] {
        let mut host = host();
        host.create(with(job("0 3 * * *"), Overlap::Skip, missed));
        host.wait(MINUTE_MS);
        complete(&mut host);
        let mut again = Host::boot(1, host.disk.clone(), Vec::new());
        again.clock_ms = host.wall_ms() + 5 * DAY_MS + HOUR_MS;
        again.wait(HOUR_MS);
        assert_eq!(complete(&mut again), runs, "{missed:?}");
        again.wait(DAY_MS - 3 * HOUR_MS);
        assert_eq!(complete(&mut again), 0);
        again.wait(2 * HOUR_MS);
        assert_eq!(complete(&mut again), 1, "the next one");
    }
}

#[test]
fn a_restart_over_the_due_time_loses_no_run_and_doubles_none() {
    for missed in [Missed::RunOnce, Missed::Skip] {
        let mut host = host();
        host.create(with(job("0 3 * * *"), Overlap::Skip, missed));
        host.wait(MINUTE_MS / 2);
        for late_ms in [MINUTE_MS, 2 * MINUTE_MS] {
            let mut again = Host::boot(1, host.disk.clone(), Vec::new());
            again.clock_ms = START_MS + late_ms;
            again.wait(MINUTE_MS);
            let expected = usize::from(late_ms == MINUTE_MS);
            assert_eq!(complete(&mut again), expected, "{missed:?} {late_ms}");
            host = again;
        }
    }
}

#[test]
fn a_clock_that_is_set_forward_or_back_runs_each_time_once() {
    let mut host = host();
    host.create(job("0 3 * * *"));
    host.wait(2 * MINUTE_MS);
    assert_eq!(complete(&mut host), 1);
    host.clock_ms -= 5 * MINUTE_MS;
    host.wait(10 * MINUTE_MS);
    assert_eq!(complete(&mut host), 0, "it was three o'clock before");
    host.clock_ms += 2 * DAY_MS;
    host.wait(MINUTE_MS);
    assert_eq!(complete(&mut host), 1, "the latest of those that were left out");
    host.clock_ms -= 2 * DAY_MS;
    host.wait(3 * DAY_MS - HOUR_MS);
    assert_eq!(complete(&mut host), 0, "alone it cannot know which time was right");
    host.wait(HOUR_MS);
    assert_eq!(complete(&mut host), 1);
}

#[test]
fn a_node_that_boots_in_1970_runs_nothing_and_says_why() {
    let mut host = host();
    let id = host.create(job("0 3 * * *"));
    let mut again = Host::boot(1, host.disk.clone(), Vec::new());
    again.wait(3 * DAY_MS);
    assert_eq!(again.started.len(), 0);
    let fault = status(&again, id).fault;
    assert!(matches!(fault, Some(ClockFault::BeforeRecords(_))), "{fault:?}");
    let why = &again.node.report(again.now).why_service(id)[0].summary;
    assert!(why.contains("its clock is 20784 days behind the time at which"), "{why}");
    again.clock_ms = START_MS + MINUTE_MS - again.now.0;
    again.wait(MINUTE_MS);
    assert_eq!(complete(&mut again), 1, "the time service has set it");
}

/// Starts and completes what is ordered on both, and tells how much.
pub(crate) fn complete_both(pair: &mut Pair) -> [usize; 2] {
    [0, 1].map(|no| complete(&mut pair.hosts[no]))
}

#[test]
fn both_sides_of_a_partition_run_a_job_and_it_is_one_run() {
    let mut pair = pair();
    let id = pair.hosts[0].create(job("0 3 * * *"));
    pair.wait(20_000);
    pair.is_heard = [false, false];
    pair.wait(10 * MINUTE_MS);
    assert_eq!(complete_both(&mut pair), [1, 1], "each side runs it");
    let versions =
        pair.hosts.each_ref().map(|host| host.node.service(id).expect("there").template_version);
    assert_eq!(versions[0], versions[1]);
    pair.is_heard = [true, true];
    pair.wait(10 * MINUTE_MS);
    assert_eq!(complete_both(&mut pair), [0, 0], "and none runs it again");
    let digests = pair.hosts.each_ref().map(|host| host.node.replica().digest());
    assert_eq!(digests[0], digests[1]);
}

#[test]
fn one_member_declares_a_run_and_the_other_when_it_is_silent() {
    let mut pair = pair();
    let id = pair.hosts[0].create(job("*/10 * * * *"));
    pair.wait(MINUTE_MS + 100);
    assert_eq!(complete_both(&mut pair).iter().sum::<usize>(), 1);
    let [one, other] = &pair.hosts;
    let by = [declared(one, one, id), declared(one, other, id)];
    let first = by.iter().position(Option::is_some).expect("declared");
    assert_eq!(by[1 - first], None, "once");
    // The one that would declare dies a moment before the next run.
    pair.wait(10 * MINUTE_MS - 1_000);
    pair.is_heard = [false, false];
    pair.hosts[first].clock_ms -= DAY_MS;
    pair.wait(1_000 + TURN_MS - 200);
    assert_eq!(declared(&pair.hosts[1 - first], &pair.hosts[1 - first], id), None);
    pair.wait(400);
    let second = &pair.hosts[1 - first];
    assert_eq!(declared(second, second, id), Some((0, START_MS + 11 * MINUTE_MS)));
}

/// Each hears what the clock of the other shows.
pub(crate) fn compare_clocks(pair: &mut Pair) {
    let [one, other] = pair.hosts.each_ref().map(|host| (host.node.me(), host.wall_ms()));
    pair.hosts[0].feed(Input::ClocksFound(BTreeMap::from([other])));
    pair.hosts[1].feed(Input::ClocksFound(BTreeMap::from([one])));
}

#[test]
fn a_schedule_that_comes_or_goes_begins_nothing() {
    let mut host = host();
    let plain = ServiceSpec { schedule: None, ..job("0 3 * * *") };
    let id = host.create(plain);
    let run = host.start_all()[0];
    update(&mut host, id, |spec| spec.schedule = job("0 3 * * *").schedule);
    assert_eq!(host.stopped, [], "what runs goes on to its end");
    host.exit(run, 0);
    host.wait(2 * MINUTE_MS);
    assert_eq!(complete(&mut host), 1);
    update(&mut host, id, |spec| spec.schedule = None);
    host.wait(2 * DAY_MS);
    assert_eq!(complete(&mut host), 0);
    update(&mut host, id, |spec| spec.template.force_update += 1);
    assert_eq!(complete(&mut host), 1, "as of every job");
}

#[test]
fn a_global_job_runs_on_every_node_when_it_is_due() {
    let mut pair = pair();
    let scale = Scale::JobGlobal;
    let id = pair.hosts[0].create(ServiceSpec { scale, ..job("*/10 * * * *") });
    pair.wait(30_000);
    assert_eq!(complete_both(&mut pair), [0, 0]);
    pair.wait(MINUTE_MS);
    assert_eq!(complete_both(&mut pair), [1, 1]);
    pair.wait(10 * MINUTE_MS);
    assert_eq!(complete_both(&mut pair), [1, 1]);
    pair.wait(1_000);
    let host = &pair.hosts[0];
    let service = host.node.service(id).expect("there");
    assert_eq!(host.node.report(host.now).job(service).expect("a job").completed, 2);
    assert!(host.tasks().iter().all(|task| matches!(task.slot, Slot::Node(_))));
}
