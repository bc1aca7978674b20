//! Laws of services that do not run everywhere: where a slot goes on, and where it waits.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::node::Availability;
use crdt_state::partition::{Partition, PartitionPolicy};
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};
use node_core::plan::{Placed, plan};
use node_core::reason::{Choice, Unplaced};
use node_core::view::{NodeView, Presence, ServiceView, Standing, View};
use proptest::prelude::*;

use crate::fleet::{fleet, node_id, obey, owners, service};

const ID: ServiceId = ServiceId([1; 16]);

fn view(nodes: u8, replicas: u32, policy: PartitionPolicy) -> View {
    let mut view = fleet(nodes);
    let partition = Partition { policy, ..Partition::default() };
    view.services.insert(ID, ServiceView { partition, ..service(1, replicas) });
    view
}

fn anchored(nodes: u8, replicas: u32, anchors: &[u8]) -> View {
    let mut view = view(nodes, replicas, PartitionPolicy::AtMostOne);
    let service = view.services.get_mut(&ID).expect("there is one");
    service.partition.anchors = anchors.iter().map(|n| node_id(*n)).collect();
    view
}

fn node(view: &mut View, id: NodeId) -> &mut NodeView {
    view.nodes.get_mut(&id).expect("a node of the fleet")
}

fn placed(view: &View, number: u32) -> Placed {
    plan(view).services[&ID].slots[&Slot::Number(number)]
}

/// Every node is there, and the slots run where the plan put them.
fn running(nodes: u8, replicas: u32) -> (View, BTreeMap<Slot, NodeId>) {
    let mut view = view(nodes, replicas, PartitionPolicy::Stay);
    obey(&mut view, &mut 1);
    let owners = owners(&plan(&view), ID);
    (view, owners)
}

#[test]
fn a_slot_that_stays_waits_for_its_node_and_goes_on_there() {
    let (mut view, before) = running(4, 4);
    let holder = before[&Slot::Number(2)];
    node(&mut view, holder).presence = Presence::Gone;
    assert_eq!(placed(&view, 2), Placed::Nowhere(Unplaced::Holder(holder)));
    let mut others = owners(&plan(&view), ID);
    others.insert(Slot::Number(2), holder);
    assert_eq!(others, before, "nothing else moves");
    node(&mut view, holder).presence = Presence::Here;
    assert_eq!(placed(&view, 2), Placed::On(holder, Choice::Held));
}

#[test]
fn an_operator_moves_a_slot_that_stays() {
    let (mut view, before) = running(3, 3);
    let holder = before[&Slot::Number(1)];
    node(&mut view, holder).availability = Availability::Drain;
    let drained = owners(&plan(&view), ID);
    assert_ne!(drained[&Slot::Number(1)], holder, "a drain of a node in view moves it");
    node(&mut view, holder).presence = Presence::Gone;
    assert_eq!(placed(&view, 1), Placed::Nowhere(Unplaced::Holder(holder)), "it may still run");
    view.nodes.remove(&holder);
    assert!(owners(&plan(&view), ID).contains_key(&Slot::Number(1)), "the node was removed");
}

#[test]
fn of_two_sides_that_both_began_a_slot_the_longer_running_one_stays() {
    let (mut view, before) = running(4, 1);
    let holder = before[&Slot::Number(1)];
    let other = *view.nodes.keys().find(|id| **id != holder).expect("another");
    let service = view.services.get_mut(&ID).expect("there is one");
    let mut second = service.holders[0];
    (second.node, second.running_since) = (other, second.running_since + 1);
    service.holders.push(second);
    assert_eq!(placed(&view, 1), Placed::On(holder, Choice::Held));
    node(&mut view, holder).presence = Presence::Gone;
    assert_eq!(placed(&view, 1), Placed::On(other, Choice::Held), "it runs here as well");
}

#[test]
fn without_a_majority_of_the_anchors_nothing_begins() {
    let mut view = anchored(5, 2, &[0, 1, 2]);
    assert_eq!(owners(&plan(&view), ID).len(), 2);
    node(&mut view, node_id(0)).presence = Presence::Gone;
    assert_eq!(owners(&plan(&view), ID).len(), 2, "two of three");
    node(&mut view, node_id(1)).presence = Presence::Gone;
    assert_eq!(placed(&view, 1), Placed::Nowhere(Unplaced::NoMajority));
    view.nodes.remove(&node_id(1));
    assert_eq!(placed(&view, 1), Placed::Nowhere(Unplaced::NoMajority), "removed is not in view");
}

#[test]
fn a_slot_goes_on_where_its_leases_are() {
    let mut view = anchored(5, 1, &[0]);
    let Placed::On(first, Choice::Assigned) = placed(&view, 1) else { panic!("assigned") };
    let holder = *view.nodes.keys().find(|id| **id != first).expect("another");
    let service = view.services.get_mut(&ID).expect("there is one");
    service.leases.insert(Slot::Number(1), holder);
    assert_eq!(placed(&view, 1), Placed::On(holder, Choice::Held));
    // What its record says counts for nothing: it may be the record of a task that was fenced.
    let service = view.services.get_mut(&ID).expect("there is one");
    let (slot, standing) = (Slot::Number(1), Standing::Running);
    let stale = node_core::view::Holder { slot, node: first, standing, running_since: 0 };
    service.holders.push(stale);
    assert_eq!(placed(&view, 1), Placed::On(holder, Choice::Held));
    if holder != node_id(0) {
        node(&mut view, holder).presence = Presence::Gone;
        assert!(
            matches!(placed(&view, 1), Placed::On(next, Choice::Moved { .. }) if next != holder)
        );
    }
}

proptest! {
    /// Whatever nodes come and go: no slot that stays is ever planned on another node than its own.
    #[test]
    fn no_change_of_presence_moves_a_slot_that_stays(
        nodes in 2..8_u8,
        replicas in 1..10_u32,
        gone in prop::collection::vec(prop::collection::btree_set(0..8_u8, 0..6), 1..5),
    ) {
        let (mut view, before) = running(nodes, replicas);
        for gone in gone {
            let gone: BTreeSet<NodeId> = gone.into_iter().map(node_id).collect();
            for (id, node) in &mut view.nodes {
                node.presence =
                    if gone.contains(id) { Presence::Gone } else { Presence::Here };
            }
            for (slot, owner) in owners(&plan(&view), ID) {
                prop_assert_eq!(Some(&owner), before.get(&slot));
            }
        }
    }
}
