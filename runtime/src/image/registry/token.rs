//! The tokens that registries accepted last, kept between requests: one for each repository and
//! login, not one for each blob.
//!
//! An expired token is answered with 401 and requested again, so no lifetime is kept. The key of a
//! token is a hash: no password stays in memory because of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::Purpose;
use crate::image::auth::Login;
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
