//! What one node says that it answers about a name, as it is sent between agents.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What the name servers of one node answer about a name on one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameSaid {
    /// Is any container of the node on the network? If not, nobody asks there.
    pub is_served: bool,
    /// The addresses, in the order in which they should be tried; `None`: it has no such name.
    pub addresses: Option<Vec<IpAddr>>,
}
