//! Laws of the plan, over random fleets, and a naive second planner that must agree (`model.rs`).

mod affinity;
mod fleet;
mod model;
mod naive;
mod partition;
mod priority;
mod spread;
mod stays;
mod unable;
mod volumes;

use crdt_state::node::Availability;
use crdt_state::spec::{Platform, PublishedPort, Resources, Scale};
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};
use node_core::constraint::Constraint;
use node_core::plan::{Placed, plan};
use node_core::view::{Holder, NodeView, Presence, ServiceView, Standing};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

use fleet::{counts, fleet, moved, node_id, obey, owners, service};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn loads_differ_by_at_most_one(nodes in 1u8..20, replicas in 0u32..80) {
        let mut view = fleet(nodes);
        view.services.insert(ServiceId([1; 16]), service(1, replicas));
        let counts = counts(&owners(&plan(&view), ServiceId([1; 16])), &view);
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        prop_assert!(most - least <= 1, "{counts:?}");
        prop_assert_eq!(counts.iter().sum::<usize>(), replicas as usize);
    }

    #[test]
    fn a_failing_node_moves_its_own_slots_only(
        nodes in 2u8..20, replicas in 1u32..80, failing in 0u8..20,
    ) {
        let id = ServiceId([1; 16]);
        let failing = node_id(failing % nodes);
        let mut view = fleet(nodes);
        view.services.insert(id, service(1, replicas));
        let mut lamport = 0;
        obey(&mut view, &mut lamport);
        let before = owners(&plan(&view), id);
        view.nodes.get_mut(&failing).unwrap().presence = Presence::Gone;
        let after = owners(&plan(&view), id);
        let own = before.values().filter(|node| **node == failing).count();
        prop_assert_eq!(moved(&before, &after), own);

        // The node returns, empty: it takes at most its share, and nothing changes after one round.
        obey(&mut view, &mut lamport);
        view.nodes.get_mut(&failing).unwrap().presence = Presence::Here;
        let failed_over = owners(&plan(&view), id);
        obey(&mut view, &mut lamport);
        let back = owners(&plan(&view), id);
        prop_assert!(moved(&after, &back) <= (replicas as usize).div_ceil(nodes.into()));
        prop_assert_eq!(failed_over, back);
    }

    #[test]
    fn a_partition_that_heals_restarts_nothing(nodes in 2u8..12, replicas in 1u32..40, cut in 1u8..12) {
        let id = ServiceId([1; 16]);
        let mut view = fleet(nodes);
        view.services.insert(id, service(1, replicas));
        let mut lamport = 0;
        obey(&mut view, &mut lamport);
        let before = owners(&plan(&view), id);
        // Each side runs every slot; then the reports of both sides are merged.
        let mut holders = BTreeSet::new();
        let far = |n: &NodeId| (0..cut % nodes).any(|c| node_id(c) == *n);
        for here in [true, false] {
            let mut side = view.clone();
            for node in side.nodes.values_mut() {
                if far(&node.id) == here {
                    node.presence = Presence::Gone;
                }
            }
            obey(&mut side, &mut lamport);
            let held = &side.services[&id].holders;
            holders.extend(held.iter().map(|h| (h.slot, h.node, h.running_since)));
        }
        view.services.get_mut(&id).unwrap().holders = holders.into_iter()
            .map(|(slot, node, running_since)| Holder {
                slot, node, standing: Standing::Running, running_since,
            })
            .collect();
        prop_assert_eq!(owners(&plan(&view), id), before);
    }

    #[test]
    fn what_ran_on_one_side_only_goes_on_there(
        nodes in 2u8..10, replicas in 1u32..20, more in 0u32..10, cut in 1u8..10,
    ) {
        // Both sides run every slot, and the far side was scaled meanwhile.
        let id = ServiceId([1; 16]);
        let far = 1 + cut % (nodes - 1);
        let mut view = fleet(nodes);
        view.services.insert(id, service(1, replicas));
        let mut lamport = 0;
        obey(&mut view, &mut lamport);
        let mut holders = BTreeMap::new();
        for (gone, wanted) in [(0..far, replicas), (far..nodes, replicas + more)] {
            let mut side = view.clone();
            for n in gone {
                side.nodes.get_mut(&node_id(n)).unwrap().presence = Presence::Gone;
            }
            side.services.get_mut(&id).unwrap().scale = Scale::Replicated { replicas: wanted };
            obey(&mut side, &mut lamport);
            holders.extend(side.services[&id].holders.iter().map(|h| ((h.slot, h.node), *h)));
        }
        let healed = view.services.get_mut(&id).unwrap();
        healed.scale = Scale::Replicated { replicas: replicas + more };
        healed.holders = holders.into_values().collect();
        let stays = healed.holders.clone();
        let after = owners(&plan(&view), id);
        let copies = |slot: Slot| stays.iter().filter(|h| h.slot == slot).count();
        let alone: Vec<&Holder> = stays.iter().filter(|h| copies(h.slot) == 1).collect();
        let share = (replicas + more) / u32::from(nodes);
        for holder in &alone {
            let here = alone.iter().filter(|h| h.node == holder.node).count();
            if here <= share as usize {
                prop_assert_eq!(after[&holder.slot], holder.node);
            }
        }
        // The new owners start the slots that move, and then the surplus copies are ended in any
        // order: the plan does not change any more.
        let healed = view.services.get_mut(&id).unwrap();
        for (slot, node) in &after {
            if !healed.holders.iter().any(|h| h.slot == *slot && h.node == *node) {
                lamport += 1;
                let (standing, running_since) = (Standing::Running, lamport);
                healed.holders.push(Holder { slot: *slot, node: *node, standing, running_since });
            }
        }
        prop_assert_eq!(&owners(&plan(&view), id), &after);
        let mut nth = 0;
        view.services.get_mut(&id).unwrap().holders.retain(|h| {
            nth += 1;
            after.get(&h.slot) == Some(&h.node) || nth % 2 == 0
        });
        prop_assert_eq!(owners(&plan(&view), id), after);
    }

    #[test]
    fn a_new_node_takes_at_most_its_share(nodes in 1u8..20, replicas in 0u32..80) {
        let id = ServiceId([1; 16]);
        let mut view = fleet(nodes);
        view.services.insert(id, service(1, replicas));
        obey(&mut view, &mut 0);
        let before = owners(&plan(&view), id);
        view.nodes.insert(node_id(nodes), NodeView::new(node_id(nodes)));
        let after = owners(&plan(&view), id);
        prop_assert!(moved(&before, &after) <= (replicas as usize).div_ceil(nodes as usize + 1));
    }

    #[test]
    fn scaling_moves_nothing(nodes in 1u8..12, from in 0u32..40, to in 0u32..40) {
        let id = ServiceId([1; 16]);
        let mut view = fleet(nodes);
        view.services.insert(id, service(1, from));
        obey(&mut view, &mut 0);
        let before = owners(&plan(&view), id);
        view.services.get_mut(&id).unwrap().scale = Scale::Replicated { replicas: to };
        let after = owners(&plan(&view), id);
        prop_assert_eq!(moved(&before, &after), 0);
        prop_assert_eq!(after.len(), to as usize);
    }

    #[test]
    fn who_has_heard_of_some_holders_makes_the_same_plan(
        nodes in 1u8..12,
        replicas in 1u32..40,
        gone in prop::collection::vec(0u8..12, 0..3),
        heard in prop::collection::vec(any::<bool>(), 40),
    ) {
        let id = ServiceId([1; 16]);
        let mut view = fleet(nodes);
        view.services.insert(id, service(1, replicas));
        let mut lamport = 0;
        if !gone.is_empty() {
            obey(&mut view, &mut lamport);
            for n in gone {
                view.nodes.entry(node_id(n)).and_modify(|node| node.presence = Presence::Gone);
            }
        }
        let expected = owners(&plan(&view), id);
        let old: BTreeSet<(Slot, NodeId)> =
            view.services[&id].holders.iter().map(|h| (h.slot, h.node)).collect();
        obey(&mut view, &mut lamport);
        let holders = &mut view.services.get_mut(&id).unwrap().holders;
        let mut nth = 0;
        holders.retain(|h| {
            nth += 1;
            old.contains(&(h.slot, h.node)) || heard[nth % heard.len()]
        });
        prop_assert_eq!(owners(&plan(&view), id), expected);
    }

    #[test]
    fn a_younger_service_never_moves_an_older_one(
        nodes in 1u8..8, old in 0u32..20, young in 0u32..20, needs in 1u64..5, has in 1u64..40,
    ) {
        let mut view = fleet(nodes);
        for node in view.nodes.values_mut() {
            node.resources.memory_bytes = has;
        }
        let reserving = |n: u8, replicas: u32| {
            let reservations = Resources { memory_bytes: needs, ..Resources::default() };
            ServiceView { reservations, ..service(n, replicas) }
        };
        view.services.insert(ServiceId([1; 16]), reserving(1, old));
        let before = owners(&plan(&view), ServiceId([1; 16]));
        view.services.insert(ServiceId([2; 16]), reserving(2, young));
        let after = plan(&view);
        prop_assert_eq!(owners(&after, ServiceId([1; 16])), before);
        for node in view.nodes.keys() {
            let load: usize = (1u8..=2)
                .map(|n| owners(&after, ServiceId([n; 16])).values().filter(|o| *o == node).count())
                .sum();
            prop_assert!(load as u64 * needs <= has, "{load} tasks of {needs} on a node of {has}");
        }
    }
}

