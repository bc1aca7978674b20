//! Stacks from files, read from their records.

use crate::key::{Kind, RecordKey};
use crate::record::Record;
use crate::replica::Replica;
use crate::spec::Facet;
use crate::stack::StackFile;
use crate::wire;

/// What the record of a stack from files says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StackState {
    /// The version that counts.
    pub file: StackFile,
    /// Two sides of a partition took different versions, and nobody has made everything as this one
    /// says since they met.
    pub is_mixed: bool,
}

impl StackState {
    /// Is everything as this version says, until an operator changes it?
    pub fn is_settled(&self) -> bool {
        self.file.is_applied && !self.is_mixed
    }
}

/// The stack of this name, if it was ever made from a file.
pub fn stack_file(replica: &Replica, name: &str) -> Option<StackState> {
    read(replica, &RecordKey::stack(name)).filter(|state| state.file.stack == name)
}

/// All stacks that were ever made from files.
pub fn stack_files(replica: &Replica) -> Vec<StackState> {
    replica.keys(Kind::STACK).filter_map(|key| read(replica, &key)).collect()
}

fn read(replica: &Replica, key: &RecordKey) -> Option<StackState> {
    let (_, file) = replica.facet::<StackFile>(key, Facet::STACK)?;
    let writes = replica.record(key).and_then(Record::as_shared)?.writes_of(Facet::STACK);
    let others = writes.iter().filter_map(|write| wire::decode::<StackFile>(&write.value).ok());
    let others: Vec<StackFile> = others.filter(|other| other.version != file.version).collect();
    let is_mixed = !others.is_empty();
    Some(StackState { file: others.iter().fold(file, StackFile::after), is_mixed })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::{NodeId, StoreId};
    use crate::signature::{HashSigner, HashVerifier, Signer};
    use crate::stamp::Writer;

    fn replica(seed: u64) -> Replica {
        let signer = HashSigner::from_seed(seed);
        let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
        Replica::new(writer, Box::new(signer), Arc::new(HashVerifier))
    }

    fn take(replica: &mut Replica, version: u8) {
        let held = stack_file(replica, "shop").map(|state| state.file);
        let file = match held {
            Some(held) => held.next([version; 32]),
            None => StackFile {
                stack: "shop".to_owned(),
                turn: 1,
                version: [version; 32],
                earlier: Vec::new(),
                is_applied: false,
            },
        };
        let file = StackFile { is_applied: true, ..file };
        replica.edit(RecordKey::stack("shop"), Facet::STACK, &file, 1);
    }

    fn meet(one: &mut Replica, other: &mut Replica) {
        let key = RecordKey::stack("shop");
        let (from_one, from_other) = (one.delta([key]), other.delta([key]));
        one.merge(&from_other);
        other.merge(&from_one);
    }

    #[test]
    fn two_sides_that_took_one_version_have_it() {
        let (mut one, mut other) = (replica(1), replica(2));
        take(&mut one, 1);
        take(&mut other, 1);
        meet(&mut one, &mut other);
        assert!(stack_file(&one, "shop").is_some_and(|state| state.is_settled()));
        assert!(one.conflicts().is_empty());
    }

    #[test]
    fn two_sides_that_took_different_versions_are_mixed_until_one_is_made() {
        let (mut one, mut other) = (replica(1), replica(2));
        take(&mut one, 1);
        take(&mut other, 2);
        meet(&mut one, &mut other);
        let mixed = stack_file(&one, "shop").expect("a stack");
        assert_eq!(stack_file(&other, "shop").as_ref(), Some(&mixed));
        assert!(mixed.is_mixed && !mixed.is_settled());
        assert!(one.conflicts().is_empty(), "it is mended by itself");
        let of_both = [[1; 32], [2; 32]].map(|version| mixed.file.had(&version));
        assert_eq!(of_both.iter().filter(|had| **had).count(), 1, "the one that does not count");
        let file = StackFile { is_applied: true, ..mixed.file };
        one.edit(RecordKey::stack("shop"), Facet::STACK, &file, 1);
        assert!(stack_file(&one, "shop").is_some_and(|state| state.is_settled()));
    }
}
