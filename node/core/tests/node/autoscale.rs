//! Services that are scaled by their load: what a node publishes, when it declares another count,
//! and what two nodes make of it that do not hear each other.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::autoscale::{Autoscale, DeclaredCount, ScalingReports};
use crdt_state::spec::Scale;
use crdt_state::task::Run;
use crdt_state::{RecordKey, ServiceId};
use node_core::autoscale::{AutoscaleStatus, DOWN_MS, PUBLISH_MS, RunUse};
use node_core::reason::ScaleReason;
use node_core::{Edit, Input, ServiceSpec};

use crate::host::{Host, spec};
use crate::pair::Pair;

pub(crate) const SAMPLE_MS: u64 = 10_000;

const CORE_NANO: u64 = 1_000_000_000;

/// `web`, from one task to ten, each with one core of which it is to use 60 percent.
pub(crate) fn web(replicas: u32) -> ServiceSpec {
    let mut web = spec("web", replicas);
    web.template.limits.nano_cpus = CORE_NANO;
    web.autoscale = Some(Autoscale { min: 1, max: 10, cpu: Some(60), memory: None });
    web
}

pub(crate) fn count(host: &Host, id: ServiceId) -> u32 {
    match host.node.service(id).expect("it is there").scale {
        Scale::Replicated { replicas } => replicas,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn status(host: &Host, id: ServiceId) -> AutoscaleStatus {
    let service = host.node.service(id).expect("it is there");
    host.node.report(host.now).autoscale(service).expect("it is scaled by its load")
}

pub(crate) fn said(host: &Host, by: &Host) -> ScalingReports {
    let key = RecordKey::scaling(by.node.me());
    host.node.replica().owned(&key).map(|(_, said)| said).unwrap_or_default()
}

/// What started runs, and what was stopped is over.
pub(crate) fn obey(host: &mut Host) {
    while !(host.started.is_empty() && host.stopped.is_empty()) {
        host.start_all();
        for run in std::mem::take(&mut host.stopped) {
            host.exit(run, 0);
        }
    }
}

/// Each measured task uses so many percent of its core.
pub(crate) fn measure(host: &mut Host, percent: u64) {
    let runs = host.node.measured_runs();
    let used = RunUse { millicores: percent * 10, memory_bytes: 0 };
    let found: BTreeMap<Run, RunUse> = runs.into_iter().map(|run| (run, used)).collect();
    if !found.is_empty() {
        host.feed(Input::UseFound(found));
    }
}

/// A load of so many percent, which the tasks share evenly and of which each takes at most its core,
/// for so long. Returns the counts that were in force.
pub(crate) fn load(host: &mut Host, id: ServiceId, percent: u64, ms: u64) -> Vec<u32> {
    let mut counts = vec![count(host, id)];
    for _ in 0..ms / SAMPLE_MS {
        host.wait(SAMPLE_MS);
        obey(host);
        let running = host.node.measured_runs().len() as u64;
        measure(host, percent.checked_div(running).unwrap_or(0).min(100));
        obey(host);
        if counts.last() != Some(&count(host, id)) {
            counts.push(count(host, id));
        }
    }
    counts
}

#[test]
fn a_load_above_its_target_makes_more_tasks_by_doubling_at_most() {
    let mut host = Host::new();
    let id = host.create(web(1));
    obey(&mut host);
    assert_eq!(load(&mut host, id, 330, 50_000), [1], "not at once");
    host.events.clear();
    assert_eq!(load(&mut host, id, 330, 600_000), [1, 2, 4, 6]);
    let told = host.events.iter().find(|event| event.action == "scale").expect("told");
    assert_eq!(told.attributes, [("from", "1".to_owned()), ("to", "2".to_owned())]);
    assert_eq!(status(&host, id).reason, ScaleReason::Fits);
    assert_eq!(load(&mut host, id, 5_000, 600_000), [6, 8, 10], "no more than are allowed");
    assert_eq!(status(&host, id).reason, ScaleReason::AtMax);
}

#[test]
fn a_load_below_its_target_makes_fewer_tasks_late_and_by_halves() {
    let mut host = Host::new();
    let id = host.create(web(8));
    obey(&mut host);
    assert_eq!(load(&mut host, id, 60, DOWN_MS), [8], "figures come after half a minute");
    assert_eq!(load(&mut host, id, 60, 60_000), [8, 4]);
    assert_eq!(load(&mut host, id, 60, DOWN_MS - 60_000), [4]);
    assert_eq!(load(&mut host, id, 60, 4 * DOWN_MS), [4, 2, 1]);
    assert_eq!(status(&host, id).reason, ScaleReason::Fits);
}

#[test]
fn a_load_that_returns_within_the_time_makes_no_fewer_tasks() {
    let mut host = Host::new();
    let id = host.create(web(4));
    obey(&mut host);
    for _ in 0..5 {
        assert_eq!(load(&mut host, id, 60, DOWN_MS - 60_000), [4], "it fell");
        assert_eq!(load(&mut host, id, 240, 120_000), [4], "it is back");
    }
    assert_eq!(load(&mut host, id, 200, DOWN_MS), [4], "as many as it needs, with a tolerance");
}

#[test]
fn the_highest_count_that_was_wanted_within_the_time_counts() {
    let mut host = Host::new();
    let id = host.create(web(8));
    obey(&mut host);
    load(&mut host, id, 400, 120_000);
    assert_eq!(load(&mut host, id, 60, DOWN_MS), [8, 7], "seven were wanted meanwhile");
}

#[test]
fn a_task_that_has_just_started_is_not_idle() {
    let mut host = Host::new();
    let id = host.create(web(2));
    obey(&mut host);
    load(&mut host, id, 120, 120_000);
    let four = ServiceSpec {
        autoscale: Some(Autoscale { min: 4, ..web(1).autoscale.unwrap() }),
        ..ServiceSpec::of(host.node.service(id).unwrap())
    };
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(four) }).expect("updated");
    // Two more tasks that never come up: two that are known use what they are to use.
    host.started.clear();
    for _ in 0..60 {
        host.wait(SAMPLE_MS);
        measure(&mut host, 60);
    }
    let now = status(&host, id);
    assert_eq!((now.count, now.known, now.reason), (4, 2, ScaleReason::Fits));
    assert_eq!(
        now.in_words(),
        "4 tasks by its load, of 4 to 10: CPU 60% of a target of 60% (2 tasks have figures); the \
         others count as if they used what they are to use"
    );
}

