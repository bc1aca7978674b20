//! Why a request to a registry failed. Each variant says what, why and what to type. Every failure
//! may pass by itself, so none is final.

use std::time::Duration;

/// A registry, or a mirror, did not do it. Nothing was stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// 404.
    #[error(
        "{host} does not have {what}\n  see that the name and tag are spelt right, or push it there"
    )]
    Unknown {
        /// Who says so.
        host: String,
        /// What it was asked for: `library/nginx:1.27`.
        what: String,
    },
    /// 401, and no login is known.
    #[error(
        "{host} wants a login for {repository} and this node has none for it\n  log in on every node \
         that is to run it: docker login {host}"
    )]
    LoginWanted {
        /// Who says so.
        host: String,
        /// For what.
        repository: String,
    },
    /// 401 in spite of a login.
    #[error(
        "{host} refuses the login of {user} for {repository}\n  log in again with the right \
         password: docker login {host}"
    )]
    LoginRefused {
        /// Who says so.
        host: String,
        /// Whose login.
        user: String,
        /// For what.
        repository: String,
    },
    /// 403.
    #[error(
        "{host} does not allow this: {repository} is not this login's to use (403)\n  ask its owner \
         for the right, or log in as somebody who has it: docker login {host}"
    )]
    Forbidden {
        /// Who says so.
        host: String,
        /// What.
        repository: String,
    },
    /// 429.
    #[error(
        "{host} is asked too often (429){}\n  it is tried again later; a login or a mirror \
         (registry_mirrors) has a limit of its own", after(*.retry_after)
    )]
    TooMany {
        /// Who says so.
        host: String,
        /// When it may be asked again, if it said.
        retry_after: Option<Duration>,
    },
    /// 5xx and everything else that is no answer.
    #[error("{host} fails (status {status})\n  it is tried again; see the registry's own log")]
    Failing {
        /// Who.
        host: String,
        /// What it answered.
        status: u16,
    },
    /// It takes the connection and says nothing.
    #[error(
        "{host} has not answered for {seconds} s\n  it is tried again; see that the registry is well"
    )]
    Silent {
        /// Who.
        host: String,
        /// How long it was waited for.
        seconds: u64,
    },
    /// There is no connection.
    #[error(
        "{host} cannot be reached: {why}\n  it is tried again; see the uplink and the name server"
    )]
    Unreachable {
        /// Who.
        host: String,
        /// What the system said.
        why: String,
    },
    /// It shows a certificate that nobody here trusts.
    #[error(
        "{host} is not trusted: {why}\n  put its CA as {certificates}/{host}/ca.crt on this node, or \
         name it in insecure_registries"
    )]
    Untrusted {
        /// Who.
        host: String,
        /// What is wrong with it.
        why: String,
        /// Where CAs of registries are looked for.
        certificates: String,
    },
    /// The connection ended in the middle.
    #[error("{host} cut the connection in the middle\n  it is resumed where it ended")]
    Cut {
        /// Who.
        host: String,
    },
    /// It answered something that no registry says.
    #[error(
        "{host} does not answer as a registry does: {why}\n  see that a registry listens there"
    )]
    Nonsense {
        /// Who.
        host: String,
        /// What.
        why: String,
    },
    /// What is to be sent cannot be read here.
    #[error("cannot read what is to be sent: {why}\n  see the disk of this node")]
    Unreadable {
        /// What the disk said.
        why: String,
    },
}

impl RegistryError {
    /// Nobody was there to say anything.
    pub fn is_silence(&self) -> bool {
        use RegistryError as E;
        matches!(self, E::Silent { .. } | E::Unreachable { .. } | E::Cut { .. })
    }

    /// What the error means to whoever wants only to know whether the thing is there.
    pub fn is_unknown(&self) -> bool {
        matches!(self, RegistryError::Unknown { .. })
    }
}

fn after(retry_after: Option<Duration>) -> String {
    retry_after.map(|wait| format!(", again in {} s", wait.as_secs())).unwrap_or_default()
}
