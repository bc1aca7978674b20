//! Two or more transports on loopback.

use gossip::seal::SealJunk;

use super::*;

const DEADLINE: Duration = Duration::from_secs(30);

pub(super) struct Peer {
    pub(super) transport: Transport,
    pub(super) node: NodeId,
    seed: u8,
    arrivals: mpsc::Receiver<Arrival>,
}

/// Long, because a machine that compiles at the same time is slow.
const DIAL_DEADLINE: Duration = Duration::from_secs(5);

fn peer_with(seed: u8, fleet: u8, listen: &str) -> Peer {
    peer_with_timeout(seed, fleet, listen, DIAL_DEADLINE)
}

pub(super) fn peer_with_timeout(seed: u8, fleet: u8, listen: &str, dial: Duration) -> Peer {
    let (inbox, arrivals) = mpsc::channel(ARRIVALS_MAX);
    let key = NodeKey::from_secret([seed; 32]);
    let node = key.node();
    let config = TransportConfig {
        listen: listen.parse().expect("an address"),
        key,
        fleet_key: FleetKey::from_bytes([fleet; 32]),
        dial_deadline: dial,
    };
    let transport = Transport::listen(config, inbox).expect("a free port");
    Peer { transport, node, seed, arrivals }
}

pub(super) fn peer(seed: u8) -> Peer {
    peer_with(seed, 1, "127.0.0.1:0")
}

/// Each knows the other's key, as from the state of the fleet.
fn acquaint(one: &Peer, other: &Peer) {
    one.transport.acquaint(other.key());
    other.transport.acquaint(one.key());
}

impl Peer {
    fn key(&self) -> PublicKey {
        PublicKey(NodeKey::from_secret([self.seed; 32]).public_key())
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.transport.local_addr()
    }

    pub(super) async fn next(&mut self) -> Arrival {
        tokio::time::timeout(DEADLINE, self.arrivals.recv())
            .await
            .expect("something arrives in time")
            .expect("the transport lives")
    }

