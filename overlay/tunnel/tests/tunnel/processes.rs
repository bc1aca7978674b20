//! What processes do with packets, and with agents that come and go.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::process::{Command, Stdio};
use std::time::Duration;

use overlay_tunnel::client::{Tunnel, TunnelError};

use crate::lab::{CARRIED, LINK, Lab, PORT, address, endpoint, over_ipv6, run, state, until};

/// Two nodes whose tunnels know each other.
fn pair(lab: &Lab) -> [Tunnel; 2] {
    let mut tunnels = [lab.tunnel(1), lab.tunnel(2)];
    lab.hold(&mut tunnels[0], 1, &state(1, &[2])).unwrap();
    lab.hold(&mut tunnels[1], 2, &state(2, &[1])).unwrap();
    tunnels
}

/// Does a packet arrive?
fn arrives(from: &UdpSocket, to: (&UdpSocket, u8), content: &[u8]) -> bool {
    let mut buffer = [0; 2000];
    from.send_to(content, (address(to.1), CARRIED)).unwrap();
    matches!(to.0.recv(&mut buffer), Ok(length) if &buffer[..length] == content)
}

fn received(socket: &UdpSocket) -> bool {
    socket.recv(&mut [0; 2000]).is_ok()
}

#[test]
fn packets_pass_in_both_directions_and_the_wire_shows_nothing_of_them() {
    let Some(lab) = Lab::new(2) else { return };
    let wire = lab.capture();
    let _tunnels = pair(&lab);
    let (one, two) = (lab.socket(1), lab.socket(2));
    let secret = b"a secret of thirty-two bytes ...";
    until("a packet passes", || arrives(&one, (&two, 2), secret));
    until("a packet passes back", || arrives(&two, (&one, 1), secret));
    for _ in 0..30 {
        for _ in 0..20 {
            one.send_to(secret, (address(2), CARRIED)).unwrap();
        }
        for _ in 0..20 {
            assert!(received(&two));
        }
    }
    // The last datagram has a length of its own: it is captured when all others are.
    assert!(arrives(&one, (&two, 2), &[7; 333]));
    wire.await_bytes(&(333_u16 + 48 + 32 + 8).to_be_bytes());
    assert!(wire.shows(&PORT.to_be_bytes()));
    assert!(!wire.shows(secret));
    assert!(!wire.shows(&address(2).octets()), "not even an address");
}

#[test]
fn a_packet_of_the_largest_size_passes_whole() {
    let Some(lab) = Lab::new(2) else { return };
    let _tunnels = pair(&lab);
    let (one, two) = (lab.socket(1), lab.socket(2));
    until("a packet passes", || arrives(&one, (&two, 2), b"x"));
    let wire = lab.capture();
    // The MTU of the link less the headers of IPv6 and UDP: in WireGuard and IPv4 it is 1500.
    assert!(arrives(&one, (&two, 2), &[7; 1440 - 48]));
    let length = 1500_u16.to_be_bytes();
    wire.await_bytes(&[0x45, 0, length[0], length[1]]);
}

#[test]
fn a_burst_arrives_whole_and_in_order() {
    let Some(lab) = Lab::new(2) else { return };
    let _tunnels = pair(&lab);
    let (one, two) = (lab.socket(1), lab.socket(2));
    until("a packet passes", || arrives(&one, (&two, 2), b"x"));
    // As many as one socket holds. The first bytes are the same, as those of one network in VXLAN.
    let content = |number: u8| {
        let length = if number % 7 == 3 { 500 } else { 1000 };
        [&[8, 0, 0, 0, 0, 0, 7, 0][..], &vec![number; length]].concat()
    };
    for _ in 0..20 {
        for number in 0..100 {
            one.send_to(&content(number), (address(2), CARRIED)).unwrap();
        }
        let mut buffer = [0; 2000];
        for number in 0..100 {
            let length = two.recv(&mut buffer).unwrap();
            assert!(buffer[..length] == content(number), "{number}: {length} bytes");
        }
    }
}

#[test]
fn over_ipv6_the_tunnel_adds_80_bytes() {
    let Some(lab) = Lab::new(2) else { return };
    let mut tunnels = [lab.tunnel(1), lab.tunnel(2)];
    lab.hold(&mut tunnels[0], 1, &over_ipv6(state(1, &[2]), &[2])).unwrap();
    lab.hold(&mut tunnels[1], 2, &over_ipv6(state(2, &[1]), &[1])).unwrap();
    let (one, two) = (lab.socket(1), lab.socket(2));
    until("a packet passes", || arrives(&one, (&two, 2), b"x"));
    let wire = lab.capture();
    assert!(arrives(&one, (&two, 2), &[7; 1420 - 48]));
    // Behind Ethernet: what follows a header of 40 bytes has 1460, so all of it has 1500.
    let is_whole = |frame: &[u8]| {
        let length = 1460_u16.to_be_bytes();
        frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(18..20) == Some(&length)
    };
    until("it is captured", || wire.any(is_whole));
}

