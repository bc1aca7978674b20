//! Two machines with the key of one node, as others notice it: packets of that node come from two addresses
//! in turn, for as long as both machines run. A node that moves does not come back within seconds.
//!
//! Nothing is decided by it: operators are told, and both machines, which find out the rest by themselves.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crdt_state::NodeId;
use gossip::Now;

/// Back at its last address within this time: the node did not move, there are two. Each of both is heard
/// at least once in a probe interval.
const RETURN_MAX_MS: u64 = 30_000;

/// So many returns in a row are no accident of a network.
const RETURNS: u8 = 6;

/// How often both machines are told while they go on.
const TELL_INTERVAL_MS: u64 = 20_000;

/// Nodes that are followed; beyond, those that moved the longest time ago are dropped.
const FOLLOWED_MAX: usize = 256;

/// What a move shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Move {
    /// The node has another address.
    Moved,
    /// It shows, for the first time, that there are two machines.
    Copied,
    /// There are two machines still, and it is time to tell them so again.
    CopiedAgain,
    /// There are two machines still.
    StillCopied,
}

#[derive(Debug, Clone, Copy)]
struct Trail {
    last: SocketAddr,
    before: Option<SocketAddr>,
    at: Now,
    returns: u8,
    told: Option<Now>,
}

impl Trail {
    fn both(&self) -> Option<[SocketAddr; 2]> {
        let mut both = [self.last, self.before?];
        both.sort();
        Some(both)
    }
}

/// The last moves of each node.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    trails: BTreeMap<NodeId, Trail>,
}

impl Copies {
    /// A node is heard from another address than before.
    pub(crate) fn on_moved(&mut self, now: Now, node: NodeId, addr: SocketAddr) -> Move {
        let Some(trail) = self.trails.get_mut(&node) else {
            if self.trails.len() >= FOLLOWED_MAX
                && let Some((oldest, _)) = self.trails.iter().min_by_key(|(_, trail)| trail.at)
            {
                let oldest = *oldest;
                self.trails.remove(&oldest);
            }
            self.trails
                .insert(node, Trail { last: addr, before: None, at: now, returns: 0, told: None });
            return Move::Moved;
        };
        let is_return = trail.before == Some(addr) && now.since(trail.at) <= RETURN_MAX_MS;
        let returns = if is_return { trail.returns.saturating_add(1) } else { 0 };
        let was_copied = trail.returns >= RETURNS;
        let is_copied = returns >= RETURNS;
        let is_due = trail.told.is_none_or(|told| now.since(told) >= TELL_INTERVAL_MS);
        let told = if is_copied && is_due { Some(now) } else { trail.told };
        *trail = Trail { last: addr, before: Some(trail.last), at: now, returns, told };
        match (was_copied, is_copied) {
            (_, false) => Move::Moved,
            (false, true) => Move::Copied,
            (true, true) if is_due => Move::CopiedAgain,
            (true, true) => Move::StillCopied,
        }
    }

    /// The nodes whose key two machines have, each with both addresses.
    pub(crate) fn all(&self, now: Now) -> Vec<(NodeId, [SocketAddr; 2])> {
        let is_copied =
            |trail: &Trail| trail.returns >= RETURNS && now.since(trail.at) <= RETURN_MAX_MS;
        let copied = self.trails.iter().filter(|(_, trail)| is_copied(trail));
        copied.filter_map(|(node, trail)| Some((*node, trail.both()?))).collect()
    }

    /// The last two addresses of a node.
    pub(crate) fn both(&self, node: NodeId) -> Option<[SocketAddr; 2]> {
        self.trails.get(&node)?.both()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId([1; 16]);

    fn addr(n: u16) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 1], n))
    }

    #[test]
    fn a_node_at_two_addresses_in_turn_is_two_machines_until_one_is_silent() {
        let mut copies = Copies::default();
        let moves: Vec<Move> = (0..u64::from(RETURNS) + 3)
            .map(|n| copies.on_moved(Now(1_000 * n), NODE, addr((n % 2) as u16)))
            .collect();
        let (last, rest) = moves.split_last().expect("moves");
        assert_eq!(*last, Move::StillCopied);
        assert_eq!(rest.iter().filter(|shown| **shown == Move::Copied).count(), 1, "told once");
        let end = Now(1_000 * (u64::from(RETURNS) + 2));
        assert_eq!(copies.all(end), [(NODE, [addr(0), addr(1)])]);
        assert_eq!(copies.all(end.plus(RETURN_MAX_MS + 1)), []);
    }

    #[test]
    fn a_node_that_moves_on_or_comes_back_later_is_one_machine() {
        let mut copies = Copies::default();
        for n in 0..20 {
            assert_eq!(copies.on_moved(Now(1_000 * n), NODE, addr(n as u16)), Move::Moved);
        }
        for n in 1..20 {
            let now = Now(100_000 + n * (RETURN_MAX_MS + 1));
            assert_eq!(copies.on_moved(now, NODE, addr((n % 2) as u16)), Move::Moved);
        }
        assert_eq!(copies.all(Now(100_000)), []);
    }

    #[test]
    fn nodes_that_are_followed_are_bounded() {
        let mut copies = Copies::default();
        for n in 0..=u8::MAX {
            for m in 0..4 {
                copies.on_moved(
                    Now(u64::from(n)),
                    NodeId([n, m, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
                    addr(1),
                );
            }
        }
        assert_eq!(copies.trails.len(), FOLLOWED_MAX);
    }
}
