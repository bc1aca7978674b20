//! Shows wrong join tokens to agents, at a rate and from several addresses, until it is killed: what
//! `cargo xtask bench trust` measures a fleet under. It waits for no answer.
//!
//! `join_flood RATE ADDRESS:PORT[,ADDRESS:PORT…] SOURCE[,SOURCE…]`

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use node_agent::config::FleetKey;
use node_agent::identity::NodeKey;
use node_agent::join_token::TokenText;
use node_agent::transport::{ARRIVALS_MAX, Transport, TransportConfig};
use tokio::sync::mpsc;

/// Short, so that attempts which nobody answers do not pile up.
const DIAL_DEADLINE: Duration = Duration::from_millis(500);

type Counts = Arc<Mutex<BTreeMap<String, u64>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [rate, targets, sources] = &words[..] else {
        panic!("join_flood RATE ADDRESS:PORT[,…] SOURCE[,…]");
    };
    let rate: u32 = rate.parse().expect("a number of attempts per second");
    let addrs = |list: &str| -> Vec<SocketAddr> {
        list.split(',').map(|addr| addr.parse().expect("ADDRESS:PORT")).collect()
    };
    let (targets, sources) = (addrs(targets), addrs(sources));
    let transports: Vec<Transport> = sources.iter().map(|addr| listen(*addr)).collect();
    let counts = Counts::default();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
    let mut told = Instant::now();
    for number in 0_usize.. {
        ticks.tick().await;
        let transport = transports[number % transports.len()].clone();
        let (target, counts) = (targets[number % targets.len()], Arc::clone(&counts));
        if told.elapsed() > Duration::from_secs(1) {
            println!("{:?}", counts.lock().expect("nothing panics"));
            told = Instant::now();
        }
        tokio::spawn(async move {
            let token = TokenText::random().expect("random bytes");
            let said = transport.join_by_token(target, (token.id(), token.verifier())).await;
            let word = said.map_or_else(|why| format!("{why:?}"), |_| "let in".to_owned());
            let mut counts = counts.lock().expect("nothing panics");
            *counts.entry("attempts".to_owned()).or_default() += 1;
            *counts.entry(word).or_default() += 1;
        });
    }
}

/// Another node at each address.
fn listen(addr: SocketAddr) -> Transport {
    let (inbox, _) = mpsc::channel(ARRIVALS_MAX);
    let key = NodeKey::from_secret(*blake3::hash(addr.to_string().as_bytes()).as_bytes());
    let fleet_key = FleetKey::from_bytes([1; 32]);
    let config = TransportConfig { listen: addr, key, fleet_key, dial_deadline: DIAL_DEADLINE };
    Transport::listen(config, inbox).expect("a free address")
}
