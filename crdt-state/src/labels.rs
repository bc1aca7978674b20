//! Labels, merged key by key: what both sides of a partition added, changed or removed is kept.
//!
//! Every edit writes the whole map ([`Facet::LABELS`]), the only form that older versions read.
//! After the map it writes one entry per key that was ever set ([`Facet::LABEL_CHANGES`]). An entry
//! carries the stamp of the write that made it, and the clock of a write says which entries that
//! write had seen. Of two concurrent writes an entry stays if both have it, or if the write without
//! it never saw it. A key with several entries was set on several sides: the highest stamp counts,
//! the others are listed. A map that is newer than all entries was written by an older version and
//! counts as a whole.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::conflict::{Alternative, Conflict, NoSuchValue};
use crate::key::RecordKey;
use crate::record::{Record, SharedRecord};
use crate::register::{Clock, Write};
use crate::replica::Replica;
use crate::spec::{Facet, Labels};
use crate::stamp::Stamp;
use crate::wire;

/// The number of removed keys that are remembered, the latest ones. A forgotten removal still
/// holds, but no conflict is listed any more with a side that set the key meanwhile.
pub const REMOVED_MAX: usize = 64;

/// What one write did to one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LabelEntry {
    /// The writer's time of day, milliseconds since 1970. Display only.
    wall_ms: u64,
    /// Taken over from a map that an older version wrote: gives way to every later change of the
    /// key.
    inherited: bool,
    /// `None`: the key was removed.
    value: Option<String>,
}

/// The entries of every key by the stamp of the write that made them: the value of
/// [`Facet::LABEL_CHANGES`].
type LabelChanges = BTreeMap<String, BTreeMap<Stamp, LabelEntry>>;

/// The labels of a service or a node; empty if the record is unfit to be read.
pub fn labels(replica: &Replica, key: &RecordKey) -> Labels {
    let record = replica.record(key).filter(|_| !replica.is_unfit(key));
    let record = record.and_then(Record::as_shared);
    record.map(SharedRecord::labels).unwrap_or_default()
}

impl SharedRecord {
    fn labels(&self) -> Labels {
        match self.whole_labels() {
            Some(labels) => labels,
            None => values(&self.label_changes()),
        }
    }

    /// The map, if it counts as a whole: no entry is newer, or this version cannot read the
    /// entries.
    fn whole_labels(&self) -> Option<Labels> {
        let map = self.winner(Facet::LABELS)?;
        let changes = self.writes_of(Facet::LABEL_CHANGES);
        let is_readable = |write: &Write| wire::decode::<LabelChanges>(&write.value).is_ok();
        let is_newer = changes.first().is_some_and(|first| first.stamp > map.stamp);
        if is_newer && changes.iter().all(is_readable) {
            return None;
        }
        Some(wire::decode(&map.value).unwrap_or_default())
    }

    /// The entries that count, merged over all concurrent writes.
    fn label_changes(&self) -> LabelChanges {
        let writes = self.writes_of(Facet::LABEL_CHANGES);
        let sides: Vec<(&Clock, LabelChanges)> = writes
            .iter()
            .filter_map(|write| Some((&write.clock, wire::decode(&write.value).ok()?)))
            .collect();
        let mut merged = LabelChanges::new();
        for (label, stamp, entry) in sides.iter().flat_map(|(_, changes)| entries(changes)) {
            let stays = sides.iter().all(|(clock, changes)| {
                let has = changes.get(label).is_some_and(|side| side.contains_key(&stamp));
                has || clock.counter(&stamp.writer) < stamp.lamport
            });
            if stays {
                merged.entry(label.clone()).or_default().insert(stamp, entry.clone());
            }
        }
        for made in merged.values_mut().filter(|made| made.values().any(|e| !e.inherited)) {
            made.retain(|_, entry| !entry.inherited);
        }
        merged
    }

    /// Are there maps of older versions that no entry follows? Such maps conflict as a whole.
    pub(crate) fn has_whole_labels(&self) -> bool {
        let changes = self.writes_of(Facet::LABEL_CHANGES);
        let is_followed = |map: &Write| {
            let Stamp { lamport, writer } = map.stamp;
            changes.iter().any(|write| write.clock.counter(&writer) > lamport)
        };
        self.writes_of(Facet::LABELS).iter().any(|map| !is_followed(map))
    }

    /// Keys that concurrent writes set to different values.
    pub(crate) fn label_conflicts(&self, key: RecordKey) -> Vec<Conflict> {
        if self.whole_labels().is_some() {
            return Vec::new();
        }
        let changes = self.label_changes();
        let conflict = |(label, made): (&String, &BTreeMap<Stamp, LabelEntry>)| {
            let (winner, chosen) = winning(made)?;
            let losers = made
                .iter()
                .rev()
                .filter(|(_, entry)| !entry.inherited && entry.value != chosen.value);
            let losers: Vec<_> = losers.map(|(stamp, entry)| alternative(*stamp, entry)).collect();
            let winner = alternative(winner, chosen);
            (!losers.is_empty()).then_some(Conflict {
                key,
                facet: Facet::LABEL_CHANGES,
                label: Some(label.clone()),
                winner,
                losers,
            })
        };
        changes.iter().filter_map(conflict).collect()
    }
}

