//! Slots that run and have no place in the plan any more.

use crdt_state::ServiceId;
use crdt_state::spec::Resources;
use crdt_state::task::Slot;
use node_core::constraint::Constraint;
use node_core::plan::{Placed, plan};
use node_core::view::{Holder, NodeView, ServiceView, Standing};

use crate::fleet::{fleet, node_id, obey, owners, service};

#[test]
fn what_runs_stays_when_no_node_may_have_it() {
    let id = ServiceId([1; 16]);
    let mut view = fleet(2);
    view.services.insert(id, service(1, 2));
    obey(&mut view, &mut 0);
    let before = owners(&plan(&view), id);
    let nowhere = vec![Ok(Constraint::parse("node.labels.zone==moon").unwrap())];
    view.services.get_mut(&id).unwrap().constraints = nowhere;
    assert_eq!(owners(&plan(&view), id), before);
    // One of two copies of a slot stays, and nothing that does not run.
    let held = &mut view.services.get_mut(&id).unwrap().holders;
    let other = Holder { node: held[1].node, running_since: 99, ..held[0] };
    held.push(other);
    held[1].standing = Standing::Ended;
    let after = plan(&view);
    assert_eq!(owners(&after, id), [(Slot::Number(1), before[&Slot::Number(1)])].into());
    let stays = Placed::On(before[&Slot::Number(1)], node_core::reason::Choice::Stays);
    assert_eq!(after.services[&id].slots[&Slot::Number(1)], stays);
    // A node that may take the slots joins: they move to it.
    view.nodes.insert(node_id(7), NodeView::new(node_id(7)));
    view.nodes.get_mut(&node_id(7)).unwrap().labels.insert("zone".into(), "moon".into());
    assert!(owners(&plan(&view), id).values().all(|owner| *owner == node_id(7)));
}

#[test]
fn what_a_service_of_higher_priority_needs_is_not_kept_from_it() {
    let (low, high) = (ServiceId([1; 16]), ServiceId([2; 16]));
    let mut view = fleet(1);
    view.nodes.values_mut().for_each(|node| node.resources.memory_bytes = 10);
    let reservations = Resources { memory_bytes: 10, ..Resources::default() };
    view.services.insert(low, ServiceView { reservations: reservations.clone(), ..service(1, 1) });
    obey(&mut view, &mut 0);
    view.services.insert(high, ServiceView { reservations, priority: 1, ..service(2, 1) });
    let plan = plan(&view);
    assert_eq!((owners(&plan, high).len(), owners(&plan, low).len()), (1, 0));
}
