//! A server on a port of 127.0.0.1.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;

use overlay_dns::{Counters, Counts, NameServer, Sockets, Upstream, Upstreams};

use crate::zone::TestZone;

pub struct TestServer {
    pub address: SocketAddr,
    pub zone: Arc<TestZone>,
    pub upstreams: Upstreams,
    pub server: NameServer,
    pub counters: Arc<Counters>,
}

impl TestServer {
    pub fn start(upstreams: &[SocketAddr]) -> TestServer {
        TestServer::start_with(upstreams.iter().map(|a| Upstream::from_host(*a)).collect())
    }

    pub fn start_with(upstreams: Vec<Upstream>) -> TestServer {
        let sockets = sockets();
        let address = sockets.udp.local_addr().expect("bound");
        let zone = Arc::new(TestZone::new());
        let upstreams = Upstreams::new(upstreams);
        let counters = Arc::new(Counters::default());
        let server = NameServer::start(sockets, zone.clone(), upstreams.clone(), counters.clone());
        TestServer { address, zone, upstreams, counters, server: server.expect("it starts") }
    }

    pub fn counts(&self) -> Counts {
        self.counters.counts()
    }
}

/// A UDP socket and a listener on one port of 127.0.0.1.
pub fn sockets() -> Sockets {
    for _ in 0..100 {
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        if let Ok(tcp) = TcpListener::bind(udp.local_addr().expect("bound")) {
            return Sockets { udp, tcp };
        }
    }
    panic!("no port is free for both UDP and TCP");
}
