//! Networks: what is created, who gets which address, and what becomes of two claims of one.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crdt_state::network::Attachment;
use crdt_state::node::NodeDescription;
use crdt_state::spec::Runtime;
use crdt_state::task::RunEvent;
use crdt_state::{NetworkId, RecordKey};
use node_core::edit::network::{BadNetwork, NetworkRequest, RangeRequest};
use node_core::{Edit, Edited, Input, NetworkFacts, Refusal, ServiceSpec};

use crate::host::{Host, networks, spec};
use crate::pair::Pair;

pub(crate) fn network(host: &mut Host, name: &str, subnet: &str) -> NetworkId {
    match host.edit(Edit::CreateNetwork(Box::new(request(name, subnet)))) {
        Ok(Edited::Network(id)) => id,
        other => panic!("{other:?}"),
    }
}

fn request(name: &str, subnet: &str) -> NetworkRequest {
    let range = |subnet: &str| RangeRequest {
        subnet: subnet.parse().expect("a subnet"),
        gateway: None,
        range: None,
        reserved: Default::default(),
    };
    let ranges = Some(subnet).filter(|subnet| !subnet.is_empty()).map(range);
    NetworkRequest {
        name: name.to_owned(),
        ipv4: true,
        ranges: ranges.into_iter().collect(),
        ..NetworkRequest::default()
    }
}

pub(crate) fn on(network: NetworkId, name: &str, replicas: u32) -> ServiceSpec {
    let mut spec = spec(name, replicas);
    spec.template.runtime = Runtime::Container;
    spec.template.image = "app:1".into();
    spec.networks = vec![Attachment { network, aliases: Vec::new(), options: Default::default() }];
    spec
}

fn addresses(host: &Host) -> Vec<IpAddr> {
    let started = host.started.iter().flat_map(|start| &start.interfaces);
    started.flat_map(|interface| interface.addresses.clone()).collect()
}

#[test]
fn a_task_starts_with_an_address_that_is_on_disk() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    host.log.clear();
    host.create(on(back, "web", 3));
    assert_eq!(host.started.len(), 3);
    let start = &host.started[0];
    let interface = &start.interfaces[0];
    assert_eq!((interface.name.as_str(), interface.network), ("eth0", back));
    assert!(interface.is_default && interface.subnets[0].contains(&interface.addresses[0]));
    let distinct: BTreeSet<IpAddr> = addresses(&host).into_iter().collect();
    assert_eq!(distinct.len(), 3);
    assert!(!distinct.contains(&interface.gateways[0]));
    let persisted = host.log.iter().rposition(|word| *word == "persist");
    let began = host.log.iter().position(|word| *word == "start");
    assert!(persisted < began, "{:?}", host.log);
}

#[test]
fn a_further_attempt_keeps_the_address() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    host.create(on(back, "web", 1));
    let first = addresses(&host);
    let run = host.start_all()[0];
    host.exit(run, 1);
    host.wait(60_000);
    assert_eq!(addresses(&host), first);
}

#[test]
fn a_small_subnet_is_filled_to_the_last_address_and_then_says_so() {
    let mut host = Host::new();
    let small = network(&mut host, "small", "10.9.0.0/28");
    let mut by_name = on(small, "web", 14);
    by_name.by_name = true;
    host.create(by_name);
    assert_eq!(host.start_all().len(), 13);
    let waiting = host.tasks().into_iter().filter_map(|task| task.status);
    let told: Vec<String> = waiting
        .map(|status| status.current.message)
        .filter(|message| message.contains("no free address"))
        .collect();
    assert_eq!(told.len(), 1, "{:?}", host.tasks());
    assert!(told[0].contains("network small (10.9.0.0/28)"), "{told:?}");
}

