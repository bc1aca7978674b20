//! Sockets that outlive the process that opened them.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use overlay_dns::{Keeper, Sockets};

use crate::server::sockets;

const PROGRAM: &str = env!("CARGO_BIN_EXE_name-keeper");

/// Enough for a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(30);

/// Keeps sockets of which this process has no duplicate, and returns where they are.
fn keep(keeper: &Keeper, name: &str) -> SocketAddr {
    let Sockets { udp, tcp } = sockets();
    keeper.keep(name, [udp.as_fd(), tcp.as_fd()]).expect("it is there");
    udp.local_addr().expect("bound")
}

/// A client that has sent something.
fn client(server: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
    client.connect(server).expect("connected");
    client.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
    client.send(b"query").expect("sent");
    client
}

/// Which of the two sockets refuse.
fn refusals(server: SocketAddr) -> [bool; 2] {
    let heard = client(server).recv(&mut [0; 16]).map_err(|error| error.kind());
    [heard == Err(ErrorKind::ConnectionRefused), TcpStream::connect(server).is_err()]
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < DEADLINE, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn the_next_agent_answers_what_was_asked_while_there_was_none() {
    let directory = tempfile::tempdir().expect("a directory");
    assert!(Keeper::find(directory.path()).is_none());
    let first = Keeper::start(Path::new(PROGRAM), directory.path()).expect("it starts");
    let (one, other) = (keep(&first, "task.1"), keep(&first, "task.2"));
    drop(first);
    let client = client(one);
    let (second, mut kept) = Keeper::find(directory.path()).expect("it is still there");
    assert_eq!(kept.keys().collect::<Vec<_>>(), ["task.1", "task.2"]);
    let Sockets { udp, .. } = kept.remove("task.1").expect("it was kept");
    let (_, from) = udp.recv_from(&mut [0; 16]).expect("it waits in the socket");
    udp.send_to(b"answer", from).expect("sent");
    assert_eq!(client.recv(&mut [0; 16]).expect("answered"), 6);

    // What is forgotten is closed, and nothing else.
    drop((udp, kept));
    second.forget("task.1");
    until("they are closed", || refusals(one) == [true; 2]);
    assert_eq!(refusals(other), [false; 2]);
    second.end();
    until("all are closed", || refusals(other) == [true; 2]);
    assert!(Keeper::find(directory.path()).is_none());
    assert_eq!(std::fs::read_dir(directory.path()).expect("readable").count(), 0);
}

#[test]
fn many_sockets_are_kept_and_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let first = Keeper::start(Path::new(PROGRAM), directory.path()).expect("it starts");
    for number in 0..300 {
        keep(&first, &format!("task.{number}"));
    }
    drop(first);
    let (second, kept) = Keeper::find(directory.path()).expect("it is still there");
    assert_eq!(kept.len(), 300);
    second.end();
}

#[test]
fn a_keeper_without_an_agent_ends_and_clients_are_refused_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let keeper = Keeper::start(Path::new(PROGRAM), directory.path()).expect("it starts");
    let kept = keep(&keeper, "task.1");
    drop(keeper);
    assert_eq!(refusals(kept), [false; 2]);
    until("they are closed", || refusals(kept) == [true; 2]);
    assert!(Keeper::find(directory.path()).is_none());
}

#[test]
fn a_keeper_that_was_killed_is_noticed_and_another_one_starts() {
    let directory = tempfile::tempdir().expect("a directory");
    let keeper = Keeper::start(Path::new(PROGRAM), directory.path()).expect("it starts");
    assert!(keeper.is_alive());
    let process = keeper.process_id().expect("it was started here");
    let killed = nix::sys::signal::kill(process, nix::sys::signal::Signal::SIGKILL);
    killed.expect("it is there");
    until("it is noticed", || !keeper.is_alive());
    keeper.end();
    let next = Keeper::start(Path::new(PROGRAM), directory.path()).expect("it starts");
    assert!(next.is_alive());
    next.end();
}
