//! What the name servers of each node answer: here at once, on other nodes by asking their agents.

use crdt_state::task::Run;
use crdt_state::{NetworkId, NodeId, wire};

use super::command::Unanswered;
use super::handle::Handle;
use super::name_said::NameSaid;
use super::networks::{self, Networks};
use crate::transport::{DialFailure, PeerRequest};

/// Addresses of one name that are sent: of 17 bytes each, in a frame of at most 64 KiB. A name
/// server's answer over TCP ends there as well.
pub const NAME_ADDRESSES_MAX: usize = 3_000;

/// Why a node does not say what it answers.
#[derive(Debug, thiserror::Error)]
pub enum NamesUnsaid {
    /// This agent is ending.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
    /// The node is unreachable for the fleet, or no member.
    #[error("it cannot be reached; edgectl node ls")]
    Silent,
    /// It does not answer.
    #[error("{0}")]
    Peer(DialFailure),
    /// The answer is cut off, or no answer.
    #[error("its agent does not know this question; is it of an older version?")]
    Junk,
}

impl Handle {
    /// What the name servers of a node answer about a name on a network. A node that has no
    /// container on the network does not serve it.
    pub async fn ask_name(
        &self,
        node: NodeId,
        name: &str,
        network: NetworkId,
    ) -> Result<NameSaid, NamesUnsaid> {
        if node == self.me() {
            return Ok(say(self.shared.networks.as_ref(), name, network));
        }
        if self.is_silent(node).await? {
            return Err(NamesUnsaid::Silent);
        }
        let route = self.route(node).await?.ok_or(NamesUnsaid::Silent)?;
        let request = PeerRequest::Names { name: name.to_owned(), network };
        let mut reply = self.shared.transport.request(route, request);
        let frame = reply.next().await.ok_or(NamesUnsaid::Junk)?.map_err(NamesUnsaid::Peer)?;
        wire::decode(&frame).map_err(|_| NamesUnsaid::Junk)
    }

    /// The name of a container that is given none, as the name servers know it.
    pub fn container_name() -> fn(Run) -> String {
        networks::short_id
    }
}

/// The answer of this node, also to a peer.
pub(super) fn say(networks: Option<&Networks>, name: &str, network: NetworkId) -> NameSaid {
    let nothing = NameSaid { is_served: false, addresses: None };
    let mut said = networks.map_or(nothing, |networks| networks.say_name(name, network));
    if let Some(addresses) = &mut said.addresses {
        addresses.truncate(NAME_ADDRESSES_MAX);
    }
    said
}