    async fn until(&self, what: impl Fn(&TransportCounters) -> bool) {
        let counted = async {
            while !what(self.transport.counters()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, counted).await.expect("it is counted in time");
    }
}

#[tokio::test]
async fn datagrams_and_quic_share_a_port() {
    let (mut a, mut b) = (peer(1), peer(2));
    a.transport.connect(b.addr());
    assert_eq!(a.next().await, Arrival::Connected { node: b.node, addr: b.addr() });
    assert_eq!(b.next().await, Arrival::Connected { node: a.node, addr: a.addr() });
    for n in 0..50u8 {
        b.transport.send_datagram(a.node, a.addr(), &[n; 100]);
        let datagram = Arrival::Datagram { sender: b.node, from: b.addr(), bytes: vec![n; 100] };
        assert_eq!(a.next().await, datagram);
        b.transport.send_message(a.node, a.addr(), vec![n; 3_000]);
        assert_eq!(a.next().await, Arrival::Message { from: b.node, bytes: vec![n; 3_000] });
    }
    assert_eq!(a.transport.counters().all(), [].into());
}

#[tokio::test]
async fn a_datagram_for_somebody_unknown_arrives_after_they_met() {
    let (a, mut b) = (peer(1), peer(2));
    a.transport.send_datagram(b.node, b.addr(), b"hello");
    let (sender, from, bytes) = (a.node, a.addr(), b"hello".to_vec());
    assert_eq!(b.next().await, Arrival::Datagram { sender, from, bytes });
    assert_eq!(b.transport.counters().all(), [].into());
}

#[tokio::test]
async fn messages_arrive_whole_and_in_order_without_an_earlier_handshake() {
    let (a, mut b) = (peer(1), peer(2));
    let sizes = [0, 1, 70_000, MESSAGE_BYTES_MAX, 5];
    for (n, size) in sizes.into_iter().enumerate() {
        a.transport.send_message(b.node, b.addr(), vec![n as u8; size]);
    }
    for (n, size) in sizes.into_iter().enumerate() {
        let expected = Arrival::Message { from: a.node, bytes: vec![n as u8; size] };
        assert!(b.next().await == expected, "message {n} of {size} bytes");
    }
}

#[tokio::test]
async fn both_sides_may_begin_at_the_same_moment() {
    let (mut a, mut b) = (peer(1), peer(2));
    for n in 0..20u8 {
        a.transport.send_message(b.node, b.addr(), vec![n]);
        b.transport.send_message(a.node, a.addr(), vec![n]);
    }
    for n in 0..20u8 {
        assert_eq!(a.next().await, Arrival::Message { from: b.node, bytes: vec![n] });
        assert_eq!(b.next().await, Arrival::Message { from: a.node, bytes: vec![n] });
    }
}

#[tokio::test]
async fn another_fleet_key_is_refused_on_both_ways() {
    let (mut a, mut b) = (peer_with(1, 1, "127.0.0.1:0"), peer_with(2, 9, "127.0.0.1:0"));
    a.transport.connect(b.addr());
    let why = DialFailure::OtherFleet;
    assert_eq!(a.next().await, Arrival::NotConnected { addr: b.addr(), why });
    b.until(|counters| counters.count(Dropped::OtherFleet) == 1).await;
    a.transport.send_message(b.node, b.addr(), b"secret".to_vec());
    assert_eq!(a.next().await, Arrival::Undelivered { to: b.node });
    // A datagram to somebody whose key is not known waits for a connection, which there is not.
    a.transport.send_datagram(b.node, b.addr(), b"secret");
    a.until(|counters| counters.count(Dropped::Unmet) == 1).await;
    a.transport.acquaint(b.key());
    a.transport.send_datagram(b.node, b.addr(), b"secret");
    b.until(|counters| counters.count(Dropped::Unsealed(SealJunk::UnknownSender)) == 1).await;
    assert!(b.arrivals.try_recv().is_err());
}

#[tokio::test]
async fn a_dead_address_is_reported_within_the_deadline() {
    let mut a = peer_with_timeout(1, 1, "127.0.0.1:0", Duration::from_millis(500));
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let addr = silent.local_addr().expect("an address");
    let begun = std::time::Instant::now();
    a.transport.connect(addr);
    let why = DialFailure::NoAnswer;
    assert_eq!(a.next().await, Arrival::NotConnected { addr, why });
    a.transport.send_message(NodeId([7; 16]), addr, b"hello".to_vec());
    assert_eq!(a.next().await, Arrival::Undelivered { to: NodeId([7; 16]) });
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

/// The error of a datagram to one address is reported at the next call on the socket, which may be
/// for another address.
#[tokio::test]
async fn a_datagram_that_comes_back_is_counted_and_costs_no_other() {
    let (mut a, mut b) = (peer(1), peer(2));
    let gone = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let nobody = gone.local_addr().expect("an address");
    drop(gone);
    let stranger = PublicKey(NodeKey::from_secret([7; 32]).public_key());
    let missing = NodeId::of(&stranger);
    a.transport.acquaint(stranger);
    acquaint(&a, &b);
    let datagram = |from: &Peer, bytes| {
        let (sender, from) = (from.node, from.addr());
        Arrival::Datagram { sender, from, bytes }
    };
    for n in 0..100u8 {
        a.transport.send_datagram(missing, nobody, b"hello");
        a.transport.send_datagram(b.node, b.addr(), &[n]);
        assert_eq!(b.next().await, datagram(&a, vec![n]));
        a.transport.send_datagram(missing, nobody, b"hello");
        b.transport.send_datagram(a.node, a.addr(), &[n]);
        assert_eq!(a.next().await, datagram(&b, vec![n]));
    }
    let counters = a.transport.counters();
    assert_eq!(counters.all(), [(Dropped::Returned, 200)].into());
    assert_eq!(counters.returned(), [("econnrefused".to_owned(), 200)].into());
    assert_eq!(b.transport.counters().all(), [].into());
}

#[tokio::test]
async fn a_message_is_never_given_to_another_node_than_meant() {
    let (mut a, mut b) = (peer(1), peer(2));
    let stranger = NodeId([7; 16]);
    a.transport.send_message(stranger, b.addr(), b"for the stranger".to_vec());
    assert_eq!(a.next().await, Arrival::Undelivered { to: stranger });
    assert_eq!(a.transport.counters().count(Dropped::OtherNode), 1);
    a.transport.send_message(b.node, b.addr(), b"for b".to_vec());
    assert_eq!(b.next().await, Arrival::Message { from: a.node, bytes: b"for b".to_vec() });
}

#[tokio::test]
async fn a_node_that_dials_itself_finds_itself() {
    let mut a = peer(1);
    let addr = a.addr();
    a.transport.connect(addr);
    assert_eq!(a.next().await, Arrival::NotConnected { addr, why: DialFailure::Myself });
}

#[tokio::test]
async fn a_peer_that_was_killed_and_started_again_is_reached_again() {
    let a = peer(1);
    let (birth, born) = tokio::sync::oneshot::channel();
    // A runtime that is dropped drops its tasks between two packets, like a killed process.
    let life = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut b = peer(2);
            let _ = birth.send((b.node, b.addr()));
            b.next().await
        })
    });
    let (node, addr) = born.await.expect("a peer");
    a.transport.send_message(node, addr, b"before".to_vec());
    let last = tokio::task::spawn_blocking(|| life.join()).await.expect("joined");
    let before = Arrival::Message { from: a.node, bytes: b"before".to_vec() };
    assert_eq!(last.expect("no panic"), before);
    while std::net::UdpSocket::bind(addr).is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut b = peer_with(2, 1, &addr.to_string());
    a.transport.send_message(node, addr, b"after".to_vec());
    assert_eq!(b.next().await, Arrival::Message { from: a.node, bytes: b"after".to_vec() });
}

