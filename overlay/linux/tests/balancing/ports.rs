//! Published ports.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crdt_state::NetworkId;
use overlay::plan::{OverlayPlan, Port, PortTargets, Protocol};
use overlay_linux::balancing::{Changed, Intact, PortBalancer, accept_loopback_clients};

use crate::follower::follow_to_the_end;
use crate::lab::{GATEWAY, HOST, HOST_6, Lab, NODE, NODE_6, is_possible, task, task_6};
use crate::network::network;
use crate::traffic::{PORT, ask, connect, serve, udp};

pub const WEB: NetworkId = NetworkId([1; 16]);
const PUBLISHED: u16 = 8080;

/// A plan that publishes TCP and UDP 8080 with these tasks.
pub fn plan(lab: &Lab, tasks: &[u8]) -> OverlayPlan {
    let addresses = tasks.iter().flat_map(|number| [task(*number), task_6(*number)]);
    let targets = PortTargets { network: WEB, target: PORT, addresses: addresses.collect() };
    let mut plan = OverlayPlan::default();
    plan.networks.insert(WEB, network(lab, &[]));
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        plan.ports.insert(Port { protocol, number: PUBLISHED }, targets.clone());
    }
    plan
}

/// A lab with so many serving tasks on this node, one more without a server, and the others.
pub fn serving(tasks: u8, others: u8) -> (Lab, PortBalancer) {
    let lab = Lab::new(tasks + 1, others);
    for (number, namespace) in (1..=tasks).zip(&lab.tasks) {
        serve(namespace, number);
    }
    for (number, namespace) in (101..).zip(&lab.other_tasks) {
        serve(namespace, number);
    }
    accept_loopback_clients(lab.host.file().as_fd(), "ec0").unwrap();
    let balancer = PortBalancer::open(lab.host.file().as_fd(), "a").unwrap();
    (lab, balancer)
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    if !is_possible() {
        return;
    }
    let (lab, mut balancer) = serving(1, 0);
    balancer.apply(&plan(&lab, &[1])).unwrap();
    let near = [
        (&lab.outside, HOST, "192.0.2.2"),
        (&lab.outside, HOST_6, "2001:db8::2"),
        (&lab.host, "127.0.0.1", NODE),
        (&lab.host, "::1", NODE_6),
        (&lab.host, HOST, HOST),
        (&lab.host, HOST_6, HOST_6),
        (&lab.tasks[1], HOST, NODE),
        (&lab.tasks[1], HOST_6, NODE_6),
        // A task that reaches itself.
        (&lab.tasks[0], HOST, NODE),
    ];
    for (client, host, seen) in near {
        client.inside(|| {
            let connection = connect(address(host), PUBLISHED).expect(host);
            assert_eq!(connection.seen, address(seen), "{host}");
            assert_eq!(ask(&udp(address(host), PUBLISHED)).expect(host), 1);
        });
    }
}

#[test]
fn a_task_of_another_node_sees_this_node() {
    if !is_possible() {
        return;
    }
    let (lab, mut balancer) = serving(1, 1);
    balancer.apply(&plan(&lab, &[101])).unwrap();
    for (client, host) in [
        (&lab.outside, HOST),
        (&lab.outside, HOST_6),
        (&lab.host, "127.0.0.1"),
        (&lab.host, "::1"),
        (&lab.host, HOST),
        (&lab.tasks[1], HOST),
    ] {
        let node = if host.contains(':') { NODE_6 } else { NODE };
        client.inside(|| {
            let connection = connect(address(host), PUBLISHED).expect(host);
            assert_eq!((connection.server, connection.seen), (101, address(node)), "{host}");
            assert_eq!(ask(&udp(address(host), PUBLISHED)).unwrap(), 101);
        });
    }
}

#[test]
fn only_published_ports_lead_to_tasks() {
    if !is_possible() {
        return;
    }
    let (lab, mut balancer) = serving(1, 0);
    lab.outside.ip(&format!("route add 10.1.0.0/16 via {HOST}"));
    let direct =
        || lab.outside.inside(|| connect(task(1), PORT).map(|_| ()).map_err(|error| error.kind()));
    assert_eq!(direct(), Ok(()));
    balancer.apply(&plan(&lab, &[1])).unwrap();
    assert_eq!(direct(), Err(ErrorKind::HostUnreachable));
    let unpublished = lab.outside.inside(|| connect(address(HOST), PORT).err().unwrap().kind());
    assert_eq!(unpublished, ErrorKind::ConnectionRefused);
    assert!(lab.host.inside(|| connect(task(1), PORT)).is_ok());
    // Loopback of the host is closed to tasks although it is open to answers.
    lab.network.ip("route add 127.0.0.1 via 10.1.0.250 dev uplink table 5");
    serve(&lab.host, 9);
    lab.network.set("ipv4.conf.all.route_localnet=1");
    lab.network.ip("rule add pref 0 to 127.0.0.1 lookup 5");
    lab.network.ip("rule add pref 1 lookup local");
    lab.network.ip("rule del pref 0 lookup local");
    let stolen = lab.network.inside(|| connect(address("127.0.0.1"), PORT).is_ok());
    assert!(!stolen);
}

