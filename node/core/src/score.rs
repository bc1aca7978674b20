//! The fixed hash of rendezvous placement: integers only, the same on every architecture.
//!
//! It must never change: a fleet in which two versions score differently would not agree. The
//! golden test below guards it.

use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};

/// The finaliser of splitmix64: a bijection with full avalanche (public domain, S. Vigna).
fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn fold(bytes: [u8; 16], seed: u64) -> u64 {
    let value = u128::from_be_bytes(bytes);
    let (high, low) = ((value >> 64) as u64, value as u64);
    mix(mix(seed ^ high).wrapping_add(low))
}

/// A node's or a service's part of the score, computed once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part(u64);

/// The part of a service.
pub fn service_part(id: ServiceId) -> Part {
    Part(fold(id.0, 0x6564_6765_6374_6c31))
}

/// The part of a node.
pub fn node_part(id: NodeId) -> Part {
    Part(fold(id.0, 0x6564_6765_6374_6c32))
}

/// The part of a slot.
pub fn slot_part(slot: Slot) -> Part {
    Part(match slot {
        Slot::Number(n) => mix(0x6564_6765_6374_6c33 ^ u64::from(n)),
        Slot::Node(id) => fold(id.0, 0x6564_6765_6374_6c34),
    })
}

/// The score of a node for a slot; the node with the highest score gets the slot.
pub fn score(service: Part, slot: Part, node: Part) -> u64 {
    mix(service.0.wrapping_add(mix(slot.0 ^ node.0.rotate_left(29))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_never_change() {
        let service = service_part(ServiceId(*b"0123456789abcdef"));
        let node = node_part(NodeId(*b"fedcba9876543210"));
        let at = |slot| score(service, slot_part(slot), node);
        let golden = [at(Slot::Number(1)), at(Slot::Number(2)), at(Slot::Node(NodeId([7; 16])))];
        assert_eq!(
            golden,
            [10_980_187_559_304_363_808, 5_884_202_757_961_346_477, 6_255_868_815_807_367_921]
        );
    }

    #[test]
    fn nodes_are_wanted_alike() {
        let service = service_part(ServiceId([9; 16]));
        let mut wins = [0u32; 5];
        for slot in 1..=5_000 {
            let best = (0..5u8)
                .max_by_key(|n| {
                    score(service, slot_part(Slot::Number(slot)), node_part(NodeId([*n; 16])))
                })
                .expect("five nodes");
            wins[usize::from(best)] += 1;
        }
        assert!(wins.iter().all(|w| (900..1_100).contains(w)), "{wins:?}");
    }
}