#[test]
fn constraints_and_the_limit_per_node_are_kept() {
    let id = ServiceId([1; 16]);
    let mut view = fleet(4);
    for (nth, node) in view.nodes.values_mut().enumerate() {
        node.labels.insert("zone".into(), if nth < 2 { "a".into() } else { "b".into() });
    }
    let mut wanted = service(1, 6);
    wanted.constraints = vec![Ok(Constraint::parse("node.labels.zone==a").unwrap())];
    wanted.max_per_node = 2;
    view.services.insert(id, wanted);
    let plan = plan(&view);
    let counts = counts(&owners(&plan, id), &view);
    assert_eq!(counts, [2, 2, 0, 0]);
    let nowhere = plan.services[&id].slots.values().filter(|p| matches!(p, Placed::Nowhere(_)));
    assert_eq!(nowhere.count(), 2);
    assert_eq!(plan.services[&id].excluded.len(), 4);
}

#[test]
fn what_has_ended_does_not_push_out_what_runs() {
    // A limit per node that came later: one of the two tasks has to go.
    let id = ServiceId([1; 16]);
    let mut view = fleet(2);
    let hold = |slot: u32, node: u8, standing: Standing| {
        let running_since = slot.into();
        Holder { slot: Slot::Number(slot), node: node_id(node), standing, running_since }
    };
    let mut wanted = ServiceView { max_per_node: 1, ..service(1, 2) };
    wanted.holders = vec![
        hold(1, 0, Standing::Ended),
        hold(2, 0, Standing::Running),
        hold(2, 1, Standing::Ended),
    ];
    view.services.insert(id, wanted);
    assert_eq!(owners(&plan(&view), id)[&Slot::Number(2)], node_id(0));
}