impl Replica {
    /// Writes the labels of a service or a node. The keys that differ replace everything held of
    /// them. The encoded labels must be at most [`wire::VALUE_BYTES_MAX`].
    pub fn edit_labels(&mut self, key: RecordKey, wanted: &Labels, wall_ms: u64) -> Stamp {
        let differ = |held: &Labels, label: &String| held.get(label) != wanted.get(label);
        self.write_labels(key, wanted, differ, wall_ms).expect("a caller checks the size")
    }

    /// Settles a conflict over one label, by the stamp of one of its values.
    pub fn pick_label(
        &mut self,
        key: RecordKey,
        label: &str,
        stamp: Stamp,
        wall_ms: u64,
    ) -> Result<Stamp, NoSuchValue> {
        let record = self.record(&key).and_then(Record::as_shared).ok_or(NoSuchValue)?;
        let changes = record.label_changes();
        let picked = changes.get(label).and_then(|made| made.get(&stamp)).ok_or(NoSuchValue)?;
        let mut wanted = record.labels();
        match &picked.value {
            Some(value) => drop(wanted.insert(label.to_owned(), value.clone())),
            None => drop(wanted.remove(label)),
        }
        self.write_labels(key, &wanted, |_, other| other == label, wall_ms).ok_or(NoSuchValue)
    }

    /// Writes the map, and then the entries; keys for which `is_set` holds get new entries. If the
    /// entries do not fit they are not written, and the map counts as a whole.
    fn write_labels(
        &mut self,
        key: RecordKey,
        wanted: &Labels,
        is_set: impl Fn(&Labels, &String) -> bool,
        wall_ms: u64,
    ) -> Option<Stamp> {
        let map = wire::encode(wanted);
        if map.len() > wire::VALUE_BYTES_MAX {
            return None;
        }
        let record = self.record(&key).and_then(Record::as_shared);
        let held = record.map(SharedRecord::labels).unwrap_or_default();
        let mut changes = record.map(SharedRecord::label_changes).unwrap_or_default();
        let whole = record.and_then(SharedRecord::whole_labels);
        let written = self.write(key, Facet::LABELS, map, wall_ms);
        let stamp = self.next_stamp();
        let made = |value: Option<&String>, inherited| {
            BTreeMap::from([(stamp, LabelEntry { wall_ms, inherited, value: value.cloned() })])
        };
        if let Some(whole) = whole {
            inherit(&mut changes, &whole, |value| made(Some(value), true));
        }
        let ever = held.keys().chain(wanted.keys()).chain(changes.keys());
        let set: BTreeSet<String> = ever.filter(|label| is_set(&held, label)).cloned().collect();
        for label in set {
            let entry = made(wanted.get(&label), false);
            changes.insert(label, entry);
        }
        forget_removed(&mut changes, REMOVED_MAX);
        let mut value = wire::encode(&changes);
        if value.len() > wire::VALUE_BYTES_MAX {
            forget_removed(&mut changes, 0);
            value = wire::encode(&changes);
        }
        if value.len() > wire::VALUE_BYTES_MAX {
            return Some(written);
        }
        Some(self.write(key, Facet::LABEL_CHANGES, value, wall_ms))
    }
}

/// Takes over a map that an older version wrote: keys that it left out are removed, its values
/// count.
fn inherit(
    changes: &mut LabelChanges,
    whole: &Labels,
    made: impl Fn(&String) -> BTreeMap<Stamp, LabelEntry>,
) {
    let before = values(changes);
    changes.retain(|label, _| whole.get(label) == before.get(label) && whole.contains_key(label));
    for (label, value) in whole {
        changes.entry(label.clone()).or_insert_with(|| made(value));
    }
}

/// Drops the entries of the keys that were removed first, beyond `most` of them.
fn forget_removed(changes: &mut LabelChanges, most: usize) {
    let is_removed = |made: &BTreeMap<Stamp, LabelEntry>| made.values().all(|e| e.value.is_none());
    let removed = changes.iter().filter(|(_, made)| is_removed(made));
    let last = |made: &BTreeMap<Stamp, LabelEntry>| made.keys().next_back().copied();
    let mut removed: Vec<_> = removed.map(|(label, made)| (last(made), label.clone())).collect();
    removed.sort_unstable();
    for (_, label) in removed.iter().rev().skip(most) {
        changes.remove(label);
    }
}

fn entries(changes: &LabelChanges) -> impl Iterator<Item = (&String, Stamp, &LabelEntry)> {
    let of = |(label, made)| {
        let made: &BTreeMap<Stamp, LabelEntry> = made;
        made.iter().map(move |(stamp, entry)| (label, *stamp, entry))
    };
    changes.iter().flat_map(of)
}

/// The entry that counts: an entry that was set comes before an inherited one.
fn winning(made: &BTreeMap<Stamp, LabelEntry>) -> Option<(Stamp, &LabelEntry)> {
    let strongest = made.iter().max_by_key(|(stamp, entry)| (!entry.inherited, **stamp));
    strongest.map(|(stamp, entry)| (*stamp, entry))
}

fn values(changes: &LabelChanges) -> Labels {
    let value = |made| winning(made).and_then(|(_, entry)| entry.value.clone());
    changes.iter().filter_map(|(label, made)| Some((label.clone(), value(made)?))).collect()
}

fn alternative(stamp: Stamp, entry: &LabelEntry) -> Alternative {
    let (facet, wall_ms) = (Facet::LABEL_CHANGES, entry.wall_ms);
    Alternative { facet, stamp, wall_ms, value: wire::encode(&entry.value) }
}
