//! What a container can do to its server, and what ends with the server.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::{MessageType, ResponseCode};
use hickory_proto::rr::RecordType;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use overlay_dns::{Addresses, AskedName, Counters, NameServer, Reverse, Upstreams, Zone};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{sleep, timeout};

use crate::client::{DEADLINE, addresses, ask, code, exchange, on_stream, query};
use crate::server::{TestServer, sockets};
use crate::upstream::{Behaviour, TestUpstream};
use crate::zone::v4;

/// How many queries may wait for upstream servers, and how many connections open.
const FORWARDS_MAX: u64 = 128;
const CONNECTIONS_MAX: usize = 16;

#[tokio::test]
async fn junk_is_dropped_or_refused_and_the_next_query_is_answered() {
    let server = TestServer::start(&[]);
    let good = query("four", RecordType::A).to_vec().expect("encoded");
    let mut response = query("four", RecordType::A);
    response.metadata.message_type = MessageType::Response;
    let response = response.to_vec().expect("encoded");
    let silent: [&[u8]; 4] = [&[], &good[..11], &response, &[0xff; 4_000]];
    for junk in silent {
        assert_eq!(exchange(server.address, junk, Duration::from_millis(50)).await, None);
    }
    let huge = [good.as_slice(), &[0; 60_000]].concat();
    let refused: [&[u8]; 2] = [&good[..20], &[0; 60_000]];
    for junk in refused {
        let answer = exchange(server.address, junk, DEADLINE).await.expect("an answer");
        assert_eq!(answer[..2], junk[..2]);
        assert_eq!(answer[3] & 0x0f, u16::from(ResponseCode::FormErr) as u8);
    }
    assert!(exchange(server.address, &huge, DEADLINE).await.is_some());
    assert_eq!(addresses(&ask(server.address, "four", RecordType::A).await), [v4(1)]);
    assert_eq!(server.counts().rejected, 6);
}

#[tokio::test]
async fn junk_ends_a_connection() {
    let server = TestServer::start(&[]);
    for junk in [&[0, 0][..], &[0, 3, 1, 2, 3], &[0xff; 70_000]] {
        let mut stream = TcpStream::connect(server.address).await.expect("connected");
        let _ = stream.write_all(junk).await;
        let mut rest = Vec::new();
        let ended = timeout(Duration::from_secs(1), stream.read_to_end(&mut rest)).await;
        assert!(ended.is_ok(), "{} bytes", junk.len());
    }
    assert_eq!(addresses(&ask(server.address, "four", RecordType::A).await), [v4(1)]);
}

#[tokio::test]
async fn waiting_queries_are_bounded_and_own_names_are_still_answered() {
    let upstream = TestUpstream::start(Behaviour::Silent).await;
    let server = TestServer::start(&[upstream.address]);
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let bytes = query("example.org", RecordType::A).to_vec().expect("encoded");
    for _ in 0..FORWARDS_MAX + 20 {
        socket.send_to(&bytes, server.address).await.expect("sent");
    }
    assert_eq!(addresses(&ask(server.address, "four", RecordType::A).await), [v4(1)]);
    assert_eq!((server.counts().queries, server.counts().dropped), (FORWARDS_MAX + 21, 20));
    // Each of the others gets its answer, and then there is room again.
    let mut buffer = [0; 512];
    for _ in 0..FORWARDS_MAX {
        timeout(DEADLINE, socket.recv(&mut buffer)).await.expect("in time").expect("an answer");
    }
    let upstream = TestUpstream::start(Behaviour::Answer).await;
    server.upstreams.replace(vec![overlay_dns::Upstream::from_host(upstream.address)]);
    assert_eq!(code(&ask(server.address, "db", RecordType::A).await), ResponseCode::NoError);
}

#[tokio::test]
async fn connections_are_bounded_and_idle_ones_end() {
    let server = TestServer::start(&[]);
    let message = query("four", RecordType::A);
    let mut streams = Vec::new();
    for _ in 0..CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(server.address).await.expect("connected");
        // Several queries on one connection.
        for _ in 0..2 {
            on_stream(&mut stream, &message).await;
        }
        streams.push(stream);
    }
    let mut newest = TcpStream::connect(server.address).await.expect("connected");
    let end = timeout(Duration::from_secs(1), newest.read(&mut [0])).await.expect("closed");
    assert!(matches!(end, Ok(0) | Err(_)));
    assert_eq!(server.counts().dropped, 1);
    let end = timeout(DEADLINE, streams[0].read(&mut [0])).await.expect("closed");
    assert_eq!(end.expect("in good order"), 0);
    let mut next = TcpStream::connect(server.address).await.expect("connected");
    on_stream(&mut next, &message).await;
}

