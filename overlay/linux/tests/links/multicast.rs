//! Datagrams to groups and to everybody, between tasks of three nodes.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::Duration;

use overlay::plan::OverlayPlan;
use overlay_linux::balancing::{Intact, Multicast};

use crate::lab::{
    Lab, NETWORK, addresses, apply, inside, interface, plan, run_in, task_run, try_run_in,
};
use crate::members::{Guarded, guarded, packet};

const PORT: u16 = 5353;
const GROUP_4: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
const GROUP_6: Ipv6Addr = Ipv6Addr::new(0xff05, 0, 0, 0, 0, 0, 1, 3);

/// A node with one task, and the rules that copy.
struct Node {
    guarded: Guarded,
    multicast: Multicast,
}

fn plan_of(node: u8, tasks: u8) -> OverlayPlan {
    let mut plan = plan(node, 3, tasks);
    plan.networks.get_mut(&NETWORK).unwrap().multicast = true;
    plan
}

fn node(lab: &Lab, number: u8, tasks: u8) -> Node {
    let guarded = guarded(lab, number, &plan_of(number, tasks));
    let multicast = Multicast::open(guarded.links.namespace(NETWORK).unwrap()).unwrap();
    let mut node = Node { guarded, multicast };
    node.attach(number, 0);
    node
}

impl Node {
    /// Attaches a task with the route to groups, and follows.
    fn attach(&mut self, node: u8, task: u8) -> PathBuf {
        let mut interface = interface(node, task);
        interface.subnets.push("224.0.0.0/4".parse().unwrap());
        let space = self.guarded.links.attach(task_run(node, task), &[interface]).unwrap();
        self.follow();
        space
    }

    fn follow(&mut self) {
        self.multicast.apply(&self.guarded.links.devices(NETWORK)).unwrap();
    }
}

/// A member of the group, or who only listens for what is sent to everybody.
fn join(task: &Path, group: IpAddr) -> UdpSocket {
    let socket = inside(task, || match group {
        IpAddr::V4(group) => {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)).unwrap();
            if group.is_multicast() {
                socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED).unwrap();
            }
            socket
        }
        IpAddr::V6(group) => {
            let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, PORT)).unwrap();
            socket.join_multicast_v6(&group, 0).unwrap();
            socket
        }
    });
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket
}

fn send(task: &Path, from: IpAddr, group: IpAddr, payload: &str) {
    let socket = inside(task, || UdpSocket::bind((from, 0)).unwrap());
    socket.set_broadcast(true).unwrap();
    socket.send_to(payload.as_bytes(), (group, PORT)).unwrap();
}

