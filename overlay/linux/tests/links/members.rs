//! Packets of VXLAN from members and from others.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use overlay::plan::{OverlayPlan, node_mac};
use overlay_linux::balancing::{Intact, NetworkBalancer, PortBalancer};
use overlay_linux::links::Links;

use crate::lab::{
    Lab, NETWORK, addresses, apply, inside, interface, node_id, over_ipv6, ping, plan, run_in,
    task_run, try_run_in,
};

const VXLAN: u16 = 4789;
const PORT: u16 = 5000;

/// A packet of VXLAN that carries a datagram from one task's address to another's.
pub fn packet(vni: u32, to_node: u8, from: IpAddr, to: IpAddr, payload: &[u8]) -> Vec<u8> {
    let (IpAddr::V4(from), IpAddr::V4(to)) = (from, to) else { panic!("of IPv4") };
    let udp = u16::try_from(8 + payload.len()).unwrap();
    let mut packet = vec![8, 0, 0, 0];
    packet.extend_from_slice(&(vni << 8).to_be_bytes());
    packet.extend_from_slice(&node_mac(node_id(to_node)));
    packet.extend_from_slice(&[2, 0, 0, 0, 0, 9, 8, 0]);
    let mut header = vec![0x45, 0];
    header.extend_from_slice(&(20 + udp).to_be_bytes());
    header.extend_from_slice(&[0, 1, 0x40, 0, 64, 17, 0, 0]);
    header.extend_from_slice(&from.octets());
    header.extend_from_slice(&to.octets());
    let words = header.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let sum: u32 = words.sum();
    let sum = (sum & 0xffff) + (sum >> 16);
    header[10..12].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    packet.extend_from_slice(&header);
    for number in [PORT, PORT, udp, 0] {
        packet.extend_from_slice(&number.to_be_bytes());
    }
    packet.extend_from_slice(payload);
    packet
}

/// A node with one task and all our rules.
pub struct Guarded {
    pub links: Links,
    pub task: std::path::PathBuf,
    pub network: NetworkBalancer,
    pub ports: PortBalancer,
}

pub fn guarded(lab: &Lab, node: u8, plan: &OverlayPlan) -> Guarded {
    let mut links = lab.open(node);
    apply(&mut links, plan);
    let task = links.attach(task_run(node, 0), &[interface(node, 0)]).unwrap();
    let mut network = NetworkBalancer::open(links.namespace(NETWORK).unwrap()).unwrap();
    network.apply(&plan.networks[&NETWORK]).unwrap();
    let mut ports = PortBalancer::open(links.host_namespace(), "a").unwrap();
    ports.apply(plan).unwrap();
    Guarded { links, task, network, ports }
}

