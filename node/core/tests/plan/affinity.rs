//! Beside whom a service runs, and beside whom not.

use std::collections::BTreeSet;

use crdt_state::spec::Resources;
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};
use node_core::affinity::Affinity;
use node_core::neighbours::canonical_order;
use node_core::plan::{Planning, plan};
use node_core::view::{Presence, ServiceView, View};

use crate::fleet::{fleet, obey, owners, service};

fn id(n: u8) -> ServiceId {
    ServiceId([n; 16])
}

fn with(n: u8, replicas: u32, rules: &[&str]) -> ServiceView {
    let read = |text: &&str| Affinity::parse(text).map_err(|error| error.to_string());
    ServiceView { affinities: rules.iter().map(read).collect(), ..service(n, replicas) }
}

fn nodes_of(view: &View, n: u8) -> BTreeSet<NodeId> {
    owners(&plan(view), id(n)).into_values().collect()
}

/// Why service `n` cannot be on any node.
fn obstacles(view: &View, n: u8) -> BTreeSet<String> {
    plan(view).services[&id(n)].excluded.values().map(ToString::to_string).collect()
}

fn view(nodes: u8, services: Vec<ServiceView>) -> View {
    let mut view = fleet(nodes);
    view.services.extend(services.into_iter().map(|service| (service.id, service)));
    view
}

#[test]
fn a_service_is_beside_another_or_apart_from_it() {
    let view = view(
        5,
        vec![
            service(1, 2),
            with(2, 4, &["service==s1"]),
            with(3, 3, &["service!=s1"]),
            with(4, 1, &["service==s2", "service!=s3"]),
        ],
    );
    let db = nodes_of(&view, 1);
    assert_eq!(db.len(), 2);
    assert_eq!(nodes_of(&view, 2), db);
    assert_eq!(owners(&plan(&view), id(2)).len(), 4, "two on each");
    assert!(nodes_of(&view, 3).is_disjoint(&db));
    assert!(nodes_of(&view, 4).is_subset(&db));
}

#[test]
fn an_image_means_every_other_service_of_it() {
    let of = |n, image: &str, rules: &[&str]| ServiceView {
        image: image.to_owned(),
        ..with(n, 1, rules)
    };
    let view = view(
        4,
        vec![
            of(1, "docker.io/library/redis:7@sha256:00", &[]),
            of(2, "redis:8", &[]),
            of(3, "nginx", &["image!=redis"]),
            of(4, "redis:8", &["image==redis:7"]),
        ],
    );
    let redis: BTreeSet<NodeId> = [1, 2].iter().flat_map(|n| nodes_of(&view, *n)).collect();
    assert!(nodes_of(&view, 3).is_disjoint(&redis));
    assert_eq!(nodes_of(&view, 4), nodes_of(&view, 1));
}

#[test]
fn a_service_comes_after_those_that_it_names_whatever_its_priority_and_age() {
    let mut first = with(1, 2, &["service==s3"]);
    first.priority = 10;
    let view = view(6, vec![first, with(2, 1, &["service==s1"]), service(3, 2)]);
    let order: Vec<u8> = canonical_order(&view).iter().map(|service| service.id.0[0]).collect();
    assert_eq!(order, [3, 1, 2]);
    assert_eq!(nodes_of(&view, 1), nodes_of(&view, 3));
    assert!(nodes_of(&view, 2).is_subset(&nodes_of(&view, 3)));
}

#[test]
fn it_follows_the_other_when_that_moves_and_is_planned_again_for_nothing_else() {
    let mut view = view(4, vec![service(1, 1), with(2, 1, &["service==s1"]), service(3, 1)]);
    obey(&mut view, &mut 0);
    let mut planning = Planning::default();
    planning.renew(&view);
    let before = nodes_of(&view, 1);
    let node = *before.first().expect("placed");
    // The record of another service, or one of its own that changes nothing for others.
    for changed in [id(3), id(1)] {
        view.services.get_mut(&changed).unwrap().holders[0].running_since += 1;
        assert_eq!(planning.update(&view, &[changed].into()), [changed].into());
    }
    view.services.get_mut(&id(1)).unwrap().constraints =
        vec![Ok(node_core::constraint::Constraint::parse(&format!("node.id!={node}")).unwrap())];
    assert_eq!(planning.update(&view, &[id(1)].into()), [id(1), id(2)].into());
    assert_eq!(planning.plan(), &plan(&view));
    assert_ne!(nodes_of(&view, 1), before);
    assert_eq!(nodes_of(&view, 2), nodes_of(&view, 1));
    view.nodes.get_mut(&node).unwrap().presence = Presence::Gone;
    assert_eq!(nodes_of(&view, 2), nodes_of(&view, 1));
}

