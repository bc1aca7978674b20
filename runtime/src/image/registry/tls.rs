//! The certificates by which registries are trusted: the system's, and those in the registry's own
//! folder, as in Docker. A node without any certificate can still use registries without TLS; those
//! with TLS are not trusted, and the error says so.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::image::mirror::{Host, Schemes};

/// The TLS of one host; an error says what of its folder cannot be used.
pub(super) fn config(certificates: &Path, host: &Host) -> Result<ClientConfig, String> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let folder = certificates.join(&host.authority);
    let trusted = match host.schemes {
        Schemes::Https | Schemes::Http => Trusted::known(&folder, &provider)?,
        Schemes::Either => Trusted::Anybody,
    };
    let algorithms = provider.signature_verification_algorithms;
    let verifier = Arc::new(RegistryVerifier { trusted, algorithms });
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match client_pair(&folder)? {
        Some((chain, key)) => {
            builder.with_client_auth_cert(chain, key).map_err(|error| error.to_string())?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// What this node shows to the registry: `NAME.cert` with `NAME.key`.
fn client_pair(folder: &Path) -> Result<Option<Pair>, String> {
    let Some(path) = files(folder, "cert").into_iter().next() else { return Ok(None) };
    let key = path.with_extension("key");
    let key = PrivateKeyDer::from_pem_file(&key)
        .map_err(|error| format!("{}: {error}", key.display()))?;
    Ok(Some((chain(&path)?, key)))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let unusable = |error| format!("{}: {error}", path.display());
    let found = CertificateDer::pem_file_iter(path).map_err(unusable)?;
    found.collect::<Result<_, _>>().map_err(unusable)
}

/// A folder that is not there has none.
fn files(folder: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    paths
}

/// Why the other side was not trusted, if that is what an error is about.
pub(super) fn distrust(error: &reqwest::Error) -> Option<String> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(Error::InvalidCertificate(why)) = error.downcast_ref::<Error>() {
            return Some(why.to_string());
        }
        // An error of the system's kind hides the one that it is about from `source`.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// Whom a registry's certificate is accepted from.
#[derive(Debug)]
enum Trusted {
    /// Whom the system's certificates or those of the registry's folder vouch for, and a server
    /// whose very certificate is in the folder: that is what `openssl req -x509` makes, and Docker
    /// accepts it.
    Known {
        pinned: Vec<CertificateDer<'static>>,
        /// `None`: there is no certificate at all.
        vouched: Option<Arc<WebPkiServerVerifier>>,
    },
    /// Anybody: for registries that were configured as insecure.
    Anybody,
}

#[derive(Debug)]
struct RegistryVerifier {
    trusted: Trusted,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trusted {
    fn known(folder: &Path, provider: &Arc<CryptoProvider>) -> Result<Trusted, String> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let mut pinned = Vec::new();
        for path in files(folder, "crt") {
            for certificate in chain(&path)? {
                roots
                    .add(certificate.clone())
                    .map_err(|error| format!("{}: {error}", path.display()))?;
                pinned.push(certificate);
            }
        }
        let vouched = match roots.is_empty() {
            true => None,
            false => Some(
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                    .build()
                    .map_err(|error| error.to_string())?,
            ),
        };
        Ok(Trusted::Known { pinned, vouched })
    }
}

impl ServerCertVerifier for RegistryVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Trusted::Known { pinned, vouched } = &self.trusted else {
            return Ok(ServerCertVerified::assertion());
        };
        if pinned.iter().any(|known| known.as_ref() == end_entity.as_ref()) {
            let parsed = ParsedCertificate::try_from(end_entity)?;
            return verify_server_name(&parsed, name).map(|()| ServerCertVerified::assertion());
        }
        match vouched {
            Some(vouched) => vouched.verify_server_cert(end_entity, intermediates, name, ocsp, now),
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
