//! Digests: 16 bytes that tell whether two replicas hold the same records, and the tree that finds
//! where they differ.
//!
//! ```text
//! root ── 16 ── 256 ── 4096 leaves      a record's leaf: the first 12 bits of the hash of its key
//! ```
//! The digest of a node in the tree is the XOR of the digests of the records below it, so that a
//! changed record costs four XORs. XOR detects accidents, not attacks; against attacks every record
//! is signed.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::BitXorAssign;

use serde::{Deserialize, Serialize};

use crate::id::first_16;
use crate::key::RecordKey;

/// Branches of an inner node of the tree.
pub const FAN_OUT: usize = 16;

/// Levels below the root.
pub const DEPTH: u8 = 3;

/// Where the nodes of each level begin: 1, then 16, 256, 4,096.
const LEVEL_STARTS: [usize; DEPTH as usize + 1] = [0, 1, 17, 273];

/// Nodes in the tree; at 16 bytes each, 70 KB.
const NODES: usize = 1 + 16 + 256 + 4096;

/// The hash of a record, or the XOR of several. All zero: the digest of nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of nothing.
    pub const EMPTY: Digest = Digest([0; 16]);

    /// The digest of a record: over its key and its canonical bytes.
    pub fn of(key: &RecordKey, bytes: &[u8]) -> Digest {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl record digest 1");
        hasher.update(&key.to_bytes());
        hasher.update(bytes);
        Digest(first_16(&hasher.finalize()))
    }
}

impl BitXorAssign for Digest {
    fn bitxor_assign(&mut self, other: Digest) {
        *self = Digest((u128::from_ne_bytes(self.0) ^ u128::from_ne_bytes(other.0)).to_ne_bytes());
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The path from the root to a node of the tree: none to [`DEPTH`] branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "(u8, u16)", try_from = "(u8, u16)")]
pub struct TreePath {
    depth: u8,
    index: u16,
}

/// A pair of numbers that is no path in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such place in the digest tree")]
pub struct BadPath;

impl TreePath {
    /// The root, over all records.
    pub const ROOT: TreePath = TreePath { depth: 0, index: 0 };

    /// The leaf that a record belongs to.
    pub fn of(key: &RecordKey) -> TreePath {
        let hash = blake3::hash(&key.to_bytes());
        let [high, low] = [hash.as_bytes()[0], hash.as_bytes()[1]];
        TreePath { depth: DEPTH, index: u16::from_be_bytes([high, low]) >> 4 }
    }

    /// One branch further down; `None` below a leaf or past the last branch.
    pub fn child(self, branch: usize) -> Option<TreePath> {
        if self.is_leaf() || branch >= FAN_OUT {
            return None;
        }
        Some(TreePath { depth: self.depth + 1, index: self.index * 16 + branch as u16 })
    }

    /// Is this a leaf, with only records below it?
    pub fn is_leaf(self) -> bool {
        self.depth == DEPTH
    }

    /// The number of branches from the root.
    pub fn depth(self) -> u8 {
        self.depth
    }

    fn position(self) -> usize {
        LEVEL_STARTS[usize::from(self.depth)] + usize::from(self.index)
    }

    fn parent(self) -> Option<TreePath> {
        let depth = self.depth.checked_sub(1)?;
        Some(TreePath { depth, index: self.index / 16 })
    }

    /// The first and the last leaf at or below this path.
    fn leaves(self) -> (u16, u16) {
        let bits = 4 * u32::from(DEPTH - self.depth);
        let first = self.index << bits;
        (first, first + ((1u32 << bits) - 1) as u16)
    }
}

impl From<TreePath> for (u8, u16) {
    fn from(path: TreePath) -> (u8, u16) {
        (path.depth, path.index)
    }
}

impl TryFrom<(u8, u16)> for TreePath {
    type Error = BadPath;

    fn try_from((depth, index): (u8, u16)) -> Result<TreePath, BadPath> {
        if depth > DEPTH || u32::from(index) >= 1 << (4 * u32::from(depth)) {
            return Err(BadPath);
        }
        Ok(TreePath { depth, index })
    }
}

/// The digests of all records, and of all groups of them.
#[derive(Clone)]
pub struct DigestTree {
    nodes: Box<[Digest]>,
    records: BTreeMap<(u16, RecordKey), Digest>,
}

impl Default for DigestTree {
    fn default() -> DigestTree {
        DigestTree { nodes: vec![Digest::EMPTY; NODES].into(), records: BTreeMap::new() }
    }
}