/// Both begin at once, before they hear of each other's claims.
#[test]
fn two_nodes_fill_a_small_subnet_and_no_address_stays_with_two_tasks() {
    let mut pair = Pair::joined();
    let small = network(&mut pair.hosts[0], "small", "10.9.0.0/28");
    pair.wait(20_000);
    let mut by_name = on(small, "web", 14);
    by_name.by_name = true;
    pair.hosts[0].create(by_name);
    pair.wait(20_000);
    let started = pair.hosts.each_mut().map(|host| host.start_all().len());
    assert!(started.iter().all(|count| *count >= 6), "each has its share: {started:?}");
    pair.wait(60_000);
    let plans = pair.hosts.each_ref().map(|host| host.node.overlay_plan());
    let tasks = plans.iter().flat_map(|plan| plan.tasks.values());
    let interfaces = tasks.flat_map(|task| &task.interfaces);
    let held: Vec<IpAddr> = interfaces.flat_map(|interface| interface.addresses.clone()).collect();
    let distinct: BTreeSet<IpAddr> = held.iter().copied().collect();
    assert_eq!((held.len(), distinct.len()), (13, 13), "{held:?}");
}

#[test]
fn a_virtual_address_is_outside_of_the_blocks_and_stays() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    let id = host.create(on(back, "web", 1));
    let of = |host: &Host| host.node.service(id).expect("there").balancing.clone();
    let given = of(&host).virtual_addresses[&back].clone();
    assert_eq!(given.len(), 1);
    host.start_all();
    let plan = host.node.overlay_plan();
    let local = &plan.networks[&back];
    assert_eq!(local.virtual_addresses[&given[0]].len(), 1);
    let update = Edit::UpdateService { id, version: None, spec: Box::new(on(back, "web", 3)) };
    host.edit(update).expect("it is scaled");
    assert_eq!(of(&host).virtual_addresses[&back], given);
}

#[test]
fn a_task_that_is_not_healthy_is_not_balanced_to() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    host.create(on(back, "web", 2));
    let balanced = |host: &Host| {
        let plan = host.node.overlay_plan();
        plan.networks[&back].virtual_addresses.values().next().expect("one").len()
    };
    assert_eq!(balanced(&host), 0);
    let runs = host.start_all();
    assert_eq!(balanced(&host), 2);
    host.report(runs[0], RunEvent::HealthChanged(crdt_state::task::Health::Starting));
    assert_eq!(balanced(&host), 1);
    host.exit(runs[1], 1);
    assert_eq!(balanced(&host), 0);
}

#[test]
fn an_adopted_task_keeps_its_address_also_when_the_records_are_lost() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    host.create(on(back, "web", 2));
    let starts = host.started.clone();
    host.start_all();
    let adopted: Vec<_> = starts
        .iter()
        .map(|start| crdt_state::task::AdoptedRun {
            start: start.clone(),
            event: RunEvent::Started { pid: 7 },
        })
        .collect();
    let disk = host.disk.clone();
    let again = Host::boot(1, disk, adopted);
    let plan = again.node.overlay_plan();
    for start in &starts {
        let kept = &plan.networks[&back].tasks[&start.run];
        assert_eq!(*kept, start.interfaces[0].addresses);
    }
    assert!(again.started.is_empty());
}

#[test]
fn a_node_that_lost_its_records_says_that_it_does_not_know_its_networks() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    host.create(on(back, "web", 1));
    let start = host.started[0].clone();
    assert!(host.node.knows_its_networks());
    let event = RunEvent::Started { pid: 7 };
    let adopted = vec![crdt_state::task::AdoptedRun { start, event }];
    let lost = Host::boot(2, Default::default(), adopted);
    assert!(!lost.node.knows_its_networks(), "a plan without them would cut the task off");
}

#[test]
fn a_pulled_cable_takes_no_network_away() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    host.create(on(back, "web", 1));
    host.start_all();
    let before = host.node.overlay_plan();
    assert_eq!(before.networks.len(), 1);
    host.feed(Input::NetworksFound(NetworkFacts { data_address: None, ..networks() }));
    assert_eq!(host.node.overlay_plan(), before);
}

#[test]
fn other_addresses_of_the_machine_are_told_once() {
    let mut host = Host::new();
    let told = |host: &Host| {
        let key = RecordKey::node(host.node.me());
        let (_, said) = host.node.replica().owned::<NodeDescription>(&key).expect("it is written");
        said.addresses
    };
    let found = vec!["192.0.2.7:7946".to_owned()];
    assert_ne!(told(&host), found);
    host.feed(Input::AddressesFound(found.clone()));
    assert_eq!(told(&host), found);
    let before = host.node.replica().digest();
    host.feed(Input::AddressesFound(found));
    assert_eq!(host.node.replica().digest(), before);
}

