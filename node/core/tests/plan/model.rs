//! The naive planner and the real one agree, over random fleets of everything at once.
//!
//! `PROPTEST_CASES=100000 cargo test -p node-core --test plan the_naive_planner_agrees` tries more.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::node::Availability;
use crdt_state::spec::{PublishedPort, Resources, Scale};
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};
use node_core::affinity::Affinity;
use node_core::constraint::Constraint;
use node_core::plan::{Planning, plan};
use node_core::preference::Preference;
use node_core::view::{Holder, NodeView, Presence, ServiceView, Standing, View};
use proptest::prelude::*;

use crate::fleet::{node_id, owners, service};
use crate::naive::naive;

/// Few nodes are anything but usable, or little would run.
fn node(n: u8) -> impl Strategy<Value = NodeView> {
    let state = prop_oneof![
        6 => Just((Presence::Here, Availability::Active, false)),
        1 => Just((Presence::Gone, Availability::Active, false)),
        1 => Just((Presence::Here, Availability::Drain, false)),
        1 => Just((Presence::Here, Availability::Pause, false)),
        1 => Just((Presence::Here, Availability::Active, true)),
    ];
    let amounts = (0u64..10, 0u64..6, 0u64..5);
    (state, 0u8..4, 0u8..3, amounts).prop_map(move |(state, zone, rack, amounts)| {
        let mut node = NodeView::new(node_id(n));
        (node.presence, node.availability) = (state.0, state.1);
        node.unable = state.2.then(|| "its disk is full".to_owned());
        // Zone 0 is no label at all.
        if zone > 0 {
            node.labels.insert("zone".to_owned(), zone.to_string());
        }
        node.engine_labels.insert("rack".to_owned(), rack.to_string());
        let generic = BTreeMap::from([("gpu".to_owned(), amounts.2)]);
        (node.resources.memory_bytes, node.resources.nano_cpus) = (amounts.0, amounts.1);
        node.resources.generic = generic;
        node
    })
}

fn preferences() -> impl Strategy<Value = Vec<Preference>> {
    let words = prop::sample::select(vec![
        &[][..],
        &["spread=node.labels.zone"],
        &["spread=engine.labels.rack"],
        &["spread=node.labels.zone", "spread=engine.labels.rack"],
        &["spread=engine.labels.rack", "spread=node.labels.zone"],
        &["spread=node.labels.zone", "spread=node.labels.zone"],
    ]);
    words.prop_map(|words| {
        words.iter().map(|text| Preference::parse(text).expect("a preference")).collect()
    })
}

fn reservations() -> impl Strategy<Value = Resources> {
    let some = |most: u64| prop_oneof![3 => Just(0), 1 => 1..=most];
    (some(3), some(2), some(2)).prop_map(|(memory_bytes, nano_cpus, gpus)| {
        let generic = (gpus > 0).then(|| ("gpu".to_owned(), gpus)).into_iter().collect();
        Resources { memory_bytes, nano_cpus, pids: 0, generic }
    })
}

fn holders() -> impl Strategy<Value = Vec<Holder>> {
    let standing = prop::sample::select(vec![
        Standing::Running,
        Standing::Running,
        Standing::Coming,
        Standing::Ended,
    ]);
    let held = prop::collection::btree_map((0u32..20, 0u8..8), (0u64..6, standing), 0..24);
    held.prop_map(|held| {
        let held = held.into_iter().map(|((slot, node), (running_since, standing))| {
            // Slot 0 stands for the slot of a global service.
            let slot = if slot == 0 { Slot::Node(node_id(node)) } else { Slot::Number(slot) };
            Holder { slot, node: node_id(node), standing, running_since }
        });
        held.collect()
    })
}

