//! Preferences: tasks are spread over the values of labels, level by level, and nothing else of the
//! plan changes for it.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::node::Availability;
use crdt_state::spec::Scale;
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};
use node_core::plan::plan;
use node_core::preference::Preference;
use node_core::view::{Presence, ServiceView, View};
use proptest::prelude::*;

use crate::fleet::{fleet, moved, node_id, obey, owners, service};

const ID: ServiceId = ServiceId([1; 16]);

/// A fleet with a service that is spread over zones, and in each over racks. 0 is no label.
fn spread(labels: &[(u8, u8)], replicas: u32) -> View {
    let mut view = fleet(u8::try_from(labels.len()).expect("a few"));
    for (n, (zone, rack)) in (0..).zip(labels) {
        let node = view.nodes.get_mut(&node_id(n)).expect("it is there");
        for (of, value) in [(&mut node.labels, zone), (&mut node.engine_labels, rack)] {
            if *value > 0 {
                of.insert("place".to_owned(), value.to_string());
            }
        }
    }
    let levels = ["spread=node.labels.place", "spread=engine.labels.place"];
    let preferences = levels.map(|text| Preference::parse(text).expect("a preference"));
    view.services
        .insert(ID, ServiceView { preferences: preferences.to_vec(), ..service(1, replicas) });
    view
}

fn labels() -> impl Strategy<Value = Vec<(u8, u8)>> {
    prop::collection::vec((0u8..4, 0u8..3), 1..16)
}

/// Tasks per group: of each zone, and of each rack in it.
fn loads(owners: &BTreeMap<Slot, NodeId>, labels: &[(u8, u8)]) -> BTreeMap<(u8, u8), usize> {
    let mut loads: BTreeMap<(u8, u8), usize> = labels.iter().map(|label| (*label, 0)).collect();
    for (n, label) in (0..).zip(labels) {
        *loads.get_mut(label).expect("filled") +=
            owners.values().filter(|node| **node == node_id(n)).count();
    }
    loads
}

