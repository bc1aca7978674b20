//! Rules that hold between two nodes: what is not on disk is not sent, a copy stays until the new
//! owner runs the slot and keeps it, a node that returns first waits for its peers' records.

use crdt_state::RecordKey;
use crdt_state::handover::Handovers;
use crdt_state::task::{Run, TaskStart};
use gossip::{MemberState, Traffic};
use node_core::node::BOOT_HOLD_MS;
use node_core::reconciler::LOOK_AROUND_MS;
use node_core::{Edit, Input};

use crate::host::{Host, addr, spec};
use crate::pair::Pair;

fn runs(starts: &[TaskStart]) -> Vec<Run> {
    starts.iter().map(|start| start.run).collect()
}

#[test]
fn nobody_hears_of_a_change_before_it_is_on_disk() {
    let mut pair = Pair::joined();
    pair.hosts[0].disk_answers = false;
    pair.hosts[0].feed(Input::Edit {
        ticket: 1,
        edit: Box::new(Edit::CreateService(Box::new(spec("web", 1)))),
    });
    pair.wait(60_000);
    assert_eq!(pair.hosts[0].node.services().count(), 1);
    assert_eq!(pair.hosts[1].node.services().count(), 0, "six comparisons told nothing of it");
    let first = pair.hosts[0].node.me();
    let state = pair.hosts[1].node.gossip().member(first).map(|member| member.state);
    assert_eq!(state, Some(MemberState::Alive), "a slow disk makes nobody suspect");
    pair.hosts[0].disk_answers = true;
    let seq = pair.hosts[0].unanswered.pop().expect("a write is under way");
    pair.hosts[0].feed(Input::Persisted { seq });
    pair.wait(20_000);
    assert_eq!(pair.hosts[1].node.services().count(), 1);
}

#[test]
fn a_settled_node_does_not_settle_again_for_a_ping() {
    let (mut pair, _) = Pair::with_a_task_on_the_first();
    pair.wait(60_000);
    let before = pair.hosts.each_ref().map(|host| host.node.settlings());
    let received =
        |pair: &Pair| pair.hosts[0].node.gossip().counters().received[&Traffic::Swim].count;
    let pings = received(&pair);
    pair.wait(60_000);
    assert!(received(&pair) > pings + 100, "two or more in each probe interval");
    assert_eq!(pair.hosts.each_ref().map(|host| host.node.settlings()), before);
    pair.hosts[1].create(spec("api", 1));
    pair.wait(20_000);
    assert!(pair.hosts[0].node.settlings() > before[0], "a new record is looked at");
}

/// The task runs on `pi-1` and is to move to `pi-2`, which was ordered to start it.
fn moving() -> Pair {
    let (mut pair, id) = Pair::with_a_task_on_the_first();
    pair.move_to_the_second(id);
    pair.wait(60_000);
    assert_eq!(pair.hosts[1].started.len(), 1, "the new owner starts it");
    pair
}

#[test]
fn a_copy_is_kept_until_its_new_owner_runs_it() {
    let mut pair = moving();
    assert_eq!(pair.hosts[0].stopped, [], "it only starts there");
    pair.hosts[1].start_all();
    pair.wait(20_000);
    assert_eq!(pair.hosts[0].stopped.len(), 1, "it runs there");
}

#[test]
fn a_copy_is_kept_until_its_new_owner_has_answered_that_it_keeps_its_own() {
    let mut pair = moving();
    // The question of the first node does not arrive; it hears that the task runs, but no answer.
    pair.is_heard[0] = false;
    pair.hosts[1].start_all();
    pair.wait(1_000);
    let second = pair.hosts[1].node.me();
    let key = RecordKey::handovers(pair.hosts[0].node.me());
    let asked = pair.hosts[0].node.replica().owned::<Handovers>(&key);
    let asked = asked.expect("it speaks of handovers").1.asks;
    assert!(asked.keys().any(|(_, keeper)| *keeper == second), "it asks: {asked:?}");
    assert_eq!(pair.hosts[0].stopped, [], "and is not answered");
    pair.is_heard[0] = true;
    pair.wait(20_000);
    assert_eq!(pair.hosts[0].stopped.len(), 1);
}

#[test]
fn a_node_that_boots_in_a_fleet_looks_around_before_it_starts_anything() {
    let (pair, _) = Pair::with_a_task_on_the_first();
    let disk = pair.hosts[0].disk.clone();
    let mut again = Host::boot(1, disk, Vec::new());
    again.wait(BOOT_HOLD_MS - 1);
    assert_eq!(runs(&again.started), [], "others may have taken over");
    again.wait(1);
    assert_eq!(again.started.len(), 1, "nobody answers, and it starts alone");
}

#[test]
fn a_node_that_boots_starts_one_comparison_after_it_heard_a_member() {
    let (mut pair, _) = Pair::with_a_task_on_the_first();
    let mut again = Host::boot(2, pair.hosts[0].disk.clone(), Vec::new());
    again.feed(Input::Join { addr: addr(2) });
    pair.hosts[0] = again;
    pair.wait(LOOK_AROUND_MS - 100);
    assert_eq!(runs(&pair.hosts[0].started), []);
    pair.wait(200);
    assert_eq!(pair.hosts[0].started.len(), 1);
}
