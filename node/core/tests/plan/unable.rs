//! Nodes that report that they cannot start tasks: new tasks go elsewhere, running tasks stay.

use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};
use node_core::plan::{Placed, plan};
use node_core::reason::NodeReason;
use node_core::view::{Holder, Standing, View};
use proptest::prelude::*;

use crate::fleet::{fleet, moved, node_id, obey, owners, service};

const ID: ServiceId = ServiceId([1; 16]);

fn ail(view: &mut View, node: NodeId) {
    view.nodes.get_mut(&node).expect("it is there").unable = Some("its disk is full".to_owned());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_runs_on_a_node_that_can_start_nothing_stays(
        nodes in 2u8..12, replicas in 1u32..40, ailing in 0u8..12, more in 0u32..20,
    ) {
        let ailing = node_id(ailing % nodes);
        let mut view = fleet(nodes);
        view.services.insert(ID, service(1, replicas));
        let mut lamport = 0;
        obey(&mut view, &mut lamport);
        let before = owners(&plan(&view), ID);
        ail(&mut view, ailing);
        prop_assert_eq!(&owners(&plan(&view), ID), &before, "nothing moves");
        let held = |owners: &std::collections::BTreeMap<Slot, NodeId>| {
            owners.values().filter(|node| **node == ailing).count()
        };
        // New slots go elsewhere.
        let mut grown = service(1, replicas + more);
        grown.holders = view.services[&ID].holders.clone();
        view.services.insert(ID, grown);
        let after = owners(&plan(&view), ID);
        prop_assert_eq!(held(&after), held(&before));
        prop_assert_eq!(moved(&before, &after), 0);
        prop_assert_eq!(after.len(), (replicas + more) as usize);
    }

    #[test]
    fn what_has_not_begun_on_such_a_node_goes_elsewhere(
        nodes in 2u8..12, replicas in 1u32..40, ailing in 0u8..12,
    ) {
        let ailing = node_id(ailing % nodes);
        let mut view = fleet(nodes);
        view.services.insert(ID, service(1, replicas));
        let mut lamport = 0;
        obey(&mut view, &mut lamport);
        let before = owners(&plan(&view), ID);
        ail(&mut view, ailing);
        for holder in &mut view.services.get_mut(&ID).expect("it is there").holders {
            if holder.node == ailing {
                holder.standing = Standing::Coming;
            }
        }
        let after = owners(&plan(&view), ID);
        prop_assert!(after.values().all(|node| *node != ailing));
        let own = before.values().filter(|node| **node == ailing).count();
        prop_assert_eq!(moved(&before, &after), own, "its own slots, and no others");
        prop_assert_eq!(after.len(), replicas as usize);
    }
}

#[test]
fn what_is_done_on_such_a_node_is_not_done_again() {
    let mut view = fleet(3);
    let mut job = service(1, 1);
    let holder =
        |standing| Holder { slot: Slot::Number(1), node: node_id(1), standing, running_since: 1 };
    job.holders = vec![holder(Standing::Ended)];
    view.services.insert(ID, job);
    ail(&mut view, node_id(1));
    assert_eq!(plan(&view).owner(ID, Slot::Number(1)), Some(node_id(1)));
}

#[test]
fn where_no_other_node_is_left_it_is_tried_all_the_same() {
    let mut view = fleet(2);
    view.services.insert(ID, service(1, 4));
    ail(&mut view, node_id(0));
    let planned = plan(&view);
    assert!(owners(&planned, ID).values().all(|node| *node == node_id(1)));
    let reason = &planned.services[&ID].excluded[&node_id(0)];
    assert!(matches!(reason, NodeReason::Unable(_)) && reason.to_string().contains("disk is full"));
    ail(&mut view, node_id(1));
    let planned = plan(&view);
    assert!(planned.services[&ID].slots.values().all(|placed| matches!(placed, Placed::On(..))));
}
