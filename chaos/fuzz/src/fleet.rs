//! What other nodes send, and what is on the disk.

use std::net::SocketAddr;
use std::sync::Arc;

use crdt_state::signature::{Ed25519Signer, PublicKey, Signature, Signer, Verifier};
use crdt_state::{Delta, HashSigner, NodeId, RecordKey, Replica, StoreId, Writer, wire};
use gossip::seal::Seal;
use gossip::{Gossip, GossipConfig, Identity, Now};
use node_agent::transport::PeerRequest;
use node_core::{Input, NetworkFacts, Node, NodeConfig, NodeFacts};

/// Takes every signature for a good one, so that what is behind the check is reached.
struct Gullible;

impl Verifier for Gullible {
    fn verify(&self, _key: &PublicKey, _message: &[u8], _signature: &Signature) -> bool {
        true
    }
}

fn replica() -> Replica {
    let signer = HashSigner::from_seed(1);
    let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
    Replica::new(writer, Box::new(signer), Arc::new(Gullible))
}

fn peer() -> (NodeId, SocketAddr) {
    (NodeId([2; 16]), SocketAddr::from(([10, 0, 0, 2], 7946)))
}

/// Pieces of the bytes: a length of two bytes before each.
fn pieces(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let [high, low, rest @ ..] = bytes {
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (piece, after) = rest.split_at(len);
        found.push(piece);
        bytes = after;
    }
    found
}

/// Records: one from the disk, then what others send.
pub fn records(bytes: &[u8]) {
    let mut replica = replica();
    for piece in pieces(bytes) {
        if let Some((kind, rest)) = piece.split_first() {
            let key = RecordKey { kind: crdt_state::Kind(*kind), id: [7; 16] };
            let _ = replica.load(key, rest);
        }
        if let Ok(delta) = wire::decode::<Delta>(piece) {
            let _ = replica.merge(&delta);
        }
    }
    let _ = replica.digest();
}

/// Datagrams and messages, at gossip alone.
pub fn datagrams(bytes: &[u8]) {
    let mut replica = replica();
    let me = Identity::at_boot(replica.me(), 1);
    let mut gossip = Gossip::new(GossipConfig::default(), me, 7, Now(0));
    let (node, addr) = peer();
    gossip.handle_connected(Now(1), node, addr);
    for (place, piece) in pieces(bytes).into_iter().enumerate() {
        let now = Now(1_000 + 50 * place as u64);
        gossip.handle_datagram(now, (node, addr), piece, &mut replica);
        gossip.handle_message(now, node, piece, &mut replica);
        gossip.handle_timeout(now, &mut replica);
        while gossip.poll().is_some() {}
    }
}

/// The same at a whole node, which plans by what it is told.
pub fn node(bytes: &[u8]) {
    let facts = NodeFacts {
        hostname: "pi-1".to_owned(),
        os: "linux".to_owned(),
        arch: "aarch64".to_owned(),
        resources: Default::default(),
        named_resources: Default::default(),
        devices: Default::default(),
        engine_labels: Default::default(),
        engine_version: "fuzz".to_owned(),
        addresses: vec!["10.0.0.1:7946".to_owned()],
    };
    let (gossip, networks) = (GossipConfig::default(), NetworkFacts::default());
    let config = NodeConfig { gossip, facts, boot: 1, seed: 7, volumes: None, networks };
    let mut node = Node::new(config, replica(), Vec::new(), Now(0), 0);
    let (sender, from) = peer();
    for (place, piece) in pieces(bytes).into_iter().enumerate() {
        let (now, bytes) = (Now(4_000 + 50 * place as u64), piece.to_vec());
        let input = match place % 2 {
            0 => Input::Datagram { sender, from, bytes },
            _ => Input::Message { from: sender, bytes },
        };
        node.step(now, now.0, input);
        while node.poll_action().is_some() {}
    }
    node.step(Now(60_000), 60_000, Input::TimerFired);
}

/// What one agent asks another.
pub fn requests(bytes: &[u8]) {
    if let Ok(request) = wire::decode::<PeerRequest>(bytes) {
        assert_eq!(wire::decode::<PeerRequest>(&wire::encode(&request)).as_ref(), Ok(&request));
    }
}

/// Sealed datagrams: no bytes but a node's own open.
pub fn seal(bytes: &[u8]) {
    let public = |seed: u8| Ed25519Signer::from_secret(&[seed; 32]).public_key();
    let mut seal = Seal::new(&public(1), [1; 32], 7);
    seal.acquaint(public(2));
    for piece in pieces(bytes) {
        assert!(seal.open(piece).is_err(), "nobody can forge");
    }
}