impl DigestTree {
    /// Stores a record's digest, and returns its previous one.
    pub fn insert(&mut self, key: RecordKey, digest: Digest) -> Option<Digest> {
        let leaf = TreePath::of(&key);
        let before = self.records.insert((leaf.index, key), digest);
        let mut change = digest;
        change ^= before.unwrap_or_default();
        self.change(leaf, change);
        before
    }

    /// Drops a record, and returns the digest it had.
    pub fn remove(&mut self, key: &RecordKey) -> Option<Digest> {
        let leaf = TreePath::of(key);
        let before = self.records.remove(&(leaf.index, *key))?;
        self.change(leaf, before);
        Some(before)
    }

    fn change(&mut self, leaf: TreePath, change: Digest) {
        let mut place = Some(leaf);
        while let Some(path) = place {
            self.nodes[path.position()] ^= change;
            place = path.parent();
        }
    }

    /// The digest of one record.
    pub fn record(&self, key: &RecordKey) -> Option<Digest> {
        self.records.get(&(TreePath::of(key).index, *key)).copied()
    }

    /// The digest of everything.
    pub fn root(&self) -> Digest {
        self.node(TreePath::ROOT)
    }

    /// The digest of all records at or below a path.
    pub fn node(&self, path: TreePath) -> Digest {
        self.nodes[path.position()]
    }

    /// The digests of the branches below a path; all empty for a leaf.
    pub fn children(&self, path: TreePath) -> [Digest; FAN_OUT] {
        match path.child(0) {
            None => [Digest::EMPTY; FAN_OUT],
            Some(first) => std::array::from_fn(|branch| self.nodes[first.position() + branch]),
        }
    }

    /// The records at or below a path with their digests.
    pub fn records(&self, path: TreePath) -> impl Iterator<Item = (RecordKey, Digest)> {
        let (first, last) = path.leaves();
        let (least, greatest) = (RecordKey::LEAST, RecordKey::GREATEST);
        self.records
            .range((first, least)..=(last, greatest))
            .map(|((_, key), digest)| (*key, *digest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Kind;

    fn key(n: u32) -> RecordKey {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&n.to_be_bytes());
        RecordKey { kind: Kind::SERVICE, id }
    }

    fn tree(count: u32) -> DigestTree {
        let mut tree = DigestTree::default();
        for n in 0..count {
            tree.insert(key(n), Digest::of(&key(n), b"value"));
        }
        tree
    }

    #[test]
    fn every_level_sums_to_the_root() {
        let tree = tree(1000);
        let mut paths = vec![TreePath::ROOT];
        for _ in 0..DEPTH {
            paths = paths
                .iter()
                .flat_map(|path| (0..FAN_OUT).filter_map(|branch| path.child(branch)))
                .collect();
            let mut sum = Digest::EMPTY;
            paths.iter().for_each(|path| sum ^= tree.node(*path));
            assert_eq!(sum, tree.root());
        }
        assert_eq!(paths.len(), 4096);
        assert_eq!(paths.iter().map(|path| tree.records(*path).count()).sum::<usize>(), 1000);
    }

    #[test]
    fn removing_what_was_added_leaves_the_digest_as_it_was() {
        let mut tree = tree(50);
        let before = tree.root();
        assert_eq!(tree.insert(key(99), Digest([9; 16])), None);
        assert_ne!(tree.root(), before);
        assert_eq!(tree.insert(key(99), Digest([8; 16])), Some(Digest([9; 16])));
        assert_eq!(tree.remove(&key(99)), Some(Digest([8; 16])));
        assert_eq!(tree.remove(&key(99)), None);
        assert_eq!(tree.root(), before);
    }

    #[test]
    fn a_path_from_outside_is_checked() {
        for (pair, good) in [((0, 0), true), ((3, 4095), true), ((0, 1), false)] {
            assert_eq!(TreePath::try_from(pair).is_ok(), good);
        }
        for pair in [(4, 0), (255, 0), (1, 16), (2, 256), (3, 4096), (3, u16::MAX)] {
            assert_eq!(TreePath::try_from(pair), Err(BadPath));
        }
    }

    #[test]
    fn the_records_of_an_inner_node_are_those_of_its_leaves() {
        let tree = tree(300);
        assert_eq!(tree.records(TreePath::ROOT).count(), 300);
        let path = TreePath::ROOT.child(5).expect("a branch of the root");
        let mut sum = Digest::EMPTY;
        tree.records(path).for_each(|(_, digest)| sum ^= digest);
        assert_eq!(sum, tree.node(path));
    }
}
