//! The key of the fleet: another one in its place, and what of it Docker's clients call the root of
//! trust. The authority of the API follows from the key.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crdt_state::fleet_key::FleetKeyFact;
use crdt_state::secret::{Batch, ContentKey, RECIPIENTS_MAX};
use crdt_state::{Kind, NodeId, PublicKey, read};
use node_core::Edit;
use node_docker::edge::KeyRotation;
use node_docker::system::TlsInfo;

use super::Api;
use super::authority::Authority;
use super::failure::Failure;

/// `POST /edge/fleet-key/rotate`: another key takes the place of the fleet's.
pub async fn rotate(State(api): State<Api>) -> Result<Json<KeyRotation>, Failure> {
    if api.handle.config().fleet_key.is_some() {
        return Err(Failure::Bad(
            "the key of this fleet is in the configuration of its nodes (fleet_key)\n\
             why: another key would hold until a node starts, and then there would be two\n\
             try: put another key into edge.toml of all nodes and restart their agents; or take the key \
             out of it: every node keeps it in its data directory, as soon as it is not configured"
                .to_owned(),
        ));
    }
    let NewKey { fact, keys, members } = for_members(&api).await?;
    let clients = api.read(|node, _| read::clients(node.replica())).await?;
    api.edit(Edit::RotateFleetKey { fact, keys }).await?;
    let mut ended: Vec<String> = clients.into_iter().map(|client| client.name).collect();
    ended.sort();
    Ok(Json(KeyRotation { members, clients_ended: ended }))
}

/// A key that every member is to have.
pub struct NewKey {
    /// Which one it is.
    pub fact: FleetKeyFact,
    /// The key, wrapped for the members.
    pub keys: Batch,
    /// How many members there are.
    pub members: u64,
}

/// Makes a key, and wraps it for the members.
pub async fn for_members(api: &Api) -> Result<NewKey, Failure> {
    let members = api.read(|node, _| {
        let replica = node.replica();
        let others = node.members().into_iter().filter_map(|id| read::public_key_of(replica, id));
        node.public_key().into_iter().chain(others).collect::<Vec<PublicKey>>()
    });
    let members = members.await?;
    let random = || {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map(|()| bytes).map_err(|error| {
            Failure::Unavailable(format!("the system gives no random bytes: {error}"))
        })
    };
    let key = ContentKey::from_random(random()?);
    let fact = FleetKeyFact::of(key.bytes());
    let first = &members[..members.len().min(RECIPIENTS_MAX)];
    let keys = Batch::wrap(&key, &fact.check, random()?, first);
    Ok(NewKey { fact, keys, members: members.len() as u64 })
}

/// How often the key was replaced, as far as this node knows.
pub async fn rotations(api: &Api) -> Result<u64, Failure> {
    let count = |node: &node_core::Node, _| node.replica().keys(Kind::FLEET_KEY).count() as u64;
    api.read(count).await
}

/// The root of trust of the API over TLS.
pub fn tls_info(api: &Api) -> Result<TlsInfo, Failure> {
    let failed = |error: String| Failure::Unavailable(format!("no certificate: {error}"));
    let authority = Authority::of(api.handle.fleet_key().bytes());
    let authority = authority.map_err(|error| failed(error.to_string()))?;
    let certificate = webpki::EndEntityCert::try_from(authority.certificate());
    let certificate = certificate.map_err(|error| failed(error.to_string()))?;
    Ok(TlsInfo {
        trust_root: authority.pem(),
        cert_issuer_subject: STANDARD.encode(certificate.subject()),
        cert_issuer_public_key: STANDARD.encode(certificate.subject_public_key_info().as_ref()),
    })
}

/// The members that were not given the newest key yet.
pub async fn behind(api: &Api) -> Result<BTreeSet<NodeId>, Failure> {
    api.read(|node, _| node.without_fleet_key()).await
}
