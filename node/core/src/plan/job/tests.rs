//! Which slots of a job have an owner, over made-up fleets.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::node::Availability;
use crdt_state::spec::{Resources, Scale};
use crdt_state::stamp::{Stamp, Writer};
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, StoreId};
use proptest::prelude::*;

use crate::constraint::Constraint;
use crate::plan::{Placed, ServicePlan, plan};
use crate::reason::Unplaced;
use crate::view::{Holder, JobView, NodeView, Presence, ServiceView, Standing, View};

const JOB: ServiceId = ServiceId([1; 16]);

fn node(n: u8) -> NodeId {
    NodeId(crdt_state::id::first_16(&blake3::hash(&[n])))
}

fn fleet(nodes: u8, completions: u32, max_concurrent: u32) -> View {
    let writer = Writer { node: node(0), store: StoreId(1) };
    let service = ServiceView {
        id: JOB,
        name: "job".to_owned(),
        image: String::new(),
        affinities: Vec::new(),
        created: Stamp { lamport: 1, writer },
        scale: Scale::JobReplicated { completions, max_concurrent },
        constraints: Vec::new(),
        preferences: Vec::new(),
        platforms: Vec::new(),
        max_per_node: 0,
        priority: 0,
        reservations: Resources::default(),
        host_ports: Vec::new(),
        volumes: BTreeSet::new(),
        has_networks: false,
        needs_tunnel: false,
        holders: Vec::new(),
        partition: Default::default(),
        leases: BTreeMap::new(),
        job: JobView::default(),
    };
    let nodes = (0..nodes).map(|n| (node(n), NodeView::new(node(n)))).collect();
    View { nodes, services: BTreeMap::from([(JOB, service)]) }
}

fn job(view: &mut View) -> &mut ServiceView {
    view.services.get_mut(&JOB).expect("there is one")
}

fn hold(view: &mut View, number: u32, on: NodeId, standing: Standing) {
    let slot = Slot::Number(number);
    job(view).holders.push(Holder { slot, node: on, standing, running_since: number.into() });
}

fn planned(view: &View) -> ServicePlan {
    plan(view).services[&JOB].clone()
}

fn owned(view: &View) -> BTreeMap<u32, NodeId> {
    let owned = planned(view).slots.into_iter().filter_map(|(slot, placed)| match (slot, placed) {
        (Slot::Number(number), Placed::On(node, _)) => Some((number, node)),
        _ => None,
    });
    owned.collect()
}

fn numbers(view: &View) -> Vec<u32> {
    owned(view).into_keys().collect()
}

fn complete(view: &mut View, number: u32) {
    let slot = Slot::Number(number);
    job(view).holders.retain(|holder| holder.slot != slot);
    job(view).job.completed.insert(slot);
}

#[test]
fn the_lowest_slots_that_are_not_over_have_an_owner() {
    let mut view = fleet(3, 5, 2);
    assert_eq!(numbers(&view), [1, 2]);
    complete(&mut view, 1);
    assert_eq!(numbers(&view), [2, 3]);
    job(&mut view).job.failed.insert(Slot::Number(2));
    assert_eq!(numbers(&view), [3, 4], "a slot that failed for good keeps nobody waiting");
    let why = |view: &View, number| planned(view).slots[&Slot::Number(number)];
    assert_eq!(why(&view, 1), Placed::Nowhere(Unplaced::Complete));
    assert_eq!(why(&view, 2), Placed::Nowhere(Unplaced::Failed));
    assert_eq!(why(&view, 5), Placed::Nowhere(Unplaced::Concurrent(2)));
    (3..=5).for_each(|number| complete(&mut view, number));
    assert_eq!(numbers(&view), [] as [u32; 0]);
}

#[test]
fn a_task_that_runs_is_not_moved_and_keeps_its_place_before_lower_slots() {
    let mut view = fleet(3, 6, 2);
    hold(&mut view, 4, node(0), Standing::Running);
    hold(&mut view, 5, node(0), Standing::Running);
    assert_eq!(owned(&view), BTreeMap::from([(4, node(0)), (5, node(0))]), "beyond its share");
    hold(&mut view, 6, node(1), Standing::Coming);
    assert_eq!(numbers(&view), [4, 5], "one that has not begun waits again");
    let constraint = Constraint::parse("node.hostname==elsewhere").expect("a constraint");
    job(&mut view).constraints.push(Ok(constraint));
    assert_eq!(numbers(&view), [4, 5], "what runs ends where it is");
}

#[test]
fn what_begins_waits_for_its_node_and_never_goes_to_another() {
    let mut view = fleet(2, 9, 9);
    job(&mut view).max_per_node = 1;
    let owners = owned(&view);
    assert_eq!(owners.len(), 2, "one on each node");
    let first = *owners.keys().next().expect("one");
    let waiting = (1..=9).find(|number| !owners.contains_key(number)).expect("some wait");
    assert_eq!(planned(&view).slots[&Slot::Number(waiting)], Placed::Nowhere(Unplaced::Full));
    complete(&mut view, first);
    assert!(owned(&view).values().all(|node| owners[&first] == *node || owners.len() == 2));
}

