//! Routes to other nodes: their last known address, and members that may relay.

use crdt_state::NodeId;
use gossip::{Gossip, MemberState};

use super::command::Unanswered;
use super::handle::Handle;
use crate::transport::Route;

/// Members that are named as relays.
const RELAYS_MAX: usize = 4;

impl Handle {
    /// The route to a node; `None` if it is no known member.
    pub(super) async fn route(&self, node: NodeId) -> Result<Option<Route>, Unanswered> {
        self.read(move |core| route(core.gossip(), node)).await
    }
}

/// Relays are alive members; those that this node itself heard last come first.
fn route(gossip: &Gossip, to: NodeId) -> Option<Route> {
    let addr = gossip.member(to)?.addr;
    let alive = gossip.members().filter(|member| member.state == MemberState::Alive);
    let mut others: Vec<_> = alive.filter(|member| member.id != to).collect();
    others.sort_by_key(|member| (std::cmp::Reverse(member.heard), member.id));
    let relays = others.into_iter().take(RELAYS_MAX).map(|member| (member.id, member.addr));
    Some(Route { to, addr, relays: relays.collect() })
}
