//! Services that run at most once: who asks, who grants, who stops, and who waits.

use std::collections::BTreeSet;

use crdt_state::ServiceId;
use crdt_state::partition::{Partition, PartitionPolicy};
use crdt_state::task::{AdoptedRun, Exit, Run, RunEvent, TaskStart, TaskState};
use gossip::Now;
use node_core::edit::BadPartition;
use node_core::leases::promised_ms;
use node_core::{Edit, Input, Refusal, Removal, ServiceSpec};

use crate::host::{Host, spec};
use crate::pair::Pair;

const FENCE_MS: u64 = 10_000;
/// The stop grace period of the tests' services.
const GRACE_MS: u64 = 10_000;

/// `pi-2` is the anchor, and the service is to run on this host.
fn anchored(pair: &Pair, host: &str) -> ServiceSpec {
    let mut web = spec("web", 1);
    web.placement.constraints = vec![format!("node.hostname=={host}")];
    let anchors = BTreeSet::from([pair.hosts[1].node.me()]);
    let policy = PartitionPolicy::AtMostOne;
    web.partition = Partition { policy, fence_after_ms: FENCE_MS, anchors };
    web
}

/// A service that runs on `pi-1`, with its run.
pub(crate) fn running_on_the_first() -> (Pair, ServiceId, TaskStart) {
    let mut pair = Pair::joined();
    // A witness without a store of its own grants nothing before this.
    pair.wait(promised_ms(FENCE_MS + GRACE_MS));
    let web = anchored(&pair, "pi-1");
    let id = pair.hosts[0].create(web);
    pair.wait(2_000);
    let start = pair.hosts[0].started[0].clone();
    pair.hosts[0].start_all();
    pair.wait(60_000);
    assert_eq!((pair.hosts[0].stopped.len(), pair.hosts[1].started.len()), (0, 0));
    (pair, id, start)
}

fn cut(pair: &mut Pair) {
    pair.is_heard = [false, false];
}

#[test]
fn a_task_is_stopped_when_its_anchors_are_silent_and_goes_on_when_they_answer() {
    let (mut pair, id, start) = running_on_the_first();
    cut(&mut pair);
    let cut_at = pair.hosts[0].now;
    pair.wait(FENCE_MS * 3 / 4 - 100);
    assert_eq!(pair.hosts[0].stopped, []);
    let end = pair.hosts[0].expiries[&start.run];
    assert!(
        end <= cut_at.plus(FENCE_MS + GRACE_MS),
        "its monitor knows when it ends at the latest"
    );
    pair.wait(FENCE_MS / 4 + 200);
    assert_eq!(pair.hosts[0].stopped, [start.run]);
    pair.hosts[0].exit(start.run, 0);
    assert_eq!(pair.hosts[0].states(), [TaskState::Shutdown]);
    pair.wait(20_000);
    let why = pair.hosts[0].node.report(pair.hosts[0].now).why_service(id).remove(0).summary;
    assert!(why.contains("1 of its 1 anchors must be in view, and pi-2 is not"), "{why}");
    assert_eq!(pair.hosts[0].started, []);
    pair.is_heard = [true, true];
    pair.wait(20_000);
    assert_eq!(pair.hosts[0].started.len(), 1, "the leases are still its own");
}

#[test]
fn an_agent_that_stood_still_fences_before_it_does_anything_else() {
    let (mut pair, id, start) = running_on_the_first();
    let mut other = spec("api", 1);
    other.placement.constraints = vec!["node.hostname==pi-1".into()];
    pair.hosts[0].now = pair.hosts[0].now.plus(60_000);
    pair.hosts[0].log.clear();
    pair.hosts[0].create(other);
    assert_eq!(pair.hosts[0].stopped, [start.run]);
    let log = &pair.hosts[0].log;
    let first = log.iter().find(|deed| matches!(**deed, "start" | "stop"));
    assert_eq!(first, Some(&"stop"), "{log:?}");
    assert!(pair.hosts[0].node.service(id).is_some());
}