#[test]
fn a_slot_whose_node_is_gone_runs_elsewhere_and_a_complete_one_does_not() {
    let mut view = fleet(2, 2, 2);
    hold(&mut view, 1, node(0), Standing::Running);
    complete(&mut view, 2);
    view.nodes.get_mut(&node(0)).expect("a node").presence = Presence::Gone;
    assert_eq!(owned(&view), BTreeMap::from([(1, node(1))]));
    view.nodes.remove(&node(0));
    assert_eq!(owned(&view), BTreeMap::from([(1, node(1))]), "nor after it was removed");
}

#[test]
fn a_task_on_a_drained_node_ends_there_before_it_begins_elsewhere() {
    let mut view = fleet(2, 3, 2);
    hold(&mut view, 1, node(0), Standing::Running);
    view.nodes.get_mut(&node(0)).expect("a node").availability = Availability::Drain;
    let leaving = Placed::Nowhere(Unplaced::Leaving(node(0)));
    assert_eq!(planned(&view).slots[&Slot::Number(1)], leaving);
    assert_eq!(numbers(&view), [2], "it still runs, so one more may");
    job(&mut view).holders.clear();
    assert_eq!(owned(&view), BTreeMap::from([(1, node(1)), (2, node(1))]));
}

#[test]
fn a_slot_failed_for_good_only_if_no_copy_of_it_runs() {
    let mut view = fleet(2, 1, 1);
    job(&mut view).job.failed.insert(Slot::Number(1));
    hold(&mut view, 1, node(1), Standing::Running);
    assert_eq!(owned(&view), BTreeMap::from([(1, node(1))]));
    view.nodes.get_mut(&node(1)).expect("a node").presence = Presence::Gone;
    assert_eq!(numbers(&view), [] as [u32; 0]);
}

#[test]
fn a_global_job_has_a_slot_on_every_node_until_it_is_complete_there() {
    let mut view = fleet(3, 0, 0);
    job(&mut view).scale = Scale::JobGlobal;
    job(&mut view).job.completed.insert(Slot::Node(node(1)));
    job(&mut view).job.failed.insert(Slot::Node(node(2)));
    let slots = planned(&view).slots;
    assert!(matches!(slots[&Slot::Node(node(0))], Placed::On(on, _) if on == node(0)));
    assert_eq!(slots[&Slot::Node(node(1))], Placed::Nowhere(Unplaced::Complete));
    assert_eq!(slots[&Slot::Node(node(2))], Placed::Nowhere(Unplaced::Failed));
    assert_eq!(crate::plan::desired(Scale::JobGlobal, Some(&planned(&view))), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Two nodes that know of different completions: what each of them would begin, it would begin
    /// on the same node.
    #[test]
    fn whoever_learns_first_what_is_complete_begins_the_next_slot_on_the_same_node(
        nodes in 1u8..6, most in 1u32..6, news in prop::collection::vec(0u8..3, 12),
    ) {
        let mut before = fleet(nodes, 20, most);
        for (number, on) in owned(&before) {
            hold(&mut before, number, on, Standing::Running);
        }
        let mut views = [before.clone(), before];
        for (number, news) in (1..).zip(news) {
            for (bit, view) in views.iter_mut().enumerate() {
                if u32::from(news) & (1 << bit) != 0 {
                    complete(view, number);
                }
            }
        }
        let [one, other] = views.each_ref().map(owned);
        for (number, node) in one {
            prop_assert!(other.get(&number).is_none_or(|there| *there == node), "{number}");
        }
    }

    #[test]
    fn a_job_that_is_obeyed_completes_every_slot_once_within_its_limit(
        nodes in 1u8..6, completions in 0u32..30, most in 1u32..6, ends in any::<u64>(),
    ) {
        let mut view = fleet(nodes, completions, most);
        let mut dice = ends;
        for _ in 0..=completions {
            let before = owned(&view);
            prop_assert!(before.len() <= most as usize);
            for (number, on) in &before {
                prop_assert!(!job(&mut view).job.completed.contains(&Slot::Number(*number)));
                let holders = &mut job(&mut view).holders;
                let held = holders.iter().find(|holder| holder.slot == Slot::Number(*number));
                prop_assert!(held.is_none_or(|held| held.node == *on), "it moves no task");
                if held.is_none() {
                    hold(&mut view, *number, *on, Standing::Running);
                }
            }
            prop_assert_eq!(owned(&view), before.clone(), "the plan is stable once obeyed");
            let Some(ended) = before.keys().nth((dice % 7) as usize % before.len().max(1)) else {
                break;
            };
            complete(&mut view, *ended);
            dice = dice.rotate_left(7);
        }
        prop_assert_eq!(job(&mut view).job.completed.len(), completions as usize);
    }
}
