//! What travels between two machines. One enum, encoded by `crdt_state::wire` with its version byte;
//! frozen per version.
//!
//! Every message says who sent it, so that an answer needs no state at the receiver. It must hold
//! nothing that only makes sense after another message has arrived.

use std::net::SocketAddr;

use crdt_state::{NodeId, RecordKey};
use serde::{Deserialize, Serialize};

use crate::{Identity, MemberState};

/// A member as told to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) identity: Identity,
    pub(crate) incarnation: u16,
    pub(crate) state: MemberState,
    /// Where the teller reaches it; `None` of itself.
    pub(crate) addr: Option<SocketAddr>,
}