#[test]
fn the_other_side_waits_until_the_task_has_certainly_ended() {
    let (mut pair, id, _) = running_on_the_first();
    cut(&mut pair);
    pair.wait(5_000);
    let spec = anchored(&pair, "pi-2");
    let edit = Edit::UpdateService { id, version: None, spec: Box::new(spec) };
    pair.hosts[1].edit(edit).expect("updated");
    let last_asked = FENCE_MS / 4;
    pair.wait(promised_ms(FENCE_MS + GRACE_MS) - 5_000 - last_asked - 100);
    assert_eq!(pair.hosts[1].started, [], "the lease of pi-1 may still be in force");
    let why = pair.hosts[1].node.report(pair.hosts[1].now).why_service(id).remove(0).summary;
    assert!(why.contains("waits until pi-1 has certainly stopped it"), "{why}");
    pair.wait(last_asked + 1_500);
    assert_eq!(pair.hosts[1].started.len(), 1);
}

#[test]
fn a_move_stops_first_and_needs_no_wait() {
    let (mut pair, id, start) = running_on_the_first();
    let spec = anchored(&pair, "pi-2");
    let edit = Edit::UpdateService { id, version: None, spec: Box::new(spec) };
    pair.hosts[0].edit(edit).expect("updated");
    pair.wait(2_000);
    assert_eq!(pair.hosts[0].stopped, [start.run]);
    assert_eq!(pair.hosts[1].started, [], "it still runs");
    pair.hosts[0].exit(start.run, 0);
    pair.wait(2_000);
    assert_eq!(pair.hosts[1].started.len(), 1, "the lease was given back");
}

#[test]
fn an_agent_that_begins_again_goes_on_with_the_task_while_it_asks() {
    let (pair, _, start) = running_on_the_first();
    let event = RunEvent::Started { pid: 7 };
    let adopted = vec![AdoptedRun { start: start.clone(), event }];
    let mut alone = Host::boot(1, pair.hosts[0].disk.clone(), adopted);
    alone.wait(FENCE_MS - 1);
    assert_eq!((&alone.stopped, &alone.expiries), (&vec![], &Default::default()));
    alone.wait(2);
    assert_eq!(alone.stopped, [start.run], "nobody answers");
    alone.report(start.run, RunEvent::Exited { exit: Exit::Code(0), oom: false });
    alone.wait(60_000);
    assert_eq!(alone.started, [], "alone it starts nothing");
}

#[test]
fn an_anchor_alone_runs_it_whoever_is_silent() {
    let mut pair = Pair::joined();
    pair.wait(promised_ms(FENCE_MS + GRACE_MS));
    let web = anchored(&pair, "pi-2");
    pair.hosts[1].create(web);
    pair.wait(100);
    let run: Run = pair.hosts[1].start_all()[0];
    cut(&mut pair);
    pair.wait(600_000);
    assert_eq!((pair.hosts[1].stopped.len(), pair.hosts[1].expiries.get(&run)), (0, None));
    let disk = pair.hosts[1].disk.clone();
    let mut again = Host::booted_again(2, 1, disk);
    again.wait(3_100);
    assert_eq!(again.started.len(), 1, "after a power cut it starts at once: nobody else has it");
}

#[test]
fn a_service_that_runs_everywhere_again_has_no_end() {
    let (mut pair, id, start) = running_on_the_first();
    let mut spec = anchored(&pair, "pi-1");
    spec.partition = Partition::default();
    let edit = Edit::UpdateService { id, version: None, spec: Box::new(spec) };
    pair.hosts[1].edit(edit).expect("updated");
    pair.wait(20_000);
    assert_eq!(pair.hosts[0].expiries[&start.run], Now::NEVER);
    cut(&mut pair);
    pair.wait(120_000);
    assert_eq!(pair.hosts[0].stopped, []);
}

