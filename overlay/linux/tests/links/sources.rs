//! Sources that are not the sender's.

use std::net::{IpAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::lab::{Lab, addresses, inside, interface, ping, plan, run_in, task_run};
use crate::members::{guarded, heard, listen, packet};

const PORT: u16 = 5000;

/// A datagram of a task with one of its addresses, own or not.
fn send(task: &Path, from: IpAddr, to: IpAddr, payload: &[u8]) {
    let socket = inside(task, || UdpSocket::bind((from, 0)).unwrap());
    socket.send_to(payload, (to, PORT)).unwrap();
}

#[test]
fn a_task_cannot_use_the_address_of_another() {
    let Some(lab) = Lab::new(2) else { return };
    let mut one = guarded(&lab, 1, &plan(1, 2, 3));
    let two = guarded(&lab, 2, &plan(2, 2, 1));
    let neighbour = one.links.attach(task_run(1, 1), &[interface(1, 1)]).unwrap();
    one.links.attach(task_run(1, 2), &[interface(1, 2)]).unwrap();
    let stolen = [addresses(1, 2), vec!["198.51.100.1".parse().unwrap()]].concat();
    for address in &stolen {
        let nodad = if address.is_ipv6() { "nodad" } else { "" };
        run_in(&one.task, &format!("ip address add {address} dev eth0 {nodad}"));
    }
    let before = one.network.dropped_by_source().unwrap();
    for (node, task) in [(2, &two.task), (1, &neighbour)] {
        for (index, own) in addresses(1, 0).into_iter().enumerate() {
            let target = addresses(node, if node == 1 { 1 } else { 0 })[index];
            let socket = listen(task, target);
            for from in stolen.iter().filter(|stolen| stolen.is_ipv4() == own.is_ipv4()) {
                send(&one.task, *from, target, b"forged");
            }
            send(&one.task, own, target, b"own");
            assert_eq!(heard(&socket), "own", "{own} to node {node}");
        }
    }
    assert!(one.network.dropped_by_source().unwrap() >= before + 6);
}

#[test]
fn a_task_that_gives_itself_no_address_is_no_stranger() {
    let Some(lab) = Lab::new(1) else { return };
    let mut one = guarded(&lab, 1, &plan(1, 1, 1));
    // The kernel asks from `::` whether somebody has this address, and says so when nobody answers.
    run_in(&one.task, "ip address add fd09:0:0:1::99/64 dev eth0");
    let deadline = Instant::now() + Duration::from_secs(10);
    while run_in(&one.task, "ip address show dev eth0").contains("tentative") {
        assert!(Instant::now() < deadline, "nobody has the address, and it is not taken");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(one.network.dropped_by_source().unwrap(), 0);
}

#[test]
fn what_comes_from_other_nodes_has_a_source_of_other_nodes() {
    let Some(lab) = Lab::new(2) else { return };
    let mut one = guarded(&lab, 1, &plan(1, 2, 1));
    let target = addresses(1, 0)[0];
    let socket = listen(&one.task, target);
    let wire = inside(&lab.host(2), || UdpSocket::bind("0.0.0.0:0").unwrap());
    let before = one.network.dropped_by_source().unwrap();
    // A neighbour of the target, its gateway, somebody outside, a block that nobody has.
    for from in ["10.9.1.11", "10.9.0.1", "198.51.100.1", "10.9.77.7"] {
        let packet = packet(5000, 1, from.parse().unwrap(), target, b"forged");
        wire.send_to(&packet, "192.0.2.1:4789").unwrap();
    }
    let packet = packet(5000, 1, addresses(2, 0)[0], target, b"own");
    wire.send_to(&packet, "192.0.2.1:4789").unwrap();
    assert_eq!(heard(&socket), "own");
    assert!(one.network.dropped_by_source().unwrap() >= before + 4);
}

#[test]
fn a_task_hears_of_another_nodes_gateway_that_an_address_is_unreachable() {
    let Some(lab) = Lab::new(2) else { return };
    let one = guarded(&lab, 1, &plan(1, 2, 1));
    let two = guarded(&lab, 2, &plan(2, 2, 1));
    for (reached, free) in addresses(2, 0).into_iter().zip(["10.9.2.77", "fd09:0:0:2::77"]) {
        ping(&one.task, &reached.to_string()).unwrap();
        let answer = ping(&one.task, free).unwrap_err();
        assert!(answer.to_lowercase().contains("unreachable"), "{answer}");
    }
    drop(two);
}
