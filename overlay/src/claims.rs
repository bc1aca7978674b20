//! Whose block is it, and which one does a node claim next.
//!
//! A claim is written by the node that makes it, without asking anyone. Two sides of a partition
//! may claim one block: then the lower Lamport counter holds, then the lower id, and the other node
//! gives the block up. The block of a node that is absent stays its own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crdt_state::network::{Block, NodeNetworks};
use crdt_state::{NetworkId, NodeId};
use ipnet::IpNet;

use crate::blocks::Division;
use crate::pool::{hash, overlap};

/// The claims of all nodes.
pub type Claims = BTreeMap<NodeId, NodeNetworks>;

/// Which of a node's blocks on one network it has to give up; `others` are the blocks of all other
/// nodes there.
pub fn lost<'a>(
    mine: &[Block],
    me: NodeId,
    others: impl Iterator<Item = (NodeId, &'a Block)>,
) -> Vec<Block> {
    let others: Vec<(NodeId, &Block)> = others.collect();
    let is_lost = |block: &&Block| {
        let mut theirs = others.iter().filter(|(_, other)| overlap(&other.subnet, &block.subnet));
        theirs.any(|(node, other)| (other.claimed, *node) < (block.claimed, me))
    };
    mine.iter().filter(is_lost).copied().collect()
}

/// The next block for a node: the first free one from a place that is a hash of node and network.
/// `None`: all are taken. `claimed` are the blocks of all nodes on the network; `is_taken` names what
/// is taken otherwise, such as virtual addresses.
pub fn choose(
    division: &Division,
    (node, network): (NodeId, NetworkId),
    claimed: &[IpNet],
    is_taken: impl Fn(&IpNet) -> bool,
) -> Option<IpNet> {
    let count = division.claimable();
    let start = hash("edgectl network block 1", &[&network.0, &node.0]) % count.max(1);
    let candidates = (0..count).map(|step| division.block((start + step) % count));
    let claimed = Claimed::of(claimed);
    let is_free =
        |block: &IpNet| division.is_usable(block) && !claimed.meets(block) && !is_taken(block);
    // At most so many blocks are taken: the search ends long before the last of 2^32 blocks.
    candidates.into_iter().find(is_free)
}

/// The first and the last address of what is claimed, in order, without overlaps. On a full network
/// there are thousands of blocks, and each is compared with all.
struct Claimed(Vec<(IpAddr, IpAddr)>);

impl Claimed {
    fn of(blocks: &[IpNet]) -> Claimed {
        let mut ends: Vec<_> = blocks.iter().map(|net| (net.network(), net.broadcast())).collect();
        ends.sort_unstable();
        // Of two subnets that meet one contains the other, and it comes first.
        ends.dedup_by(|later, earlier| later.0 <= earlier.1 && later.1 <= earlier.1);
        Claimed(ends)
    }

    fn meets(&self, block: &IpNet) -> bool {
        let behind = self.0.partition_point(|(first, _)| *first <= block.broadcast());
        behind > 0 && self.0[behind - 1].1 >= block.network()
    }
}

#[cfg(test)]
mod tests {
    use crdt_state::network::AddressRange;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::pool::default_gateway;

    const NET: NetworkId = NetworkId([7; 16]);

    fn division(subnet: &str) -> Division {
        let subnet: IpNet = subnet.parse().expect("a subnet");
        let gateway = default_gateway(&subnet);
        Division::of(&AddressRange { subnet, gateway, range: None, reserved: BTreeMap::new() })
    }

    fn node(n: u8) -> NodeId {
        NodeId([n; 16])
    }

    /// The blocks that a node has to give up, of all that were claimed.
    fn lost_by(claims: &[(NodeId, Block)], me: NodeId) -> Vec<Block> {
        let mine = claims.iter().filter(|(node, _)| *node == me).map(|(_, block)| *block);
        let others = claims.iter().filter(|(node, _)| *node != me).map(|(node, b)| (*node, b));
        lost(&mine.collect::<Vec<_>>(), me, others)
    }

    #[test]
    fn nodes_that_see_each_other_never_claim_alike() {
        let (division, mut claims) = (division("10.0.0.0/28"), Vec::new());
        let next = |node, claims: &[(NodeId, Block)]| {
            let claimed: Vec<IpNet> = claims.iter().map(|(_, block)| block.subnet).collect();
            choose(&division, (node, NET), &claimed, |_| false)
        };
        for at in 0..13 {
            let subnet = next(node(at % 5), &claims).expect("free");
            claims.push((node(at % 5), Block { subnet, claimed: at.into() }));
        }
        assert_eq!(next(node(1), &claims), None);
        assert!((0..5).all(|n| lost_by(&claims, node(n)).is_empty()));
    }

    #[test]
    fn of_two_claims_of_one_block_the_earlier_holds() {
        let block: IpNet = "10.0.0.64/26".parse().expect("a subnet");
        let claim = |claimed| Block { subnet: block, claimed };
        let claims = [(node(1), claim(9)), (node(2), claim(4))];
        assert_eq!(lost_by(&claims, node(2)), []);
        assert_eq!(lost_by(&claims, node(1)), [claim(9)]);
    }

    proptest! {
        #[test]
        fn what_is_claimed_meets_what_overlaps_it(
            nets in vec((0..32_u8, 27..=32_u8), 0..8),
            other in (0..32_u8, 27..=32_u8),
        ) {
            let net = |(last, len): (u8, u8)| {
                IpNet::new([10, 0, 0, last].into(), len).expect("a length").trunc()
            };
            let nets: Vec<IpNet> = nets.into_iter().map(net).chain(["fd00::/8".parse().expect("one")]).collect();
            let other = net(other);
            let naive = nets.iter().any(|one| overlap(one, &other));
            prop_assert_eq!(Claimed::of(&nets).meets(&other), naive);
        }
    }
}