#[test]
fn anchors_stay_until_a_majority_of_them_was_removed() {
    let (mut pair, id, _) = running_on_the_first();
    let mut spec = anchored(&pair, "pi-1");
    spec.partition.anchors = BTreeSet::from([pair.hosts[0].node.me()]);
    let edit = Edit::UpdateService { id, version: None, spec: Box::new(spec) };
    let refused = pair.hosts[0].edit(edit.clone());
    let stays = BadPartition::AnchorsStay("web".to_owned());
    assert_eq!(refused, Err(Refusal::Partition(stays)));
    let anchor = pair.hosts[1].node.me();
    pair.hosts[0].edit(Edit::RemoveNode { id: anchor, removal: Removal::Force }).expect("removed");
    pair.hosts[0].edit(edit).expect("nobody is bound by it any more");
}

#[test]
fn a_policy_that_makes_no_sense_is_refused_with_what_to_type() {
    let mut host = Host::new();
    let me = host.node.me();
    let stranger = crdt_state::NodeId([9; 16]);
    let of = |policy, fence_after_ms, anchors: &[crdt_state::NodeId]| {
        let anchors = anchors.iter().copied().collect();
        Partition { policy, fence_after_ms, anchors }
    };
    let (everywhere, stay, once) =
        (PartitionPolicy::RunEverywhere, PartitionPolicy::Stay, PartitionPolicy::AtMostOne);
    for (partition, words) in [
        (of(once, FENCE_MS, &[]), "name one, or a small odd number of them: --anchor NODE"),
        (of(once, FENCE_MS, &[me, stranger]), "name an odd number of them: --anchor N1,N2,N3"),
        (of(once, FENCE_MS, &[stranger]), "is no node of this fleet; `edgectl node ls`"),
        (of(once, 500, &[me]), "may be from 2s to 24h"),
        (of(everywhere, 0, &[me]), "add --partition at-most-one, or leave out --anchor"),
        (of(stay, 5_000, &[]), "leave out --fence-after"),
    ] {
        let mut web = spec("web", 1);
        web.partition = partition;
        let error = host.edit(Edit::CreateService(Box::new(web))).expect_err("refused");
        assert!(error.to_string().contains(words), "{error}");
    }
    for partition in [of(stay, 0, &[]), of(once, FENCE_MS, &[me])] {
        let mut web = spec("web", 1);
        (web.partition, web.scale) = (partition, crdt_state::spec::Scale::Global);
        let error = host.edit(Edit::CreateService(Box::new(web))).expect_err("refused");
        assert!(error.to_string().contains("is for --mode replicated"), "{error}");
    }
    let mut web = spec("web", 1);
    web.partition = of(once, FENCE_MS, &[me]);
    web.update_policy.order = crdt_state::spec::UpdateOrder::StartFirst;
    let error = host.edit(Edit::CreateService(Box::new(web))).expect_err("refused");
    assert!(error.to_string().contains("use --update-order stop-first"), "{error}");
    host.feed(Input::TimerFired);
    assert_eq!(host.node.services().count(), 0);
}

#[test]
fn a_service_that_becomes_at_most_one_goes_on_where_it_runs() {
    for runs_on in 0..2 {
        let mut pair = Pair::joined();
        pair.wait(promised_ms(FENCE_MS + GRACE_MS));
        let host = ["pi-1", "pi-2"][runs_on];
        let mut web = anchored(&pair, host);
        let at_most_one = std::mem::take(&mut web.partition);
        let id = pair.hosts[0].create(web.clone());
        pair.wait(2_000);
        pair.hosts[runs_on].start_all();
        pair.wait(20_000);
        // It may run anywhere from now on; whoever was to get it afresh, it stays.
        web.placement.constraints.clear();
        web.partition = at_most_one;
        let edit = Edit::UpdateService { id, version: None, spec: Box::new(web) };
        pair.hosts[0].edit(edit).expect("changed");
        pair.wait(120_000);
        for host in &pair.hosts {
            assert_eq!((host.stopped.len(), host.started.len()), (0, 0), "{runs_on}");
        }
    }
}