#[tokio::test]
async fn a_client_that_sends_slowly_is_cut_off() {
    let server = TestServer::start(&[]);
    let mut stream = TcpStream::connect(server.address).await.expect("connected");
    stream.write_all(&[0, 100]).await.expect("written");
    let dripping = async {
        while stream.write_all(&[0]).await.is_ok() {
            sleep(Duration::from_millis(300)).await;
        }
    };
    timeout(DEADLINE + Duration::from_secs(1), dripping).await.expect("cut off");
}

#[tokio::test]
async fn everything_ends_with_the_handle() {
    let upstream = TestUpstream::start(Behaviour::Silent).await;
    let server = TestServer::start(&[upstream.address]);
    let address = server.address;
    let mut stream = TcpStream::connect(address).await.expect("connected");
    on_stream(&mut stream, &query("four", RecordType::A)).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    let bytes = query("example.org", RecordType::A).to_vec().expect("encoded");
    for _ in 0..10 {
        socket.send_to(&bytes, address).await.expect("sent");
    }
    while upstream.received() < 10 {
        tokio::task::yield_now().await;
    }
    assert!(server.server.is_running());
    let counters = Arc::downgrade(&server.counters);
    drop(server);
    assert_eq!(stream.read(&mut [0]).await.expect("closed"), 0);
    // Every task holds the counters.
    while counters.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(!open_sockets(address), "a socket of the server is open");
}

/// Is there a UDP socket or a listener with this address?
fn open_sockets(address: SocketAddr) -> bool {
    let local = format!("0100007F:{:04X} 00000000:0000", address.port());
    ["/proc/self/net/udp", "/proc/self/net/tcp"]
        .iter()
        .any(|table| fs::read_to_string(table).expect("readable").contains(&local))
}

struct Broken;

impl Zone for Broken {
    fn addresses(&self, _: &AskedName) -> Option<Addresses> {
        panic!("a zone must not panic")
    }

    fn reverse(&self, _: std::net::IpAddr) -> Reverse {
        Reverse::Foreign
    }
}

#[tokio::test]
async fn a_server_whose_zone_panics_says_that_it_has_ended() {
    let sockets = sockets();
    let address = sockets.udp.local_addr().expect("bound");
    let counters = Arc::<Counters>::default();
    let started = NameServer::start(sockets, Arc::new(Broken), Upstreams::default(), counters);
    let server = started.expect("it starts");
    let bytes = query("four", RecordType::A).to_vec().expect("encoded");
    assert_eq!(exchange(address, &bytes, Duration::from_millis(100)).await, None);
    assert!(!server.is_running());
}

/// How many file descriptors this process has open.
fn open_files() -> u64 {
    // One is the folder's own.
    fs::read_dir("/proc/self/fd").expect("readable").count() as u64 - 1
}

/// In a process of its own, as the limit is one of the process.
#[test]
fn without_file_descriptors_own_names_are_answered_and_connections_wait() {
    const ALONE: &str = "OVERLAY_DNS_STARVED";
    if std::env::var_os(ALONE).is_none() {
        let test = "bounds::without_file_descriptors_own_names_are_answered_and_connections_wait";
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        let output = command.args([test, "--exact"]).env(ALONE, "1").output().expect("it runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(starved());
}

async fn starved() {
    let server = TestServer::start(&["127.0.0.1:1".parse().expect("an address")]);
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a port");
    socket.connect(server.address).await.expect("connected");
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("there is a limit");
    let stream = std::net::TcpStream::connect(server.address).expect("connected");
    setrlimit(Resource::RLIMIT_NOFILE, open_files(), hard).expect("lowered");

    let (own, other) = (query("four", RecordType::A), query("example.org", RecordType::A));
    let mut buffer = [0; 512];
    let mut fastest = DEADLINE;
    for _ in 0..10 {
        let started = Instant::now();
        for message in [&own, &other, &own] {
            socket.send(&message.to_vec().expect("encoded")).await.expect("sent");
            timeout(DEADLINE, socket.recv(&mut buffer)).await.expect("in time").expect("an answer");
        }
        fastest = fastest.min(started.elapsed());
    }
    // Far below the pause of the listener.
    assert!(fastest < Duration::from_millis(50), "{fastest:?}");
    assert_eq!((server.counts().own, server.counts().failed), (20, 10));

    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("raised");
    stream.set_nonblocking(true).expect("set");
    let mut stream = TcpStream::from_std(stream).expect("registered");
    timeout(DEADLINE, on_stream(&mut stream, &own)).await.expect("accepted later");
}
