//! Networks that go through the tunnel, with a device in place of the tunnel's: what matters here is
//! what does not go through it.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use overlay::plan::{OverlayPlan, TunnelEnd};
use overlay::tunnel::{DETOUR_PORT, tunnel_address};
use overlay_linux::balancing::{Intact, TunnelGuard};

use crate::lab::{Lab, NETWORK, addresses, apply, inside, node_id, plan, run_in, try_run_in};
use crate::members::{Guarded, guarded, heard, listen, packet};

const VNI: u32 = 5000;
const PORT: u16 = 5000;

/// The plan with its network encrypted.
fn encrypted(mut plan: OverlayPlan, node: u8) -> OverlayPlan {
    for network in plan.networks.values_mut() {
        network.tunnel = Some(network.underlay);
        network.underlay = tunnel_address(node_id(node)).into();
        for (id, peer) in &mut network.peers {
            let endpoint = SocketAddr::new(peer.underlay, 7947);
            peer.tunnel =
                Some(TunnelEnd { public_key: [0; 32], endpoint, life: 0, is_only_way: false });
            peer.underlay = tunnel_address(*id).into();
        }
    }
    plan
}

/// Makes a device as a tunnel's process would; it leads nowhere.
fn make_device(lab: &Lab, link: &str) {
    run_in(&lab.host(1), &format!("ip tuntap add {link} mode tun"));
}

/// A node with a task on an encrypted network of two nodes. The other is one that everything could
/// reach which does not go through the tunnel: it has the address that tunnels have.
fn node_beside_the_tunnel(lab: &Lab) -> (Guarded, OverlayPlan, UdpSocket) {
    let plan = encrypted(plan(1, 2, 1), 1);
    make_device(lab, &lab.open(1).tunnel_link());
    let one = guarded(lab, 1, &plan);
    let address = tunnel_address(node_id(2));
    run_in(&lab.host(2), &format!("ip -6 address add {address}/128 dev eth0 nodad"));
    run_in(&lab.host(1), "ip -6 route add default via 2001:db8::2 dev eth0");
    let wire = inside(&lab.host(2), || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 4789)).unwrap());
    wire.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    (one, plan, wire)
}

fn guard(one: &Guarded) -> TunnelGuard {
    let link = one.links.tunnel_link();
    TunnelGuard::write(one.links.host_namespace(), "a", &link, &[VNI].into()).unwrap()
}

#[test]
fn an_encrypted_network_has_the_size_of_the_tunnel_and_is_the_same_when_applied_again() {
    let Some(lab) = Lab::new(2) else { return };
    let (mut one, plan, _wire) = node_beside_the_tunnel(&lab);
    let link = one.links.tunnel_link();
    let shown = run_in(&lab.host(1), &format!("ip link show {link}"));
    assert!(shown.contains("mtu 1440"), "{shown}");
    let shown = run_in(&one.task, "ip link show eth0");
    assert!(shown.contains("mtu 1370"), "{shown}");
    assert_eq!(apply(&mut one.links, &plan), 0);
    // The path to a peer that has a smaller link.
    let mut smaller = plan.clone();
    for peer in smaller.networks.get_mut(&NETWORK).unwrap().peers.values_mut() {
        peer.underlay_mtu = 1450;
    }
    apply(&mut one.links, &smaller);
    let path = run_in(&lab.network(1), &format!("ip route get {}", addresses(2, 0)[0]));
    assert!(path.contains("mtu 1320"), "{path}");
    // The device ends with its process.
    run_in(&lab.host(1), &format!("ip link delete {link}"));
    apply(&mut one.links, &OverlayPlan::default());
    let routes = run_in(&lab.host(1), "ip -6 route show proto 236");
    assert!(routes.trim().is_empty(), "{routes}");
}

