//! The largest segments that the ends of a connection agree on.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use nix::sys::socket::{getsockopt, sockopt};

use crate::lab::{Lab, addresses, inside, plan};
use crate::members::guarded;

fn segment(stream: &impl AsFd) -> u32 {
    getsockopt(stream, sockopt::TcpMaxSeg).unwrap()
}

#[test]
fn both_ends_of_a_connection_learn_what_the_way_carries() {
    let Some(lab) = Lab::new(2) else { return };
    let mut first = plan(1, 2, 1);
    // The way to the second node carries 1350 bytes. Only the first node knows it.
    for peer in first.networks.values_mut().flat_map(|network| network.peers.values_mut()) {
        peer.underlay_mtu = 1400;
    }
    let one = guarded(&lab, 1, &first);
    let two = guarded(&lab, 2, &plan(2, 2, 1));
    for (client, server) in [(&one, &two), (&two, &one)] {
        let node = if std::ptr::eq(server, &two) { 2 } else { 1 };
        for address in addresses(node, 0) {
            let headers = if address.is_ipv4() { 40 } else { 60 };
            let listener = inside(&server.task, || TcpListener::bind((address, 80)).unwrap());
            let mut stream = inside(&client.task, || TcpStream::connect((address, 80)).unwrap());
            let (mut accepted, _) = listener.accept().unwrap();
            for end in [&stream, &accepted] {
                let segment = segment(end);
                assert!(segment <= 1350 - headers, "{segment} to {address}");
                assert!(segment > 1200, "{segment} to {address}");
            }
            accepted.write_all(b"x").unwrap();
            stream.read_exact(&mut [0]).unwrap();
        }
    }
}