#[test]
fn who_reserves_nothing_any_more_gives_its_room_to_those_after_it() {
    let mut first = with(2, 1, &["service!=s1"]);
    (first.priority, first.reservations.nano_cpus) = (1, 1);
    let mut second = service(3, 1);
    second.reservations.nano_cpus = 1;
    let mut view = view(1, vec![first, second]);
    view.nodes.values_mut().for_each(|node| node.resources.nano_cpus = 1);
    let mut planning = Planning::default();
    planning.renew(&view);
    assert_eq!(nodes_of(&view, 3).len(), 0);
    view.services.get_mut(&id(2)).unwrap().reservations.nano_cpus = 0;
    assert_eq!(planning.update(&view, &[id(2)].into()), [id(2), id(3)].into());
    assert_eq!(planning.plan(), &plan(&view));
    assert_eq!(nodes_of(&view, 3).len(), 1);
}

#[test]
fn who_cannot_be_placed_says_why_and_what_runs_goes_on() {
    let mut view = view(2, vec![with(2, 1, &["service==s1"]), with(3, 1, &["service!=s1"])]);
    assert_eq!(
        obstacles(&view, 2),
        ["affinity service==s1: there is no service s1".to_owned()].into()
    );
    assert_eq!(nodes_of(&view, 3).len(), 1, "nobody is in its way");
    obey(&mut view, &mut 0);
    view.services.insert(id(1), service(1, 2));
    obey(&mut view, &mut 9);
    assert_eq!(nodes_of(&view, 3).len(), 1, "it runs, and goes on until there is a node for it");
    let taken = "affinity service!=s1: a task of s1 has its place here".to_owned();
    assert_eq!(obstacles(&view, 3), [taken].into());
    view.services.remove(&id(1));
    assert_eq!(nodes_of(&view, 2).len(), 1, "so does this one without its neighbour");
    view.services.get_mut(&id(2)).unwrap().holders.clear();
    assert_eq!(nodes_of(&view, 2).len(), 0);
}

#[test]
fn of_a_circle_that_two_sides_of_a_partition_made_the_oldest_comes_first() {
    let view = view(
        3,
        vec![
            with(1, 1, &["service==s4"]),
            with(2, 1, &["service==s3"]),
            with(3, 1, &["service!=s2"]),
            service(4, 1),
        ],
    );
    assert_eq!(nodes_of(&view, 1), nodes_of(&view, 4), "this one has nothing to do with it");
    let why = obstacles(&view, 2).pop_first().expect("it waits");
    assert!(why.contains("s3 is itself placed by this service"), "{why}");
    assert_eq!(nodes_of(&view, 3).len(), 1);
    // Apart from each other is possible: the younger one gives way.
    let mut view = view;
    view.services.insert(id(2), with(2, 1, &["service!=s3"]));
    assert!(nodes_of(&view, 2).is_disjoint(&nodes_of(&view, 3)));
    assert_eq!(nodes_of(&view, 2).len(), 1);
}

#[test]
fn who_is_beside_another_takes_no_room_from_those_between_them() {
    let needing = |n: u8, rules: &[&str]| ServiceView {
        reservations: Resources { memory_bytes: 10, ..Resources::default() },
        ..with(n, 1, rules)
    };
    let mut view = view(1, vec![needing(1, &["service==s3"]), needing(2, &[]), service(3, 1)]);
    view.nodes.values_mut().for_each(|node| node.resources.memory_bytes = 10);
    let planned = plan(&view);
    assert_eq!(owners(&planned, id(2)).keys().collect::<Vec<_>>(), [&Slot::Number(1)]);
    assert_eq!(owners(&planned, id(1)).len(), 0);
}