#[test]
fn what_passes_nodes_behind_nat_is_taken_from_the_tunnel_only() {
    let Some(lab) = Lab::new(2) else { return };
    let (one, _plan, _wire) = node_beside_the_tunnel(&lab);
    let any = (Ipv6Addr::UNSPECIFIED, DETOUR_PORT);
    let socket = inside(&lab.host(1), || UdpSocket::bind(any).unwrap());
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let sender = inside(&lab.host(2), || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap());
    let arrives = || {
        sender.send_to(b"x", ("2001:db8::1", DETOUR_PORT)).unwrap();
        socket.recv(&mut [0; 9]).is_ok()
    };
    assert!(arrives(), "there are no rules yet");
    let _guard = guard(&one);
    assert!(!arrives());
}

#[test]
fn without_its_device_the_tunnel_leads_nowhere_and_not_to_the_network_below() {
    let Some(lab) = Lab::new(2) else { return };
    let (mut one, plan, wire) = node_beside_the_tunnel(&lab);
    let guarded = guard(&one);
    let task = inside(&one.task, || UdpSocket::bind((addresses(1, 0)[0], PORT)).unwrap());
    let leaks = || {
        task.send_to(b"secret", (addresses(2, 0)[0], PORT)).unwrap();
        wire.recv(&mut [0; 2000]).is_ok()
    };
    assert!(!leaks());
    run_in(&lab.host(1), &format!("ip link delete {}", one.links.tunnel_link()));
    assert!(!leaks(), "the route that leads nowhere holds");
    let failures = one.links.apply(&plan).failures;
    let told = |failure: &overlay_linux::error::LinkError| failure.to_string();
    let is_told =
        failures.iter().map(told).any(|text| text.contains("nothing is sent unencrypted"));
    assert!(is_told, "{failures:?}");
    assert!(!leaks());
    // Without the rules, the route alone holds it; without the route, the rules do.
    drop(guarded);
    TunnelGuard::remove(one.links.host_namespace(), "a").unwrap();
    assert!(!leaks());
    run_in(&lab.host(1), "ip -6 route delete unreachable fd8d:5dbf:12c4::/48");
    assert!(leaks(), "nothing holds it any more");
    let _guard = guard(&one);
    assert!(!leaks());
}

#[test]
fn a_packet_of_an_encrypted_network_that_arrives_in_clear_reaches_no_task() {
    let Some(lab) = Lab::new(2) else { return };
    let (one, _plan, _wire) = node_beside_the_tunnel(&lab);
    let mut guarded = guard(&one);
    let (from, to) = (addresses(2, 0)[0], addresses(1, 0)[0]);
    let socket = listen(&one.task, to);
    // With the address of a member as the source, which `members` lets in.
    let source = IpAddr::from(tunnel_address(node_id(2)));
    let sender = inside(&lab.host(2), || UdpSocket::bind((source, 0)).unwrap());
    let send = |payload: &[u8]| {
        sender.send_to(&packet(VNI, 1, from, to, payload), "[2001:db8::1]:4789").unwrap();
    };
    send(b"forged");
    assert_eq!(heard(&socket), "nothing");
    assert_eq!(guarded.is_intact().unwrap(), Intact::Yes);
    TunnelGuard::remove(one.links.host_namespace(), "a").unwrap();
    assert_eq!(guarded.is_intact().unwrap(), Intact::No);
    send(b"unguarded");
    assert_eq!(heard(&socket), "unguarded");
    let _again = guard(&one);
    send(b"forged");
    assert_eq!(heard(&socket), "nothing");
    // What nft writes of the rules, nft reads.
    let path = lab.directory(1).join("rules");
    std::fs::write(&path, run_in(&lab.host(1), "nft list ruleset")).unwrap();
    run_in(&lab.host(1), "nft flush ruleset");
    run_in(&lab.host(1), &format!("nft -f {}", path.display()));
    assert!(try_run_in(&lab.host(1), "nft list table inet edgectl-a-tunnel").is_ok());
}
