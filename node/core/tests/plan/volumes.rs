//! Laws of services with named volumes: no task begins on an empty volume while a node that is
//! merely silent has its data.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::ServiceId;
use crdt_state::node::Availability;
use crdt_state::spec::{Resources, Scale};
use crdt_state::task::Slot;
use crdt_state::volume::Holding;
use node_core::plan::{Placed, ServicePlan, plan};
use node_core::reason::{NodeReason, Unplaced};
use node_core::view::{Presence, SLOT, View};
use proptest::prelude::*;

use crate::fleet::{fleet, node_id, obey, owners, service};

const ID: ServiceId = ServiceId([1; 16]);

/// A fleet with one service whose tasks mount `pgdata`, or a volume per slot.
fn database(nodes: u8, replicas: u32, volume: &str) -> View {
    let mut view = fleet(nodes);
    let mut database = service(1, replicas);
    database.volumes = BTreeSet::from([volume.to_owned()]);
    view.services.insert(ID, database);
    view
}

fn hold(view: &mut View, node: u8, volume: &str, holding: Holding) {
    let node = view.nodes.get_mut(&node_id(node)).expect("it is there");
    node.volumes.insert(volume.to_owned(), holding);
}

/// Every node does what the plan says, and a node that starts a task creates its volumes.
fn obey_and_hold(view: &mut View, lamport: &mut u64) {
    obey(view, lamport);
    let service = &view.services[&ID];
    let made: Vec<_> = service
        .holders
        .iter()
        .flat_map(|h| service.volumes_of(h.slot).into_iter().map(|name| (h.node, name)))
        .collect();
    for (node, name) in made {
        view.nodes.get_mut(&node).expect("it is there").volumes.insert(name, Holding::Here);
    }
}

fn of(view: &View) -> ServicePlan {
    plan(view).services.remove(&ID).expect("it is wanted")
}

fn one(view: &View) -> Placed {
    of(view).slots[&Slot::Number(1)]
}

#[test]
fn a_task_goes_where_its_volume_is() {
    for holder in 0..5 {
        let mut view = database(5, 1, "pgdata");
        hold(&mut view, holder, "pgdata", Holding::Here);
        assert_eq!(owners(&plan(&view), ID)[&Slot::Number(1)], node_id(holder));
    }
}

#[test]
fn a_task_waits_for_a_node_that_has_its_volume_and_every_other_node_says_why() {
    let mut view = database(3, 1, "pgdata");
    hold(&mut view, 1, "pgdata", Holding::Here);
    let holder = view.nodes.get_mut(&node_id(1)).expect("it is there");
    holder.hostname = "n1".to_owned();
    holder.presence = Presence::Gone;
    assert_eq!(one(&view), Placed::Nowhere(Unplaced::Volume(node_id(1))));
    let excluded = of(&view).excluded;
    let elsewhere = NodeReason::VolumeElsewhere("pgdata".to_owned(), "n1".to_owned());
    assert_eq!(excluded[&node_id(0)], elsewhere);
    assert_eq!(excluded[&node_id(1)], NodeReason::Unreachable);
    assert_eq!(elsewhere.to_string(), "volume pgdata is on n1");
}

#[test]
fn neither_drain_nor_lack_nor_a_missing_disk_lets_a_task_begin_anew() {
    let blocked = |block: &dyn Fn(&mut View)| {
        let mut view = database(3, 1, "pgdata");
        hold(&mut view, 1, "pgdata", Holding::Here);
        block(&mut view);
        assert_eq!(one(&view), Placed::Nowhere(Unplaced::Volume(node_id(1))));
    };
    let node = |view: &mut View| view.nodes.get_mut(&node_id(1)).expect("it is there").clone();
    blocked(&|view| {
        let drained = node_core::view::NodeView { availability: Availability::Drain, ..node(view) };
        view.nodes.insert(node_id(1), drained);
    });
    blocked(&|view| {
        let small = Resources { memory_bytes: 1, ..Resources::default() };
        let small = node_core::view::NodeView { resources: small, ..node(view) };
        view.nodes.insert(node_id(1), small);
        let service = view.services.get_mut(&ID).expect("it is wanted");
        service.reservations.memory_bytes = 2;
    });
    blocked(&|view| hold(view, 1, "pgdata", Holding::Missing));
}

#[test]
fn what_was_given_up_binds_nobody_and_its_node_is_left_out_until_it_is_removed_there() {
    let mut view = database(2, 1, "pgdata");
    hold(&mut view, 0, "pgdata", Holding::GivenUp);
    assert_eq!(owners(&plan(&view), ID)[&Slot::Number(1)], node_id(1));
    let reason = NodeReason::VolumeGivenUp("pgdata".to_owned());
    assert_eq!(of(&view).excluded[&node_id(0)], reason);
}

