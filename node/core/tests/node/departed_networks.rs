//! Networks and nodes that are gone: a network that was removed while one of its nodes was away, and
//! a node that is no member any more.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crdt_state::{NetworkId, NodeId};
use node_core::{Edit, Edited, Input, Removal};

use crate::host::{Host, addr};
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

fn is_peer(host: &Host, id: NetworkId, node: NodeId) -> bool {
    let in_plan = host.node.overlay_plan().networks[&id].peers.contains_key(&node);
    let told = host.node.network_detail(id).peers.iter().any(|(peer, _)| *peer == node);
    assert_eq!(in_plan, told, "what is applied is what is shown");
    told
}

/// A network of five addresses; the first host has tasks on it, and `count` tasks of the second host
/// run there.
fn small(count: u32) -> (Pair, NetworkId) {
    let mut pair = Pair::joined();
    let small = network(&mut pair.hosts[0], "small", "10.9.0.0/29");
    for (name, node, count) in [("one", "pi-1", 1), ("two", "pi-2", count)] {
        let mut spec = on(small, name, count);
        spec.by_name = true;
        spec.placement.constraints = vec![format!("node.hostname=={node}")];
        pair.hosts[0].create(spec);
    }
    pair.wait(5_000);
    pair.hosts.iter_mut().for_each(|host| drop(host.start_all()));
    pair.wait(5_000);
    (pair, small)
}

fn given(host: &Host, network: NetworkId) -> BTreeSet<IpAddr> {
    let plan = host.node.overlay_plan();
    plan.networks
        .get(&network)
        .into_iter()
        .flat_map(|n| n.tasks.values().flatten().copied())
        .collect()
}

/// Five more tasks on the first host, of which as many start as there are addresses.
fn fill(pair: &mut Pair, network: NetworkId) -> usize {
    let mut more = on(network, "more", 5);
    more.by_name = true;
    more.placement.constraints = vec!["node.hostname==pi-1".into()];
    pair.hosts[0].create(more);
    pair.wait(5_000);
    pair.hosts[0].start_all().len()
}

#[test]
fn a_node_that_leaves_is_a_peer_until_its_last_task_has_ended_and_then_its_addresses_are_free() {
    let (mut pair, small) = small(2);
    let second = pair.hosts[1].node.me();
    let had = given(&pair.hosts[1], small);
    assert_eq!(had.len(), 2);
    pair.hosts[1].feed(Input::Leave);
    pair.wait(16_000);
    assert!(is_peer(&pair.hosts[0], small, second), "its tasks have not stopped yet");
    assert_eq!(given(&pair.hosts[1], small), had);
    assert_eq!(fill(&mut pair, small), 2);
    for run in std::mem::take(&mut pair.hosts[1].stopped).into_iter().collect::<BTreeSet<_>>() {
        pair.hosts[1].exit(run, 0);
    }
    pair.wait(60_000);
    assert!(pair.hosts[1].node.has_departed());
    assert!(!is_peer(&pair.hosts[0], small, second));
    pair.wait(60_000);
    assert_eq!(pair.hosts[0].start_all().len(), 2, "the addresses that the other node had");
    let taken = given(&pair.hosts[0], small);
    assert!(taken.is_superset(&had), "{taken:?}");

    // It joins again, with what is on its disk.
    let disk = pair.hosts[1].disk.clone();
    pair.hosts[1] = Host::booted_again(2, 2, disk);
    pair.hosts[1].feed(Input::Join { addr: addr(1) });
    pair.wait(60_000);
    assert_eq!(given(&pair.hosts[0], small), taken, "nobody moves for it");
    assert!(pair.hosts[1].started.is_empty(), "no address is left for its tasks");
    let more = pair.hosts[0].node.services().find(|service| service.name == "more");
    let id = more.expect("there").id;
    pair.hosts[0].edit(Edit::RemoveService { id }).expect("removed");
    pair.wait(1_000);
    for run in std::mem::take(&mut pair.hosts[0].stopped).into_iter().collect::<BTreeSet<_>>() {
        pair.hosts[0].exit(run, 0);
    }
    pair.wait(60_000);
    pair.hosts[1].start_all();
    pair.wait(5_000);
    assert_eq!(given(&pair.hosts[1], small).len(), 2, "it claims again");
    assert!(is_peer(&pair.hosts[0], small, second));
    assert!(given(&pair.hosts[1], small).is_disjoint(&given(&pair.hosts[0], small)));
}

#[test]
fn an_absent_node_keeps_its_addresses_and_one_that_is_removed_does_not() {
    let (mut pair, small) = small(2);
    let second = pair.hosts[1].node.me();
    pair.is_heard = [false, false];
    pair.wait(3_600_000);
    assert_eq!(fill(&mut pair, small), 2, "two of five stay with a node that nobody hears");
    assert!(is_peer(&pair.hosts[0], small, second));
    let removal = Edit::RemoveNode { id: second, removal: Removal::IfGone };
    assert_eq!(pair.hosts[0].edit(removal), Ok(Edited::Done));
    assert!(!is_peer(&pair.hosts[0], small, second));
    pair.wait(60_000);
    assert_eq!(pair.hosts[0].start_all().len(), 2);
    assert_eq!(given(&pair.hosts[0], small).len(), 5);
}

/// The other side of the cut has put a service on the network that is removed on this side.
#[test]
fn a_service_on_a_removed_network_goes_on_says_so_and_can_leave_it() {
    let (mut pair, back, id, run) = cut_off();
    pair.hosts[0].edit(Edit::RemoveService { id }).expect("removed");
    assert_eq!(pair.hosts[0].edit(Edit::RemoveNetwork { id: back }), Ok(Edited::Done));
    let mut api = on(back, "api", 1);
    api.placement.constraints = vec!["node.hostname==pi-2".into()];
    let api_id = pair.hosts[1].create(api.clone());
    pair.wait(5_000);
    let started = pair.hosts[1].start_all()[0];
    assert_ne!(started, run);
    pair.is_heard = [true, true];
    pair.wait(60_000);
    let second = &mut pair.hosts[1];
    let plan = second.node.overlay_plan();
    assert!(plan.tasks[&started].interfaces.is_empty(), "its namespace stays");
    let removed =
        format!("its network back was removed: edgectl service update --network-rm {back} api");
    let told = |host: &Host| {
        let tasks = host.tasks().into_iter().filter(|task| task.service == api_id);
        tasks.filter_map(|task| task.reason).collect::<Vec<_>>()
    };
    assert_eq!(told(second), std::slice::from_ref(&removed));
    let conflicts = second.node.network_conflicts();
    assert_eq!((conflicts[0].name.as_str(), &conflicts[0].detail), ("api", &removed));
    let why = &second.node.report(second.now).why_service(api_id)[0];
    assert!(why.running && why.summary.ends_with(&removed), "{}", why.summary);
    let update = |spec| Edit::UpdateService { id: api_id, version: None, spec: Box::new(spec) };
    api.template.force_update += 1;
    second.edit(update(api.clone())).expect("what it had does not stand in the way");
    let front = network(second, "front", "");
    api.networks = on(front, "api", 1).networks;
    second.edit(update(api)).expect("it leaves the network");
    second.wait(5_000);
    assert_eq!(second.node.network_conflicts(), []);
    assert!(
        told(second).iter().all(|reason| !reason.contains("was removed")),
        "{:?}",
        told(second)
    );
}
