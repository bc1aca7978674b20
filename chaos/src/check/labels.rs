//! I2 for labels: an edit of a key is visible or listed, unless somebody who saw that edit changed
//! the same key again.
//!
//! The checker keeps its own account of each edit's keys, and of the edits that it had seen. It
//! knows nothing of entries and clocks.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::RecordKey;
use crdt_state::spec::Labels;

use super::writes::WriteId;
use crate::invariant::{Invariant, Verdict, Violation};

/// The changes of an edit to labels: `None` is a removal.
pub type Done = BTreeMap<String, Option<String>>;

/// The labels of one record as a node shows them.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// The labels that count.
    pub labels: Labels,
    /// Keys and values that are listed as losers of a conflict.
    pub listed: BTreeSet<(String, Option<String>)>,
}

/// All edits of labels.
#[derive(Debug, Default)]
pub struct LabelEdits {
    done: BTreeMap<WriteId, Done>,
    /// For each edit the edits that saw it.
    seen_by: BTreeMap<WriteId, Vec<WriteId>>,
}

impl LabelEdits {
    /// An edit with these changes, by somebody who saw the edits in `saw`.
    pub fn edited(&mut self, write: WriteId, done: Done, saw: &[WriteId]) {
        self.done.insert(write, done);
        for seen in saw {
            self.seen_by.entry(*seen).or_default().push(write);
        }
    }

    /// The changes of an edit, computed from the labels before and after it.
    pub fn difference(before: &Labels, after: &Labels) -> Done {
        let keys: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let differ = keys.into_iter().filter(|key| before.get(*key) != after.get(*key));
        differ.map(|key| (key.clone(), after.get(key).cloned())).collect()
    }

    /// Is every change that the edits in `kept` made to these records shown or listed?
    pub fn all_shown(
        &self,
        shown: &BTreeMap<RecordKey, Shown>,
        is_kept: impl Fn(&WriteId) -> bool,
    ) -> Verdict {
        for (write, done) in self.done.iter().filter(|(write, _)| is_kept(write)) {
            let Some(shown) = shown.get(&write.key) else { continue };
            for (label, value) in done {
                let counts = shown.labels.get(label) == value.as_ref();
                let is_listed = shown.listed.contains(&(label.clone(), value.clone()));
                if !counts && !is_listed && !self.is_done_again(*write, label) {
                    let detail = format!(
                        "{label}={value:?} was set by {write:?}, and is neither there, nor listed, nor changed by who saw it: {shown:?}"
                    );
                    return Err(Violation::new(Invariant::I2Writes, detail));
                }
            }
        }
        Ok(())
    }

    /// Did a later edit that saw this one change the same key?
    fn is_done_again(&self, write: WriteId, label: &str) -> bool {
        let mut asked = BTreeSet::from([write]);
        let mut next = vec![write];
        while let Some(write) = next.pop() {
            for later in self.seen_by.get(&write).into_iter().flatten() {
                if self.done.get(later).is_some_and(|done| done.contains_key(label)) {
                    return true;
                }
                if asked.insert(*later) {
                    next.push(*later);
                }
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::spec::Facet;
    use crdt_state::{Kind, NodeId, Stamp, StoreId, Writer};

    const KEY: RecordKey = RecordKey { kind: Kind::SERVICE, id: [1; 16] };

    fn write(lamport: u64, node: u8) -> WriteId {
        let writer = Writer { node: NodeId([node; 16]), store: StoreId(1) };
        WriteId { key: KEY, facet: Facet::LABELS, stamp: Stamp { lamport, writer } }
    }

    fn done(label: &str, value: &str) -> Done {
        Done::from([(label.to_owned(), Some(value.to_owned()))])
    }

    fn judge(edits: &LabelEdits, labels: &[(&str, &str)], listed: &[(&str, &str)]) -> Verdict {
        let labels = labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let listed = listed.iter().map(|(k, v)| ((*k).to_owned(), Some((*v).to_owned()))).collect();
        edits.all_shown(&BTreeMap::from([(KEY, Shown { labels, listed })]), |_| true)
    }

    #[test]
    fn what_each_side_added_has_to_be_there() {
        let mut edits = LabelEdits::default();
        edits.edited(write(1, 1), done("a", "1"), &[]);
        edits.edited(write(1, 2), done("b", "2"), &[]);
        assert_eq!(judge(&edits, &[("a", "1"), ("b", "2")], &[]), Ok(()));
        assert!(judge(&edits, &[("b", "2")], &[]).is_err(), "merged as a whole");
    }

    #[test]
    fn of_two_values_of_one_key_the_other_is_listed() {
        let mut edits = LabelEdits::default();
        edits.edited(write(1, 1), done("a", "1"), &[]);
        edits.edited(write(1, 2), done("a", "2"), &[]);
        assert_eq!(judge(&edits, &[("a", "2")], &[("a", "1")]), Ok(()));
        assert!(judge(&edits, &[("a", "2")], &[]).is_err());
        // An edit of another key settles nothing; an edit of this key does.
        edits.edited(write(2, 1), done("b", "1"), &[write(1, 1), write(1, 2)]);
        assert!(judge(&edits, &[("a", "2"), ("b", "1")], &[]).is_err());
        edits.edited(write(3, 1), done("a", "3"), &[write(2, 1)]);
        assert_eq!(judge(&edits, &[("a", "3"), ("b", "1")], &[]), Ok(()));
    }
}
