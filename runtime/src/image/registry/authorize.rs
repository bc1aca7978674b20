//! Answers a challenge: with name and password, or with a token of the service that the registry
//! names.

use reqwest::header::WWW_AUTHENTICATE;
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use super::challenge::{self, Challenge};
use super::endpoint::Endpoint;
use super::{Purpose, RegistryError};
use crate::image::auth::{self, Login};

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
        if !self.access.repository.is_empty() {
            let scope = format!("repository:{}:{actions}", self.access.repository);
            url.query_pairs_mut().append_pair("scope", &scope);
        }
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
