//! Streams from one agent to another through a third one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crdt_state::NodeId;
use crdt_state::task::Run;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use crate::transport::tests::{Echo, Peer, logs_of, peer_with_timeout};
use crate::transport::{FoundCopy, PeerRequest, PeerService, PeerStream, Route, Transport};

/// Short, because every test here waits for it once.
const DIAL_DEADLINE: Duration = Duration::from_secs(2);

fn peer(seed: u8) -> Peer {
    peer_with_timeout(seed, 1, "127.0.0.1:0", DIAL_DEADLINE)
}

/// Passes every stream on to one address.
struct Between(Transport, SocketAddr);

impl PeerService for Between {
    fn answer(&self, _: NodeId, _: PeerRequest) -> mpsc::Receiver<Vec<u8>> {
        mpsc::channel(1).1
    }

    fn session(&self, _: NodeId, _: Run, _: PeerStream) {}

    fn copy_found(&self, _: FoundCopy) {}

    fn relay(&self, _: NodeId, to: NodeId, stream: PeerStream) {
        let (transport, addr) = (self.0.clone(), self.1);
        tokio::spawn(async move { transport.pass_on(to, addr, stream).await });
    }
}

/// An address where nobody answers.
fn nowhere() -> SocketAddr {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("an address")
}

/// The route from a node that has a wrong address of `far`, through `between`.
fn round_about(between: &Peer, far: &Peer) -> Route {
    Route { to: far.node, addr: nowhere(), relays: vec![(between.node, between.addr())] }
}

#[tokio::test]
async fn a_log_comes_through_a_member_that_reaches_both() {
    let (a, b, c) = (peer(1), peer(2), peer(3));
    b.transport.serve(Arc::new(Between(b.transport.clone(), c.addr())));
    c.transport.serve(Arc::new(Echo));
    let mut reply = a.transport.request(round_about(&b, &c), logs_of(50));
    let mut count = 0;
    while let Some(frame) = reply.next().await {
        assert!(frame == Ok(vec![count; 10_000]), "frame {count}: {:?}", frame.err());
        count += 1;
    }
    assert_eq!(count, 50);
}

#[tokio::test]
async fn a_session_goes_through_a_member_that_reaches_both() {
    let (a, b, c) = (peer(1), peer(2), peer(3));
    b.transport.serve(Arc::new(Between(b.transport.clone(), c.addr())));
    c.transport.serve(Arc::new(Echo));
    let run = Run { task: crdt_state::TaskId([3; 16]), attempt: 7 };
    let opened = a.transport.session(&round_about(&b, &c), run).await;
    let (stream, _keep_alive) = opened.unwrap_or_else(|error| panic!("{error}"));
    let (mut receive, mut send) = stream.into_inner();
    send.write_all(b"typed").await.expect("taken");
    let mut answer = [0; 9];
    receive.read_exact(&mut answer).await.expect("while the session is open");
    assert_eq!(&answer, b"\0\0\0\x07typed");
    AsyncWriteExt::shutdown(&mut send).await.expect("ended");
    let rest = AsyncReadExt::read_to_end(&mut receive, &mut Vec::new()).await;
    assert_eq!(rest.expect("it ends in order"), 0);
}

#[tokio::test]
async fn a_relay_that_reaches_nobody_either_is_no_answer() {
    let (a, b, c) = (peer(1), peer(2), peer(3));
    b.transport.serve(Arc::new(Between(b.transport.clone(), nowhere())));
    let mut reply = a.transport.request(round_about(&b, &c), logs_of(1));
    let why = reply.next().await.expect("it ends with a reason").expect_err("nobody is there");
    assert!(why.to_string().contains("nobody answered"), "{why}");
}

#[tokio::test]
async fn a_relay_that_passes_on_all_it_may_refuses_more_until_a_stream_ends() {
    let (a, b, c) = (peer(1), peer(2), peer(3));
    b.transport.serve(Arc::new(Between(b.transport.clone(), c.addr())));
    c.transport.serve(Arc::new(Echo));
    let places = Arc::clone(&b.transport.shared.relayed);
    let others = places.acquire_many_owned(super::RELAYED_MAX as u32).await.expect("open");
    let mut reply = a.transport.request(round_about(&b, &c), logs_of(1));
    let why = reply.next().await.expect("it ends with a reason").expect_err("no place is free");
    assert!(why.to_string().contains("nobody answered"), "{why}");
    drop(others);
    let mut reply = a.transport.request(round_about(&b, &c), logs_of(1));
    assert_eq!(reply.next().await, Some(Ok(vec![0; 10_000])));
}
