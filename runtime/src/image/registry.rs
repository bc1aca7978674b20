//! A registry as a client sees it: manifests by tag or digest, blobs from an offset, and the way
//! back for a push (`push`).
//! A [`RegistryClient`] is one piece of work with one repository: its mirrors in order, then the
//! registry itself, each with its login and its token. It is dropped after the work, because a
//! client with its certificates takes a megabyte that an idle node need not hold. It does not
//! retry: the caller gets the failure with its reason and decides when to retry. Bytes are passed
//! on as they are received, unverified; the store verifies them (`runtime::image`).
//!
//! The theory: the OCI distribution specification 1.1.

mod authorize;
mod challenge;
mod endpoint;
mod failure;
mod hosts;
mod push;
mod tls;
mod token;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

pub use endpoint::Timeouts;
pub use failure::RegistryError;
pub use push::Source;
pub use token::Tokens;

use super::auth::Login;
use super::mirror::Host;
use endpoint::{Access, Endpoint};

/// A manifest or an index at most. The specification asks registries for 4 MiB.
pub const MANIFEST_BYTES_MAX: usize = 4 * 1024 * 1024;

/// What is understood as a manifest, OCI's and Docker's.
pub(crate) const MANIFEST_TYPES: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

/// What a node knows of registries besides logins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryConfig {
    /// `host:port`s that may be spoken to without TLS; loopback always may.
    pub insecure: Vec<String>,
    /// Mirrors by registry, in the order they are tried.
    pub mirrors: BTreeMap<String, Vec<Host>>,
    /// A folder as Docker's `/etc/docker/certs.d`: `<host[:port]>/*.crt`.
    pub certificates: PathBuf,
    /// How long a registry may be silent.
    pub timeouts: Timeouts,
    /// What they accepted last; shared by all clones of this.
    pub tokens: Tokens,
}

impl Default for RegistryConfig {
    fn default() -> RegistryConfig {
        RegistryConfig {
            insecure: Vec::new(),
            mirrors: BTreeMap::new(),
            certificates: PathBuf::from("/etc/docker/certs.d"),
            timeouts: Timeouts::default(),
            tokens: Tokens::default(),
        }
    }
}

/// A repository of a registry: `docker.io`, `library/nginx`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Repository {
    /// Host, with a port if there is one.
    pub registry: String,
    /// Name within it.
    pub name: String,
}

/// What a session is for; tokens are given out for one of both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To read.
    Pull,
    /// To write, and to read what is there already. Mirrors take no part.
    Push,
}

/// A manifest or an index as the registry keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawManifest {
    /// Its bytes, of which the digest is the hash. At most [`MANIFEST_BYTES_MAX`].
    pub bytes: Bytes,
    /// What the registry calls it.
    pub media_type: String,
    /// Who gave it: a mirror or the registry.
    pub host: String,
}

/// Work with one repository.
pub struct RegistryClient {
    repository: Repository,
    endpoints: Vec<Arc<Endpoint>>,
}

impl RegistryClient {
    /// Prepares; nothing is sent yet.
    pub fn open(
        config: &RegistryConfig,
        repository: Repository,
        login: Login,
        purpose: Purpose,
    ) -> Result<RegistryClient, RegistryError> {
        let hosts = hosts::hosts(config, &repository.registry, purpose);
        let endpoints = hosts.into_iter().map(|host| {
            // A mirror is somebody else: it is never shown the registry's login.
            let login = if host.is_mirror { Login::Anonymous } else { login.clone() };
            let access = Access { repository: repository.name.clone(), login, purpose };
            Endpoint::new(config, host, access).map(Arc::new)
        });
        let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;
        Ok(RegistryClient { repository, endpoints })
    }

    /// The repository it works with.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Reads a manifest by tag or digest, from the first that has it.
    pub async fn manifest(&self, name: &str) -> Result<RawManifest, RegistryError> {
        let mut last = None;
        for endpoint in &self.endpoints {
            match endpoint.manifest(name).await {
                Ok(manifest) => return Ok(manifest),
                Err(error) => last = Some(worse(last, error)),
            }
        }
        Err(last.expect("the registry itself is always among the endpoints"))
    }

    /// Reads a blob from an offset, from the first that has it. A registry that cannot resume sends
    /// all of it; then what precedes the offset is dropped here.
    pub async fn blob(&self, digest: &str, offset: u64) -> Result<BlobStream, RegistryError> {
        let mut last = None;
        for endpoint in &self.endpoints {
            match endpoint.blob(digest, offset).await {
                Ok(stream) => return Ok(stream),
                Err(error) => last = Some(worse(last, error)),
            }
        }
        Err(last.expect("the registry itself is always among the endpoints"))
    }

    /// Does the registry take the login of this session? Its repository has no name: so nothing is
    /// asked of one.
    pub async fn check_login(&self) -> Result<(), RegistryError> {
        self.origin().check_login().await
    }

    /// The registry itself, which comes after its mirrors.
    fn origin(&self) -> &Arc<Endpoint> {
        self.endpoints.last().expect("the registry itself is always among the endpoints")
    }
}

/// What the registry itself says counts, unless only a mirror could be spoken to.
fn worse(before: Option<RegistryError>, now: RegistryError) -> RegistryError {
    match before {
        Some(before) if now.is_silence() && !before.is_silence() => before,
        _ => now,
    }
}

/// The rest of a blob as it arrives.
pub struct BlobStream {
    host: String,
    idle: Duration,
    /// Bytes to drop before the offset that was asked for.
    skip: u64,
    /// Bytes that are still to come, if the registry said.
    left: Option<u64>,
    body: std::pin::Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
}

impl BlobStream {
    /// Who sends it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Bytes that are still to come, if the registry said.
    pub fn left(&self) -> Option<u64> {
        self.left.map(|left| left - self.skip.min(left))
    }

    /// The next bytes; `None` at the end. A connection that is cut or silent is an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, RegistryError>> {
        loop {
            let next = match tokio::time::timeout(self.idle, self.body.next()).await {
                Ok(next) => next,
                Err(_) => {
                    let seconds = self.idle.as_secs();
                    return Some(Err(RegistryError::Silent { host: self.host.clone(), seconds }));
                }
            };
            let mut bytes = match next {
                None if self.left.is_some_and(|left| left > 0) => {
                    return Some(Err(RegistryError::Cut { host: self.host.clone() }));
                }
                None => return None,
                Some(Err(_)) => {
                    return Some(Err(RegistryError::Cut { host: self.host.clone() }));
                }
                Some(Ok(bytes)) => bytes,
            };
            self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
            let skip = self.skip.min(bytes.len() as u64);
            self.skip -= skip;
            let rest = bytes.split_off(usize::try_from(skip).expect("within the piece"));
            if !rest.is_empty() {
                return Some(Ok(rest));
            }
        }
    }
}
