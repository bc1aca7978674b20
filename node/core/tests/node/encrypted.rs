//! Encrypted networks: which nodes take part, and that nothing of them is planned outside of the
//! tunnel.

use std::net::IpAddr;

use crdt_state::NetworkId;
use crdt_state::network::NodeTunnel;
use crdt_state::spec::PublishedPort;
use node_core::edit::Removal;
use node_core::edit::network::NetworkRequest;
use node_core::{Edit, Edited, Input};
use overlay::tunnel::{TUNNEL_PORT, tunnel_address};

use crate::host::Host;
use crate::networks::on;
use crate::pair::Pair;

fn encrypted(host: &mut Host) -> NetworkId {
    let request = NetworkRequest {
        name: "safe".into(),
        ipv4: true,
        encrypted: true,
        mtu: Some(1_400),
        ..NetworkRequest::default()
    };
    match host.edit(Edit::CreateNetwork(Box::new(request))) {
        Ok(Edited::Network(id)) => id,
        other => panic!("{other:?}"),
    }
}

fn tunnel(number: u8) -> NodeTunnel {
    let refusal = String::new();
    NodeTunnel { refusal, public_key: [number; 32], port: TUNNEL_PORT, life: 5 }
}

#[test]
fn a_node_that_cannot_encrypt_gets_no_task_of_an_encrypted_network_and_why_says_so() {
    let mut host = Host::new();
    let safe = encrypted(&mut host);
    host.create(on(safe, "web", 1));
    assert!(host.started.is_empty());
    let reason = |host: &Host| host.tasks().into_iter().find_map(|task| task.reason);
    assert!(reason(&host).is_some_and(|text| text.contains("older version")), "nothing is said");
    let refusal = "no /dev/net/tun".to_owned();
    host.feed(Input::TunnelFound(NodeTunnel { refusal, ..tunnel(1) }));
    assert!(reason(&host).is_some_and(|text| text.contains("no /dev/net/tun")));
    let mut published = on(safe, "public", 1);
    published.endpoint.ports.push(PublishedPort {
        published: 8_080,
        target: 80,
        protocol: "tcp".into(),
        host: false,
    });
    host.create(published);
    let plan = host.node.overlay_plan();
    assert!(host.started.is_empty() && plan.networks.is_empty(), "and it publishes no port of one");
    host.feed(Input::TunnelFound(tunnel(1)));
    assert_eq!(host.started.len(), 2, "the kernel module was loaded");
}

#[test]
fn tasks_on_two_nodes_are_planned_to_talk_through_the_tunnel_only() {
    let mut pair = Pair::joined();
    let safe = encrypted(&mut pair.hosts[0]);
    for (host, number) in pair.hosts.iter_mut().zip(1..) {
        host.feed(Input::TunnelFound(tunnel(number)));
    }
    pair.wait(20_000);
    pair.hosts[0].create(on(safe, "web", 2));
    pair.wait(20_000);
    let nodes: Vec<_> = pair.hosts.iter().map(|host| host.node.me()).collect();
    for (at, host) in pair.hosts.iter().enumerate() {
        let other = 1 - at;
        let plan = host.node.overlay_plan();
        let network = &plan.networks[&safe];
        assert_eq!(network.underlay, IpAddr::from(tunnel_address(nodes[at])));
        assert!(network.tunnel.is_some_and(|outer| outer.is_ipv4()));
        assert_eq!(network.underlay_mtu, Some(1_350), "60 bytes less, and at least 1350");
        let peer = &network.peers[&nodes[other]];
        assert_eq!(peer.underlay, IpAddr::from(tunnel_address(nodes[other])));
        let end = peer.tunnel.expect("its end");
        assert_eq!(end.public_key, [u8::try_from(other).expect("two") + 1; 32]);
        assert_eq!((end.endpoint.port(), end.life), (TUNNEL_PORT, 5));
        let tunnel = plan.tunnel().expect("it is needed");
        assert_eq!((tunnel.peers.len(), tunnel.vnis.len()), (1, 1));
    }
    // A node whose tunnel broke is no peer any more, and neither is one that was removed: nothing is
    // sent to it in clear.
    let peers = |pair: &Pair| pair.hosts[0].node.overlay_plan().networks[&safe].peers.len();
    let refusal = "the port is taken".to_owned();
    pair.hosts[1].feed(Input::TunnelFound(NodeTunnel { refusal, ..tunnel(2) }));
    pair.wait(20_000);
    assert_eq!(peers(&pair), 0);
    pair.hosts[1].feed(Input::TunnelFound(tunnel(2)));
    pair.wait(20_000);
    assert_eq!(peers(&pair), 1);
    let (id, removal) = (nodes[1], Removal::Force);
    pair.hosts[0].edit(Edit::RemoveNode { id, removal }).expect("removed");
    assert_eq!(peers(&pair), 0);
}

#[test]
fn a_node_that_restarts_knows_its_tunnel_from_its_record() {
    let mut host = Host::new();
    host.feed(Input::TunnelFound(tunnel(1)));
    let safe = encrypted(&mut host);
    let disk = host.disk.clone();
    let mut again = Host::boot(1, disk.clone(), Vec::new());
    again.create(on(safe, "web", 1));
    assert_eq!(again.started.len(), 1);
    let written = again.log.len();
    again.feed(Input::TunnelFound(tunnel(1)));
    assert_eq!(again.log.len(), written, "nothing new is nothing to write");
}
