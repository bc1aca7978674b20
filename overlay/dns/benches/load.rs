//! Measures the name server: `cargo bench -p overlay-dns`.
//!
//! One server on one current-thread runtime, one thread that asks, over loopback. Prints the
//! queries per second with a number of unanswered queries, the latency of each, and what an idle
//! server costs in memory.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType};
use overlay_dns::{
    Addresses, AskedName, Counters, NameServer, Reverse, Sockets, Upstream, Upstreams, Zone,
};

const QUERIES: usize = 200_000;
const SERVERS: usize = 1_000;

/// `web` has three addresses, `tasks` thirty.
struct Fleet;

impl Zone for Fleet {
    fn addresses(&self, name: &AskedName) -> Option<Addresses> {
        let count = match name.lower() {
            "web" => 3,
            "tasks" => 30,
            _ => return None,
        };
        let reachable = (1..=count).map(|n| Ipv4Addr::new(10, 9, 0, n).into()).collect();
        Some(Addresses { reachable, unreachable: Vec::new() })
    }

    fn reverse(&self, _: IpAddr) -> Reverse {
        Reverse::Foreign
    }
}

fn main() {
    let upstream = serve(Vec::new());
    let address = serve(vec![Upstream::from_host(upstream)]);
    for (what, name, record_type) in [
        ("web A", "web.", RecordType::A),
        ("web AAAA", "web.", RecordType::AAAA),
        ("tasks A", "tasks.", RecordType::A),
    ] {
        for window in [1, 16, 128] {
            load(address, what, &query(name, record_type), window);
        }
    }
    // Two servers share the thread's core, and the upstream one says NXDOMAIN.
    for window in [1, 16, 64] {
        load(address, "forwarded", &query("db.", RecordType::A), window);
    }
    memory();
}

/// A server on a thread of its own.
fn serve(upstreams: Vec<Upstream>) -> SocketAddr {
    let sockets = sockets();
    let address = sockets.udp.local_addr().expect("bound");
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let counters = Arc::<Counters>::default();
            let zone = Arc::new(Fleet);
            let _server = NameServer::start(sockets, zone, Upstreams::new(upstreams), counters);
            std::future::pending::<()>().await;
        });
    });
    address
}

fn sockets() -> Sockets {
    loop {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("bound")) {
            return Sockets { udp, tcp };
        }
    }
}

fn query(name: &str, record_type: RecordType) -> Vec<u8> {
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).expect("a name"), record_type));
    message.to_vec().expect("encoded")
}

/// Keeps so many queries unanswered until all are answered.
fn load(server: SocketAddr, what: &str, query: &[u8], window: usize) {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    socket.connect(server).expect("connected");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("set");
    let mut message = query.to_vec();
    let mut sent_at = vec![Instant::now(); 1 << 16];
    let mut send = |number: usize, sent_at: &mut [Instant]| {
        let id = number as u16;
        message[..2].copy_from_slice(&id.to_be_bytes());
        sent_at[usize::from(id)] = Instant::now();
        socket.send(&message).expect("sent");
    };
    let mut latencies = Vec::with_capacity(QUERIES);
    let started = Instant::now();
    for number in 0..window {
        send(number, &mut sent_at);
    }
    let mut buffer = [0; 4_096];
    let (mut sent, mut lost) = (window, 0);
    while latencies.len() + lost < QUERIES {
        match socket.recv(&mut buffer) {
            Ok(_) => {
                let id = u16::from_be_bytes([buffer[0], buffer[1]]);
                latencies.push(sent_at[usize::from(id)].elapsed());
            }
            Err(_) => lost += 1,
        }
        if sent < QUERIES {
            send(sent, &mut sent_at);
            sent += 1;
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    latencies.sort();
    let percentile = |p: usize| latencies[(latencies.len() - 1) * p / 100].as_micros();
    println!(
        "{what:10} {window:4} unanswered: dns_qps {:7.0}, p50 {:5} us, p99 {:5} us, lost {lost}",
        latencies.len() as f64 / seconds,
        percentile(50),
        percentile(99),
    );
}

/// What one idle server costs, before and after it has answered.
fn memory() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let (zone, counters) = (Arc::new(Fleet), Arc::<Counters>::default());
        let before = resident_bytes();
        let mut servers = Vec::with_capacity(SERVERS);
        let mut addresses = Vec::with_capacity(SERVERS);
        for _ in 0..SERVERS {
            let sockets = sockets();
            addresses.push(sockets.udp.local_addr().expect("bound"));
            let none = Upstreams::default();
            let server = NameServer::start(sockets, zone.clone(), none, counters.clone());
            servers.push(server.expect("it starts"));
        }
        tokio::task::yield_now().await;
        println!("idle server: {} bytes", (resident_bytes() - before) / SERVERS);
        let client = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        for address in addresses {
            client.send_to(&query("web.", RecordType::A), address).await.expect("sent");
            client.recv(&mut [0; 512]).await.expect("an answer");
        }
        println!("after a query: {} bytes", (resident_bytes() - before) / SERVERS);
    });
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("readable");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number of pages") * 4_096
}
