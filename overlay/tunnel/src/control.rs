//! What an agent and a tunnel process say to each other: one line of JSON each.
//!
//! ```text
//! agent connects ─▶ process: Hello ─▶ agent: State ─▶ process: Taken ─▶ agent: State …
//! ```
//! A state says everything, so it does not matter which ones were lost. A process of another
//! version is ended by a signal: that needs no message.

use std::net::{Ipv6Addr, SocketAddr};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::key::{PublicKey, TunnelKey};

/// The version of everything that a process does. An agent replaces a process of another version,
/// which costs packets: raise it when that is worth it.
pub const VERSION: u32 = 2;

/// The longest line: 4,096 peers of some 250 bytes each.
pub const LINE_BYTES_MAX: usize = 1024 * 1024;

/// The first line of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`] of the process.
    pub version: u32,
    /// A random number of this process: a peer that sees another one knows that the process has
    /// forgotten everything.
    pub life: u64,
    /// The link that it holds.
    pub link: String,
}

/// Everything that a process is to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// This node's key.
    pub key: TunnelKey,
    /// This node's address in the tunnel: only packets to it are handed on.
    pub address: Ipv6Addr,
    /// The UDP ports of what is carried: no other packets are handed on.
    pub carried_ports: Vec<u16>,
    /// The other nodes.
    pub peers: Vec<PeerState>,
}

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerState {
    /// Its public key.
    pub public_key: PublicKey,
    /// Its address in the tunnel.
    pub address: Ipv6Addr,
    /// Where it is reached at. If it is heard from elsewhere, that counts, until this changes.
    pub endpoint: SocketAddr,
    /// [`Hello::life`] of its process; 0: not known.
    pub life: u64,
    /// Nothing else reaches it: keys are held ready, and routers on the way are kept from forgetting
    /// it.
    pub is_only_way: bool,
}

/// A process took a state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The peers that packets wait for in vain, by their addresses in the tunnel.
    pub silent: Vec<Ipv6Addr>,
}

/// A message as a line.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("messages have only names as keys");
    line.push(b'\n');
    line
}

/// The message of a line; `None`: it is none.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    serde_json::from_slice(line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_reads_back_and_junk_is_none() {
        let peer = PeerState {
            public_key: [3; 32],
            address: Ipv6Addr::LOCALHOST,
            endpoint: "[::1]:7947".parse().expect("an address"),
            life: u64::MAX,
            is_only_way: false,
        };
        let state = State {
            key: TunnelKey::derive(&[1; 32]),
            address: Ipv6Addr::LOCALHOST,
            carried_ports: vec![4789, 7948],
            peers: vec![peer; 4096],
        };
        let line = encode(&state);
        assert!(line.len() < LINE_BYTES_MAX, "{}", line.len());
        assert_eq!(decode(&line), Some(state));
        for junk in [&b""[..], b"{}", b"\xff\xff", b"{\"key\":[1]}"] {
            assert_eq!(decode::<State>(junk), None);
        }
    }
}
