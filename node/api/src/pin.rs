//! Resolves the digest of an image when a service is created or its image is changed, so that every
//! node runs the same image.
//!
//! ```text
//! create, update ─▶ image changed, has no digest, nobody refused ─▶ asked for ─▶ nginx:1@sha256:…
//!                                                                      └ no answer ─▶ a warning
//! ```
//! A service is created in any case: a site without an uplink runs the images that it has.

use std::time::Duration;

use axum::http::{HeaderMap, header};
use crdt_state::spec::{Runtime, Template};
use runtime::image::Reference;
use runtime::image::auth::{self, Login};

use super::Api;
use super::failure::Failure;

/// If a registry has not answered within this time, there is a warning instead: the client waits
/// for this. Shorter than the time that `edgectl` waits for an answer, 10 s.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(6);

/// When the digest is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolve {
    /// If the image changes.
    Changed,
    /// Also if its name stays the same: the name may have another digest by now.
    Always,
    /// Never.
    Never,
}

/// Reads the option of a request: `?resolve=always|never`.
///
/// Docker's own client asks the registry itself before it sends a spec: a spec without a digest is
/// intended, or the client has warned already.
pub fn resolve_mode(query: Option<&str>, headers: &HeaderMap) -> Result<Resolve, Failure> {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let asked_itself = agent.is_some_and(|agent| agent.starts_with("Docker-Client/"));
    match query {
        Some("always") => Ok(Resolve::Always),
        Some("never") => Ok(Resolve::Never),
        None | Some("" | "changed") if asked_itself => Ok(Resolve::Never),
        None | Some("" | "changed") => Ok(Resolve::Changed),
        Some(other) => Err(Failure::Bad(format!(
            "resolve=`{other}` is none of changed, always, never; leave it out"
        ))),
    }
}

/// The login that came with a request, as Docker's clients encode it.
pub fn login(headers: &HeaderMap) -> Result<Option<Login>, Failure> {
    let Some(value) = headers.get("x-registry-auth") else { return Ok(None) };
    let text = value.to_str().unwrap_or("\u{0}");
    auth::from_header(text).map_err(|bad| Failure::Bad(bad.to_string()))
}

/// Adds the digest to the image and notes its platforms. Returns a warning if that fails.
pub async fn pin(
    api: &Api,
    template: &mut Template,
    before: Option<&Template>,
    mode: Resolve,
    login: Option<Login>,
) -> Option<String> {
    if !is_asked_for(template, before, mode) {
        return None;
    }
    let mut reference: Reference = template.image.parse().ok()?;
    let resolved = tokio::time::timeout(ANSWER_WAIT_MAX, api.handle.resolve(&reference, login));
    let reason = match resolved.await {
        Ok(Ok(pinned)) => {
            reference.digest = Some(pinned.digest);
            template.image = reference.to_string();
            template.container.platforms = pinned.platforms;
            return None;
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("nobody answered within {} s", ANSWER_WAIT_MAX.as_secs()),
    };
    Some(unresolved(&template.image, &reason))
}

fn is_asked_for(template: &Template, before: Option<&Template>, mode: Resolve) -> bool {
    let is_new = before.is_none_or(|before| before.image != template.image);
    template.runtime == Runtime::Container
        && !template.image.contains('@')
        && match mode {
            Resolve::Changed => is_new,
            Resolve::Always => true,
            Resolve::Never => false,
        }
}

/// The warning in Docker's words, and the reason.
fn unresolved(image: &str, reason: &str) -> String {
    format!(
        "image {image} could not be accessed on a registry to record\nits digest. Each node will \
         access {image} independently,\npossibly leading to different nodes running different\n\
         versions of the image.\nwhy: {reason}\n"
    )
}

#[cfg(test)]
mod tests {
    use runtime::image::Digest;

    use super::*;

    fn container(image: &str) -> Template {
        Template { runtime: Runtime::Container, image: image.to_owned(), ..Template::default() }
    }

    #[test]
    fn only_a_new_image_without_a_digest_is_asked_for() {
        let (old, new) = (container("app:1"), container("app:2"));
        assert!(is_asked_for(&new, None, Resolve::Changed));
        assert!(is_asked_for(&new, Some(&old), Resolve::Changed));
        assert!(!is_asked_for(&new, Some(&new), Resolve::Changed), "a label was changed");
        assert!(is_asked_for(&new, Some(&new), Resolve::Always));
        assert!(!is_asked_for(&new, None, Resolve::Never));
        let pinned = container(&format!("app:2@{}", Digest::of(b"")));
        assert!(!is_asked_for(&pinned, None, Resolve::Always));
        assert!(!is_asked_for(&Template::default(), None, Resolve::Always), "a program");
    }

    #[test]
    fn docker_s_own_client_has_asked_already() {
        let mut headers = HeaderMap::new();
        assert_eq!(resolve_mode(None, &headers).ok(), Some(Resolve::Changed));
        headers.insert(header::USER_AGENT, "Docker-Client/28.2.2 (linux)".parse().expect("valid"));
        assert_eq!(resolve_mode(None, &headers).ok(), Some(Resolve::Never));
        assert_eq!(resolve_mode(Some("always"), &headers).ok(), Some(Resolve::Always));
        assert!(resolve_mode(Some("maybe"), &headers).is_err());
    }

    #[test]
    fn the_warning_is_docker_s() {
        let text = unresolved("nginx:latest", "no network");
        assert!(
            text.starts_with("image nginx:latest could not be accessed on a registry to record")
        );
    }
}
