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
        let mut earlier = self.earlier.clone();
        earlier.retain(|known| *known != short(&self.version));
        earlier.push(short(&self.version));
        let surplus = earlier.len().saturating_sub(EARLIER_MAX);
        earlier.drain(..surplus);
        let stack = self.stack.clone();
        StackFile { stack, turn: self.turn.saturating_add(1), version, earlier, is_applied: false }
    }

    /// What the ids of all that is made in this turn follow from: the same on every node.
    pub fn origin(&self) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl origin of a stack 1");
        hasher.update(&self.turn.to_be_bytes());
        hasher.update(&self.version);
        hasher.update(self.stack.as_bytes());
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
    fn what_is_made_in_two_turns_has_different_origins() {
        let (second, third) = (first().next([2; 32]), first().next([2; 32]).next([2; 32]));
        assert_ne!(second.origin(), third.origin());
        assert_eq!(second.origin(), first().next([2; 32]).origin());
        assert_ne!(second.origin(), first().next([3; 32]).origin());
    }
}
