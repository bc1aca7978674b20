//! What a node knows of the data path to another one.

use std::net::IpAddr;

use crdt_state::NodeId;

/// Does a path answer?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathReach {
    /// It was not probed, or not long enough.
    Unknown,
    /// Its last probes were answered.
    Answers,
    /// Nothing came back for this time, in milliseconds.
    Silent {
        /// The time.
        ms: u64,
    },
    /// The two nodes have addresses of different families.
    Unlike,
}

/// The path from one node to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRow {
    /// The other node.
    pub node: NodeId,
    /// Where it is reached by VXLAN.
    pub address: IpAddr,
    /// Does membership hear it?
    pub is_heard: bool,
    /// Do packets for it go through the tunnel instead?
    pub is_detoured: bool,
    /// Does the path answer?
    pub reach: PathReach,
    /// The round trip, in microseconds.
    pub rtt_us: Option<u64>,
    /// Probes of the last minutes, at most 32.
    pub sent: u32,
    /// Those of them without an answer in time.
    pub lost: u32,
    /// Are so many lost that tasks notice it?
    pub is_lossy: bool,
    /// The largest packet of a container that passes; `None`: not known.
    pub bytes: Option<u32>,
    /// The largest packet that the links at both ends could take.
    pub bytes_max: u32,
}
