//! Makes the pure node from what the disk has: its records, its runs, its volumes.

use std::net::SocketAddr;
use std::sync::Arc;

use crdt_state::node::NodeDescription;
use crdt_state::read::volumes_of;
use crdt_state::replica::Replica;
use crdt_state::signature::{Ed25519Signer, Ed25519Verifier, Signer};
use crdt_state::{Kind, RecordKey, Writer};
use gossip::GossipConfig;
use node_core::history::{Began, Entry};
use node_core::{Node, NodeConfig};
use runtime::Driver;

use super::applying::Applying;
use super::clock::NodeClock;
use super::history::{History, NotedSigner};
use super::opening::{AgentStartError, OpenedParts};
use super::{facts, volumes};
use crate::config::JoinAddr;
use crate::identity::NodeKey;
use crate::store::OpenedStore;

/// Remembered members that are asked first at a start, in addition to the configured ones.
const REMEMBERED_MAX: usize = 8;

/// A node, and what was found while making it.
pub(super) struct Made {
    pub(super) node: Node,
    /// The history of the node, if it is written.
    pub(super) history: Option<History>,
    /// Addresses where members were last heard.
    pub(super) remembered: Vec<JoinAddr>,
}

/// Makes the node; `listens` is the address of its agent.
pub(super) fn make(
    opening: &mut OpenedParts,
    listens: SocketAddr,
    clock: &NodeClock,
) -> Result<Made, AgentStartError> {
    let applying = Applying::open(&opening.config);
    let history = history(opening)?;
    let replica = load(&opening.key, &mut opening.opened, &applying, history.as_ref())?;
    let remembered = remembered(&replica);
    opening.volumes.know(volumes_of(&replica, replica.me()).into_keys());
    let found = opening.driver.adopt();
    tracing::info!(
        "node {} of fleet {} listens on UDP {listens}, {} records, {} tasks found",
        replica.me(),
        opening.config.fleet,
        opening.opened.records.len(),
        found.len()
    );
    opening.own_addresses.listens_at(listens.port());
    opening.own_addresses.remember(published(&replica));
    opening.own_addresses.know_members(members(&replica));
    let facts =
        facts::read(&opening.config, &opening.own_addresses, opening.devices.find().clone());
    let config = NodeConfig {
        gossip: GossipConfig { profile: opening.config.profile, rumours: opening.config.rumours },
        networks: opening.networks.facts(),
        facts,
        boot: opening.boot,
        seed: opening.seed,
        volumes: Some(volumes::found(&opening.volumes)),
    };
    let (now, wall_ms) = (clock.now(), NodeClock::wall_ms());
    if let Some(history) = &history {
        let began = Began {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            key: signer(&opening.key).public_key(),
            writer: replica.writer(),
            config: config.clone(),
            held_back: applying.suspects.held_back.clone(),
            set_aside: applying.suspects.set_aside.clone(),
        };
        history.begin(began, &opening.opened.records, &found);
        history.note(&Entry::Started { now, wall_ms });
    }
    let node = Node::new(config, replica, found, now, wall_ms);
    Ok(Made { node, history, remembered })
}

fn history(opening: &OpenedParts) -> Result<Option<History>, AgentStartError> {
    let Some(path) = &opening.config.history else { return Ok(None) };
    let history = History::create(path);
    history.map(Some).map_err(|error| AgentStartError::History { path: path.clone(), error })
}

fn signer(key: &NodeKey) -> Ed25519Signer {
    Ed25519Signer::from_secret(&key.secret())
}

/// The replica of the store's records. Records that it cannot read are quarantined, and then this
/// node writes under a new store id: it may have written more under the old one than it still
/// knows.
fn load(
    key: &NodeKey,
    opened: &mut OpenedStore,
    applying: &Applying,
    history: Option<&History>,
) -> Result<Replica, AgentStartError> {
    let (replica, unreadable) = replica_of(key, opened, applying, history);
    if unreadable == 0 {
        return Ok(replica);
    }
    tracing::error!("{unreadable} records of the store cannot be read and are kept aside");
    opened.id = opened.store.renew_id()?;
    Ok(replica_of(key, opened, applying, history).0)
}

fn replica_of(
    key: &NodeKey,
    opened: &OpenedStore,
    applying: &Applying,
    history: Option<&History>,
) -> (Replica, usize) {
    let writer = Writer { node: key.node(), store: opened.id };
    let signer = signer(key);
    let signer: Box<dyn Signer> = match history {
        None => Box::new(signer),
        Some(history) => Box::new(NotedSigner { signer, history: history.clone() }),
    };
    let mut replica = Replica::new(writer, signer, Arc::new(Ed25519Verifier));
    match applying.journal() {
        Ok(journal) => {
            let suspects = applying.suspects.clone();
            replica.watch(Box::new(journal), suspects.held_back, suspects.set_aside);
        }
        Err(error) => tracing::warn!("what is applied is not written down: {error}"),
    }
    let unreadable =
        opened.records.iter().filter(|(key, bytes)| replica.load(*key, bytes).is_err()).count();
    (replica, unreadable)
}

/// Addresses where members were last heard.
fn remembered(replica: &Replica) -> Vec<JoinAddr> {
    let addresses = members(replica).take(REMEMBERED_MAX);
    addresses.filter_map(|addr| addr.to_string().parse().ok()).collect()
}

/// The address that each other member told last.
fn members(replica: &Replica) -> impl Iterator<Item = SocketAddr> {
    let me = replica.me();
    replica
        .keys(Kind::NODE)
        .filter_map(|key| replica.owned::<NodeDescription>(&key))
        .filter(move |(node, description)| *node != me && !description.left)
        .filter_map(|(_, description)| description.addresses.first()?.parse().ok())
}

/// The address that this node told last.
fn published(replica: &Replica) -> Option<SocketAddr> {
    let (_, description) = replica.owned::<NodeDescription>(&RecordKey::node(replica.me()))?;
    description.addresses.first()?.parse().ok()
}
