//! The authority of the API over TLS. It is made from the fleet's key, so every node has the same one without
//! asking anybody, and who may have a certificate is who may join.
//!
//! Certificates are valid from 1970 to 9999: a machine whose clock is wrong must still be reached, and a
//! fleet of ten years must not stop on one day.

use std::net::IpAddr;

use crdt_state::ClientId;
use crdt_state::client::ClientRole;
use node_docker::client::ClientCertificate;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, PKCS_ED25519, SanType, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// What an ed25519 key in PKCS #8 begins with (RFC 8410); its 32 bytes follow.
const PKCS8_HEAD: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// What follows client and role in the name that a certificate has: `laptop.operator` and this.
pub const CLIENT_DOMAIN: &str = ".client.edgectl.invalid";

/// The authority of a fleet.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

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