fn differ_by(loads: impl IntoIterator<Item = usize>) -> usize {
    let loads: Vec<usize> = loads.into_iter().collect();
    loads.iter().max().unwrap_or(&0) - loads.iter().min().unwrap_or(&0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn loads_of_groups_differ_by_at_most_one_at_every_level(
        labels in labels(), replicas in 0u32..80,
    ) {
        let view = spread(&labels, replicas);
        let owners = owners(&plan(&view), ID);
        prop_assert_eq!(owners.len(), replicas as usize);
        let racks = loads(&owners, &labels);
        let zones: BTreeSet<u8> = racks.keys().map(|(zone, _)| *zone).collect();
        let of_zone = |zone: u8| racks.iter().filter(move |(label, _)| label.0 == zone);
        prop_assert!(differ_by(zones.iter().map(|z| of_zone(*z).map(|(_, load)| load).sum())) <= 1);
        for zone in &zones {
            prop_assert!(differ_by(of_zone(*zone).map(|(_, load)| *load)) <= 1, "{racks:?}");
        }
        for label in racks.keys() {
            let nodes = (0..).zip(&labels).filter(|(_, of)| *of == label).map(|(n, _)| node_id(n));
            let load = |node: NodeId| owners.values().filter(|owner| **owner == node).count();
            prop_assert!(differ_by(nodes.map(load)) <= 1);
        }
    }

    #[test]
    fn a_group_with_little_room_takes_what_it_can(
        labels in labels(), replicas in 0u32..80, most in 1u32..5,
    ) {
        let mut view = spread(&labels, replicas);
        view.services.get_mut(&ID).expect("it is there").max_per_node = most;
        let owners = owners(&plan(&view), ID);
        let room = labels.len() * most as usize;
        prop_assert_eq!(owners.len(), room.min(replicas as usize), "as many as possible");
        // A zone that is not full has at most one task less than any other zone.
        let zones: BTreeSet<u8> = labels.iter().map(|(zone, _)| *zone).collect();
        let of_zone = |zone: u8| -> (usize, usize) {
            let nodes: BTreeSet<NodeId> =
                (0..).zip(&labels).filter(|(_, of)| of.0 == zone).map(|(n, _)| node_id(n)).collect();
            let load = owners.values().filter(|owner| nodes.contains(owner)).count();
            (load, nodes.len() * most as usize)
        };
        let highest = zones.iter().map(|zone| of_zone(*zone).0).max().unwrap_or(0);
        for zone in zones {
            let (load, room) = of_zone(zone);
            prop_assert!(load == room || load + 1 >= highest, "{load} of {room}, {highest}");
        }
    }

    #[test]
    fn a_node_that_leaves_a_zone_moves_its_own_slots_and_takes_at_most_its_share_back(
        labels in labels(), replicas in 1u32..80, failing in 0u8..16,
    ) {
        let failing = node_id(failing % u8::try_from(labels.len()).expect("a few"));
        prop_assume!(labels.len() > 1);
        let mut view = spread(&labels, replicas);
        let mut lamport = 0;
        obey(&mut view, &mut lamport);
        let before = owners(&plan(&view), ID);
        view.nodes.get_mut(&failing).expect("it is there").presence = Presence::Gone;
        let after = owners(&plan(&view), ID);
        let own = before.values().filter(|node| **node == failing).count();
        prop_assert_eq!(moved(&before, &after), own);
        obey(&mut view, &mut lamport);
        view.nodes.get_mut(&failing).expect("it is there").presence = Presence::Here;
        let back = owners(&plan(&view), ID);
        let taken = back.values().filter(|node| **node == failing).count();
        prop_assert_eq!(moved(&after, &back), taken, "only the node that returns takes slots");
        prop_assert!(taken <= own.max(1), "{taken} for {own}");
        obey(&mut view, &mut lamport);
        prop_assert_eq!(owners(&plan(&view), ID), back);
    }

    #[test]
    fn scaling_a_spread_service_moves_nothing(labels in labels(), from in 0u32..60, to in 0u32..60) {
        let mut view = spread(&labels, from);
        obey(&mut view, &mut 0);
        let before = owners(&plan(&view), ID);
        view.services.get_mut(&ID).expect("it is there").scale = Scale::Replicated { replicas: to };
        let after = owners(&plan(&view), ID);
        prop_assert_eq!(moved(&before, &after), 0);
        prop_assert_eq!(after.len(), to as usize);
    }

    #[test]
    fn who_has_heard_of_some_holders_spreads_alike(
        labels in labels(), replicas in 1u32..40, gone in prop::collection::vec(0u8..16, 0..3),
        heard in prop::collection::vec(any::<bool>(), 40),
    ) {
        let mut view = spread(&labels, replicas);
        let mut lamport = 0;
        if !gone.is_empty() {
            obey(&mut view, &mut lamport);
            for n in gone {
                view.nodes.entry(node_id(n)).and_modify(|node| node.presence = Presence::Gone);
            }
        }
        let expected = owners(&plan(&view), ID);
        let old: BTreeSet<(Slot, NodeId)> =
            view.services[&ID].holders.iter().map(|h| (h.slot, h.node)).collect();
        obey(&mut view, &mut lamport);
        let holders = &mut view.services.get_mut(&ID).expect("it is there").holders;
        let mut nth = 0;
        holders.retain(|h| {
            nth += 1;
            old.contains(&(h.slot, h.node)) || heard[nth % heard.len()]
        });
        prop_assert_eq!(owners(&plan(&view), ID), expected);
    }
}

#[test]
fn what_a_paused_node_keeps_counts_for_its_zone() {
    // Zone 1 has a paused node with the four tasks that it had before zone 2 was there.
    let mut view = spread(&[(1, 0)], 4);
    obey(&mut view, &mut 0);
    let held = view.services[&ID].holders.clone();
    let mut view = spread(&[(1, 0), (1, 0), (2, 0)], 8);
    view.services.get_mut(&ID).expect("it is there").holders = held;
    view.nodes.get_mut(&node_id(0)).expect("it is there").availability = Availability::Pause;
    let owners = owners(&plan(&view), ID);
    let load = |n: u8| owners.values().filter(|owner| **owner == node_id(n)).count();
    assert_eq!([load(0), load(1), load(2)], [4, 0, 4]);
}

#[test]
fn a_service_with_volumes_is_spread_too() {
    let labels = [(1, 0), (1, 0), (1, 0), (2, 0)];
    let mut view = spread(&labels, 4);
    let volumes = BTreeSet::from(["data-{{.Task.Slot}}".to_owned()]);
    view.services.get_mut(&ID).expect("it is there").volumes = volumes;
    let loads = loads(&owners(&plan(&view), ID), &labels);
    assert_eq!(loads, BTreeMap::from([((1, 0), 2), ((2, 0), 2)]));
}
