//! Why a task is in the answer about a name, or not.

use crdt_state::NetworkId;
use crdt_state::task::{Health, RunEvent};
use node_core::Edit;
use node_core::report::{NameMeaning, NameRow, NameStanding};

use crate::host::{Host, health};
use crate::networks::{network, on};
use crate::pair::Pair;

fn asked(host: &Host, name: &str, on: Option<NetworkId>) -> Vec<NameRow> {
    host.node.name_rows(host.now, name, on, |run| format!("{}.{}", run.task, run.attempt))
}

fn standings(row: &NameRow) -> Vec<&NameStanding> {
    row.services.iter().flat_map(|service| &service.tasks).map(|task| &task.standing).collect()
}

fn absent(reason: &str) -> NameStanding {
    NameStanding::Absent(reason.to_owned())
}

#[test]
fn each_task_of_a_name_says_why_it_is_in_the_answer_or_not() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    let mut web = on(back, "web", 3);
    web.networks[0].aliases = vec!["store".into()];
    web.template.health = Some(health());
    let id = host.create(web.clone());
    let runs = host.start_all();
    let row = |host: &Host, name: &str| asked(host, name, None).remove(0);
    let waits = absent("its health command has not succeeded yet");
    assert_eq!(standings(&row(&host, "web")), [&waits; 3]);
    assert_eq!(row(&host, "web").answer, Some(Vec::new()), "a name without an address");
    for run in &runs[..2] {
        host.report(*run, RunEvent::HealthChanged(Health::Healthy));
    }
    let service = &row(&host, "web").services[0];
    assert_eq!(service.virtual_addresses.len(), 1);
    assert_eq!(
        standings(&row(&host, "web")),
        [&NameStanding::Balanced, &NameStanding::Balanced, &waits]
    );
    let tasks = row(&host, "tasks.store.back");
    assert_eq!(standings(&tasks), [&NameStanding::Answered, &NameStanding::Answered, &waits]);
    assert_eq!(tasks.asked, "tasks.store");
    assert_eq!(tasks.answer.map(|answer| answer.len()), Some(2));
    // A task that takes no connections has no name, and yet the name means it.
    let third = row(&host, "WEB.3");
    assert_eq!((third.answer.clone(), standings(&third)), (None, vec![&waits]));
    let meaning = |name: &str| row(&host, name).services[0].meaning;
    assert_eq!(meaning("web"), NameMeaning::Service);
    assert_eq!(meaning("store"), NameMeaning::Alias);
    assert_eq!(meaning("tasks.web"), NameMeaning::Tasks);
    assert_eq!(meaning(&format!("{}.1", runs[0].task)), NameMeaning::Task);
    // One that is to stop is out of the answer before its signal.
    web.scale = crdt_state::spec::Scale::Replicated { replicas: 1 };
    let update = Edit::UpdateService { id, version: None, spec: Box::new(web) };
    host.edit(update).expect("it is scaled");
    let stops = absent("it is to stop, and takes no new connections");
    let found = row(&host, "web");
    assert!(standings(&found).contains(&&stops), "{found:?}");
}

#[test]
fn of_tasks_that_share_a_host_name_the_first_is_in_the_answer() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    let mut web = on(back, "web", 3);
    web.template.hostname = Some("shop".into());
    host.create(web);
    host.start_all();
    let other = absent("another task or service has the name, and comes first");
    let row = asked(&host, "shop", None).remove(0);
    assert_eq!(standings(&row), [&NameStanding::Answered, &other, &other]);
    assert_eq!(row.answer.map(|answer| answer.len()), Some(1));
    // From now on the name is that of a service.
    host.create(on(back, "shop", 1));
    host.start_all();
    let row = asked(&host, "shop", None).remove(0);
    let expected = [&other, &other, &other, &NameStanding::Balanced];
    assert_eq!(standings(&row), expected);
}

#[test]
fn a_name_that_nobody_has_is_found_on_no_network() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    let front = network(&mut host, "front", "");
    host.create(on(back, "web", 1));
    assert_eq!(asked(&host, "db", None), []);
    assert_eq!(asked(&host, "web", None).len(), 1);
    assert_eq!(asked(&host, "web.front", None), []);
    let there = asked(&host, "web", Some(front));
    assert_eq!((there.len(), &there[0].answer), (1, &None), "the network was asked for");
    // Nobody can take the second: it has no node and no address.
    let mut pinned = on(back, "far", 1);
    pinned.placement.constraints = vec!["node.hostname==nowhere".into()];
    host.create(pinned);
    let far = asked(&host, "far.1", None).remove(0);
    assert!(matches!(standings(&far)[..], [NameStanding::Absent(why)] if why.contains("node")));
}

#[test]
fn a_task_of_an_unreachable_node_is_last_or_out_of_balancing() {
    let mut pair = Pair::joined();
    let back = network(&mut pair.hosts[0], "back", "");
    pair.hosts[0].create(on(back, "web", 2));
    pair.wait(20_000);
    pair.hosts[0].start_all();
    pair.hosts[1].start_all();
    pair.wait(20_000);
    pair.is_heard = [false, false];
    pair.wait(20_000);
    let rows = |name: &str| asked(&pair.hosts[0], name, None).remove(0);
    let last = rows("tasks.web");
    assert!(standings(&last).contains(&&NameStanding::Last), "{last:?}");
    let out = absent("its node does not answer: no new connections go there");
    assert!(standings(&rows("web")).contains(&&out), "{:?}", rows("web"));
}
