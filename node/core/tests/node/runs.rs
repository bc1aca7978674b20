//! What a node reports about its own runs, and how many it starts at a time.

use crdt_state::task::{Slot, TaskStatus};
use crdt_state::{RecordKey, ServiceId};
use node_core::tasks::STARTING_MAX;

use crate::host::{Host, spec};

/// The status of the newest task in slot 1, from the node's record.
fn said(host: &Host, service: ServiceId) -> TaskStatus {
    let key = RecordKey::task(host.node.me(), service, Slot::Number(1));
    let record = host.node.replica().owned::<crdt_state::task::TaskRecord>(&key);
    record.expect("it speaks of the slot").1.tasks.swap_remove(0)
}

#[test]
fn a_node_says_since_when_a_run_runs_in_the_order_in_which_they_began() {
    let mut host = Host::new();
    let (web, api) = (host.create(spec("web", 1)), host.create(spec("api", 1)));
    assert_eq!(said(&host, web).running_since, u64::MAX, "it does not run yet");
    let [first, second] = host.start_all()[..] else { panic!("two starts") };
    let began = said(&host, web).running_since;
    assert!(began < said(&host, api).running_since, "the other one began later");
    assert!(said(&host, api).running_since < u64::MAX);
    // A further attempt starts again: it is no longer the task that runs longest.
    host.exit(first, 1);
    host.start_all();
    assert!(said(&host, web).running_since > said(&host, api).running_since, "{second:?}");
}

#[test]
fn a_node_that_boots_with_many_tasks_starts_a_few_at_a_time() {
    let mut host = Host::new();
    let replicas = u32::try_from(3 * STARTING_MAX).expect("a few");
    host.create(spec("web", replicas));
    while !host.started.is_empty() {
        host.start_all();
    }
    let mut again = Host::boot(1, host.disk.clone(), Vec::new());
    again.wait(60_000);
    assert_eq!(again.started.len(), STARTING_MAX);
    let started = again.started.remove(0).run;
    again.report(started, crdt_state::task::RunEvent::Started { pid: 7 });
    assert_eq!(again.started.len(), STARTING_MAX, "each that runs makes room for one");
    while !again.started.is_empty() {
        again.start_all();
    }
    assert_eq!(again.states().len(), 3 * STARTING_MAX);
}
