//! What this node could not do for networks.

/// What is not as planned, as sentences.
#[derive(Default)]
pub(super) struct Failed {
    /// Of links, addresses and routes.
    pub(super) links: Vec<String>,
    /// Of tables.
    pub(super) balancing: Vec<String>,
    /// Rules of the host that drop what it should forward.
    pub(super) host: Vec<String>,
    /// Published ports that programs of this machine have.
    pub(super) taken: Vec<String>,
}

impl Failed {
    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &String> {
        [&self.links, &self.balancing, &self.host, &self.taken].into_iter().flatten()
    }
}
