//! Published ports: who has a number, and where it leads.

use crdt_state::spec::PublishedPort;
use node_core::edit::network::BadNetwork;
use node_core::{Edit, Refusal};
use overlay::plan::{Port, Protocol};

use crate::host::{Host, spec};
use crate::networks::{network, on};
use crate::pair::Pair;

fn port(published: u16, protocol: &str, host: bool) -> PublishedPort {
    PublishedPort { published, target: 80, protocol: protocol.into(), host }
}

#[test]
fn a_port_has_one_service_and_a_chosen_number_is_for_life() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    let with = |name: &str, ports: Vec<PublishedPort>| {
        let mut spec = on(back, name, 1);
        spec.endpoint.ports = ports;
        spec
    };
    let one = host.create(with("one", vec![port(0, "tcp", false), port(8080, "tcp", false)]));
    let ports = |host: &Host, id| host.node.service(id).expect("there").endpoint.ports.clone();
    let chosen = ports(&host, one)[0].published;
    assert!((30_000..=32_767).contains(&chosen));
    for taken in [port(8080, "tcp", false), port(8080, "tcp", true), port(chosen, "tcp", false)] {
        let refused = host.edit(Edit::CreateService(Box::new(with("two", vec![taken]))));
        let Err(Refusal::PortTaken { service, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!(service, "one");
    }
    for own in [port(4789, "udp", false), port(4789, "udp", true), port(7947, "udp", false)] {
        let number = own.published;
        let refused = host.edit(Edit::CreateService(Box::new(with("two", vec![own]))));
        assert_eq!(refused, Err(Refusal::Network(BadNetwork::OwnPort(number))));
    }
    host.create(with("tunnel", vec![port(4789, "tcp", false)]));
    host.create(with("other", vec![port(8080, "udp", false), port(9000, "tcp", true)]));
    host.create(with("elsewhere", vec![port(9000, "tcp", true)]));
    let mut update = with("one", vec![port(0, "tcp", false), port(8081, "tcp", false)]);
    update.scale = crdt_state::spec::Scale::Global;
    let update = Edit::UpdateService { id: one, version: None, spec: Box::new(update) };
    host.edit(update).expect("updated");
    assert_eq!(ports(&host, one)[0].published, chosen);
}

#[test]
fn a_published_port_leads_to_ready_tasks_and_a_port_in_host_mode_to_its_own() {
    let mut pair = Pair::joined();
    let back = network(&mut pair.hosts[0], "back", "");
    let mut web = on(back, "web", 2);
    web.endpoint.ports = vec![port(8080, "tcp", false), port(9090, "tcp", true)];
    pair.hosts[0].create(web);
    pair.wait(20_000);
    pair.hosts.iter_mut().for_each(|host| drop(host.start_all()));
    pair.wait(20_000);
    for host in &pair.hosts {
        let plan = host.node.overlay_plan();
        let targets =
            |number| plan.ports[&Port { protocol: Protocol::Tcp, number }].addresses.clone();
        assert_eq!((targets(8080).len(), targets(9090).len()), (2, 1));
        let own = plan.networks[&back].tasks.values().flatten().copied().collect::<Vec<_>>();
        assert_eq!(targets(9090), own);
        assert_eq!(plan.networks[&back].node_addresses.len(), 1);
        assert_eq!(plan.networks[&back].peers.len(), 1);
    }
}

#[test]
fn a_task_for_which_no_number_is_left_does_not_start_and_says_why() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    let mut web = on(back, "web", 2);
    let all = (1..=600).map(|target| PublishedPort { target, ..port(0, "tcp", true) });
    web.endpoint.ports = all.collect();
    host.create(web);
    assert_eq!(host.started.len(), 1, "1,024 numbers are enough for one");
    let reasons: Vec<String> = host.tasks().into_iter().filter_map(|task| task.reason).collect();
    assert!(reasons.iter().any(|why| why.contains("published=NUMBER")), "{reasons:?}");
}

#[test]
fn a_host_port_without_a_number_gets_one_for_each_task() {
    let mut pair = Pair::joined();
    let back = network(&mut pair.hosts[0], "back", "");
    let mut web = on(back, "web", 3);
    web.endpoint.ports = vec![port(0, "tcp", true), port(0, "udp", true)];
    let id = pair.hosts[0].create(web.clone());
    pair.wait(20_000);
    pair.hosts.iter_mut().for_each(|host| drop(host.start_all()));
    pair.wait(20_000);
    let said = pair.hosts[0].node.picked_ports_of_all();
    assert_eq!(said, pair.hosts[1].node.picked_ports_of_all());
    assert_eq!(said.len(), 3, "three tasks on two nodes, some on one");
    for host in &pair.hosts {
        assert_eq!(host.node.service(id).expect("there").endpoint.ports, web.endpoint.ports);
        let plan = host.node.overlay_plan();
        let own = &plan.networks[&back].tasks;
        assert_eq!(plan.ports.len(), 2 * own.len());
        for (run, addresses) in own {
            for picked in &said[&run.task] {
                assert!((30_000..=32_767).contains(&picked.published), "{picked:?}");
                let protocol = Protocol::named(&picked.protocol).expect("known");
                let leads = &plan.ports[&Port { protocol, number: picked.published }];
                assert_eq!((&leads.addresses, leads.target), (addresses, 80));
            }
        }
    }
    // It stays, also for the next life of the agent, but gives way to who asks for the number.
    let (task, held) = said.first_key_value().expect("three");
    let mut other = on(back, "other", 1);
    other.endpoint.ports = vec![port(held[0].published, &held[0].protocol, false)];
    pair.hosts[0].create(other);
    pair.wait(20_000);
    let after = pair.hosts[1].node.picked_ports_of_all();
    for (of, before) in &said {
        let moved = after[of].iter().filter(|now| !before.contains(now)).count();
        assert_eq!(moved, usize::from(of == task), "{before:?} {after:?}");
    }
    pair.hosts[0].edit(Edit::RemoveService { id }).expect("removed");
    pair.wait(20_000);
    for host in &mut pair.hosts {
        for run in std::mem::take(&mut host.stopped) {
            host.exit(run, 0);
        }
    }
    pair.wait(20_000);
    assert!(pair.hosts[1].node.picked_ports_of_all().is_empty());
}

#[test]
fn without_networks_a_host_port_has_the_number_that_the_task_opens() {
    let mut host = Host::new();
    let mut plain = spec("plain", 1);
    plain.endpoint.ports = vec![port(0, "tcp", true)];
    let id = host.create(plain);
    assert_eq!(host.node.service(id).expect("there").endpoint.ports, [port(80, "tcp", true)]);
}