/// A socket of a task, where what reaches it can be read.
pub fn listen(task: &Path, address: IpAddr) -> UdpSocket {
    let socket = inside(task, || UdpSocket::bind((address, PORT)).unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}

/// The next payload.
pub fn heard(socket: &UdpSocket) -> String {
    let mut buffer = [0; 100];
    match socket.recv(&mut buffer) {
        Ok(length) => String::from_utf8(buffer[..length].to_vec()).unwrap(),
        Err(error) if error.kind() == ErrorKind::WouldBlock => "nothing".into(),
        Err(error) => panic!("{error}"),
    }
}

fn send(from: &Path, to: &str, packet: &[u8]) -> io::Result<usize> {
    let to: SocketAddr = to.parse().unwrap();
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    inside(from, || UdpSocket::bind(any).unwrap()).send_to(packet, to)
}

/// Nodes 1 and 2 are members, node 3 is not. What the third sends first would arrive first.
fn check_members(adapt: fn(OverlayPlan) -> OverlayPlan, to: &str) {
    let Some(lab) = Lab::new(3) else { return };
    let mut one = guarded(&lab, 1, &adapt(plan(1, 2, 1)));
    let (from, task) = (addresses(2, 0)[0], addresses(1, 0)[0]);
    let socket = listen(&one.task, task);
    let before = one.ports.dropped_vxlan().unwrap();
    send(&lab.host(3), to, &packet(5000, 1, from, task, b"forged")).unwrap();
    send(&lab.host(2), to, &packet(5000, 1, from, task, b"member")).unwrap();
    assert_eq!(heard(&socket), "member");
    assert_eq!(one.ports.dropped_vxlan().unwrap(), before + 1);
    // An operator's rule that accepts the port changes nothing.
    for rule in [
        "add table inet own",
        "add chain inet own in { type filter hook input priority 5 ; }",
        "add rule inet own in udp dport 4789 accept",
    ] {
        run_in(&lab.host(1), &format!("nft {rule}"));
    }
    send(&lab.host(3), to, &packet(5000, 1, from, task, b"forged")).unwrap();
    send(&lab.host(2), to, &packet(5000, 1, from, task, b"member")).unwrap();
    assert_eq!(heard(&socket), "member");
    // The third joins: one change.
    one.ports.apply(&adapt(plan(1, 3, 1))).unwrap();
    send(&lab.host(3), to, &packet(5000, 1, from, task, b"joined")).unwrap();
    assert_eq!(heard(&socket), "joined");
}

#[test]
fn a_packet_of_vxlan_from_a_stranger_reaches_no_task() {
    check_members(|plan| plan, "192.0.2.1:4789");
}

#[test]
fn a_packet_of_vxlan_from_a_stranger_reaches_no_task_over_ipv6() {
    check_members(over_ipv6, "[2001:db8::1]:4789");
}

/// Two devices for one number, made by hand on nodes 1 and 3.
fn join_by_hand(lab: &Lab, vni: u32) {
    for (node, other) in [(1, 3), (3, 1)] {
        let ends = format!("local 192.0.2.{node} remote 192.0.2.{other} dstport {VXLAN} dev eth0");
        let host = lab.host(node);
        run_in(&host, &format!("ip link add hand type vxlan id {vni} {ends}"));
        run_in(&host, &format!("ip address add 10.77.0.{node}/24 dev hand"));
        run_in(&host, "ip link set hand up");
    }
}

#[test]
fn somebody_elses_vxlan_on_the_same_port_goes_on() {
    let Some(lab) = Lab::new(3) else { return };
    let _one = guarded(&lab, 1, &plan(1, 2, 1));
    join_by_hand(&lab, 77);
    ping(&lab.host(3), "10.77.0.1").unwrap();
}

#[test]
fn somebody_elses_device_with_a_number_of_ours_goes_on() {
    let Some(lab) = Lab::new(3) else { return };
    join_by_hand(&lab, 5000);
    let mut links = lab.open(1);
    let applied = links.apply(&plan(1, 2, 1));
    assert!(applied.failures.iter().any(|failure| failure.to_string().contains("VNI 5000")));
    assert!(!links.has_vxlan(NETWORK));
    let mut ports = PortBalancer::open(links.host_namespace(), "a").unwrap();
    ports.leave_alone([5000].into());
    ports.apply(&plan(1, 2, 1)).unwrap();
    ping(&lab.host(3), "10.77.0.1").unwrap();
    // And it would not without.
    ports.leave_alone([].into());
    ports.apply(&plan(1, 2, 1)).unwrap();
    assert!(try_run_in(&lab.host(3), "ping -n -c 1 -W 0.3 10.77.0.1").is_err());
}

#[test]
fn the_sets_of_members_survive_a_reload_of_the_hosts_rules() {
    let Some(lab) = Lab::new(3) else { return };
    let mut one = guarded(&lab, 1, &plan(1, 2, 1));
    let host = lab.host(1);
    let saved = lab.directory(1).join("saved.nft");
    std::fs::write(&saved, run_in(&host, "nft list ruleset")).unwrap();
    run_in(&host, "nft flush ruleset");
    run_in(&host, &format!("nft -f {}", saved.display()));
    assert_eq!(one.ports.compare().unwrap(), Intact::Yes);
    let listed = run_in(&host, "nft list set inet edgectl-a members4");
    assert!(listed.contains("192.0.2.2 . 0x1388"), "{listed}");
}
