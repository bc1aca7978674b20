//! Who fetches, and from whom: pure choices that every node of a site makes alike.
//!
//! ```text
//! uplink ──▶ the first by rank ──▶ up to 8 members ──▶ up to 8 members each
//! ```
//! A node never takes from one that is as far from the source as itself, so no two wait for each
//! other.

use crdt_state::NodeId;
use runtime::image::Digest;

/// Streams of one blob that a node gives at the same time: enough for a tree of 1 + 8 + 64 nodes in
/// two steps, few enough that each gets a share.
pub const STREAMS_MAX: usize = 8;

/// How far from the source a node may be that still gives what it receives.
pub const HOPS_MAX: u8 = 2;

/// What a node has of a blob.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
pub enum BlobHolding {
    /// All of it.
    Whole,
    /// It receives it, so many steps from the source: 0 is the uplink itself.
    Growing(u8),
    /// Nothing that it could give.
    Nothing,
}

impl BlobHolding {
    /// How far whoever takes it from there is from the source; `None`: nothing to take.
    pub fn distance(self) -> Option<u8> {
        match self {
            BlobHolding::Whole => Some(0),
            BlobHolding::Growing(hops) if hops < HOPS_MAX => Some(hops + 1),
            BlobHolding::Growing(_) | BlobHolding::Nothing => None,
        }
    }
}

/// The members of a site in the order in which they fetch a blob from the uplink: the same on every
/// node, another one for every blob.
pub fn ranked(digest: &Digest, members: impl IntoIterator<Item = NodeId>) -> Vec<NodeId> {
    let mut ranked: Vec<_> = members.into_iter().map(|node| (weight(digest, node), node)).collect();
    ranked.sort_by(|a, b| b.cmp(a));
    ranked.dedup();
    ranked.into_iter().map(|(_, node)| node).collect()
}

/// From whom `me` takes a blob, best first: whole before growing, near the source before far, and
/// among equals another order for everybody, so that not all take from one.
pub fn sources(digest: &Digest, me: NodeId, holders: &[(NodeId, BlobHolding)]) -> Vec<NodeId> {
    let mut sources: Vec<_> = holders
        .iter()
        .filter(|(node, _)| *node != me)
        .filter_map(|(node, holding)| Some((holding.distance()?, spread(digest, me, *node), *node)))
        .collect();
    sources.sort();
    sources.into_iter().map(|(_, _, node)| node).collect()
}

fn weight(digest: &Digest, node: NodeId) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl blob fetcher 1");
    hasher.update(digest.as_str().as_bytes());
    hasher.update(&node.0);
    first_8(&hasher)
}

fn spread(digest: &Digest, me: NodeId, node: NodeId) -> u64 {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl blob source 1");
    hasher.update(digest.as_str().as_bytes());
    hasher.update(&me.0);
    hasher.update(&node.0);
    first_8(&hasher)
}

fn first_8(hasher: &blake3::Hasher) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    u64::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn node(n: u8) -> NodeId {
        NodeId([n; 16])
    }

    fn digest(n: u8) -> Digest {
        Digest::of(&[n])
    }

    #[test]
    fn everybody_ranks_alike_whatever_the_order_they_know_each_other_in() {
        let forth = ranked(&digest(1), (1..=9).map(node));
        let back = ranked(&digest(1), (1..=9).rev().map(node));
        assert_eq!(forth, back);
        assert_eq!(forth.len(), 9);
    }

    #[test]
    fn a_member_that_goes_changes_nothing_among_the_others() {
        let all = ranked(&digest(1), (1..=9).map(node));
        let left = ranked(&digest(1), all[1..].iter().copied());
        assert_eq!(left, all[1..]);
    }

    #[test]
    fn blobs_are_spread_over_the_members() {
        let mut firsts = BTreeMap::new();
        for blob in 0..200 {
            *firsts.entry(ranked(&digest(blob), (1..=5).map(node))[0]).or_insert(0) += 1;
        }
        assert!(firsts.len() == 5 && firsts.values().all(|count| *count > 20), "{firsts:?}");
    }

    #[test]
    fn whole_comes_before_growing_and_what_is_too_far_is_no_source() {
        let holders = [
            (node(1), BlobHolding::Growing(1)),
            (node(2), BlobHolding::Nothing),
            (node(3), BlobHolding::Whole),
            (node(4), BlobHolding::Growing(HOPS_MAX)),
            (node(5), BlobHolding::Growing(0)),
            (node(6), BlobHolding::Whole),
        ];
        let found = sources(&digest(1), node(6), &holders);
        assert_eq!(found, [node(3), node(5), node(1)]);
    }

    #[test]
    fn a_node_is_always_further_from_the_source_than_whom_it_takes_from() {
        for hops in 0..=u8::MAX {
            let distance = BlobHolding::Growing(hops).distance();
            assert!(distance.is_none_or(|distance| distance == hops + 1 && distance <= HOPS_MAX));
        }
    }

    #[test]
    fn among_equals_not_everybody_takes_from_the_same() {
        let holders: Vec<_> = (1..=4).map(|n| (node(n), BlobHolding::Whole)).collect();
        let firsts: std::collections::BTreeSet<_> =
            (10..40).map(|me| sources(&digest(1), node(me), &holders)[0]).collect();
        assert_eq!(firsts.len(), 4);
    }
}