#[test]
fn the_process_outlives_whoever_started_it_and_loses_nothing() {
    let Some(lab) = Lab::new(2) else { return };
    let [first, _other] = pair(&lab);
    let (one, two) = (lab.socket(1), lab.socket(2));
    until("a packet passes", || arrives(&one, (&two, 2), b"x"));
    drop(first);
    assert!(arrives(&one, (&two, 2), b"without an agent"));
    let mut second = lab.tunnel(1);
    let found = second.find();
    let life = lab.inside(1, || second.hold(&state(1, &[2]))).unwrap();
    assert_eq!(found, Some(life));
    assert!(arrives(&one, (&two, 2), b"with the next one"));
    let mut third = lab.tunnel(1);
    assert_eq!(lab.inside(1, || third.hold(&state(1, &[2]))).unwrap(), life);
    assert!(arrives(&two, (&one, 1), b"and back"));
    // What is wanted counts whole: a peer that is not named any more is none.
    lab.inside(1, || third.hold(&state(1, &[]))).unwrap();
    assert!(!arrives(&one, (&two, 2), b"to nobody"));
}

#[test]
fn a_process_of_another_version_is_replaced() {
    let Some(lab) = Lab::new(1) else { return };
    let mut other = Command::new(env!("CARGO_BIN_EXE_overlay-tunnel"));
    let mut other =
        other.arg("other-version").arg(lab.directory(1)).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert!(!lab.try_in(1, &format!("ip link show {LINK}")));
    let life = lab.hold(&mut lab.tunnel(1), 1, &state(1, &[])).unwrap();
    assert!(!other.wait().unwrap().success(), "it was ended by a signal");
    assert_eq!(lab.hold(&mut lab.tunnel(1), 1, &state(1, &[])).unwrap(), life);
}

#[test]
fn a_process_that_was_killed_is_started_again_and_is_understood_at_once() {
    let Some(lab) = Lab::new(2) else { return };
    let [mut one, _other] = pair(&lab);
    let (from, to) = (lab.socket(1), lab.socket(2));
    until("a packet passes", || arrives(&to, (&from, 1), b"x"));
    assert!(one.is_alive());
    one.end();
    assert!(!one.is_alive());
    assert!(!lab.try_in(1, &format!("ip link show {LINK}")), "the link ends with the process");
    drop(from);
    lab.hold(&mut one, 1, &state(1, &[2])).unwrap();
    let from = lab.socket(1);
    until("the other side has the new keys", || arrives(&to, (&from, 1), b"x"));
    assert!(arrives(&from, (&to, 2), b"x"));
}

#[test]
fn a_peer_that_moves_is_found_by_its_keys() {
    let Some(lab) = Lab::new(2) else { return };
    let _tunnels = pair(&lab);
    let (one, two) = (lab.socket(1), lab.socket(2));
    until("a packet passes", || arrives(&one, (&two, 2), b"x"));
    let name = lab.name(1);
    run(&format!("ip -n {name} address delete 192.0.2.1/24 dev eth0"));
    run(&format!("ip -n {name} address add 192.0.2.77/24 dev eth0"));
    until("it is heard from its new address", || arrives(&one, (&two, 2), b"moved"));
    until("it is answered there", || arrives(&two, (&one, 1), b"found"));
}

#[test]
fn strangers_and_junk_are_not_answered_and_stop_nothing() {
    let Some(lab) = Lab::new(3) else { return };
    let _tunnels = pair(&lab);
    let mut stranger = lab.tunnel(3);
    lab.hold(&mut stranger, 3, &state(3, &[1, 2])).unwrap();
    let (one, two, three) = (lab.socket(1), lab.socket(2), lab.socket(3));
    until("a packet passes", || arrives(&one, (&two, 2), b"x"));
    assert!(!arrives(&three, (&two, 2), b"from a stranger"));
    let sender = lab.inside(3, || UdpSocket::bind("0.0.0.0:0")).unwrap();
    sender.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    for length in [0, 1, 3, 4, 16, 31, 32, 92, 148, 1400] {
        for kind in 0..6 {
            let mut datagram = vec![kind; length];
            datagram.iter_mut().skip(1).take(3).for_each(|byte| *byte = 0);
            sender.send_to(&datagram, endpoint(2)).unwrap();
        }
    }
    assert!(!received(&sender));
    assert!(arrives(&one, (&two, 2), b"still here"));
}

#[test]
fn other_ports_of_the_machine_are_not_reached_through_the_tunnel() {
    let Some(lab) = Lab::new(2) else { return };
    let _tunnels = pair(&lab);
    let (one, two) = (lab.socket(1), lab.socket(2));
    until("a packet passes", || arrives(&one, (&two, 2), b"x"));
    let other = lab.inside(2, || UdpSocket::bind((address(2), 22))).unwrap();
    other.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    one.send_to(b"x", (address(2), 22)).unwrap();
    assert!(!received(&other));
    assert!(!lab.try_in(1, &format!("ping -n -c 1 -W 0.3 {}", address(2))));
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let Some(lab) = Lab::new(1) else { return };
    let taken = lab.inside(1, || UdpSocket::bind(("::", PORT))).unwrap();
    let refused = lab.inside(1, || lab.tunnel(1).hold(&state(1, &[])));
    let Err(TunnelError::Refused(reason)) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("UDP port 7947") && reason.contains("ss -ulpn"), "{reason}");
    drop(taken);
    lab.hold(&mut lab.tunnel(1), 1, &state(1, &[])).unwrap();
    assert!(overlay_tunnel::is_able().is_ok());
}

#[test]
fn a_process_whose_link_is_removed_ends() {
    let Some(lab) = Lab::new(1) else { return };
    let mut tunnel = lab.tunnel(1);
    let life = lab.hold(&mut tunnel, 1, &state(1, &[])).unwrap();
    run(&format!("ip -n {} link delete {LINK}", lab.name(1)));
    until("the process has ended", || !tunnel.is_alive());
    assert_ne!(lab.hold(&mut tunnel, 1, &state(1, &[])).unwrap(), life);
}