#[test]
fn a_network_in_use_is_not_removed_and_an_unused_one_is() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    let id = host.create(on(back, "web", 1));
    let run = host.start_all()[0];
    let refused = host.edit(Edit::RemoveNetwork { id: back });
    let Err(Refusal::Network(BadNetwork::InUse { name, services })) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!((name.as_str(), services.as_str()), ("back", "web"));
    host.edit(Edit::RemoveService { id }).expect("removed");
    let refused = host.edit(Edit::RemoveNetwork { id: back });
    assert!(matches!(refused, Err(Refusal::Network(BadNetwork::HasTasks { .. }))), "{refused:?}");
    host.wait(1_000);
    assert_eq!(host.stopped, [run]);
    let plan = host.node.overlay_plan();
    assert!(plan.tasks.contains_key(&run), "its connections go on until it ends");
    host.exit(run, 0);
    assert_eq!(host.edit(Edit::RemoveNetwork { id: back }), Ok(Edited::Done));
    let missing = host.edit(Edit::RemoveNetwork { id: back });
    assert!(matches!(missing, Err(Refusal::Network(BadNetwork::Missing(_)))));
    network(&mut host, "back", "");
}

#[test]
fn what_is_taken_is_refused() {
    let mut host = Host::new();
    network(&mut host, "back", "10.7.0.0/16");
    let mut refused = |request: NetworkRequest| {
        host.edit(Edit::CreateNetwork(Box::new(request))).expect_err("refused").to_string()
    };
    assert!(refused(request("back", "")).contains("already exists"));
    let overlap = refused(request("front", "10.7.128.0/17"));
    assert!(overlap.contains("overlaps 10.7.0.0/16 of the network back"), "{overlap}");
    let vni = Some(host.node.network_rows().first().expect("one").settled.vni);
    let twin = NetworkRequest { vni, ..request("front", "") };
    let refused = host.edit(Edit::CreateNetwork(Box::new(twin))).expect_err("refused").to_string();
    assert!(refused.contains("is that of the network back"), "{refused}");
    let site = "192.168.0.0/16".parse().expect("a subnet");
    host.feed(Input::NetworksFound(NetworkFacts { routes: vec![site], ..networks() }));
    let met = host.edit(Edit::CreateNetwork(Box::new(request("front", "192.168.7.0/24"))));
    let met = met.expect_err("refused").to_string();
    assert!(met.contains("overlaps 192.168.0.0/16, which the node pi-1 reaches"), "{met}");
}

#[test]
fn the_default_network_is_made_when_it_is_first_used() {
    let mut host = Host::new();
    let default = NetworkId::default_network();
    host.create(on(default, "web", 1));
    assert_eq!(host.started[0].interfaces[0].network, default);
    let refused = host.edit(Edit::RemoveNetwork { id: default });
    assert!(matches!(refused, Err(Refusal::Network(BadNetwork::Predefined(_)))), "{refused:?}");
}

#[test]
fn a_node_without_networks_gets_no_task_that_needs_one() {
    let mut host = Host::new();
    let refusal = "no vxlan".to_owned();
    host.feed(Input::NetworksFound(NetworkFacts { refusal, ..NetworkFacts::default() }));
    let back = network(&mut host, "back", "");
    host.create(on(back, "web", 1));
    host.create(spec("plain", 1));
    assert_eq!(host.started.len(), 1);
    let reasons: Vec<String> = host.tasks().into_iter().filter_map(|task| task.reason).collect();
    assert!(reasons.iter().any(|reason| reason.contains("no vxlan")), "{reasons:?}");
    host.feed(Input::NetworksFound(networks()));
    assert_eq!(host.started.len(), 2, "the kernel module was loaded");
}

