//! The names on a network, and which tasks they lead to.

use std::net::IpAddr;

use crdt_state::spec::PublishedPort;
use crdt_state::{NetworkId, RecordKey};
use node_core::Edit;
use node_core::names::Reach;

use crate::host::Host;
use crate::networks::{network, on};
use crate::pair::Pair;

fn names(host: &Host, network: NetworkId) -> node_core::names::NetworkNames {
    host.node.network_names(network, |run| format!("{}.{}", run.task, run.attempt))
}

#[test]
fn a_service_is_found_by_its_names_while_its_tasks_are_ready() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    let mut web = on(back, "Web", 2);
    web.networks[0].aliases = vec!["store".into()];
    web.template.hostname = Some("till-{{.Task.Slot}}".into());
    let id = host.create(web);
    let found = |host: &Host, name: &str| -> Option<Vec<IpAddr>> {
        let found = names(host, back).addresses(name)?;
        Some(found.into_iter().map(|found| found.address).collect())
    };
    assert_eq!(found(&host, "web"), Some(Vec::new()), "it is no unknown name");
    let runs = host.start_all();
    let service = host.node.service(id).expect("there").clone();
    let given = &service.balancing.virtual_addresses[&back];
    assert_eq!(found(&host, "WEB").as_ref(), Some(given));
    assert_eq!(found(&host, "store").as_ref(), Some(given));
    let tasks = found(&host, "tasks.web").expect("a name");
    assert_eq!((tasks.len(), found(&host, "tasks.store")), (2, Some(tasks.clone())));
    let one = found(&host, "web.1").expect("a name");
    assert_eq!(one.len(), 1);
    let task = names(&host, back).name_of(one[0]).expect("it has one");
    assert!(task.starts_with("Web.1."), "{task}");
    assert_eq!(found(&host, &task), Some(one.clone()));
    assert_eq!(found(&host, "till-1"), Some(one));
    assert_eq!(found(&host, &format!("{}.1", runs[0].task)).map(|found| found.len()), Some(1));
    assert_eq!(found(&host, "web.3"), None);
    assert_eq!(found(&host, "tasks.db"), None);
    host.exit(runs[0], 1);
    assert_eq!(found(&host, "tasks.web").expect("a name").len(), 1);
    host.exit(runs[1], 1);
    assert_eq!(found(&host, "web"), Some(Vec::new()));
}

#[test]
fn a_task_takes_no_new_connections_before_it_is_stopped() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    let id = host.create(on(back, "web", 2));
    host.start_all();
    let balanced = |host: &Host| {
        let plan = host.node.overlay_plan();
        plan.networks[&back].virtual_addresses.values().next().map_or(0, Vec::len)
    };
    assert_eq!(balanced(&host), 2);
    let update = Edit::UpdateService { id, version: None, spec: Box::new(on(back, "web", 1)) };
    host.edit(update).expect("it is scaled");
    assert_eq!((balanced(&host), host.stopped.len()), (1, 0));
    assert_eq!(names(&host, back).addresses("tasks.web").expect("a name").len(), 1);
    host.wait(299);
    assert_eq!(host.stopped.len(), 0);
    host.wait(1);
    assert_eq!(host.stopped.len(), 1);
    let plan = host.node.overlay_plan();
    assert!(plan.tasks.contains_key(&host.stopped[0]), "its connections go on until it ends");
}

#[test]
fn a_task_that_has_not_begun_is_stopped_at_once() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    let id = host.create(on(back, "web", 2));
    let update = Edit::UpdateService { id, version: None, spec: Box::new(on(back, "web", 1)) };
    host.edit(update).expect("it is scaled");
    assert_eq!(host.stopped.len(), 1, "nobody is connected to it");
}

#[test]
fn what_an_unreachable_node_runs_stays_in_its_names_at_the_end() {
    let mut pair = Pair::joined();
    let back = network(&mut pair.hosts[0], "back", "");
    let mut web = on(back, "web", 2);
    web.by_name = true;
    pair.hosts[0].create(web);
    pair.wait(20_000);
    assert_eq!((pair.hosts[0].start_all().len(), pair.hosts[1].start_all().len()), (1, 1));
    pair.wait(20_000);
    let reach = |pair: &Pair| -> Vec<Reach> {
        let found = names(&pair.hosts[0], back).addresses("web").expect("a name");
        found.into_iter().map(|found| found.reach).collect()
    };
    assert_eq!(reach(&pair), [Reach::Reachable, Reach::Reachable]);
    pair.is_heard = [false, false];
    pair.wait(20_000);
    let cut = reach(&pair);
    assert_eq!((cut.first(), cut.last()), (Some(&Reach::Reachable), Some(&Reach::Unreachable)));
}