#[test]
fn a_host_port_is_taken_once_per_node() {
    let id = ServiceId([1; 16]);
    let mut view = fleet(3);
    let mut wanted = service(1, 5);
    wanted.host_ports =
        vec![PublishedPort { published: 80, target: 80, protocol: "tcp".into(), host: true }];
    view.services.insert(id, wanted.clone());
    let mut other = ServiceView { host_ports: wanted.host_ports, ..service(2, 1) };
    other.id = ServiceId([2; 16]);
    view.services.insert(other.id, other);
    let plan = plan(&view);
    assert_eq!(counts(&owners(&plan, id), &view), [1, 1, 1]);
    assert_eq!(owners(&plan, ServiceId([2; 16])).len(), 0);
}

#[test]
fn a_paused_node_keeps_what_it_has_and_takes_no_more() {
    let id = ServiceId([1; 16]);
    let mut view = fleet(3);
    view.services.insert(id, service(1, 3));
    obey(&mut view, &mut 0);
    let paused = node_id(0);
    view.nodes.get_mut(&paused).unwrap().availability = Availability::Pause;
    let before = owners(&plan(&view), id);
    assert_eq!(before.values().filter(|node| **node == paused).count(), 1);
    view.services.get_mut(&id).unwrap().scale = Scale::Replicated { replicas: 9 };
    let after = owners(&plan(&view), id);
    assert_eq!(after.values().filter(|node| **node == paused).count(), 1);
    assert_eq!(moved(&before, &after), 0);
}

