//! Clients' certificates, read from their records.

use crate::client::ClientRole;
use crate::id::{ClientId, NodeId};
use crate::key::{Kind, RecordKey};
use crate::record::Record;
use crate::replica::Replica;
use crate::spec::{Facet, Life};

/// A certificate that was given out and not taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// A hash of the certificate.
    pub id: ClientId,
    /// Whose it is.
    pub name: String,
    /// What it allows.
    pub role: ClientRole,
    /// The node that gave it out.
    pub issuer: NodeId,
    /// That node's time of day then, milliseconds since 1970. Display only.
    pub created_wall_ms: u64,
}

/// The certificates that were given out and not taken back, by id.
pub fn clients(replica: &Replica) -> Vec<Client> {
    replica.keys(Kind::CLIENT).filter_map(|key| read(replica, &key)).collect()
}

/// The certificates that were taken back, by id.
pub fn revoked_clients(replica: &Replica) -> Vec<ClientId> {
    let is_removed = |key: &RecordKey| matches!(replica.life(key), Some(Life::Removed { .. }));
    replica.keys(Kind::CLIENT).filter(is_removed).map(|key| ClientId(key.id)).collect()
}

fn read(replica: &Replica, key: &RecordKey) -> Option<Client> {
    let (_, role) = replica.facet::<ClientRole>(key, Facet::CLIENT_ROLE)?;
    let Some(Life::Present { name, created }) = replica.life(key) else { return None };
    let life = replica.record(key).and_then(Record::as_shared)?.winner(Facet::LIFE)?;
    let (id, issuer) = (ClientId(key.id), created.writer.node);
    Some(Client { id, name, role, issuer, created_wall_ms: life.wall_ms })
}
