//! SCTP by virtual addresses and published ports.
//!
//! The kernel tracks and translates SCTP also where it has no SCTP of its own, so the packets that
//! open an association are sent and answered by raw sockets. Where the kernel has SCTP, real
//! associations are made too.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use nix::libc;
use nix::sys::socket::{
    MsgFlags, SockaddrStorage, bind, connect, recv, sendto, setsockopt, sockopt,
};
use nix::sys::time::TimeVal;
use overlay::plan::{OverlayPlan, Port, PortTargets, Protocol};
use overlay_linux::balancing::{NetworkBalancer, PortBalancer};

use crate::lab::{HOST, HOST_6, Lab, Namespace, is_possible, service, service_6, task, task_6};
use crate::network::network;

const SCTP: i32 = 132;
const INIT: u8 = 1;
const INIT_ACK: u8 = 2;
/// What the task listens at, and what is published for it.
const PORTS: (u16, u16) = (3868, 3869);

fn socket(address: IpAddr, kind: i32) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: plain numbers; a negative result is an error.
    let fd = unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, SCTP) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the socket was just made and belongs to nobody else.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(2, 0))?;
    Ok(socket)
}

/// The checksum of SCTP (CRC-32C).
fn checksum(bytes: &[u8]) -> u32 {
    let next = |crc: u32, byte: &u8| {
        let crc = crc ^ u32::from(*byte);
        (0..8).fold(crc, |crc, _| (crc >> 1) ^ (0x82f6_3b78 & 0_u32.wrapping_sub(crc & 1)))
    };
    !bytes.iter().fold(!0, next)
}

/// A packet with one chunk that opens an association or answers that.
fn packet(kind: u8, from: u16, to: u16, tag: u32) -> Vec<u8> {
    let mut packet = [from.to_be_bytes(), to.to_be_bytes()].concat();
    packet.extend_from_slice(&tag.to_be_bytes());
    packet.extend_from_slice(&[0; 4]);
    packet.extend_from_slice(&[kind, 0, 0, 20]);
    for number in [0x1234_5678_u32, 65536, 0x0001_0001, 1] {
        packet.extend_from_slice(&number.to_be_bytes());
    }
    let checksum = checksum(&packet).to_le_bytes();
    packet[8..12].copy_from_slice(&checksum);
    packet
}

/// The source, ports, tag and kind of the next packet.
fn heard(socket: &OwnedFd, address: IpAddr) -> (u16, u16, u32, u8) {
    let mut buffer = [0; 200];
    let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).unwrap();
    // The header of IPv4 is shown, that of IPv6 is not.
    let start = if address.is_ipv4() { usize::from(buffer[0] & 15) * 4 } else { 0 };
    let sctp = &buffer[start..length];
    let port = |at: usize| u16::from_be_bytes([sctp[at], sctp[at + 1]]);
    let mut zeroed = sctp.to_vec();
    zeroed[8..12].fill(0);
    assert_eq!(checksum(&zeroed).to_le_bytes(), sctp[8..12]);
    (port(0), port(2), u32::from_be_bytes(sctp[4..8].try_into().unwrap()), sctp[12])
}

/// Opens an association as far as raw sockets can: one packet there, one back.
fn open(client: &Namespace, server: &Namespace, task: IpAddr, address: IpAddr, port: u16) {
    let serving = server.inside(|| socket(task, libc::SOCK_RAW).unwrap());
    let asking = client.inside(|| socket(address, libc::SOCK_RAW).unwrap());
    let to = SockaddrStorage::from(SocketAddr::new(address, 0));
    connect(asking.as_raw_fd(), &to).unwrap();
    bind(serving.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(task, 0))).unwrap();
    let init = packet(INIT, 5555, port, 0);
    sendto(asking.as_raw_fd(), &init, &to, MsgFlags::empty()).unwrap();
    let (from, at, tag, kind) = heard(&serving, task);
    assert_eq!((at, tag, kind), (PORTS.0, 0, INIT), "{address}");
    let client = peer(client, address);
    let answer = packet(INIT_ACK, at, from, 0x1234_5678);
    let to = SockaddrStorage::from(SocketAddr::new(client, 0));
    sendto(serving.as_raw_fd(), &answer, &to, MsgFlags::empty()).unwrap();
    // Only packets of the address that was asked reach a connected socket.
    assert_eq!(heard(&asking, address), (port, 5555, 0x1234_5678, INIT_ACK), "{address}");
}

/// The address that a client is seen with, where it is kept.
fn peer(client: &Namespace, address: IpAddr) -> IpAddr {
    let socket = client.inside(|| {
        let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = std::net::UdpSocket::bind(any).unwrap();
        socket.connect((address, 1)).unwrap();
        socket
    });
    socket.local_addr().unwrap().ip()
}

fn plan(lab: &Lab) -> OverlayPlan {
    let mut plan = OverlayPlan::default();
    let id = crdt_state::NetworkId([1; 16]);
    plan.networks.insert(id, network(lab, &[(1, &[1])]));
    let addresses = vec![task(1), task_6(1)];
    let targets = PortTargets { network: id, target: PORTS.0, addresses };
    plan.ports.insert(Port { protocol: Protocol::Sctp, number: PORTS.1 }, targets);
    plan
}

#[test]
fn sctp_reaches_a_task_by_its_virtual_address_and_by_a_published_port() {
    if !is_possible() {
        return;
    }
    let lab = Lab::new(2, 0);
    let plan = plan(&lab);
    let mut inner = NetworkBalancer::open(lab.network.file().as_fd()).unwrap();
    inner.apply(plan.networks.values().next().unwrap()).unwrap();
    let mut ports = PortBalancer::open(lab.host.file().as_fd(), "a").unwrap();
    ports.apply(&plan).unwrap();
    let published = [HOST, HOST_6].map(|address| address.parse::<IpAddr>().unwrap());
    let ways = [
        (&lab.tasks[1], service(1), PORTS.0, task(1)),
        (&lab.tasks[1], service_6(1), PORTS.0, task_6(1)),
        (&lab.outside, published[0], PORTS.1, task(1)),
        (&lab.outside, published[1], PORTS.1, task_6(1)),
    ];
    for (client, address, port, task) in ways {
        open(client, &lab.tasks[0], task, address, port);
    }
    match lab.host.inside(|| socket(published[0], libc::SOCK_STREAM)) {
        Ok(_) => ways.into_iter().for_each(|way| associate(&lab.tasks[0], way)),
        Err(error) => eprintln!("skipped: associations, because the kernel has no SCTP: {error}"),
    }
}

/// An association of the kernel's own SCTP.
fn associate(server: &Namespace, (client, address, port, task): (&Namespace, IpAddr, u16, IpAddr)) {
    let listener = server.inside(|| {
        let socket = socket(task, libc::SOCK_STREAM).unwrap();
        bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(task, PORTS.0))).unwrap();
        nix::sys::socket::listen(&socket, nix::sys::socket::Backlog::MAXCONN).unwrap();
        TcpListener::from(socket)
    });
    let mut stream = client.inside(|| {
        let socket = socket(address, libc::SOCK_STREAM).unwrap();
        let to = SockaddrStorage::from(SocketAddr::new(address, port));
        connect(socket.as_raw_fd(), &to).unwrap();
        TcpStream::from(socket)
    });
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    accepted.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
}