/// Both sides of a cut claim the only block of a subnet.
#[test]
fn after_a_heal_one_of_two_claims_holds_and_the_other_task_goes_on_with_another_address() {
    let mut pair = Pair::joined();
    let small = network(&mut pair.hosts[0], "small", "10.9.0.0/29");
    pair.wait(20_000);
    pair.is_heard = [false, false];
    pair.wait(60_000);
    for (host, name) in [(0, "left"), (1, "right")] {
        let mut five = on(small, name, 3);
        five.by_name = true;
        pair.hosts[host].create(five);
        pair.wait(10_000);
        assert_eq!(pair.hosts[host].start_all().len(), 3);
    }
    let given = |pair: &Pair| -> Vec<IpAddr> {
        let plans = pair.hosts.iter().map(|host| host.node.overlay_plan());
        plans
            .flat_map(|plan| {
                plan.networks[&small].tasks.values().flatten().copied().collect::<Vec<_>>()
            })
            .collect()
    };
    let distinct = |given: &[IpAddr]| given.iter().collect::<BTreeSet<_>>().len();
    assert_eq!(given(&pair).len(), 6);
    assert!(distinct(&given(&pair)) < 6, "five addresses for six tasks");
    pair.is_heard = [true, true];
    pair.wait(60_000);
    let after = given(&pair);
    assert_eq!(distinct(&after), after.len(), "{after:?}");
    assert_eq!(after.len(), 5, "the subnet holds no more");
}

/// One side of a cut gives its services the virtual addresses at which the other has tasks.
#[test]
fn a_task_makes_room_for_a_virtual_address_of_the_other_side_and_goes_on() {
    for (subnet, kept) in [("10.9.0.0/28", 8), ("10.9.0.0/29", 2)] {
        let mut pair = Pair::joined();
        let small = network(&mut pair.hosts[0], "small", subnet);
        pair.wait(20_000);
        pair.is_heard = [false, false];
        pair.wait(60_000);
        let tasks = if kept == 8 { 8 } else { 5 };
        let mut by_name = on(small, "tasks", tasks);
        by_name.by_name = true;
        pair.hosts[1].create(by_name);
        pair.wait(10_000);
        let runs = pair.hosts[1].start_all();
        assert_eq!(runs.len(), tasks as usize);
        let names = ["a", "b", "c", "d", "e"];
        names[..if kept == 8 { 5 } else { 3 }].iter().for_each(|name| {
            pair.hosts[0].create(on(small, name, 0));
        });
        pair.is_heard = [true, true];
        pair.wait(60_000);
        let plan = pair.hosts[1].node.overlay_plan();
        let virtual_addresses: Vec<_> = plan.networks[&small].virtual_addresses.keys().collect();
        let given: Vec<IpAddr> = plan.networks[&small].tasks.values().flatten().copied().collect();
        assert!(given.iter().all(|ip| !virtual_addresses.contains(&ip)), "{plan:?}");
        assert_eq!(given.len(), kept, "{plan:?}");
        // A task without an address keeps its namespace: the next address goes into it.
        assert!(runs.iter().all(|run| plan.tasks.contains_key(run)), "{plan:?}");
        assert!(pair.hosts[1].stopped.is_empty());
    }
}

/// An agent that is restarted keeps connections of its tasks to other nodes' tasks.
#[test]
fn a_node_that_boots_leads_to_tasks_of_nodes_that_it_has_not_heard_yet() {
    let mut pair = Pair::joined();
    let back = network(&mut pair.hosts[0], "back", "");
    pair.wait(20_000);
    let mut web = on(back, "web", 1);
    web.placement.constraints = vec!["node.hostname==pi-2".into()];
    let id = pair.hosts[0].create(web);
    pair.wait(20_000);
    pair.hosts[1].start_all();
    pair.wait(20_000);
    let ready = |host: &Host| host.node.ready_addresses(id, back).len();
    assert_eq!(ready(&pair.hosts[0]), 1);
    let mut again = Host::boot(1, pair.hosts[0].disk.clone(), Vec::new());
    again.node.drain_network_news();
    assert_eq!(ready(&again), 1, "nobody said that the other node is gone");
    again.wait(60_000);
    assert_eq!(ready(&again), 0, "nobody has heard it since");
    assert!(again.node.drain_network_news().everything, "which is news");
}
