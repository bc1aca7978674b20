//! What becomes of the flows of a task that leaves.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, connect as connect_socket,
    setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use overlay_linux::balancing::{Changed, FlowFollower, NextLook};

use crate::lab::{HOST, HOST_6, Lab, Namespace, is_possible, service, service_6, task, task_6};
use crate::network::{balancer, network, serving};
use crate::ports::{plan, serving as publishing};
use crate::traffic::{PORT, ask, connect, udp};

const PUBLISHED: u16 = 8080;

/// Looks until there is nothing more to do before the next change.
pub fn follow_to_the_end(follower: &mut FlowFollower) {
    while let NextLook::At(at) = follower.follow().unwrap() {
        std::thread::sleep(at.saturating_duration_since(Instant::now()));
    }
}

#[test]
fn a_task_that_leaves_keeps_its_connections_only() {
    if !is_possible() {
        return;
    }
    let lab = serving(3);
    let mut balancer = balancer(&lab);
    let mut follower = balancer.follower().unwrap();
    balancer.apply(&network(&lab, &[(1, &[1, 2, 3])])).unwrap();
    for address in [service(1), service_6(1)] {
        balancer.apply(&network(&lab, &[(1, &[1, 2, 3])])).unwrap();
        lab.tasks[3].inside(|| {
            let mut connections: Vec<_> =
                (0..30).map(|_| connect(address, PORT).unwrap()).collect();
            let sockets: Vec<_> = (0..30).map(|_| udp(address, PORT)).collect();
            let before: Vec<u8> = sockets.iter().map(|socket| ask(socket).unwrap()).collect();
            assert!(before.contains(&2));
            let changed = balancer.apply(&network(&lab, &[(1, &[1, 3])])).unwrap();
            assert!(matches!(changed, Changed::Elements(_)));
            follow_to_the_end(&mut follower);
            for (socket, before) in sockets.iter().zip(before) {
                let now = ask(socket).unwrap();
                assert!(now != 2 && (before == 2 || now == before));
            }
            for connection in &mut connections {
                connection.echo().unwrap();
            }
            for _ in 0..100 {
                assert_ne!(connect(address, PORT).unwrap().server, 2);
            }
        });
    }
}

#[test]
fn a_flow_to_a_task_whose_address_becomes_a_services_leads_to_the_service() {
    if !is_possible() {
        return;
    }
    let lab = serving(2);
    let mut balancer = balancer(&lab);
    let mut follower = balancer.follower().unwrap();
    let small = |services: &[(IpAddr, IpAddr)]| {
        let mut network = network(&lab, &[]);
        network.subnets = vec!["10.1.0.0/24".parse().unwrap(), "fd01::/120".parse().unwrap()];
        let services = services.iter().map(|(service, task)| (*service, vec![*task]));
        network.virtual_addresses = services.collect();
        network
    };
    balancer.apply(&small(&[])).unwrap();
    follow_to_the_end(&mut follower);
    lab.tasks[2].inside(|| {
        for (left, stays) in [(task(2), task(1)), (task_6(2), task_6(1))] {
            let socket = udp(left, PORT);
            assert_eq!(ask(&socket).unwrap(), 2);
            balancer.apply(&small(&[(left, stays)])).unwrap();
            follow_to_the_end(&mut follower);
            assert_eq!(ask(&socket).unwrap(), 1);
        }
    });
}

/// What comes to this task is lost from now on, as if its node were dead.
fn silence(task: &Namespace) {
    task.run("nft add table inet silent");
    task.run("nft add chain inet silent in { type filter hook input priority 0; policy drop; }");
}

fn hear(task: &Namespace) {
    task.run("nft delete table inet silent");
}

/// Tries to connect from this port, for this long.
fn connect_from(port: u16, to: SocketAddr, millis: i64) -> nix::Result<()> {
    let (family, any): (_, IpAddr) = match to {
        SocketAddr::V4(_) => (AddressFamily::Inet, [0; 4].into()),
        SocketAddr::V6(_) => (AddressFamily::Inet6, [0; 16].into()),
    };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    setsockopt(&socket, sockopt::SendTimeout, &TimeVal::new(millis / 1000, millis % 1000 * 1000))?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(any, port)))?;
    connect_socket(socket.as_raw_fd(), &SockaddrStorage::from(to))
}

/// A client whose connection nobody answers while `leave` makes the task leave, and one that comes
/// again from the same port.
fn check(lab: &Lab, client: &Namespace, to: SocketAddr, leave: impl FnOnce()) {
    silence(&lab.tasks[0]);
    std::thread::scope(|scope| {
        let lost = client.inside(|| connect_from(5_000, to, 300));
        assert!(lost.is_err(), "{to}: {lost:?}");
        let waiting = scope.spawn(|| client.inside(|| connect(to.ip(), to.port()).unwrap().server));
        std::thread::sleep(Duration::from_millis(200));
        leave();
        assert_eq!(client.inside(|| connect_from(5_000, to, 300)), Ok(()), "{to}");
        assert_eq!(waiting.join().unwrap(), 2, "{to}");
    });
    hear(&lab.tasks[0]);
}

#[test]
fn a_connection_that_nobody_answers_goes_to_a_task_that_stays() {
    if !is_possible() {
        return;
    }
    let lab = serving(2);
    let mut balancer = balancer(&lab);
    let mut follower = balancer.follower().unwrap();
    for address in [service(1), service_6(1)] {
        balancer.apply(&network(&lab, &[(1, &[1])])).unwrap();
        follow_to_the_end(&mut follower);
        check(&lab, &lab.tasks[2], SocketAddr::new(address, PORT), || {
            balancer.apply(&network(&lab, &[(1, &[2])])).unwrap();
            follow_to_the_end(&mut follower);
        });
    }
}

#[test]
fn through_a_published_port_as_well() {
    if !is_possible() {
        return;
    }
    let (lab, mut balancer) = publishing(2, 0);
    let mut follower = balancer.follower().unwrap();
    for host in [HOST, HOST_6] {
        balancer.apply(&plan(&lab, &[1])).unwrap();
        follow_to_the_end(&mut follower);
        let to = SocketAddr::new(host.parse().unwrap(), PUBLISHED);
        check(&lab, &lab.outside, to, || {
            balancer.apply(&plan(&lab, &[2])).unwrap();
            follow_to_the_end(&mut follower);
        });
    }
}

#[test]
fn a_connection_that_is_answered_late_stays_with_its_task() {
    if !is_possible() {
        return;
    }
    let lab = serving(2);
    let mut balancer = balancer(&lab);
    let mut follower = balancer.follower().unwrap();
    balancer.apply(&network(&lab, &[(1, &[1])])).unwrap();
    follow_to_the_end(&mut follower);
    silence(&lab.tasks[0]);
    let client = &lab.tasks[2];
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| client.inside(|| connect(service(1), PORT).unwrap()));
        std::thread::sleep(Duration::from_millis(200));
        balancer.apply(&network(&lab, &[(1, &[2])])).unwrap();
        assert!(matches!(follower.follow().unwrap(), NextLook::At(_)));
        hear(&lab.tasks[0]);
        let mut connection = waiting.join().unwrap();
        follow_to_the_end(&mut follower);
        assert_eq!(connection.server, 1);
        connection.echo().unwrap();
    });
}
