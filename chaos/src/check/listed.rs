//! I2 for losers: an edit that the removal of its record did not see is listed. Of several values
//! of a facet all but the one that counts are listed. An edit that the removal saw is not listed.
//!
//! The checker keeps its own account of what each removal saw: everything that its machine held of
//! the record.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::spec::Facet;
use crdt_state::{Kind, RecordKey};

use super::writes::WriteId;
use crate::invariant::{Invariant, Verdict, Violation};

/// What each removal saw.
#[derive(Debug, Default)]
pub struct Removed {
    saw: BTreeMap<WriteId, BTreeSet<WriteId>>,
}

impl Removed {
    /// An operator removed a record on a machine that held these writes of it.
    pub fn removed(&mut self, removal: WriteId, saw: BTreeSet<WriteId>) {
        self.saw.insert(removal, saw);
    }

    /// Does a machine list exactly those of its writes that must be listed?
    pub fn all_listed(
        &self,
        held: &BTreeMap<WriteId, Vec<u8>>,
        is_removal: impl Fn(&[u8]) -> bool,
        listed: &BTreeSet<WriteId>,
    ) -> Verdict {
        let lives = held.iter().filter(|(write, _)| write.facet == Facet::LIFE);
        let mut removals: BTreeMap<RecordKey, BTreeSet<WriteId>> = BTreeMap::new();
        for (write, _) in lives.filter(|(_, value)| is_removal(value)) {
            let saw = self.saw.get(write).into_iter().flatten();
            removals.entry(write.key).or_default().extend(saw.copied());
        }
        let mut unlisted: BTreeMap<(RecordKey, Facet), BTreeSet<&[u8]>> = BTreeMap::new();
        for (write, value) in held.iter().filter(|(write, _)| is_listed_by_itself(write)) {
            let is_there = listed.contains(write);
            match removals.get(&write.key) {
                Some(saw) if is_there == saw.contains(write) => {
                    let how = if is_there { "saw, and it is listed" } else { "did not see" };
                    let detail = format!("an edit that the removal {how}: {write:?}");
                    return Err(Violation::new(Invariant::I2Writes, detail));
                }
                None if !is_there => {
                    unlisted.entry((write.key, write.facet)).or_default().insert(value);
                }
                _ => {}
            }
        }
        match unlisted.iter().find(|(_, values)| values.len() > 1) {
            None => Ok(()),
            Some((facet, values)) => Err(Violation::new(
                Invariant::I2Writes,
                format!("{} values of {facet:?} of which none is listed", values.len()),
            )),
        }
    }
}

/// Services only. Existence and labels have rules of their own, and a facet that is written along
/// with an operator's value is listed with it.
fn is_listed_by_itself(write: &WriteId) -> bool {
    let other = matches!(
        write.facet,
        Facet::LIFE
            | Facet::REMOVAL
            | Facet::LABELS
            | Facet::LABEL_CHANGES
            | Facet::LAST_GOOD
            | Facet::PREVIOUS
            | Facet::PREVIOUS_NETWORKS
            | Facet::EARLIER_EXTENSIONS
    );
    write.key.kind == Kind::SERVICE && !other
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::{NodeId, Stamp, StoreId, Writer};

    fn write(facet: Facet, lamport: u64, node: u8) -> WriteId {
        let writer = Writer { node: NodeId([node; 16]), store: StoreId(1) };
        let key = RecordKey { kind: Kind::SERVICE, id: [1; 16] };
        WriteId { key, facet, stamp: Stamp { lamport, writer } }
    }

    #[test]
    fn an_edit_that_the_removal_did_not_see_is_listed_and_one_that_it_saw_is_not() {
        let removal = write(Facet::LIFE, 3, 1);
        let (seen, unseen) = (write(Facet::TEMPLATE, 1, 1), write(Facet::SCALE, 2, 2));
        let mut removed = Removed::default();
        removed.removed(removal, BTreeSet::from([seen]));
        let held = [(removal, b"removed".to_vec()), (seen, vec![1]), (unseen, vec![2])].into();
        let judge = |listed: &[WriteId]| {
            let is_removal = |value: &[u8]| value == b"removed";
            removed.all_listed(&held, is_removal, &listed.iter().copied().collect())
        };
        assert_eq!(judge(&[unseen]), Ok(()));
        assert!(judge(&[]).is_err(), "it vanished");
        assert!(judge(&[seen, unseen]).is_err(), "a false alarm");
    }

    #[test]
    fn of_two_values_of_a_living_service_one_is_listed() {
        let (one, other) = (write(Facet::SCALE, 2, 1), write(Facet::SCALE, 2, 2));
        let held = |value| BTreeMap::from([(one, vec![1]), (other, vec![value])]);
        let judge = |value, listed: &[WriteId]| {
            let listed = listed.iter().copied().collect();
            Removed::default().all_listed(&held(value), |_| false, &listed)
        };
        assert_eq!(judge(2, &[one]), Ok(()));
        assert_eq!(judge(1, &[]), Ok(()), "both say the same");
        assert!(judge(2, &[]).is_err());
    }
}