#[test]
fn the_way_out_hides_tasks_behind_the_host() {
    if !is_possible() {
        return;
    }
    let (lab, mut balancer) = serving(1, 0);
    serve(&lab.outside, 200);
    balancer.apply(&plan(&lab, &[1])).unwrap();
    lab.tasks[0].inside(|| {
        for (outside, host) in [("192.0.2.2", HOST), ("2001:db8::2", HOST_6)] {
            let connection = connect(address(outside), PORT).unwrap();
            assert_eq!((connection.server, connection.seen), (200, address(host)));
        }
    });
    let direct = lab.tasks[1].inside(|| connect(task(1), PORT).unwrap().seen);
    assert_eq!(direct, task(2));
    assert_ne!(GATEWAY, HOST);
}

#[test]
fn a_published_port_follows_its_tasks() {
    if !is_possible() {
        return;
    }
    let (lab, mut balancer) = serving(2, 1);
    let mut follower = balancer.follower().unwrap();
    let mut unpublished = plan(&lab, &[]);
    unpublished.ports.clear();
    balancer.apply(&unpublished).unwrap();
    // Before it is published a client has already asked.
    let early = lab.outside.inside(|| udp(address(HOST), PUBLISHED));
    assert!(ask(&early).is_err());
    balancer.apply(&plan(&lab, &[1, 2, 101])).unwrap();
    follow_to_the_end(&mut follower);
    assert!(ask(&early).is_ok());
    let sockets = lab.outside.inside(|| {
        let host = address(HOST);
        let mut connections: Vec<_> = (0..30).map(|_| connect(host, PUBLISHED).unwrap()).collect();
        let sockets: Vec<_> = (0..30).map(|_| udp(host, PUBLISHED)).collect();
        let before: Vec<u8> = sockets.iter().map(|socket| ask(socket).unwrap()).collect();
        assert!([1, 2, 101].iter().all(|number| before.contains(number)));
        balancer.apply(&plan(&lab, &[1])).unwrap();
        follow_to_the_end(&mut follower);
        assert!(sockets.iter().all(|socket| ask(socket).unwrap() == 1));
        assert!(connections.iter_mut().all(|connection| connection.echo().is_ok()));
        assert!((0..100).all(|_| connect(host, PUBLISHED).unwrap().server == 1));
        balancer.apply(&plan(&lab, &[])).unwrap();
        follow_to_the_end(&mut follower);
        let start = Instant::now();
        let refused = connect(host, PUBLISHED).err().unwrap().kind();
        assert_eq!(refused, ErrorKind::ConnectionRefused);
        assert!(start.elapsed() < Duration::from_millis(100));
        // The host refuses one datagram a second, and the others wait in vain: all at once.
        sockets.iter().for_each(|socket| _ = socket.send(b"x"));
        sockets
    });
    // Who is asked directly afterwards has answered what came before.
    let near = [&lab.tasks[0], &lab.tasks[1], &lab.other_tasks[0]];
    for (number, namespace) in [1, 2, 101].into_iter().zip(near) {
        assert_eq!(namespace.inside(|| ask(&udp(task(number), PORT))).unwrap(), number);
    }
    sockets.iter().for_each(|socket| socket.set_nonblocking(true).unwrap());
    assert!(sockets.iter().all(|socket| socket.recv(&mut [0]).is_err()));
}

#[test]
fn two_agents_share_a_host() {
    if !is_possible() {
        return;
    }
    let (lab, mut first) = serving(1, 0);
    let mut second = PortBalancer::open(lab.host.file().as_fd(), "b").unwrap();
    let wanted = plan(&lab, &[1]);
    first.apply(&wanted).unwrap();
    second.apply(&OverlayPlan::default()).unwrap();
    assert_eq!(first.is_intact().unwrap(), Intact::Yes);
    second.remove().unwrap();
    assert_eq!(first.is_intact().unwrap(), Intact::Yes);
    assert_eq!(first.apply(&wanted).unwrap(), Changed::Nothing);
    lab.host.run("nft flush ruleset");
    assert_eq!(first.is_intact().unwrap(), Intact::No);
    first.apply(&wanted).unwrap();
    assert!(lab.outside.inside(|| connect(address(HOST), PUBLISHED)).is_ok());
    lab.host.reload_rules();
    assert_eq!(first.is_intact().unwrap(), Intact::Yes);
    assert!(lab.outside.inside(|| connect(address(HOST), PUBLISHED)).is_ok());
}
