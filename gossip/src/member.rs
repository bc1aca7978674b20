//! A member as this node sees it.
//!
//! ```text
//!            probe failed            nobody heard it during the suspicion
//!  Alive ──────────────────▶ Suspect ─────────────────────────────────▶ Unreachable
//!    ▲  ◀──────────────────     │                                            │
//!    │    it answered           │ good-bye                                   │
//!    │                          ▼                                            │
//!    └───── new generation ── Left ◀──── good-bye                            │
//!    └───── new generation ──────────────────────────────────────────────────┘
//! ```
//! None of these states is "down": an unreachable member may still run on its own.

use std::net::SocketAddr;

use crdt_state::NodeId;
use serde::{Deserialize, Serialize};

use crate::{Identity, Now};

/// The state of a member, as far as this node knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum MemberState {
    /// It answers.
    Alive,
    /// A probe of it failed, here or elsewhere; it still counts as active.
    Suspect,
    /// Nobody heard it during the suspicion. It may still run on its own.
    Unreachable,
    /// It said good-bye.
    Left,
}

impl MemberState {
    /// Alive or suspect.
    pub fn is_active(self) -> bool {
        matches!(self, MemberState::Alive | MemberState::Suspect)
    }
}

/// Why a member counts as unreachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// It answered none of this node's own probes for the whole suspicion.
    Probe,
    /// Others report it unreachable, and it did not answer when this node asked it.
    Others,
    /// This node hears nobody at all: the member may be healthy.
    Island,
}

impl Evidence {
    /// One word for programs.
    pub fn as_str(self) -> &'static str {
        match self {
            Evidence::Probe => "probe",
            Evidence::Others => "others",
            Evidence::Island => "island",
        }
    }
}

/// One other member of the fleet; a node is not in its own list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Which node.
    pub id: NodeId,
    /// Where datagrams to it are sent: the last address from which it was heard, or which others
    /// reported. `0.0.0.0:0` as long as no address is known.
    pub addr: SocketAddr,
    /// Its state.
    pub state: MemberState,
    /// Why it is unreachable, if it is.
    pub evidence: Option<Evidence>,
    /// Since when it is in this state.
    pub since: Now,
    /// When it was last heard directly; [`Now::START`] if never.
    pub heard: Now,
    /// The generation of its identity.
    pub generation: u64,
}

/// What happened to the membership, in this node's view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberEvent {
    /// A member appeared, or answers again.
    Up(NodeId),
    /// A probe of it failed.
    Suspected(NodeId),
    /// It was not heard during the whole suspicion.
    Unreachable(NodeId),
    /// It said good-bye.
    Left(NodeId),
    /// It is heard from another address; nothing else changed.
    Moved(NodeId, SocketAddr),
    /// This node itself took a new generation, because others believe that the last one is gone, or
    /// reported a higher one. To be persisted if [`Identity::boots`] changed.
    Renewed(Identity),
}