fn random_service(n: u8) -> impl Strategy<Value = ServiceView> {
    let scale = prop_oneof![
        7 => (0u32..18).prop_map(|replicas| Scale::Replicated { replicas }),
        1 => Just(Scale::Global),
    ];
    let ports =
        prop_oneof![4 => Just(BTreeSet::new()), 1 => prop::collection::btree_set(80u16..83, 1..3)];
    let limits = (prop_oneof![3 => Just(0u32), 1 => 1u32..4], prop::bool::weighted(0.2), -1i32..2);
    // Only services of lower numbers, whatever their age and priority: no circle.
    let named = prop::collection::vec((1..n.max(2), prop::bool::ANY), 0..3);
    let named = prop_oneof![2 => Just(Vec::new()), 1 => named];
    let limits = (limits, named);
    (scale, preferences(), reservations(), holders(), ports, limits).prop_map(
        move |(scale, preferences, reservations, holders, ports, (limits, named))| {
            let affinities =
                named.into_iter().filter(|(other, _)| *other < n).map(|(other, is)| {
                    let text = format!("service{}s{other}", if is { "==" } else { "!=" });
                    Affinity::parse(&text).map_err(|error| error.to_string())
                });
            let host_ports = ports.into_iter().map(|published| PublishedPort {
                published,
                target: published,
                protocol: "tcp".to_owned(),
                host: true,
            });
            let of_zone = limits.1.then(|| Constraint::parse("node.labels.zone!=2"));
            let constraints = of_zone.into_iter().map(|c| c.map_err(|e| e.to_string()));
            ServiceView {
                scale,
                preferences,
                reservations,
                holders,
                constraints: constraints.collect(),
                affinities: affinities.collect(),
                host_ports: host_ports.collect(),
                max_per_node: limits.0,
                priority: limits.2,
                ..service(n, 0)
            }
        },
    )
}

/// A fleet, and its services after some of them changed.
fn changed_view() -> impl Strategy<Value = (View, View)> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), random_service(9)), 1..4);
    (random_view(), changes, prop::collection::vec(any::<u8>(), 4)).prop_map(
        |(before, changes, kinds)| {
            let mut after = before.clone();
            for ((at, other), kind) in changes.into_iter().zip(kinds) {
                let id = *at.get(&before.services.keys().copied().collect::<Vec<_>>());
                let Some(service) = after.services.get_mut(&id) else { continue };
                match kind % 10 {
                    0 => _ = after.services.remove(&id),
                    1 => _ = after.services.insert(other.id, other),
                    2 => service.priority = other.priority,
                    3 => service.reservations = other.reservations,
                    4 => service.host_ports = other.host_ports,
                    5 => service.scale = other.scale,
                    6 => service.affinities = other.affinities,
                    7 => service.name = other.name,
                    _ => service.holders = other.holders,
                }
            }
            (before, after)
        },
    )
}

fn random_view() -> impl Strategy<Value = View> {
    let nodes = (1u8..9).prop_flat_map(|nodes| (0..nodes).map(node).collect::<Vec<_>>());
    let services = (1u8..5).prop_flat_map(|n| (1..=n).map(random_service).collect::<Vec<_>>());
    (nodes, services).prop_map(|(nodes, services)| View {
        nodes: nodes.into_iter().map(|node| (node.id, node)).collect(),
        services: services.into_iter().map(|service| (service.id, service)).collect(),
    })
}

proptest! {
    #[test]
    fn the_naive_planner_agrees(view in random_view()) {
        let real = plan(&view);
        let real: BTreeMap<ServiceId, BTreeMap<Slot, NodeId>> =
            view.services.keys().map(|id| (*id, owners(&real, *id))).collect();
        prop_assert_eq!(real, naive(&view));
    }

    #[test]
    fn a_plan_that_is_kept_up_to_date_is_the_plan((before, after) in changed_view()) {
        let mut planning = Planning::default();
        planning.renew(&before);
        prop_assert_eq!(planning.plan(), &plan(&before));
        let all = before.services.keys().chain(after.services.keys());
        let differs = |id: &&ServiceId| before.services.get(*id) != after.services.get(*id);
        let changed: BTreeSet<ServiceId> = all.filter(differs).copied().collect();
        let planned = planning.update(&after, &changed);
        let expected = plan(&after);
        prop_assert_eq!(planning.plan(), &expected);
        let old = plan(&before);
        for id in before.services.keys().chain(after.services.keys()) {
            let is_same = old.services.get(id) == expected.services.get(id);
            prop_assert!(is_same || planned.contains(id), "{} changed unnoticed", id);
        }
    }
}