/// Everything that is heard until `last`, with the sender's address.
fn heard_until(socket: &UdpSocket, last: &str) -> Vec<(String, IpAddr)> {
    let mut heard = Vec::new();
    loop {
        let mut buffer = [0; 2_000];
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                let text = String::from_utf8(buffer[..length].to_vec()).unwrap();
                let is_last = text == last;
                heard.push((text, from.ip()));
                if is_last {
                    return heard;
                }
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return heard,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn every_task_of_the_network_hears_a_group_once_and_under_the_senders_address() {
    let Some(lab) = Lab::new(3) else { return };
    let mut nodes = [node(&lab, 1, 2), node(&lab, 2, 1), node(&lab, 3, 1)];
    let second = nodes[0].attach(1, 1);
    let mut tasks: Vec<(u8, u8, PathBuf)> =
        (1..).zip(&nodes).map(|(number, node)| (number, 0, node.guarded.task.clone())).collect();
    tasks.push((1, 1, second));
    for group in [GROUP_4.into(), GROUP_6.into(), Ipv4Addr::BROADCAST.into()] {
        let group: IpAddr = group;
        let sockets: Vec<UdpSocket> = tasks.iter().map(|(.., task)| join(task, group)).collect();
        for (number, task, space) in &tasks {
            let own = addresses(*number, *task);
            let from = own.into_iter().find(|own| own.is_ipv4() == group.is_ipv4()).unwrap();
            let [first, last] = [format!("{from} once"), format!("{from} last")];
            send(space, from, group, &first);
            send(space, from, group, &last);
            for ((hearer, other, _), socket) in tasks.iter().zip(&sockets) {
                // The sender hears itself by its own kernel, and nobody sends it back.
                let heard = heard_until(socket, &last);
                let expected = [(first.clone(), from), (last.clone(), from)];
                assert_eq!(heard, expected, "{group} from {number}.{task} at {hearer}.{other}");
            }
        }
    }
}

#[test]
fn what_is_not_asked_for_or_not_the_senders_is_not_copied() {
    let Some(lab) = Lab::new(3) else { return };
    let mut one = node(&lab, 1, 2);
    let two = node(&lab, 2, 1);
    // A node whose network does not copy.
    let deaf = guarded(&lab, 3, &plan(3, 3, 1));
    let neighbour = one.attach(1, 1);
    let group = IpAddr::from(GROUP_4);
    let hearers = [join(&neighbour, group), join(&two.guarded.task, group)];
    let unhearing = join(&deaf.task, group);
    let stolen = addresses(1, 1)[0];
    run_in(&one.guarded.task, &format!("ip address add {stolen} dev eth0"));
    let own = addresses(1, 0)[0];
    send(&one.guarded.task, stolen, group, "forged");
    send(&one.guarded.task, own, group, "own");
    for socket in &hearers {
        assert_eq!(heard_until(socket, "own"), [("own".to_owned(), own)]);
    }
    // Nor does a node take it with the address of another node's task.
    let strange = packet(5000, 2, addresses(2, 0)[0], group, b"forged");
    let sender = inside(&lab.host(3), || UdpSocket::bind("192.0.2.3:0").unwrap());
    let to = SocketAddr::new("192.0.2.2".parse().unwrap(), 4789);
    sender.send_to(&strange, to).unwrap();
    send(&one.guarded.task, own, group, "last");
    assert_eq!(heard_until(&hearers[1], "last"), [("last".to_owned(), own)]);
    send(&deaf.task, addresses(3, 0)[0], group, "deaf");
    let asked = |socket: &UdpSocket| {
        socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        heard_until(socket, "deaf")
    };
    assert_eq!(asked(&hearers[1]), [], "without the option nothing is copied");
    assert_eq!(asked(&unhearing).len(), 1, "but to the sender by its own kernel");
}

#[test]
fn copies_follow_tasks_that_come_and_go_and_come_back_after_a_flush() {
    let Some(lab) = Lab::new(3) else { return };
    let (mut one, mut two) = (node(&lab, 1, 1), node(&lab, 2, 1));
    let group = IpAddr::from(GROUP_4);
    let own = addresses(1, 0)[0];
    let heard = |one: &Node, task: &Path, text: &str| {
        let socket = join(task, group);
        send(&one.guarded.task, own, group, text);
        heard_until(&socket, text)
    };
    let first = two.guarded.task.clone();
    assert_eq!(heard(&one, &first, "first").len(), 1);
    apply(&mut two.guarded.links, &plan_of(2, 2));
    let later = two.attach(2, 1);
    assert_eq!(heard(&one, &later, "later").len(), 1);
    two.guarded.links.detach(task_run(2, 0)).unwrap();
    two.follow();
    assert_eq!(two.multicast.is_intact().unwrap(), Intact::Yes);
    assert_eq!(heard(&one, &later, "after").len(), 1);
    for node in [&mut one, &mut two] {
        let number = if node.guarded.task == first { 2 } else { 1 };
        run_in(&lab.network(number), "nft flush ruleset");
        assert_eq!(node.multicast.is_intact().unwrap(), Intact::No);
        node.follow();
        assert_eq!(node.multicast.is_intact().unwrap(), Intact::Yes);
    }
    assert_eq!(heard(&one, &later, "again").len(), 1);
    // What somebody removed of where groups go is as planned again, and an application afterwards
    // changes nothing.
    let entry = "00:00:00:00:00:00 dev vxlan0 dst 192.0.2.2";
    run_in(&lab.network(1), &format!("bridge fdb del {entry}"));
    let repaired = apply(&mut one.guarded.links, &plan_of(1, 1));
    assert_eq!(repaired, 1);
    assert_eq!(apply(&mut one.guarded.links, &plan_of(1, 1)), 0);
    assert_eq!(heard(&one, &later, "repaired").len(), 1);
    // A peer that is no member of the network any more gets nothing.
    let mut without = plan_of(1, 1);
    without.networks.get_mut(&NETWORK).unwrap().peers.remove(&crate::lab::node_id(2));
    apply(&mut one.guarded.links, &without);
    let listed = try_run_in(&lab.network(1), "bridge fdb show dev vxlan0").unwrap();
    assert!(!listed.contains("192.0.2.2") && listed.contains("192.0.2.3"), "{listed}");
}
