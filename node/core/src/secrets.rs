//! Who is to have the key of a secret, of the fleet or of its disks, and who gives it to them.
//!
//! ```text
//! a node is to have a key and has none ──▶ the first holder that is here opens its own key and
//!                                          wraps it for them ──▶ its record of wrapped keys
//! ```
//! A secret's key is for two keepers and for every node that a service which names the secret may be
//! placed on by its constraints, whether it has a task now or not: what is left of a site after a
//! partition can start the task again without anybody else. Decision 30. The newest key of the fleet and
//! the newest unlock key are for every member.
//!
//! Here is only who: keys are opened and wrapped by the agent, which answers with an input. Nothing
//! here looks at a clock, and nothing is written while nothing changes.

use std::collections::BTreeSet;

use crdt_state::read;
use crdt_state::replica::Replica;
use crdt_state::secret::KeyFor;
use crdt_state::service::Service;
use crdt_state::spec::Life;
use crdt_state::task::Slot;
use crdt_state::{FileClass, FileId, Kind, NodeId, PublicKey, RecordKey, SecretId, ServiceId};

use crate::catalog::named_by;
use crate::planner::Planner;
use crate::score;

/// Nodes that have the key of a secret without any task of theirs, besides the one that created it:
/// with two, the secret survives the loss of any two nodes.
pub const KEEPERS: usize = 2;

/// Keys that are wrapped at once: each takes a tenth of a millisecond, and some ten on a small machine.
const AT_ONCE_MAX: usize = 64;

/// A key to be wrapped for nodes that are to have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyShare {
    /// The secret.
    pub secret: SecretId,
    /// The hash of the sealed data that the key opens.
    pub data: [u8; 32],
    /// The keys that were wrapped for this node: any of them is the one.
    pub keys: Vec<KeyFor>,
    /// Those who are to have it.
    pub nodes: Vec<PublicKey>,
}

/// This node's part in giving keys to others.
#[derive(Debug)]
pub struct KeySharing {
    me: NodeId,
    is_due: bool,
}

impl KeySharing {
    /// Everything is to be looked at.
    pub fn new(me: NodeId) -> KeySharing {
        KeySharing { me, is_due: true }
    }

    /// A record changed: a secret, who has its key, who is to have it, or who is a member.
    pub fn on_record(&mut self, kind: Kind) {
        self.is_due |= [
            Kind::SECRET,
            Kind::SECRET_PART,
            Kind::SECRET_KEYS,
            Kind::FLEET_KEY,
            Kind::UNLOCK_KEY,
            Kind::SERVICE,
            Kind::NODE,
            Kind::NODE_SETTINGS,
            Kind::EVICTION,
        ]
        .contains(&kind);
    }

    /// A member is silent, or is heard again.
    pub fn on_member(&mut self) {
        self.is_due = true;
    }

    /// Nothing changed since it was last looked at.
    pub fn is_settled(&self) -> bool {
        !self.is_due
    }

    /// The keys that this node is to wrap now.
    pub fn take_due(&mut self, planner: &Planner, replica: &Replica) -> Vec<KeyShare> {
        self.is_due = false;
        let catalog = planner.catalog();
        let named = catalog.services.values().flat_map(|service| named_by(service));
        let living = catalog.files.of_class(FileClass::Secret).map(|file| file.id);
        let secrets: BTreeSet<FileId> = named.chain(living).collect();
        let secrets = secrets.into_iter().filter_map(|id| match id {
            FileId::Secret(id) => Some((id, recipients(id, planner))),
            FileId::Config(_) => None,
        });
        let newest = Kind::FOR_EVERY_MEMBER.map(|kind| read::newest_fleet_key(replica, kind));
        let for_all =
            newest.into_iter().flatten().map(|key| (key.id(), members(planner).collect()));
        secrets.chain(for_all).filter_map(|wanted| self.share(wanted, planner, replica)).collect()
    }

    fn share(
        &self,
        (id, wanted): (SecretId, BTreeSet<NodeId>),
        planner: &Planner,
        replica: &Replica,
    ) -> Option<KeyShare> {
        let holders = planner.catalog().secrets.holders(id);
        if !holders.contains(&self.me) || first_here(id, holders, planner) != Some(self.me) {
            return None;
        }
        let missing = wanted.difference(holders);
        let nodes = missing.filter_map(|node| read::public_key_of(replica, *node));
        let nodes: Vec<PublicKey> = nodes.take(AT_ONCE_MAX).collect();
        let data = read::wrapped_data(replica, id)?;
        let keys = read::keys_for(replica, id, self.me);
        (!nodes.is_empty()).then_some(KeyShare { secret: id, data, keys, nodes })
    }

    /// The keys that this node wrapped of secrets whose data nobody can need any more.
    pub fn needless(&self, planner: &Planner, replica: &Replica) -> Vec<RecordKey> {
        let keys = planner.catalog().secrets.wrapped().filter(|(key, id)| {
            let is_own = *key == RecordKey::secret_keys(self.me, *id);
            let first = RecordKey::file_part(FileId::Secret(*id), 0);
            let is_emptied =
                || read::file_part(replica, &first).is_some_and(|(_, part)| part.data.is_empty());
            let is_replaced = || {
                let keys = Kind::FOR_EVERY_MEMBER.map(|kind| RecordKey::fleet_key(kind, *id));
                keys.iter().any(|key| matches!(replica.life(key), Some(Life::Removed { .. })))
            };
            is_own && (is_emptied() || is_replaced())
        });
        keys.map(|(key, _)| key).collect()
    }
}

/// The holder whose turn it is: the first of an order that is another one for each secret, of those
/// that are heard and stay.
fn first_here(id: SecretId, holders: &BTreeSet<NodeId>, planner: &Planner) -> Option<NodeId> {
    let catalog = planner.catalog();
    let is_here = |node: &&NodeId| planner.is_here(**node) && !catalog.is_leaving(**node);
    holders.iter().filter(is_here).max_by_key(|node| rank(id, **node)).copied()
}

fn members(planner: &Planner) -> impl Iterator<Item = NodeId> {
    let all = planner.catalog().nodes.iter().filter(|(_, entry)| entry.is_member());
    all.map(|(node, _)| *node)
}

/// Those who are to have the key of a secret, whether they have it or not.
fn recipients(id: SecretId, planner: &Planner) -> BTreeSet<NodeId> {
    let catalog = planner.catalog();
    let mut members: Vec<NodeId> = members(planner).collect();
    members.sort_by_key(|node| std::cmp::Reverse(rank(id, *node)));
    let mut wanted: BTreeSet<NodeId> = members.into_iter().take(KEEPERS).collect();
    let names = |service: &&Service| named_by(service).contains(&FileId::Secret(id));
    for service in catalog.services.values().map(AsRef::as_ref).filter(names) {
        wanted.extend(planner.eligible(service.id));
    }
    wanted
}

/// The place of a node in the order of a secret: the highest first.
fn rank(id: SecretId, node: NodeId) -> (u64, NodeId) {
    // An id is an id to the hash; secrets and services never share one.
    let subject = score::service_part(ServiceId(id.0));
    (score::score(subject, score::slot_part(Slot::Number(1)), score::node_part(node)), node)
}
