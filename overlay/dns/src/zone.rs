//! What one container may resolve, as the agent tells it.
//!
//! The server asks for every query anew and keeps nothing, so that a change is visible at once. An
//! implementation must not wait: it is called on the task that serves the container.

use std::net::IpAddr;

use hickory_proto::rr::Name;

/// The fleet's names as one container may see them.
pub trait Zone: Send + Sync + 'static {
    /// The addresses of a name. `None`: no such name here, others are asked. A name that exists and
    /// has no address, such as a service without tasks, has empty [`Addresses`].
    fn addresses(&self, name: &AskedName) -> Option<Addresses>;

    /// The name of an address.
    fn reverse(&self, address: IpAddr) -> Reverse;
}

/// The addresses of a name, of both families. In an answer, each group is in random order, and the
/// reachable ones come first: some clients take only what fits into 512 bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// To be tried first.
    pub reachable: Vec<IpAddr>,
    /// Of tasks on nodes that this node does not reach.
    pub unreachable: Vec<IpAddr>,
}

/// The name of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reverse {
    /// An address of one of the container's networks, with its full name (`web.1.x.backend`).
    Named(String),
    /// An address of one of the container's networks that has no name. Nobody else is asked.
    Unnamed,
    /// An address that is not on the container's networks; others are asked.
    Foreign,
}

/// A name from a query.
///
/// Service, task and container names count the same in upper and lower case; the network in
/// `name.network` does not. So both spellings are at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedName {
    text: String,
    lower: Option<String>,
}

impl AskedName {
    /// A name as a client wrote it, with or without the final dot.
    pub fn new(text: &str) -> AskedName {
        let text = text.strip_suffix('.').unwrap_or(text).to_owned();
        let upper = text.bytes().any(|byte| byte.is_ascii_uppercase());
        let lower = upper.then(|| text.to_ascii_lowercase());
        AskedName { text, lower }
    }

    /// The name as asked, without the final dot; empty for the root. Bytes that no name of the
    /// fleet has are escaped (`a\.b`, `\195`), so that two names never have one text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The same in lower case.
    pub fn lower(&self) -> &str {
        self.lower.as_deref().unwrap_or(&self.text)
    }
}

impl From<&Name> for AskedName {
    fn from(name: &Name) -> AskedName {
        AskedName::new(&name.to_ascii())
    }
}