#[test]
fn without_figures_nothing_changes() {
    let mut host = Host::new();
    let id = host.create(web(3));
    obey(&mut host);
    host.wait(2 * DOWN_MS);
    assert_eq!((count(&host, id), status(&host, id).reason), (3, ScaleReason::NoFigures));
    load(&mut host, id, 180, 120_000);
    assert_eq!(status(&host, id).known, 3);
    host.wait(40_000);
    assert_eq!(status(&host, id).known, 0, "old figures are none");
}

#[test]
fn a_steady_load_is_written_once_and_a_changing_one_not_too_often() {
    let mut host = Host::new();
    let id = host.create(web(2));
    obey(&mut host);
    load(&mut host, id, 100, 180_000);
    let me = RecordKey::scaling(host.node.me());
    assert_eq!(said(&host, &host)[&id].cpu, 100);
    host.log.clear();
    for nearly in [100, 106, 94, 100].repeat(5) {
        load(&mut host, id, nearly, 80_000);
    }
    assert_eq!(host.log, Vec::<&str>::new(), "three points are less than a step");
    let before = host.disk[&me].clone();
    let (mut writes, mut last) = (0, before);
    for step in 0..60 {
        load(&mut host, id, if step % 12 < 6 { 40 } else { 130 }, SAMPLE_MS);
        writes += usize::from(host.disk[&me] != last);
        last.clone_from(&host.disk[&me]);
    }
    let most = usize::try_from(600_000 / PUBLISH_MS).expect("few");
    assert!((4..=most).contains(&writes), "{writes}");
}

#[test]
fn a_node_without_such_a_service_does_nothing() {
    let mut host = Host::new();
    host.create(spec("web", 3));
    obey(&mut host);
    host.wait(60_000);
    assert_eq!(host.node.measured_runs(), []);
    assert!(!host.disk.contains_key(&RecordKey::scaling(host.node.me())));
}

#[test]
fn an_update_makes_no_fewer_tasks_until_it_is_over() {
    let mut host = Host::new();
    let id = host.create(web(4));
    obey(&mut host);
    load(&mut host, id, 240, 120_000);
    let mut changed = ServiceSpec::of(host.node.service(id).expect("there"));
    changed.template.env.push("VERSION=2".into());
    changed.update_policy.delay_ms = 3_600_000;
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(changed) }).expect("updated");
    assert_eq!(load(&mut host, id, 60, 2 * DOWN_MS), [4]);
    assert_eq!(status(&host, id).reason, ScaleReason::Updating);
    for _ in 0..8 {
        host.wait(3_600_000);
        obey(&mut host);
    }
    assert_eq!(load(&mut host, id, 60, DOWN_MS + 60_000), [4, 2], "it is over");
}