#[tokio::test]
async fn replayed_and_cut_datagrams_are_counted_and_dropped() {
    let (a, mut b) = (peer(1), peer(2));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    acquaint(&a, &b);
    let sealed = a.transport.shared.seals.seal(b.node, b"once").expect("b is known");
    assert_eq!(sealed[0] & 0x40, 0, "not to be taken for QUIC");
    for length in 1..sealed.len() {
        socket.send_to(&sealed[..length], b.addr()).expect("sent");
    }
    let cut = |counters: &TransportCounters| {
        [SealJunk::Truncated, SealJunk::Forged].map(|junk| counters.count(Dropped::Unsealed(junk)))
    };
    b.until(|counters| cut(counters) == [31, sealed.len() as u64 - 32]).await;
    socket.send_to(&sealed, b.addr()).expect("sent");
    assert!(matches!(b.next().await, Arrival::Datagram { bytes, .. } if bytes == b"once"));
    socket.send_to(&sealed, b.addr()).expect("sent");
    b.until(|counters| counters.count(Dropped::Unsealed(SealJunk::Replayed)) == 1).await;
    assert!(b.arrivals.try_recv().is_err());
}

#[tokio::test]
async fn junk_of_every_shape_harms_nobody() {
    let (mut a, mut b) = (peer(1), peer(2));
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let mut byte = 1u32;
    for length in (0..1_400).step_by(7) {
        let junk: Vec<u8> = (0..length)
            .map(|_| {
                byte = byte.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (byte >> 24) as u8
            })
            .collect();
        socket.send_to(&junk, b.addr()).expect("sent");
    }
    a.transport.connect(b.addr());
    assert_eq!(a.next().await, Arrival::Connected { node: b.node, addr: b.addr() });
    assert_eq!(b.next().await, Arrival::Connected { node: a.node, addr: a.addr() });
}

#[tokio::test]
async fn a_taken_port_is_a_clear_error() {
    let a = peer(1);
    let (inbox, _arrivals) = mpsc::channel(1);
    let config = TransportConfig {
        listen: a.addr(),
        key: NodeKey::from_secret([2; 32]),
        fleet_key: FleetKey::from_bytes([1; 32]),
        dial_deadline: DEADLINE,
    };
    let error = Transport::listen(config, inbox).err().expect("taken").to_string();
    assert_eq!(
        error,
        format!(
            "UDP {} is taken\n  another agent may run here (edgectl status), or give this one \
             another port with --listen 127.0.0.1:PORT",
            a.addr()
        )
    );
}

