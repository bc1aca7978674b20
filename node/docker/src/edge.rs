//! Features that Docker does not have: the shapes of `/edge/…`, in the same form as Docker's own.
//!
//! Codes are stable and for programs; texts are for people and may change.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// `GET /edge/status`: the fleet in one object, as the answering node sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Status {
    /// The node whose view this is.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// Its host name.
    pub hostname: String,
    /// When it was taken, by the node's own clock.
    pub at: Timestamp,
    /// Age of its oldest part: the longest silence of a member that counts as alive.
    pub view_age_ms: u64,
    /// Root digest of the state, 32 hexadecimal digits: equal on all nodes that agree.
    pub digest: String,
    /// Members by their state.
    pub nodes: NodeCounts,
    /// Services that exist.
    pub services: u64,
    /// Tasks that run healthy, as far as this node knows.
    pub tasks_running: u64,
    /// Tasks that should run.
    pub tasks_desired: u64,
    /// Tasks that should run but do not, with the reason.
    pub waiting: Vec<WhyRow>,
    /// Tasks that still run where they do not belong any more (on a drained node), with what is
    /// known about successors that fail to start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<WhyRow>,
    /// Values that lost against a concurrent write and were not yet reviewed.
    pub conflicts: u64,
    /// Records that are not used: of a later version, damaged, or beyond a limit.
    pub quarantined: u64,
    /// The first few of them that are passed on to other nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unfit: Vec<UnfitRecord>,
    /// Other members are known, but none of them is heard.
    pub island: bool,
    /// Problems of this node itself: a disk that refuses writes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What this node lacks for networks.
    pub networks: NetworkHealth,
}

/// What a node lacks for networks, and what it could not do for them, as sentences.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NetworkHealth {
    /// Why it takes part in no network; empty: it can.
    pub refusal: String,
    /// Why it takes part in no encrypted network; empty: it can.
    pub tunnel_refusal: String,
    /// What is not as planned, and faulty paths to other nodes.
    pub failures: Vec<String>,
}

/// `GET /edge/paths`: the path of data from the answering node to another one.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EdgePath {
    /// The other node.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// Its host name.
    pub node: String,
    /// Where its packets are sent.
    pub address: String,
    /// `answers`, `silent`, `unknown` or `unlike`: the addresses are of different families.
    pub state: String,
    /// Does membership hear the node?
    pub is_heard: bool,
    /// Do packets for it go through the tunnel instead?
    pub is_detoured: bool,
    /// Do packets wait in vain for an answer through the tunnel?
    pub is_tunnel_silent: bool,
    /// Nothing came back for this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silent_ms: Option<u64>,
    /// The round trip, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_trip_us: Option<u64>,
    /// The last probes, at most 32.
    pub sent: u32,
    /// Those of them without an answer.
    pub lost: u32,
    /// Are so many lost that tasks notice it?
    pub is_lossy: bool,
    /// The largest packet of a container that passes, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_bytes: Option<u32>,
    /// The largest one that the links at both ends could take.
    pub packet_bytes_max: u32,
}

/// A record that is kept and passed on, but not used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UnfitRecord {
    /// `service`, `node`, `task`.
    pub kind: String,
    /// What the record is of.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its name, if it can be read.
    pub name: String,
    /// 32 hexadecimal digits: equal on all nodes that hold the same.
    pub digest: String,
    /// What is wrong with the record.
    pub reason: String,
    /// Host name or id of the last writer.
    pub writer: String,
}

/// Members by their state, as seen here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeCounts {
    /// Members that answer, this node included.
    pub alive: u64,
    /// Members that missed a probe.
    pub suspect: u64,
    /// Members that are not heard.
    pub unreachable: u64,
    /// Nodes that left the fleet.
    pub left: u64,
}

/// `GET /edge/why/…`: the recorded reasons.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Why {
    /// `service`, `task` or `node`.
    pub kind: String,
    /// Its id.
    #[serde(rename = "ID")]
    pub id: String,
    /// Its name.
    pub name: String,
    /// One sentence: how many tasks of it run, or what is known of a node.
    pub summary: String,
    /// Further information for people: another service has the same name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Of a service or a node: each of its tasks. Of a task: that one.
    pub rows: Vec<WhyRow>,
    /// Nodes that cannot run (more of) its tasks, the closest to fitting first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<ExcludedNode>,
    /// Commands that would change the situation, the best first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<String>,
}

/// One task, or one fact about a node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct WhyRow {
    /// `web.1`, or the host name of a node.
    pub name: String,
    /// Host name of its owner; empty without one.
    pub node: String,
    /// Docker's word for its state.
    pub state: String,
    /// A stable code.
    pub code: String,
    /// The reason, for people.
    pub reason: String,
}

/// Why a node cannot take a task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ExcludedNode {
    /// The node.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// Its host name.
    pub node: String,
    /// A stable code.
    pub code: String,
    /// The reason, for people.
    pub reason: String,
}

