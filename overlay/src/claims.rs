//! Whose block is it, and which one does a node claim next.
//!
//! A claim is written by the node that makes it, without asking anyone. Two sides of a partition
//! may claim one block: then the lower Lamport counter holds, then the lower id, and the other node
//! gives the block up. The block of a node that is absent stays its own.

use std::collections::BTreeMap;

use crdt_state::network::{Block, NodeNetworks};
use crdt_state::{NetworkId, NodeId};
use ipnet::IpNet;

use crate::blocks::Division;
use crate::pool::{hash, overlap};

/// The claims of all nodes.
pub type Claims = BTreeMap<NodeId, NodeNetworks>;

/// The blocks of a node on a network that it has to give up.
pub fn lost(claims: &Claims, me: NodeId, network: NetworkId) -> Vec<Block> {
    let mine = blocks(claims, me, network);
    let others = || claims.keys().copied().filter(|node| *node != me);
    let is_lost = |block: &&Block| {
        others().any(|node| {
            let theirs = blocks(claims, node, network).iter();
            let mut theirs = theirs.filter(|other| overlap(&other.subnet, &block.subnet));
            theirs.any(|other| (other.claimed, node) < (block.claimed, me))
        })
    };
    mine.iter().filter(is_lost).copied().collect()
}

/// The next block for a node: the first free one from a place that is a hash of node and network.
/// `None`: all are taken. `is_taken` names what is taken otherwise, such as virtual addresses.
pub fn choose(
    division: &Division,
    claims: &Claims,
    (node, network): (NodeId, NetworkId),
    is_taken: impl Fn(&IpNet) -> bool,
) -> Option<IpNet> {
    let count = division.claimable();
    let start = hash("edgectl network block 1", &[&network.0, &node.0]) % count.max(1);
    let claimed: Vec<IpNet> = claims
        .keys()
        .flat_map(|other| blocks(claims, *other, network))
        .map(|block| block.subnet)
        .collect();
    let candidates = (0..count).map(|step| division.block((start + step) % count));
    let is_free = |block: &IpNet| {
        division.is_usable(block)
            && !claimed.iter().any(|other| overlap(other, block))
            && !is_taken(block)
    };
    // At most so many blocks are taken: the search ends long before the last of 2^32 blocks.
    candidates.into_iter().find(is_free)
}

fn blocks(claims: &Claims, node: NodeId, network: NetworkId) -> &[Block] {
    claims.get(&node).and_then(|said| said.blocks.get(&network)).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use crdt_state::network::AddressRange;

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

    fn claim(claims: &mut Claims, node: NodeId, subnet: IpNet, claimed: u64) {
        let said = claims.entry(node).or_default();
        said.blocks.entry(NET).or_default().push(Block { subnet, claimed });
    }

    #[test]
    fn nodes_that_see_each_other_never_claim_alike() {
        let (division, mut claims) = (division("10.0.0.0/28"), Claims::new());
        for at in 0..13 {
            let block = choose(&division, &claims, (node(at % 5), NET), |_| false).expect("free");
            claim(&mut claims, node(at % 5), block, u64::from(at));
        }
        assert_eq!(choose(&division, &claims, (node(1), NET), |_| false), None);
        assert!((0..5).all(|n| lost(&claims, node(n), NET).is_empty()));
    }

    #[test]
    fn of_two_claims_of_one_block_the_earlier_holds() {
        let block: IpNet = "10.0.0.64/26".parse().expect("a subnet");
        let mut claims = Claims::new();
        claim(&mut claims, node(1), block, 9);
        claim(&mut claims, node(2), block, 4);
        assert_eq!(lost(&claims, node(2), NET), []);
        let given_up = lost(&claims, node(1), NET);
        assert_eq!(given_up, [Block { subnet: block, claimed: 9 }]);
    }
}