#[test]
fn a_global_service_has_one_task_on_each_node_that_may_have_it() {
    let id = ServiceId([1; 16]);
    let mut view = fleet(4);
    view.nodes.get_mut(&node_id(1)).unwrap().availability = Availability::Drain;
    view.nodes.get_mut(&node_id(2)).unwrap().presence = Presence::Gone;
    view.services.insert(id, ServiceView { scale: Scale::Global, ..service(1, 0) });
    let expected: BTreeSet<NodeId> = [node_id(0), node_id(3)].into();
    let owners: BTreeSet<NodeId> = owners(&plan(&view), id).into_values().collect();
    assert_eq!(owners, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_task_is_only_where_its_image_has_a_build(
        arches in proptest::collection::vec(0usize..4, 1..12),
        builds in proptest::collection::btree_set(0usize..4, 0..4),
        replicas in 0u32..40,
    ) {
        // A machine and the only build that fits it: none of them runs a build of another.
        let machines = [("x86_64", "amd64", ""), ("armv6l", "arm", "v6"),
            ("riscv64", "riscv64", ""), ("s390x", "s390x", "")];
        let id = ServiceId([1; 16]);
        let mut view = fleet(u8::try_from(arches.len()).unwrap());
        for (node, arch) in view.nodes.values_mut().zip(&arches) {
            node.os = "linux".to_owned();
            node.arch = machines[*arch].0.to_owned();
        }
        let mut wanted = service(1, replicas);
        let of = |build: &usize| Platform {
            os: "linux".to_owned(),
            arch: machines[*build].1.to_owned(),
            variant: machines[*build].2.to_owned(),
        };
        wanted.platforms = builds.iter().map(of).collect();
        view.services.insert(id, wanted);
        let plan = plan(&view);
        let fits = |node: NodeId| {
            builds.is_empty()
                || builds.iter().any(|build| machines[*build].0 == view.nodes[&node].arch)
        };
        let placed = owners(&plan, id);
        prop_assert!(placed.values().all(|node| fits(*node)), "{placed:?}");
        let any = view.nodes.keys().any(|node| fits(*node));
        prop_assert_eq!(placed.len(), if any { replicas as usize } else { 0 });
        for node in view.nodes.keys().filter(|node| !fits(**node)) {
            prop_assert_eq!(plan.services[&id].excluded[node].code(), "platform");
        }
    }
}

#[test]
fn a_global_service_leaves_out_nodes_without_a_build_and_says_so() {
    let id = ServiceId([1; 16]);
    let mut view = fleet(2);
    for (node, arch) in view.nodes.values_mut().zip(["x86_64", "armv7l"]) {
        node.arch = arch.to_owned();
    }
    let mut wanted = ServiceView { scale: Scale::Global, ..service(1, 0) };
    wanted.platforms =
        vec![Platform { os: "linux".to_owned(), arch: "amd64".to_owned(), variant: String::new() }];
    view.services.insert(id, wanted);
    let plan = plan(&view);
    let reasons: Vec<String> =
        plan.services[&id].excluded.values().map(ToString::to_string).collect();
    assert_eq!(reasons, ["armv7: the image has no armv7 build (it has amd64)"]);
    assert_eq!(owners(&plan, id).len(), 1);
}