/// Both hosts measure and obey.
fn load_pair(pair: &mut Pair, percent: [u64; 2], ms: u64) {
    for _ in 0..ms / SAMPLE_MS {
        pair.wait(SAMPLE_MS);
        for (host, percent) in pair.hosts.iter_mut().zip(percent) {
            obey(host);
            measure(host, percent);
        }
    }
    pair.wait(1_000);
}

fn counts(pair: &Pair, id: ServiceId) -> [u32; 2] {
    [count(&pair.hosts[0], id), count(&pair.hosts[1], id)]
}

#[test]
fn one_member_declares_and_the_other_one_if_it_is_not_heard() {
    let mut pair = Pair::joined();
    let id = pair.hosts[0].create(web(2));
    load_pair(&mut pair, [100, 100], 100_000);
    assert_eq!(counts(&pair, id), [4, 4]);
    let declared = |pair: &Pair, host: usize| {
        said(&pair.hosts[0], &pair.hosts[host]).get(&id).and_then(|said| said.declared)
    };
    let by = [declared(&pair, 0), declared(&pair, 1)];
    assert_eq!(by.iter().flatten().collect::<Vec<_>>(), [&DeclaredCount { round: 0, count: 4 }]);
    // The one that declared goes on alone on its side; so does the other one.
    pair.is_heard = [false, false];
    load_pair(&mut pair, [100, 100], 400_000);
    assert_eq!(counts(&pair, id), [10, 10], "each side by its own load");
}

#[test]
fn neither_side_of_a_partition_makes_fewer_and_the_higher_count_is_in_force_after_it() {
    let mut pair = Pair::joined();
    let id = pair.hosts[0].create(web(4));
    load_pair(&mut pair, [60, 60], 120_000);
    assert_eq!(counts(&pair, id), [4, 4]);
    pair.is_heard = [false, false];
    load_pair(&mut pair, [10, 100], 4 * DOWN_MS);
    let cut = counts(&pair, id);
    assert_eq!(cut, [4, 10], "one side is idle and keeps its count");
    let idle = status(&pair.hosts[0], id);
    assert_eq!((idle.reason, idle.silent.as_str()), (ScaleReason::Silent, "pi-2"));
    assert!(idle.in_words().contains("but pi-2 is silent"), "{}", idle.in_words());
    pair.is_heard = [true, true];
    load_pair(&mut pair, [30, 30], 120_000);
    assert_eq!(counts(&pair, id), [10, 10], "the higher count, on both sides");
    load_pair(&mut pair, [30, 30], DOWN_MS + 60_000);
    let [one, other] = counts(&pair, id);
    assert!(one == other && (5..10).contains(&one), "then it is damped like any other: {one}");
}

#[test]
fn the_side_with_more_tasks_counts_after_a_partition_however_often_the_other_one_changed() {
    let mut pair = Pair::joined();
    let id = pair.hosts[0].create(web(4));
    load_pair(&mut pair, [60, 60], 120_000);
    pair.is_heard = [false, false];
    let mut steps = BTreeSet::new();
    for _ in 0..60 {
        let other = if count(&pair.hosts[1], id) < 7 { 70 } else { 60 };
        load_pair(&mut pair, [100, other], SAMPLE_MS);
        steps.insert(counts(&pair, id));
    }
    let of = |host: usize| steps.iter().map(|counts| counts[host]).collect::<BTreeSet<u32>>();
    assert_eq!(of(0), [4, 7, 10].into());
    assert_eq!(of(1), [4, 5, 6, 7, 8].into(), "more changes, and fewer tasks");
    pair.is_heard = [true, true];
    load_pair(&mut pair, [0, 0], 2 * SAMPLE_MS);
    assert_eq!(counts(&pair, id), [10, 10], "as soon as they hear each other");
}

#[test]
fn a_node_that_starts_again_goes_on_with_the_count_in_force() {
    let mut host = Host::new();
    let id = host.create(web(1));
    obey(&mut host);
    load(&mut host, id, 300, 300_000);
    assert_eq!(count(&host, id), 5);
    let mut again = Host::boot(2, host.disk.clone(), Vec::new());
    assert_eq!(count(&again, id), 5);
    again.wait(20_000);
    assert_eq!(said(&again, &again)[&id].tasks, 5, "its first figures are to come");
    load(&mut again, id, 300, 120_000);
    assert_eq!(count(&again, id), 5);
}