#[test]
fn volumes_on_different_nodes_are_brought_together_by_nobody() {
    let mut view = database(3, 1, "pgdata");
    let service = view.services.get_mut(&ID).expect("it is wanted");
    service.volumes.insert("wal".to_owned());
    hold(&mut view, 1, "pgdata", Holding::Here);
    assert_eq!(owners(&plan(&view), ID)[&Slot::Number(1)], node_id(1), "wal is nowhere yet");
    hold(&mut view, 2, "wal", Holding::Here);
    assert!(matches!(one(&view), Placed::Nowhere(Unplaced::Volume(_))));
}

#[test]
fn a_volume_per_slot_binds_that_slot_only() {
    let mut view = database(4, 4, &format!("data-{SLOT}"));
    let mut lamport = 0;
    obey_and_hold(&mut view, &mut lamport);
    let before = owners(&plan(&view), ID);
    assert_eq!(before.len(), 4);
    let gone = before[&Slot::Number(3)];
    view.nodes.get_mut(&gone).expect("it is there").presence = Presence::Gone;
    let slots = of(&view).slots;
    assert_eq!(slots[&Slot::Number(3)], Placed::Nowhere(Unplaced::Volume(gone)));
    assert_eq!(owners(&plan(&view), ID).len(), 3);
}

#[test]
fn a_global_service_has_a_volume_on_each_node() {
    let mut view = database(3, 0, "cache");
    view.services.get_mut(&ID).expect("it is wanted").scale = Scale::Global;
    hold(&mut view, 1, "cache", Holding::Here);
    hold(&mut view, 2, "cache", Holding::Missing);
    assert_eq!(owners(&plan(&view), ID).len(), 2);
    let waits = of(&view).slots[&Slot::Node(node_id(2))];
    assert_eq!(waits, Placed::Nowhere(Unplaced::Volume(node_id(2))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_slot_moves_to_an_empty_volume_whoever_is_silent(
        nodes in 1u8..12, replicas in 1u32..16, silent in any::<u16>(),
    ) {
        let mut view = database(nodes, replicas, "pgdata");
        let mut lamport = 0;
        obey_and_hold(&mut view, &mut lamport);
        let before = owners(&plan(&view), ID);
        prop_assert_eq!(before.len(), replicas as usize);
        for n in (0..nodes).filter(|n| silent & (1 << n) != 0) {
            view.nodes.get_mut(&node_id(n)).unwrap().presence = Presence::Gone;
        }
        for (slot, node) in &before {
            let here = view.nodes[node].presence == Presence::Here;
            let expected = if here {
                Some(*node)
            } else {
                None
            };
            prop_assert_eq!(owners(&plan(&view), ID).get(slot).copied(), expected);
        }
        // The nodes return, and everything is as it was.
        for node in view.nodes.values_mut() {
            node.presence = Presence::Here;
        }
        prop_assert_eq!(owners(&plan(&view), ID), before);
    }

    #[test]
    fn so_many_wait_or_run_with_data_as_there_are_volumes(
        nodes in 1u8..10, replicas in 0u32..12, holders in any::<u16>(), silent in any::<u16>(),
    ) {
        let mut view = database(nodes, replicas, "pgdata");
        let holders: Vec<u8> = (0..nodes).filter(|n| holders & (1 << n) != 0).collect();
        for n in &holders {
            hold(&mut view, *n, "pgdata", Holding::Here);
        }
        for n in (0..nodes).filter(|n| silent & (1 << n) != 0) {
            view.nodes.get_mut(&node_id(n)).unwrap().presence = Presence::Gone;
        }
        let slots = of(&view).slots;
        let with_data = |placed: &&Placed| match placed {
            Placed::On(node, _) => view.nodes[node].volumes.contains_key("pgdata"),
            Placed::Nowhere(why) => matches!(why, Unplaced::Volume(_)),
        };
        let bound = slots.values().filter(with_data).count();
        prop_assert!(bound >= holders.len().min(replicas as usize), "{slots:?}");
        prop_assert_eq!(slots.len(), replicas as usize);
    }

    #[test]
    fn scaling_moves_nothing_and_begins_anew_only_where_nobody_held(
        nodes in 2u8..10, replicas in 1u32..8, more in 1u32..8,
    ) {
        let mut view = database(nodes, replicas, "pgdata");
        let mut lamport = 0;
        obey_and_hold(&mut view, &mut lamport);
        let before = owners(&plan(&view), ID);
        let wanted = view.services.get_mut(&ID).unwrap();
        wanted.scale = Scale::Replicated { replicas: replicas + more };
        let after = owners(&plan(&view), ID);
        for (slot, node) in &before {
            prop_assert_eq!(after.get(slot), Some(node));
        }
        let mut counts: BTreeMap<_, u32> = BTreeMap::new();
        after.values().for_each(|node| *counts.entry(*node).or_default() += 1);
        let least = view.nodes.keys().map(|id| counts.get(id).copied().unwrap_or(0)).min();
        let most = counts.values().max().copied();
        prop_assert!(most.unwrap_or(0) - least.unwrap_or(0) <= 1, "{counts:?}");
    }
}
