//! One host that speaks the distribution protocol: its scheme, its token, its answers sorted.
//!
//! ```text
//! request ── 401 and a challenge ──▶ token (or name and password) ──▶ the same request once more
//! ```
//! Credentials go to the host and to the token service that it names over TLS, and nowhere else:
//! a redirect to another host loses them (reqwest's rule).

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, RANGE, RETRY_AFTER,
};
use reqwest::{Method, Response, StatusCode};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::failure::RegistryError;
use super::token::Grant;
use super::{
    BlobStream, MANIFEST_BYTES_MAX, MANIFEST_TYPES, Purpose, RawManifest, RegistryConfig, tls,
};
use crate::image::auth::Login;
use crate::image::mirror::{Host, Schemes};

/// How long a registry may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until there is a connection: ten round trips of a satellite.
    pub connect: Duration,
    /// Until it begins to answer: some look for a blob in a slow store first.
    pub answer: Duration,
    /// Between two pieces of an answer.
    pub idle: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        let seconds = Duration::from_secs;
        Timeouts { connect: seconds(6), answer: seconds(20), idle: seconds(20) }
    }
}

/// What is wanted of a host.
pub(super) struct Access {
    /// Which repository.
    pub(super) repository: String,
    /// As whom.
    pub(super) login: Login,
    /// For what.
    pub(super) purpose: Purpose,
}

pub(super) struct Endpoint {
    host: Host,
    pub(super) access: Access,
    timeouts: Timeouts,
    certificates: String,
    pub(super) http: reqwest::Client,
    /// `https` or `http`, once it is known.
    scheme: OnceCell<&'static str>,
    pub(super) grant: Arc<Grant>,
}

impl Endpoint {
    pub(super) fn new(
        config: &RegistryConfig,
        host: Host,
        access: Access,
    ) -> Result<Endpoint, RegistryError> {
        let unusable = |why: String| RegistryError::Nonsense { host: host.authority.clone(), why };
        let tls = tls::config(&config.certificates, &host).map_err(unusable)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(config.timeouts.connect)
            .pool_max_idle_per_host(4)
            .user_agent(concat!("edgectl/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| unusable(error.to_string()))?;
        let (repository, login) = (&access.repository, &access.login);
        let grant = config.tokens.of(&host.authority, repository, login, access.purpose);
        Ok(Endpoint {
            access,
            timeouts: config.timeouts,
            certificates: config.certificates.display().to_string(),
            http,
            scheme: OnceCell::new(),
            grant,
            host,
        })
    }

    /// Its name, for messages.
    pub(super) fn name(&self) -> &str {
        match self.host.authority.as_str() {
            "registry-1.docker.io" => "docker.io",
            authority => authority,
        }
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    pub(super) async fn manifest(&self, name: &str) -> Result<RawManifest, RegistryError> {
        let accept = HeaderMap::from_iter([(ACCEPT, header(MANIFEST_TYPES))]);
        let url = self.url(&format!("manifests/{name}")).await?;
        let response = self.ask(Method::GET, &url, accept).await?;
        let response = self.expect(response, || self.named(name))?;
        let media_type = response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let media_type = media_type.unwrap_or_default().to_owned();
        let bytes = self.body(response, MANIFEST_BYTES_MAX).await?;
        Ok(RawManifest { bytes: bytes.into(), media_type, host: self.name().to_owned() })
    }

    pub(super) async fn blob(
        &self,
        digest: &str,
        offset: u64,
    ) -> Result<BlobStream, RegistryError> {
        let url = self.url(&format!("blobs/{digest}")).await?;
        let what = || format!("blob {digest} of {}", self.access.repository);
        if offset > 0 {
            let headers = HeaderMap::from_iter([(RANGE, header(&format!("bytes={offset}-")))]);
            let response = self.ask(Method::GET, &url, headers).await?;
            let skip = match response.status() {
                StatusCode::PARTIAL_CONTENT => {
                    begins(&response).and_then(|at| offset.checked_sub(at))
                }
                StatusCode::RANGE_NOT_SATISFIABLE => None,
                _ => Some(offset),
            };
            if let Some(skip) = skip {
                return Ok(self.stream(self.expect(response, what)?, skip));
            }
            // Another part than was asked for, or none: the whole is no question.
        }
        let response = self.ask(Method::GET, &url, HeaderMap::new()).await?;
        Ok(self.stream(self.expect(response, what)?, offset))
    }

    /// The body of a blob, of which so many bytes are here already.
    fn stream(&self, response: Response, skip: u64) -> BlobStream {
        BlobStream {
            host: self.name().to_owned(),
            idle: self.timeouts.idle,
            skip,
            left: response.content_length(),
            body: Box::pin(response.bytes_stream()),
        }
    }

    /// The address of something in the repository.
    pub(super) async fn url(&self, path: &str) -> Result<String, RegistryError> {
        Ok(format!("{}{}/{path}", self.base().await?, self.access.repository))
    }

    /// Where a registry says whether it is one, and who may use it.
    async fn base(&self) -> Result<String, RegistryError> {
        let scheme = self.scheme.get_or_try_init(|| self.find_scheme()).await?;
        Ok(format!("{scheme}://{}/v2/", self.host.authority))
    }

    /// Does the registry take the login of this session?
    pub(super) async fn check_login(&self) -> Result<(), RegistryError> {
        let url = self.base().await?;
        let response = self.ask(Method::GET, &url, HeaderMap::new()).await?;
        self.expect(response, || "/v2/".to_owned()).map(drop)
    }

    pub(super) fn origin(&self) -> String {
        format!("{}://{}", self.scheme.get().unwrap_or(&"https"), self.host.authority)
    }

    async fn find_scheme(&self) -> Result<&'static str, RegistryError> {
        match self.host.schemes {
            Schemes::Https => return Ok("https"),
            Schemes::Http => return Ok("http"),
            Schemes::Either => {}
        }
        let https = self.http.get(format!("https://{}/v2/", self.host.authority)).send();
        match timeout(self.timeouts.connect, https).await {
            Ok(Ok(_)) => Ok("https"),
            Ok(Err(_)) => Ok("http"),
            Err(_) => Err(self.silent(self.timeouts.connect)),
        }
    }

    /// Asks, and once more with what the challenge wants. Every status but 401 is an answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
    ) -> Result<Response, RegistryError> {
        let sent = self.grant.accepted();
        let first = self.send(self.request(method.clone(), url).headers(headers.clone())).await?;
        if first.status() != StatusCode::UNAUTHORIZED {
            return Ok(first);
        }
        self.authorize(&first, sent).await?;
        let second = self.send(self.request(method, url).headers(headers)).await?;
        match second.status() {
            StatusCode::UNAUTHORIZED => Err(self.not_authorized()),
            _ => Ok(second),
        }
    }

    /// A request with what was accepted last.
    pub(super) fn request(&self, method: Method, url: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, url);
        match self.grant.accepted() {
            // An upload may continue at another host, which must not see this.
            Some(known) if url.starts_with(&format!("{}/", self.origin())) => {
                request.header(AUTHORIZATION, known)
            }
            _ => request,
        }
    }

