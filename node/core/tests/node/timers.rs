//! The reasons for which a node wants to be called again.

use gossip::{GossipTimer, Now};
use node_core::node::BOOT_HOLD_MS;
use node_core::{Edit, Input, NodeTimer};

use crate::host::{Host, spec};
use crate::pair::Pair;

fn due(host: &Host, timer: NodeTimer) -> Option<Now> {
    let waits = host.node.waits_for();
    waits.into_iter().find(|(_, other)| *other == timer).map(|(at, _)| at)
}

#[test]
fn a_node_says_what_it_waits_for_and_is_called_for_the_earliest() {
    let mut host = Host::new();
    let id = host.create(spec("web", 2));
    let [first, _] = host.start_all()[..] else { panic!("two starts") };
    let only_gossip = |host: &Host| {
        host.node.waits_for().iter().all(|(_, timer)| matches!(timer, NodeTimer::Gossip(_)))
    };
    assert!(only_gossip(&host), "{:?}", host.node.waits_for());
    assert!(due(&host, NodeTimer::Gossip(GossipTimer::CompareDue)).is_some());

    host.exit(first, 1);
    let again = host.start_all()[0];
    host.exit(again, 1);
    assert!(due(&host, NodeTimer::StartDue).is_some_and(|at| at > host.now), "a restart delay");
    host.wait(300_000);
    let again = host.start_all()[0];
    assert!(only_gossip(&host), "{:?}", host.node.waits_for());

    let mut changed = spec("web", 2);
    changed.template.env.push("VERSION=2".into());
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(changed) }).expect("updated");
    assert!(due(&host, NodeTimer::StopUnanswered).is_some(), "the first slot stops");
    host.exit(again, 0);
    host.start_all();
    assert_eq!(due(&host, NodeTimer::ServiceDue), Some(host.now.plus(5_000)), "the second's turn");

    host.feed(Input::Leave);
    assert!(due(&host, NodeTimer::DepartureDue).is_some());
    let waits = host.node.waits_for();
    assert_eq!(waits[0].0, host.node.deadline());
    assert!(waits.is_sorted() && waits.iter().all(|(_, timer)| !timer.as_str().is_empty()));
}

#[test]
fn a_node_that_boots_waits_for_its_start_and_for_who_is_there() {
    let (pair, _) = Pair::with_a_task_on_the_first();
    let again = Host::boot(1, pair.hosts[0].disk.clone(), Vec::new());
    assert_eq!(due(&again, NodeTimer::StartDue), Some(Now(BOOT_HOLD_MS)));
    let boot_grace = due(&again, NodeTimer::PresenceDue).expect("the other one may be gone");
    assert!(boot_grace > Now(BOOT_HOLD_MS));
    assert_eq!(due(&again, NodeTimer::SettlingUnfinished), None);
}
