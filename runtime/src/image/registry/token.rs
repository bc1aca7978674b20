//! What registries accepted last, kept between pieces of work: one token per repository and login,
//! not one per blob.
//!
//! A token that has run out is answered with 401 and fetched anew, so nothing here knows how long one
//! is good. What it is kept under is a hash: no password stays because of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::challenge::{self, Challenge};
use super::endpoint::Endpoint;
use super::{Purpose, RegistryError};
use crate::image::auth::{self, Login};
use crate::image::digest::Digest;

/// Kept at most, a few hundred bytes each; then all are forgotten, and fetched again by who needs
/// them.
const GRANTS_MAX: usize = 256;

/// All that are kept; clones are the same one.
#[derive(Clone, Default)]
pub struct Tokens(Arc<Mutex<BTreeMap<Digest, Arc<Grant>>>>);

/// The `Authorization` for one repository of one host, as one login, for one purpose.
#[derive(Default)]
pub(super) struct Grant {
    accepted: Mutex<Option<String>>,
    /// Held by whoever asks for a new one; the others wait for that.
    pub(super) asking: tokio::sync::Mutex<()>,
}

impl Tokens {
    pub(super) fn of(
        &self,
        host: &str,
        repository: &str,
        login: &Login,
        purpose: Purpose,
    ) -> Arc<Grant> {
        let writes = purpose == Purpose::Push;
        let key = serde_json::to_vec(&(host, repository, login, writes));
        let key = Digest::of(&key.expect("it has a form in JSON"));
        let mut kept = self.0.lock().expect("nothing panics while it holds this");
        if kept.len() >= GRANTS_MAX && !kept.contains_key(&key) {
            kept.clear();
        }
        Arc::clone(kept.entry(key).or_default())
    }
}

impl Grant {
    pub(super) fn accepted(&self) -> Option<String> {
        self.accepted.lock().expect("nothing panics while it holds this").clone()
    }

    pub(super) fn accept(&self, authorization: String) {
        *self.accepted.lock().expect("nothing panics while it holds this") = Some(authorization);
    }
}

/// What a token service answers; some say `token`, some `access_token`.
#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl Endpoint {
    /// Answers the challenge of a refusal, unless somebody else got what was not `sent` with it.
    pub(super) async fn authorize(
        &self,
        refused: &Response,
        sent: Option<String>,
    ) -> Result<(), RegistryError> {
        let _one_at_a_time = self.grant.asking.lock().await;
        let accepted = self.grant.accepted();
        if accepted.is_some() && accepted != sent {
            return Ok(());
        }
        let headers = refused.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenges = headers.filter_map(|value| Some(challenge::parse(value.to_str().ok()?)));
        let challenge = challenge::preferred(challenges.flatten().collect());
        let found = match (challenge, &self.access.login) {
            (Some(Challenge::Basic), Login::Basic { user, password }) => {
                format!("Basic {}", auth::basic(user, password))
            }
            (Some(Challenge::Bearer { realm, service, .. }), login) => {
                let token = self.token(&realm, service.as_deref(), login).await?;
                format!("Bearer {token}")
            }
            _ => return Err(self.not_authorized()),
        };
        self.grant.accept(found);
        Ok(())
    }

    async fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        login: &Login,
    ) -> Result<String, RegistryError> {
        if let Login::Token(token) = login {
            return Ok(token.clone());
        }
        let actions = if self.access.purpose == Purpose::Push { "pull,push" } else { "pull" };
        let nonsense = |why: String| RegistryError::Nonsense { host: self.name().to_owned(), why };
        let mut url = reqwest::Url::parse(realm)
            .map_err(|_| nonsense(format!("its token service is `{realm}`")))?;
        if self.origin().starts_with("https") && url.scheme() != "https" {
            return Err(nonsense("its token service speaks without TLS".to_owned()));
        }
        let scope = format!("repository:{}:{actions}", self.access.repository);
        url.query_pairs_mut().append_pair("scope", &scope);
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        let mut request = self.http.get(url);
        if let Login::Basic { user, password } = login {
            request = request.basic_auth(user, Some(password));
        }
        let response = self.send(request).await?;
        if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(self.not_authorized());
        }
        let response = self.expect(response, || self.access.repository.clone())?;
        let bytes = self.body(response, 64 * 1024).await?;
        let token: Token = serde_json::from_slice(&bytes)
            .map_err(|_| nonsense("its token service sends no token".to_owned()))?;
        Ok(if token.token.is_empty() { token.access_token } else { token.token })
    }
}

/// What is kept decides nothing but how often a registry is asked.
impl PartialEq for Tokens {
    fn eq(&self, _: &Tokens) -> bool {
        true
    }
}

impl Eq for Tokens {}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens")
    }
}