    /// Sends, with the deadline of an answer.
    pub(super) async fn send(
        &self,
        request: reqwest::RequestBuilder,
    ) -> Result<Response, RegistryError> {
        self.send_within(request, self.timeouts.answer).await
    }

    /// The same for a request that itself takes long.
    pub(super) async fn send_within(
        &self,
        request: reqwest::RequestBuilder,
        deadline: Duration,
    ) -> Result<Response, RegistryError> {
        match timeout(deadline, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.sort(&error)),
            Err(_) => Err(self.silent(deadline)),
        }
    }

    /// Lets only success through.
    pub(super) fn expect(
        &self,
        response: Response,
        what: impl FnOnce() -> String,
    ) -> Result<Response, RegistryError> {
        let host = self.name().to_owned();
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(match status {
            StatusCode::NOT_FOUND => RegistryError::Unknown { host, what: what() },
            StatusCode::UNAUTHORIZED => self.not_authorized(),
            StatusCode::FORBIDDEN => {
                RegistryError::Forbidden { host, repository: self.access.repository.clone() }
            }
            StatusCode::TOO_MANY_REQUESTS => {
                let seconds =
                    response.headers().get(RETRY_AFTER).and_then(|text| text.to_str().ok());
                let seconds = seconds.and_then(|text| text.trim().parse().ok());
                RegistryError::TooMany { host, retry_after: seconds.map(Duration::from_secs) }
            }
            status => RegistryError::Failing { host, status: status.as_u16() },
        })
    }

    /// Reads a small answer whole.
    pub(super) async fn body(
        &self,
        mut response: Response,
        bytes_max: usize,
    ) -> Result<Vec<u8>, RegistryError> {
        let mut body = Vec::new();
        loop {
            let piece = match timeout(self.timeouts.idle, response.chunk()).await {
                Ok(Ok(piece)) => piece,
                Ok(Err(_)) => return Err(RegistryError::Cut { host: self.name().to_owned() }),
                Err(_) => return Err(self.silent(self.timeouts.idle)),
            };
            let Some(piece) = piece else { return Ok(body) };
            if body.len() + piece.len() > bytes_max {
                let why = format!("it sends more than {bytes_max} bytes where few belong");
                return Err(RegistryError::Nonsense { host: self.name().to_owned(), why });
            }
            body.extend_from_slice(&piece);
        }
    }

    /// `library/nginx:1.27`, or with `@` and a digest.
    fn named(&self, name: &str) -> String {
        let separator = if name.contains(':') { '@' } else { ':' };
        format!("{}{separator}{name}", self.access.repository)
    }

    pub(super) fn not_authorized(&self) -> RegistryError {
        let (host, repository) = (self.name().to_owned(), self.access.repository.clone());
        match &self.access.login {
            Login::Anonymous => RegistryError::LoginWanted { host, repository },
            Login::Basic { user, .. } => {
                RegistryError::LoginRefused { host, user: user.clone(), repository }
            }
            Login::Token(_) => {
                RegistryError::LoginRefused { host, user: "a token".to_owned(), repository }
            }
        }
    }

    fn silent(&self, waited: Duration) -> RegistryError {
        RegistryError::Silent { host: self.name().to_owned(), seconds: waited.as_secs().max(1) }
    }

    fn sort(&self, error: &reqwest::Error) -> RegistryError {
        let host = self.name().to_owned();
        if let Some(why) = tls::distrust(error) {
            return RegistryError::Untrusted { host, why, certificates: self.certificates.clone() };
        }
        if error.is_timeout() {
            return self.silent(self.timeouts.connect);
        }
        if error.is_connect() {
            return RegistryError::Unreachable { host, why: innermost(error) };
        }
        if error.is_redirect() || error.is_builder() {
            return RegistryError::Nonsense { host, why: innermost(error) };
        }
        RegistryError::Cut { host }
    }
}

/// Where a part begins, if it says: `bytes 100-199/200`.
fn begins(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (unit, range) = range.trim().split_once(' ')?;
    let begin = range.trim_start().split_once('-')?.0;
    begin.parse().ok().filter(|_| unit.eq_ignore_ascii_case("bytes"))
}

fn header(text: &str) -> reqwest::header::HeaderValue {
    text.parse().expect("made of letters, digits and punctuation")
}

/// The cause at the bottom: what the system said.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}
