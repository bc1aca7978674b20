//! Published ports whose numbers programs of this machine have.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeVal;
use overlay::plan::{OverlayPlan, Port, PortTargets, Protocol};
use overlay_linux::balancing::Changed;

use crate::lab::{HOST, HOST_6, Lab, is_possible, task, task_6};
use crate::network::network;
use crate::ports::{WEB, serving};
use crate::traffic::{PORT, ask, connect, udp};

const PUBLISHED: u16 = 8080;

/// A plan that publishes these ports with one task.
fn plan(lab: &Lab, ports: &[(Protocol, u16)]) -> OverlayPlan {
    let addresses = vec![task(1), task_6(1)];
    let targets = PortTargets { network: WEB, target: PORT, addresses };
    let mut plan = OverlayPlan::default();
    plan.networks.insert(WEB, network(lab, &[]));
    let ports =
        ports.iter().map(|(protocol, number)| Port { protocol: *protocol, number: *number });
    plan.ports.extend(ports.map(|port| (port, targets.clone())));
    plan
}

fn addresses() -> [IpAddr; 2] {
    [HOST, HOST_6].map(|text| text.parse().unwrap())
}

#[test]
fn a_program_of_the_machine_keeps_its_port_and_all_others_are_published() {
    if !is_possible() {
        return;
    }
    let (lab, mut balancer) = serving(1, 0);
    let (own, own_udp) = lab.host.inside(|| {
        (TcpListener::bind(("0.0.0.0", PUBLISHED)).unwrap(), UdpSocket::bind("[::1]:8081").unwrap())
    });
    let all = [
        (Protocol::Tcp, PUBLISHED),
        (Protocol::Udp, PUBLISHED),
        (Protocol::Udp, 8081),
        (Protocol::Tcp, 8081),
        (Protocol::Udp, 4789),
    ];
    let plan = plan(&lab, &all);
    balancer.apply(&plan).unwrap();
    let told: Vec<String> = balancer.taken().map(ToString::to_string).collect();
    let process = format!("(process {}) has it; stop it", std::process::id());
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[0].starts_with("port 8080/tcp is not published on this node: "), "{told:?}");
    assert!(told[0].contains(&process) && told[2].contains(&process), "{told:?}");
    assert!(told[1].contains("4789/udp") && told[1].contains("the networks themselves"));
    let ports = plan.ports.keys().copied().collect();
    assert_eq!(balancer.apply_some(&plan, &ports).unwrap(), Changed::Nothing);
    // The program goes on.
    setsockopt(&own, sockopt::ReceiveTimeout, &TimeVal::new(2, 0)).unwrap();
    let mut client = lab.outside.inside(|| TcpStream::connect((HOST, PUBLISHED)).unwrap());
    let (mut accepted, _) = own.accept().unwrap();
    accepted.write_all(b"own").unwrap();
    drop(accepted);
    let mut heard = String::new();
    client.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "own");
    // So do all other ports.
    lab.outside.inside(|| {
        for address in addresses() {
            assert_eq!(ask(&udp(address, PUBLISHED)).unwrap(), 1);
            connect(address, 8081).unwrap();
        }
    });
    // The next look finds it free, although connections to the program have just ended.
    assert!(!balancer.look_for_free_ports());
    drop((own, own_udp, client));
    assert!(balancer.look_for_free_ports());
    balancer.apply(&plan).unwrap();
    assert_eq!(balancer.taken().count(), 1);
    lab.outside.inside(|| {
        for address in addresses() {
            connect(address, PUBLISHED).unwrap();
            assert_eq!(ask(&udp(address, 8081)).unwrap(), 1);
        }
    });
}

#[test]
fn a_published_port_is_kept_from_other_programs_until_it_is_not_published() {
    if !is_possible() {
        return;
    }
    let (lab, mut balancer) = serving(1, 0);
    balancer.apply(&plan(&lab, &[(Protocol::Tcp, PUBLISHED), (Protocol::Udp, PUBLISHED)])).unwrap();
    let bind = |address: &str| lab.host.inside(|| TcpListener::bind((address, PUBLISHED)));
    let bind_udp = |address: &str| lab.host.inside(|| UdpSocket::bind((address, PUBLISHED)));
    for address in ["0.0.0.0", "::", "127.0.0.1"] {
        assert_eq!(bind(address).unwrap_err().kind(), ErrorKind::AddrInUse, "{address}");
        assert_eq!(bind_udp(address).unwrap_err().kind(), ErrorKind::AddrInUse, "{address}");
    }
    balancer.apply(&plan(&lab, &[(Protocol::Udp, PUBLISHED)])).unwrap();
    bind("::").unwrap();
    bind_udp("::").unwrap_err();
    // A connection to the outside that happens to have the number takes nothing from it.
    let far = lab.outside.inside(|| TcpListener::bind(("0.0.0.0", 9000)).unwrap());
    let near = lab.host.inside(|| {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        let from: std::net::SocketAddr = (HOST.parse::<IpAddr>().unwrap(), PUBLISHED).into();
        socket.bind(&from.into()).unwrap();
        let outside: IpAddr = "192.0.2.2".parse().unwrap();
        socket.connect(&std::net::SocketAddr::from((outside, 9000)).into()).unwrap();
        TcpStream::from(socket)
    });
    let (mut accepted, _) = far.accept().unwrap();
    balancer.apply(&plan(&lab, &[(Protocol::Tcp, PUBLISHED)])).unwrap();
    assert_eq!(balancer.taken().count(), 0);
    lab.outside.inside(|| connect(HOST.parse().unwrap(), PUBLISHED).unwrap());
    accepted.write_all(b"x").unwrap();
    near.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    (&near).read_exact(&mut [0]).unwrap();
}