#[test]
fn an_alias_that_hides_a_service_is_refused() {
    let mut host = Host::new();
    let (back, front) = (network(&mut host, "back", ""), network(&mut host, "front", ""));
    let with = |name: &str, network, alias: &str| {
        let mut spec = on(network, name, 1);
        spec.networks[0].aliases = vec![alias.into()];
        spec
    };
    let db = host.create(with("db", back, "store"));
    let before = host.node.services().count();
    let refused = |host: &mut Host, spec| {
        host.edit(Edit::CreateService(Box::new(spec))).expect_err("refused").to_string()
    };
    for alias in ["db", "DB", "tasks.db"] {
        let told = refused(&mut host, with("cache", back, alias));
        assert!(told.contains("the name of the service db on the network back"), "{told}");
    }
    let told = refused(&mut host, on(back, "store", 1));
    assert!(told.contains("an alias of the service db on the network back"), "{told}");
    assert_eq!(host.node.services().count(), before);
    // Two may share an alias, a service may have its own name as one, and networks are apart.
    let mut cache = with("cache", back, "store");
    cache.networks[0].aliases.push("vault".into());
    host.create(cache);
    host.create(with("web", back, "web"));
    host.create(with("far", front, "db"));
    host.create(on(front, "store", 1));
    // What was there before the check stays, whatever else is changed.
    let mut spec = node_core::ServiceSpec::of(host.node.service(db).expect("there"));
    spec.name = "cache-2".into();
    let update = |spec| Edit::UpdateService { id: db, version: None, spec: Box::new(spec) };
    host.edit(update(spec.clone())).expect("the name is free");
    spec.name = "vault".into();
    let told = host.edit(update(spec)).expect_err("cache has the alias").to_string();
    assert!(told.contains("an alias of the service cache"), "{told}");
}

#[test]
fn of_two_networks_of_one_name_from_both_sides_of_a_cut_the_older_has_it() {
    let mut pair = Pair::joined();
    pair.is_heard = [false, false];
    pair.wait(60_000);
    let older = network(&mut pair.hosts[0], "back", "10.7.0.0/16");
    network(&mut pair.hosts[1], "front", "");
    let younger = network(&mut pair.hosts[1], "back", "10.7.0.0/16");
    let mut services = Vec::new();
    for (host, network, name) in [(0, older, "web"), (1, younger, "api")] {
        let mut spec = on(network, name, 0);
        let (published, target) = (8080, 80);
        spec.endpoint.ports =
            vec![PublishedPort { published, target, protocol: "tcp".into(), host: false }];
        services.push(pair.hosts[host].create(spec));
    }
    pair.is_heard = [true, true];
    pair.wait(60_000);
    for host in &pair.hosts {
        let rows = host.node.network_rows();
        let row = |id| rows.iter().find(|row| row.network.id == id).expect("both are listed");
        let (held, other) = (&row(older).settled, &row(younger).settled);
        assert_eq!((held.displaced_by, other.displaced_by), (None, Some(older)));
        assert_eq!(held.ranges[0].subnet.to_string(), "10.7.0.0/16");
        assert_ne!(other.ranges[0].subnet, held.ranges[0].subnet);
        assert_ne!(other.vni, held.vni);
        let [port, name] = &host.node.network_conflicts()[..] else {
            panic!("{:?}", host.node.network_conflicts())
        };
        assert_eq!((port.name.as_str(), port.what), ("api", "ports"));
        let update = format!("edgectl service update --publish-rm 80 {}", services[1]);
        assert_eq!(port.detail, format!("port 8080/tcp leads to web, which is older: {update}"));
        assert_eq!((name.key, name.what), (RecordKey::network(younger), "name"));
        assert!(name.detail.starts_with(&format!("the name means {older}, ")), "{}", name.detail);
    }
}
