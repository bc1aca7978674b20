//! Certificates of clients of the API over TLS: given out, listed and taken back.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use crdt_state::client::ClientRole;
use crdt_state::{ClientId, read};
use node_core::edit::client::{BadClient, is_client_name};
use node_core::{Edit, Refusal};
use node_docker::Timestamp;
use node_docker::client::{ClientAsk, ClientCertificate, ClientRow};
use rustls::pki_types::CertificateDer;

use super::authority::{Authority, CLIENT_DOMAIN};
use super::caller::Caller;
use super::failure::Failure;
use super::snapshot::Snapshot;
use super::{Api, Sent};

/// `GET /edge/clients`: the certificates that were given out and not taken back.
pub async fn list(State(api): State<Api>) -> Result<Json<Vec<ClientRow>>, Failure> {
    let clients = api.read(|node, _| read::clients(node.replica())).await?;
    let snapshot = Snapshot::latest(&api).await?;
    let row = |client: read::Client| ClientRow {
        id: client.id.to_string(),
        name: client.name,
        role: client.role.as_str().to_owned(),
        created_at: Timestamp(client.created_wall_ms),
        issuer: snapshot.hostname(client.issuer),
    };
    let mut rows: Vec<ClientRow> = clients.into_iter().map(row).collect();
    rows.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Json(rows))
}

/// `POST /edge/clients`: what a client on another machine needs. Only who has all of the API may ask.
pub async fn create(
    State(api): State<Api>,
    body: Sent,
) -> Result<Json<ClientCertificate>, Failure> {
    let ClientAsk { name, role } = node_docker::read(&body?)?;
    let role = ClientRole::parse(&role)
        .ok_or_else(|| Failure::Bad(format!("there is no role `{role}`; operator or reader")))?;
    if !is_client_name(&name) {
        return Err(Refusal::from(BadClient::Name(name)).into());
    }
    let authority = Authority::of(api.handle.fleet_key().bytes());
    let made = authority.and_then(|authority| authority.client(&name, role));
    let (id, mut made) =
        made.map_err(|error| Failure::Unavailable(format!("no certificate: {error}")))?;
    api.edit(Edit::AddClient { id, name, role }).await?;
    made.api = api.handle.config().api.map(|address| address.to_string()).unwrap_or_default();
    Ok(Json(made))
}

/// `DELETE /edge/clients/{name}`: takes a certificate back, by the client's name or the id.
pub async fn revoke(
    State(api): State<Api>,
    Path(wanted): Path<String>,
) -> Result<StatusCode, Failure> {
    let clients = api.read(|node, _| read::clients(node.replica())).await?;
    let of = |client: &&read::Client| client.name == wanted || client.id.to_string() == wanted;
    // Two sides of a partition may have given one name to two clients: both go.
    let ids: Vec<ClientId> = clients.iter().filter(of).map(|client| client.id).collect();
    if ids.is_empty() {
        return Err(Failure::Missing(format!(
            "client {wanted} not found; `edgectl ca ls` lists them"
        )));
    }
    for id in ids {
        api.edit(Edit::RevokeClient { id }).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Who shows this certificate, which the authority has signed; `None` if it has no role.
pub fn caller_of(shown: &CertificateDer<'_>) -> Option<Caller> {
    let certificate = webpki::EndEntityCert::try_from(shown).ok()?;
    let (name, role) = certificate.valid_dns_names().find_map(|dns| {
        let (name, role) = dns.strip_suffix(CLIENT_DOMAIN)?.split_once('.')?;
        Some((name.to_owned(), ClientRole::parse(role)?))
    })?;
    Some(Caller::Certificate { id: ClientId::of(shown), name, role })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    #[test]
    fn every_node_has_the_same_authority_and_each_fleet_its_own() {
        let of = |byte| Authority::of(&[byte; 32]).expect("an authority");
        assert_eq!(of(1).certificate(), of(1).certificate());
        assert_ne!(of(1).certificate(), of(2).certificate());
    }

    #[test]
    fn a_certificate_says_whose_it_is_and_what_it_allows() {
        let authority = Authority::of(&[1; 32]).expect("an authority");
        for role in ClientRole::ALL {
            let (id, made) = authority.client("anna-laptop", role).expect("a certificate");
            let der = CertificateDer::from_pem_slice(made.certificate.as_bytes()).expect("PEM");
            let name = "anna-laptop".to_owned();
            assert_eq!(caller_of(&der), Some(Caller::Certificate { id, name, role }));
        }
        let address = IpAddr::from([127, 0, 0, 1]);
        let (of_node, _) = authority.node(address, &["till-3"]).expect("a certificate");
        assert_eq!(caller_of(&of_node), None);
    }

    #[test]
    fn a_host_name_that_is_no_dns_name_is_left_out() {
        let authority = Authority::of(&[1; 32]).expect("an authority");
        let address = IpAddr::from([127, 0, 0, 1]);
        assert!(authority.node(address, &["till 3", "till-3"]).is_ok());
    }
}
