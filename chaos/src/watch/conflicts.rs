//! Concurrent edits of operators: feeds I2 and I3 with what each write saw.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::spec::{Facet, Labels};
use crdt_state::{Kind, ServiceId};

use super::Watch;
use crate::check::labels::LabelEdits;
use crate::check::writes::WriteId;
use crate::sim_node::{Held, SimNode, is_removal};
use crate::sometimes::Event;

/// One write of an operator, with everything that the machine held before it.
#[derive(Debug)]
pub struct Written<'a> {
    /// The write.
    pub write: WriteId,
    /// Its value.
    pub value: &'a [u8],
    /// The writes of all records that were held.
    pub held: &'a [Held],
    /// The labels of its record before and after.
    pub labels: (&'a Labels, &'a Labels),
    /// The label whose conflict was settled, whatever the picked value.
    pub picked: Option<&'a String>,
}

impl Watch {
    /// An operator's write, and the writes that it saw.
    pub fn written(&mut self, written: &Written<'_>) {
        let Written { write, value, held, .. } = written;
        let of_record = held.iter().filter(|(other, _)| other.key == write.key);
        let same = of_record.clone().filter(|(other, _)| other.facet == write.facet);
        let saw: Vec<WriteId> = same.clone().map(|(other, _)| *other).collect();
        let verdict = self.writes.written(*write, value, &saw);
        self.report(verdict);
        let service = (write.key.kind == Kind::SERVICE).then_some(ServiceId(write.key.id));
        match (write.facet, service) {
            (Facet::LIFE, Some(service)) => {
                let before = same.filter(|(_, value)| is_removal(value));
                let before: Vec<_> = before.map(|(other, _)| other.stamp).collect();
                if is_removal(value) {
                    let all = of_record.map(|(other, _)| *other).collect();
                    self.removed.removed(*write, all);
                    self.removals.confirmed(service, write.stamp, &before);
                } else if !before.is_empty() {
                    self.sometimes.saw(Event::BroughtBack);
                    self.removals.taken_back(service, &before);
                }
            }
            (Facet::LABELS, _) => {
                let mut done = LabelEdits::difference(written.labels.0, written.labels.1);
                if let Some(label) = written.picked {
                    done.insert(label.clone(), written.labels.1.get(label).cloned());
                }
                self.labels.edited(*write, done, &saw);
            }
            _ => {}
        }
    }

    /// Compares what a machine holds in the end with what it lists and shows.
    pub(super) fn judge_conflicts(&mut self, node: &SimNode) {
        let held: BTreeMap<WriteId, Vec<u8>> = node.shared_writes().into_iter().collect();
        let listed = node.listed(self.answered);
        self.report(self.removed.all_listed(&held, is_removal, &listed));
        let shown = node.shown_labels();
        let verdict = self.labels.all_shown(&shown, |write| self.writes.is_acknowledged(*write));
        self.report(verdict);
        let names: BTreeSet<WriteId> = held.into_keys().collect();
        self.report(self.writes.all_kept(&names));
    }

    /// Counts the conflicts that are visible during the run.
    pub(super) fn note_conflicts(&mut self, node: &SimNode) {
        let conflicts = node.replica().conflicts();
        let saw =
            |test: &dyn Fn(&crdt_state::Conflict) -> bool| u64::from(conflicts.iter().any(test));
        let unseen = saw(&|conflict| conflict.winner.facet != conflict.facet);
        let label = saw(&|conflict| conflict.label.is_some());
        self.sometimes.saw_times(Event::ConflictRecorded, conflicts.len().min(1) as u64);
        self.sometimes.saw_times(Event::UnseenByRemoval, unseen);
        self.sometimes.saw_times(Event::LabelConflict, label);
        let names = node.shared_names().len().min(1) as u64;
        self.sometimes.saw_times(Event::NameConflict, names);
    }
}
