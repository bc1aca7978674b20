//! Certificates for the API over TLS. The authority is made from the fleet's key, so every node has the
//! same one without asking anybody, and who may have a certificate is who may join.
//!
//! They are valid from 1970 to 9999: a machine whose clock is wrong must still be reached, and a fleet of
//! ten years must not stop on one day.

use std::net::IpAddr;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use crdt_state::client::ClientRole;
use crdt_state::{ClientId, read};
use node_core::edit::client::{BadClient, is_client_name};
use node_core::{Edit, Refusal};
use node_docker::Timestamp;
use node_docker::client::{ClientAsk, ClientCertificate, ClientRow};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// What an ed25519 key in PKCS #8 begins with (RFC 8410); its 32 bytes follow.
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// What follows client and role in the name that a certificate has: `laptop.operator` and this.
const CLIENT_DOMAIN: &str = ".client.edgectl.invalid";

use super::caller::Caller;
use super::failure::Failure;
use super::snapshot::Snapshot;
use super::{Api, Sent};

/// The authority of a fleet.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

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

impl Authority {
    /// That of the fleet with this key.
    pub fn of(fleet_key: &[u8; 32]) -> Result<Authority, rcgen::Error> {
        let seed = blake3::derive_key("edgectl authority of the API 1", fleet_key);
        let der = [&PKCS8_HEAD[..], &seed].concat();
        let key =
            KeyPair::from_pkcs8_der_and_sign_algo(&PrivatePkcs8KeyDer::from(der), &PKCS_ED25519)?;
        let mut params = params("edgectl fleet")?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        Ok(Authority(CertifiedIssuer::self_signed(params, key)?))
    }

    /// Its certificate.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.0.der()
    }

    /// The same in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for this node by the names and the address that a client uses for it.
    pub fn node(
        &self,
        address: IpAddr,
        names: &[&str],
    ) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), rcgen::Error> {
        let mut params = params(names.first().copied().unwrap_or("node"))?;
        params.subject_alt_names.push(SanType::IpAddress(address));
        for name in names {
            // A host name with an underscore is no name for a certificate.
            if let Ok(name) = (*name).try_into() {
                params.subject_alt_names.push(SanType::DnsName(name));
            }
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok((certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into()))
    }

    /// A new key for a client, and its certificate, which says name and role.
    pub fn client(
        &self,
        name: &str,
        role: ClientRole,
    ) -> Result<(ClientId, ClientCertificate), rcgen::Error> {
        let mut params = params(name)?;
        let said = format!("{name}.{}{CLIENT_DOMAIN}", role.as_str());
        params.subject_alt_names.push(SanType::DnsName(said.try_into()?));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate_for(&PKCS_ED25519)?;
        let signed = params.signed_by(&key, &self.0)?;
        let (id, certificate) = (ClientId::of(signed.der()), signed.pem());
        let (authority, key) = (self.0.pem(), key.serialize_pem());
        Ok((id, ClientCertificate { authority, certificate, key, api: String::new() }))
    }
}

fn params(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

#[cfg(test)]
mod tests {
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
