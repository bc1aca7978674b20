//! Datagrams to a group on a network that carries them, and on one that does not.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use crate::fleet::{Fleet, Task, address_in, enter};

const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 251);
const PORT: u16 = 5353;

/// Of a task on each node every one hears every other, once; also one that starts later.
pub fn check_multicast(fleet: &Fleet) {
    fleet.create_network(&["--opt", "edge.multicast=true", "groups"]);
    fleet.create_network(&["quiet"]);
    let nodes = fleet.nodes().count();
    for network in ["groups", "quiet"] {
        let more = ["--network", network, "--mode", "global"];
        fleet.create_idle(1, network, &more);
    }
    let members = fleet.await_tasks(1, "groups", nodes);
    // A node that has just taken part is known to the others a moment later.
    fleet.until("every task hears every other", || all_hear(&members));
    fleet.create_idle(2, "late", &["--network", "groups"]);
    let late = fleet.await_tasks(1, "late", 1);
    fleet.until("so does one that came later", || all_hear(&[&members[..], &late].concat()));
    let quiet = fleet.await_tasks(1, "quiet", nodes);
    assert!(!all_hear(&quiet), "nobody asked for copies on this network");
    for service in ["groups", "quiet", "late"] {
        fleet.edgectl(1, &["service", "rm", service]);
    }
}

/// Each of these tasks sends one datagram. Does each hear all of them, exactly once?
fn all_hear(tasks: &[Task]) -> bool {
    let sockets: Vec<UdpSocket> = tasks.iter().map(|task| join(&task.space)).collect();
    for socket in &sockets {
        socket.send_to(b"here I am", (GROUP, PORT)).expect("there is a route to groups");
    }
    let addresses: BTreeSet<IpAddr> =
        tasks.iter().filter_map(|task| address_in(&task.space)).map(IpAddr::from).collect();
    sockets.iter().all(|socket| {
        let heard: Vec<IpAddr> = std::iter::from_fn(|| hear(socket).ok()).collect();
        heard.len() == tasks.len() && heard.into_iter().collect::<BTreeSet<_>>() == addresses
    })
}

/// The sender of the next datagram.
fn hear(socket: &UdpSocket) -> io::Result<IpAddr> {
    socket.recv_from(&mut [0; 100]).map(|(_, from)| from.ip())
}

fn join(space: &Path) -> UdpSocket {
    let socket = std::thread::scope(|scope| {
        let open = || {
            enter(space);
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).expect("a free port");
            socket.join_multicast_v4(&GROUP, &Ipv4Addr::UNSPECIFIED).expect("a route to groups");
            socket
        };
        scope.spawn(open).join().expect("joined")
    });
    socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a time");
    socket
}
