//! What a service of higher priority takes, and from whom.

use crdt_state::ServiceId;
use crdt_state::spec::{PublishedPort, Resources, Scale};
use crdt_state::task::Slot;
use node_core::plan::{Placed, plan};
use node_core::reason::Unplaced;
use node_core::view::{ServiceView, View};
use proptest::prelude::*;

use crate::fleet::{fleet, node_id, obey, owners, service};

const LOW: ServiceId = ServiceId([1; 16]);
const HIGH: ServiceId = ServiceId([2; 16]);

/// A fleet whose nodes have 10 bytes of memory, with a service that runs and needs 6 of them.
fn busy(nodes: u8, low: u32) -> View {
    let mut view = fleet(nodes);
    view.nodes.values_mut().for_each(|node| node.resources.memory_bytes = 10);
    view.services.insert(LOW, needing(1, low, 6, 0));
    obey(&mut view, &mut 0);
    view
}

fn needing(n: u8, replicas: u32, memory_bytes: u64, priority: i32) -> ServiceView {
    let reservations = Resources { memory_bytes, ..Resources::default() };
    ServiceView { reservations, priority, ..service(n, replicas) }
}

fn nowhere(view: &View, id: ServiceId) -> Vec<Unplaced> {
    let plan = plan(view);
    let slots = plan.services[&id].slots.values();
    let nowhere = slots.filter_map(|placed| match placed {
        Placed::Nowhere(why) => Some(*why),
        Placed::On(..) => None,
    });
    nowhere.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_new_service_moves_nothing_of_its_own_or_a_higher_priority(
        nodes in 1u8..8, low in 1u32..8, new in 1u32..8, needs in 1u64..11, priority in -2i32..1,
    ) {
        let mut view = busy(nodes, low);
        let before = owners(&plan(&view), LOW);
        view.services.insert(HIGH, needing(2, new, needs, priority));
        prop_assert_eq!(owners(&plan(&view), LOW), before);
        let is_taken = |why: Unplaced| matches!(why, Unplaced::Preempted(_));
        prop_assert!(!nowhere(&view, LOW).into_iter().any(is_taken));
        prop_assert!(priority < 0 || !nowhere(&view, HIGH).into_iter().any(is_taken));
    }

    #[test]
    fn a_service_of_higher_priority_runs_and_takes_no_more_than_it_needs(
        nodes in 1u8..8, low in 1u32..8, high in 1u32..8,
    ) {
        let mut view = busy(nodes, low);
        view.services.insert(HIGH, needing(2, high, 5, 10));
        let planned = plan(&view);
        let before = owners(&plan(&busy(nodes, low)), LOW);
        let (of_low, of_high) = (owners(&planned, LOW), owners(&planned, HIGH));
        prop_assert_eq!(of_high.len(), (high as usize).min(usize::from(nodes) * 2));
        // Whoever has the room still keeps its place.
        for (slot, node) in &before {
            let is_taken = of_high.values().any(|taken| taken == node);
            prop_assert!(is_taken || of_low.get(slot) == Some(node), "{:?} moved", slot);
        }
        // And whoever has none any more says who took it.
        let waiting = nowhere(&view, LOW);
        let held = before.len() - of_low.len();
        let told = waiting.iter().filter(|why| **why == Unplaced::Preempted(HIGH)).count();
        prop_assert!(told >= held, "{:?}", waiting);
    }
}

#[test]
fn it_goes_where_nobody_has_to_make_room() {
    for nodes in 2u8..8 {
        let mut view = busy(nodes, 1);
        let before = owners(&plan(&view), LOW);
        for n in 2..20 {
            let id = ServiceId([n; 16]);
            view.services.insert(id, needing(n, 1, 6, 10));
            let planned = plan(&view);
            let high = owners(&planned, id);
            assert_ne!(high.values().next(), before.values().next(), "{nodes} nodes, service {n}");
            assert_eq!(owners(&planned, LOW), before);
            view.services.remove(&id);
        }
    }
}

#[test]
fn what_it_displaces_goes_elsewhere_if_it_fits_there() {
    let mut view = busy(2, 1);
    let low = owners(&plan(&view), LOW)[&Slot::Number(1)];
    let other = [node_id(0), node_id(1)].into_iter().find(|node| *node != low).expect("two");
    let mut high = needing(2, 1, 10, 10);
    let id = format!("node.id=={low}");
    high.constraints = vec![Ok(node_core::constraint::Constraint::parse(&id).expect("valid"))];
    view.services.insert(HIGH, high);
    assert_eq!(owners(&plan(&view), LOW)[&Slot::Number(1)], other);
    view.nodes.get_mut(&other).unwrap().resources.memory_bytes = 5;
    assert_eq!(nowhere(&view, LOW), [Unplaced::Preempted(HIGH)]);
}

#[test]
fn ports_and_generic_resources_are_taken_as_well_and_global_tasks_displaced() {
    let mut view = fleet(1);
    let port = PublishedPort { published: 80, target: 80, protocol: "tcp".into(), host: true };
    let on_port = |n, scale, priority| ServiceView {
        host_ports: vec![port.clone()],
        scale,
        priority,
        ..service(n, 1)
    };
    view.services.insert(LOW, on_port(1, Scale::Global, 0));
    obey(&mut view, &mut 0);
    view.services.insert(HIGH, on_port(2, Scale::Replicated { replicas: 1 }, 0));
    assert_eq!(nowhere(&view, HIGH), [Unplaced::NoNode], "nobody took it from a younger service");
    view.services.get_mut(&HIGH).unwrap().priority = 1;
    assert_eq!(nowhere(&view, LOW), [Unplaced::Preempted(HIGH)]);
    assert_eq!(nowhere(&view, HIGH), []);
    let gpus = |n, priority| {
        let generic = [("gpu".to_owned(), 1)].into();
        let reservations = Resources { generic, ..Resources::default() };
        ServiceView { reservations, priority, ..service(n, 1) }
    };
    view.nodes.values_mut().for_each(|node| _ = node.resources.generic.insert("gpu".into(), 1));
    view.services = [(LOW, gpus(1, 0)), (HIGH, gpus(2, 1))].into();
    assert_eq!(nowhere(&view, LOW), [Unplaced::Preempted(HIGH)]);
}
