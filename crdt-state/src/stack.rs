//! Stacks from files that every node has: which version of a stack's file the fleet has.
//!
//! All nodes that have the file are one writer: whoever sees a version first takes it, as the next
//! turn, and makes the services. The record knows no file and no service, only which versions there
//! were, so that a node which is late with its copy of the file changes nothing back.

use serde::{Deserialize, Serialize};

use crate::id::first_16;
use crate::key::{Kind, RecordKey};

/// A version of a stack's file: the hash of all that the file says, and of what it refers to.
pub type FileVersion = [u8; 32];

/// The first bytes of a version: enough to know it again among those of one stack.
pub type ShortVersion = [u8; 8];

/// Versions that are remembered.
pub const EARLIER_MAX: usize = 64;

/// The value of [`crate::spec::Facet::STACK`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackFile {
    /// The name of the stack.
    pub stack: String,
    /// The number of times that a version was taken, from 1.
    pub turn: u64,
    /// The version that counts.
    pub version: FileVersion,
    /// Versions before it, the last one last; at most [`EARLIER_MAX`].
    pub earlier: Vec<ShortVersion>,
    /// Has a node made everything as this version says?
    pub is_applied: bool,
}

impl StackFile {
    /// Was it the version of an earlier turn?
    pub fn had(&self, version: &FileVersion) -> bool {
        self.earlier.contains(&short(version))
    }

    /// The next turn, with this version.
    pub fn next(&self, version: FileVersion) -> StackFile {
        let mut next = StackFile {
            turn: self.turn.saturating_add(1),
            version,
            is_applied: false,
            ..self.clone()
        };
        next.remember([short(&self.version)]);
        next
    }

    /// The same, and the other side of a partition took this one meanwhile: its versions are earlier
    /// ones too.
    pub fn after(mut self, other: &StackFile) -> StackFile {
        let own = short(&self.version);
        let theirs = other.earlier.iter().copied().chain([short(&other.version)]);
        self.remember(theirs.filter(|version| *version != own));
        self
    }

    fn remember(&mut self, versions: impl IntoIterator<Item = ShortVersion>) {
        for version in versions {
            self.earlier.retain(|known| *known != version);
            self.earlier.push(version);
        }
        let surplus = self.earlier.len().saturating_sub(EARLIER_MAX);
        self.earlier.drain(..surplus);
    }

    /// What the ids of all that is made for the stack follow from: the same on every node, and on
    /// both sides of a partition.
    pub fn origin(stack: &str) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl origin of a stack 1");
        hasher.update(stack.as_bytes());
        first_16(&hasher.finalize())
    }
}

fn short(version: &FileVersion) -> ShortVersion {
    *version.first_chunk().expect("it is longer")
}

impl RecordKey {
    /// The key of a stack from files, by its name.
    pub fn stack(name: &str) -> RecordKey {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl stack name 1");
        hasher.update(name.as_bytes());
        RecordKey { kind: Kind::STACK, id: first_16(&hasher.finalize()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first() -> StackFile {
        let stack = "shop".to_owned();
        StackFile { stack, turn: 1, version: [1; 32], earlier: Vec::new(), is_applied: true }
    }

    #[test]
    fn a_turn_knows_the_versions_before_it() {
        let third = first().next([2; 32]).next([3; 32]);
        assert_eq!((third.turn, third.is_applied), (3, false));
        assert!(third.had(&[1; 32]) && third.had(&[2; 32]) && !third.had(&[3; 32]));
        let back = third.next([1; 32]);
        assert_eq!(back.earlier, [[1; 8], [2; 8], [3; 8]], "it was one before, too");
        let many = (0..200).fold(first(), |file, n| file.next([n; 32]));
        assert_eq!(many.earlier.len(), EARLIER_MAX);
        assert!(many.had(&[198; 32]) && !many.had(&[1; 32]));
    }

    #[test]
    fn what_the_other_side_of_a_partition_took_is_known_too() {
        let other = first().next([2; 32]).next([3; 32]);
        let both = first().next([4; 32]).after(&other);
        assert_eq!((both.turn, both.version), (2, [4; 32]));
        assert!(both.had(&[1; 32]) && both.had(&[2; 32]) && both.had(&[3; 32]));
        assert!(!both.clone().after(&both).had(&[4; 32]), "the one that counts is no earlier one");
    }
}
