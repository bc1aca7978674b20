//! Generic resources that have names: which task gets which, over restarts, updates and agents.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::read;
use crdt_state::resource::NamedResources;
use crdt_state::spec::UpdateOrder;
use crdt_state::task::{AdoptedRun, RunEvent, TaskStart};
use node_core::{Edit, ServiceSpec};

use crate::host::{Host, spec};

fn cameras() -> NamedResources {
    NamedResources::from([("camera".to_owned(), ["back", "front"].map(str::to_owned).into())])
}

fn eyes(replicas: u32) -> ServiceSpec {
    let mut eyes = spec("eye", replicas);
    eyes.template.reservations.generic.insert("camera".to_owned(), 1);
    eyes
}

fn camera_of(start: &TaskStart) -> &str {
    let value = start.template.env.iter().find_map(|e| e.strip_prefix("DOCKER_RESOURCE_CAMERA="));
    value.expect("it was told")
}

#[test]
fn tasks_of_a_node_have_different_names_and_what_is_too_much_waits() {
    let mut host = Host::equipped(1, &BTreeMap::new(), Vec::new(), &cameras());
    assert_eq!(read::named_resources_of(host.node.replica(), host.node.me()), cameras());
    host.create(eyes(3));
    let names: BTreeSet<&str> = host.started.iter().map(camera_of).collect();
    assert_eq!((host.started.len(), names), (2, BTreeSet::from(["back", "front"])));
    let why = host.node.report(host.now).why_service(host.node.services().next().unwrap().id);
    let waits = why.iter().find(|slot| slot.owner.is_none()).expect("two cameras, three tasks");
    assert_eq!(waits.nodes[0].code, "generic-resource");
    assert!(waits.fixes[0].contains("--generic-resource-add camera=FEWER"), "{:?}", waits.fixes);
}

#[test]
fn a_task_begins_anew_with_the_name_that_it_had() {
    let mut host = Host::equipped(1, &BTreeMap::new(), Vec::new(), &cameras());
    host.create(eyes(2));
    let before: Vec<(u32, String)> =
        host.started.iter().map(|s| (s.run.attempt, camera_of(s).to_owned())).collect();
    let second = host.start_all()[1];
    host.exit(second, 1);
    let again = host.started.pop().expect("it is started again at once");
    assert_eq!(again.run.task, second.task);
    assert_eq!(camera_of(&again), before[1].1);
}

#[test]
fn the_next_agent_gives_nobody_what_a_running_task_has() {
    let mut host = Host::equipped(1, &BTreeMap::new(), Vec::new(), &cameras());
    host.create(eyes(1));
    let start = host.started[0].clone();
    host.start_all();
    let adopted = AdoptedRun { start: start.clone(), event: RunEvent::Started { pid: 101 } };
    let mut next = Host::equipped(2, &host.disk, vec![adopted], &cameras());
    let id = next.node.services().next().expect("it is on the disk").id;
    let update =
        Edit::UpdateService { id, version: None, spec: Box::new(ServiceSpec { ..eyes(2) }) };
    next.edit(update).expect("accepted");
    next.wait(10_000);
    assert_eq!(next.started.len(), 1);
    assert_ne!(camera_of(&next.started[0]), camera_of(&start));
}

#[test]
fn a_start_first_update_without_a_free_name_waits_and_says_so() {
    let mut host = Host::equipped(1, &BTreeMap::new(), Vec::new(), &cameras());
    let mut service = eyes(2);
    service.update_policy.order = UpdateOrder::StartFirst;
    let id = host.create(service.clone());
    let old = host.start_all();
    service.template.args = vec!["2000".to_owned()];
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(service) })
        .expect("accepted");
    host.wait(2_000);
    assert_eq!((host.started.len(), host.stopped.len()), (0, 0));
    let said =
        |host: &Host| host.tasks().iter().map(|t| format!("{:?}", t.status)).collect::<String>();
    assert!(said(&host).contains("needs 1 of camera and 0 are free"), "{}", said(&host));
    // Somebody ends one of them: the new task gets its name.
    host.exit(old[0], 0);
    host.wait(60_000);
    assert!(!host.started.is_empty());
}