/// One row of `GET /edge/plan`: the node that should run a slot.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlanRow {
    /// The service.
    #[serde(rename = "ServiceID")]
    pub service_id: String,
    /// `web.1`.
    pub name: String,
    /// Absent: no node.
    #[serde(rename = "NodeID", skip_serializing_if = "String::is_empty")]
    pub node_id: String,
    /// The node's host name; empty: no node.
    pub node: String,
    /// A stable code.
    pub code: String,
    /// The reason, for people.
    pub reason: String,
}

/// One row of `GET /edge/conflicts`: a value that was written concurrently on several nodes, an
/// edit that a removal did not see, or a name that several services have.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Conflict {
    /// The record, 34 hexadecimal digits.
    pub key: String,
    /// `service` or `node`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// `template`, `scale`, `labels`…, or `name` for a name that several services have.
    pub facet: String,
    /// The number of the facet.
    pub facet_number: u16,
    /// The label in conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The value that is in force.
    pub winner: ConflictValue,
    /// The values that are not.
    pub losers: Vec<ConflictValue>,
}

/// A value, with its writer and time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConflictValue {
    /// The stamp to send back to pick this value.
    pub stamp: String,
    /// The number of its facet, if it differs from the conflict's: the winner is a removal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facet_number: Option<u16>,
    /// The writer.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// The writer's host name.
    pub node: String,
    /// By the writer's clock.
    pub written_at: Timestamp,
    /// For display.
    pub value: String,
    /// The record, if it differs from the conflict's: another service of the same name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key: String,
}

/// `POST /edge/conflicts`: make a losing value the winner, or keep the winner.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PickRequest {
    /// The record, as `GET` shows it.
    pub key: String,
    /// The number of the facet.
    pub facet_number: u16,
    /// The label in conflict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Empty: the service of this key gets the shared name.
    pub stamp: String,
}

/// `GET /edge/counters`: all counters since the agent started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Counters {
    /// The counters, by name.
    pub counters: BTreeMap<String, u64>,
}

/// `GET /edge/top`: the resource usage of the agent itself.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Top {
    /// The process.
    #[serde(rename = "PID")]
    pub pid: u32,
    /// How long it has run.
    pub uptime_ms: u64,
    /// Resident memory.
    pub rss_bytes: u64,
    /// The most resident memory since the start.
    pub rss_peak_bytes: u64,
    /// User and system time.
    pub cpu_ms: u64,
    /// Threads.
    pub threads: u64,
    /// Open file descriptors.
    pub open_files: u64,
    /// Bytes sent to other nodes.
    pub sent_bytes: u64,
    /// Bytes received from other nodes.
    pub received_bytes: u64,
    /// Bytes written to block devices.
    pub written_bytes: u64,
    /// Records of the state.
    pub records: u64,
    /// Their encoded size.
    pub state_bytes: u64,
}

/// A join token, without its secret: an element of `GET /edge/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JoinTokenRow {
    /// Its number: the first 16 digits of the token.
    #[serde(rename = "ID")]
    pub id: String,
    /// `worker` or `manager`.
    pub role: String,
    /// `open`, `used up`, `revoked`, `rotated`, `expired`, or `overused`.
    pub state: String,
    /// How many may join with it; 0: any number.
    pub uses_max: u32,
    /// The host names, or ids, of those who joined with it.
    pub joiners: Vec<String>,
    /// The site of nodes that join with it.
    pub site: String,
    /// After how many milliseconds it expires; 0: never.
    pub expires_after_ms: u64,
    /// Every member can show it.
    pub is_standing: bool,
    /// Where it was made.
    pub made_on: String,
    /// When, by that node's clock.
    pub made_at: Timestamp,
}

/// The body of `POST /edge/tokens`: a token of its own, shown once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TokenRequest {
    /// `worker` or `manager`.
    pub role: String,
    /// How many may join with it; 0: any number.
    pub uses_max: u32,
    /// The site of nodes that join with it; empty: none is set.
    pub site: String,
    /// After how many milliseconds it expires; 0: never.
    pub expires_after_ms: u64,
}

/// The answer to `POST /edge/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TokenAnswer {
    /// The token, with its secret.
    pub token: String,
}

/// The answer to `POST /edge/fleet-key/rotate`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct KeyRotation {
    /// The members that are given the key, this node among them.
    pub members: u64,
    /// Clients whose certificates are of no use any more, by name.
    pub clients_ended: Vec<String>,
}

/// The body of `POST /edge/nodes/{id}/replace`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReplaceRequest {
    /// The node in its place, by id or name.
    pub by: String,
    /// Also if the node is still heard.
    pub force: bool,
}

/// The answer to it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ReplaceAnswer {
    /// Volumes that were made on the new node, empty.
    pub volumes: Vec<String>,
}