pub(super) struct Echo;

impl PeerService for Echo {
    fn answer(&self, _: NodeId, request: PeerRequest) -> mpsc::Receiver<Vec<u8>> {
        let (frames, answer) = mpsc::channel(2);
        tokio::spawn(async move {
            let PeerRequest::Logs(logs) = request else { return };
            for n in 0..logs.tail.unwrap_or(0) {
                let _ = frames.send(vec![n as u8; 10_000]).await;
            }
        });
        answer
    }

    fn session(&self, _: NodeId, run: Run, stream: PeerStream) {
        tokio::spawn(async move {
            let (mut receive, mut send) = stream.into_inner();
            let attempt = run.attempt.to_be_bytes();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut send, &attempt).await;
            let _ = tokio::io::copy(&mut receive, &mut send).await;
        });
    }

    fn relay(&self, _: NodeId, _: NodeId, _: PeerStream) {}

    fn copy_found(&self, _: FoundCopy) {}
}

/// The value that a counter keeps for ten checks in a row.
async fn at_rest(counted: tokio::sync::watch::Receiver<usize>) -> usize {
    let resting = async {
        let (mut last, mut same) = (0, 0);
        while last == 0 || same < 10 {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let now = *counted.borrow();
            same = if now == last { same + 1 } else { 0 };
            last = now;
        }
        last
    };
    tokio::time::timeout(DEADLINE, resting).await.expect("it comes to rest in time")
}

#[tokio::test]
async fn a_session_carries_bytes_both_ways_and_waits_for_a_slow_reader() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (a, b) = (peer(1), peer(2));
    b.transport.serve(Arc::new(Echo));
    let run = Run { task: crdt_state::TaskId([3; 16]), attempt: 7 };
    let opened = a.transport.session(&Route::direct(b.node, b.addr()), run).await;
    let (stream, _keep_alive) = opened.unwrap_or_else(|error| panic!("{error}"));
    let (mut receive, mut send) = stream.into_inner();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (bytes, (taken, counted)) = (sent.clone(), tokio::sync::watch::channel(0));
    let writing = tokio::spawn(async move {
        for piece in bytes.chunks(10_000) {
            send.write_all(piece).await.expect("taken");
            taken.send_modify(|count| *count += piece.len());
        }
        send.shutdown().await.expect("ended");
    });
    assert!(at_rest(counted).await < sent.len(), "nobody reads: the writer waits");
    let mut received = Vec::new();
    AsyncReadExt::read_to_end(&mut receive, &mut received).await.expect("whole");
    writing.await.expect("all was written");
    assert_eq!(received[..4], [0, 0, 0, 7]);
    assert!(received[4..] == sent);
}

pub(super) fn logs_of(tail: u64) -> PeerRequest {
    PeerRequest::Logs(LogRequest {
        run: crdt_state::task::Run { task: crdt_state::TaskId([3; 16]), attempt: 1 },
        tail: Some(tail),
        since_wall_ms: None,
        follow: false,
    })
}

#[tokio::test]
async fn a_request_is_answered_frame_by_frame() {
    let (a, b) = (peer(1), peer(2));
    b.transport.serve(Arc::new(Echo));
    let mut reply = a.transport.request(Route::direct(b.node, b.addr()), logs_of(100));
    let mut count = 0;
    while let Some(frame) = reply.next().await {
        assert!(frame == Ok(vec![count; 10_000]), "frame {count}: {:?}", frame.err());
        count += 1;
    }
    assert_eq!(count, 100);
}

#[tokio::test]
async fn requests_at_the_same_moment_do_not_cut_each_other() {
    let (a, b) = (peer(1), peer(2));
    b.transport.serve(Arc::new(Echo));
    let request = |_| a.transport.request(Route::direct(b.node, b.addr()), logs_of(20));
    let replies: Vec<PeerReply> = (0..8).map(request).collect();
    for mut reply in replies {
        let mut count = 0;
        while let Some(frame) = reply.next().await {
            assert!(frame == Ok(vec![count; 10_000]), "frame {count}: {:?}", frame.err());
            count += 1;
        }
        assert_eq!(count, 20);
    }
}
