//! Networks and nodes that are gone: a network that was removed while one of its nodes was away, and
//! a node that is no member any more.

use node_core::{Edit, Edited};

use crate::networks::{network, on};
use crate::pair::Pair;

/// `web` on the network `back` has its only task on the second host; then the two cannot hear each
/// other, and the first host counts the second as gone.
fn cut_off() -> (Pair, crdt_state::NetworkId, crdt_state::ServiceId, crdt_state::task::Run) {
    let mut pair = Pair::joined();
    let back = network(&mut pair.hosts[0], "back", "");
    let mut web = on(back, "web", 1);
    web.placement.constraints = vec!["node.hostname==pi-2".into()];
    let id = pair.hosts[0].create(web);
    pair.wait(20_000);
    let run = pair.hosts[1].start_all()[0];
    pair.wait(20_000);
    pair.is_heard = [false, false];
    pair.wait(60_000);
    (pair, back, id, run)
}

#[test]
fn a_task_that_stops_on_a_removed_network_holds_up_no_other_network() {
    let (mut pair, back, id, run) = cut_off();
    pair.hosts[0].edit(Edit::RemoveService { id }).expect("removed");
    assert_eq!(pair.hosts[0].edit(Edit::RemoveNetwork { id: back }), Ok(Edited::Done));
    let front = network(&mut pair.hosts[0], "front", "");
    let mut api = on(front, "api", 1);
    api.placement.constraints = vec!["node.hostname==pi-2".into()];
    pair.hosts[0].create(api);
    pair.is_heard = [true, true];
    pair.wait(60_000);
    let second = &mut pair.hosts[1];
    assert_eq!(second.stopped.first(), Some(&run), "and it has not ended yet");
    let started = second.start_all()[0];
    assert!(second.node.knows_its_networks(), "or nothing would be applied");
    let plan = second.node.overlay_plan();
    assert!(plan.networks.contains_key(&front) && !plan.networks.contains_key(&back));
    assert_eq!(plan.tasks[&started].interfaces.len(), 1);
    assert!(plan.tasks.contains_key(&run), "its namespace stays until it ends");
}
