//! The conflicts between concurrent writes that a node shows.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::service::{self, NameConflict};
use crdt_state::spec::{Facet, Labels, Life};
use crdt_state::{Conflict, Kind, RecordKey, Stamp, labels, wire};

use super::{SimNode, on_disk};
use crate::check::labels::Shown;
use crate::check::writes::WriteId;

/// What the nodes of a world answer to a query for the losers of conflicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answered {
    /// All losers.
    #[default]
    InFull,
    /// As in versions whose removals did not store what they saw: without the edits that a removal
    /// did not see.
    SilentOnRemovals,
}

impl SimNode {
    /// All conflicts that are not settled yet.
    pub fn conflicts(&self) -> Vec<Conflict> {
        self.node.replica().conflicts()
    }

    /// The names that several services have.
    pub fn shared_names(&self) -> Vec<NameConflict> {
        service::name_conflicts(self.node.replica())
    }

    /// The writes that are listed as losers of a conflict.
    pub fn listed(&self, answered: Answered) -> BTreeSet<WriteId> {
        let mut listed = BTreeSet::new();
        for conflict in self.conflicts() {
            let is_removed = conflict.winner.facet != conflict.facet;
            if is_removed && answered == Answered::SilentOnRemovals {
                continue;
            }
            let Conflict { key, facet, losers, .. } = conflict;
            listed.extend(losers.iter().map(|l| WriteId { key, facet, stamp: l.stamp }));
        }
        listed
    }

    /// The labels of a service or a node that count.
    pub fn labels(&self, key: &RecordKey) -> Labels {
        labels(self.node.replica(), key)
    }

    /// The labels of all living and readable records, and the labels that are listed as losers,
    /// for the final check.
    pub fn shown_labels(&self) -> BTreeMap<RecordKey, Shown> {
        let replica = self.node.replica();
        let keys = [Kind::SERVICE, Kind::NODE_SETTINGS].into_iter().flat_map(|k| replica.keys(k));
        let is_removed = |key: &RecordKey| matches!(replica.life(key), Some(Life::Removed { .. }));
        let living = keys.filter(|key| !is_removed(key) && !replica.is_unfit(key));
        let mut shown: BTreeMap<RecordKey, Shown> = living
            .map(|key| (key, Shown { labels: self.labels(&key), listed: BTreeSet::new() }))
            .collect();
        for conflict in self.conflicts() {
            let (Some(label), Some(shown)) = (conflict.label, shown.get_mut(&conflict.key)) else {
                continue;
            };
            let values = conflict.losers.iter().filter_map(|l| wire::decode(&l.value).ok());
            shown.listed.extend(values.map(|value| (label.clone(), value)));
        }
        shown
    }
}

/// The removals of a service in these bytes of a disk; none while the service exists.
pub fn removals_on_disk(key: RecordKey, bytes: &[u8]) -> Vec<Stamp> {
    let record = on_disk(key, bytes);
    let lives = record.as_ref().and_then(|record| record.as_shared());
    let lives = lives.map_or(&[][..], |record| record.writes_of(Facet::LIFE));
    lives.iter().filter(|write| is_removal(&write.value)).map(|write| write.stamp).collect()
}

/// Is this value a removal?
pub fn is_removal(value: &[u8]) -> bool {
    matches!(wire::decode(value), Ok(Life::Removed { .. }))
}
