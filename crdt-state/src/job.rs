//! What a node completed of a job: the slots whose tasks ended there with code 0.
//!
//! A completed slot must never run again in its iteration, also after its node died, left or was
//! removed, and after the history of its task was cut. So each node has a record per job that only
//! grows within an iteration; what a fleet has completed is the union over all nodes, members or
//! not. The record outlives the job: a removed service can be picked back. An iteration is a version
//! of the template: an edit that begins a new one makes a version that was not there before.

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, ServiceId};
use crate::key::{Kind, RecordKey};
use crate::limits::REPLICAS_MAX;
use crate::spec::TemplateVersion;
use crate::task::Slot;

/// Iterations that a node remembers per job. An older one comes back only if somebody picks the
/// value of an edit that lost against four others. Four of 100,000 slots each come to 50 KB of the
/// 64 KiB that a record takes.
pub const ITERATIONS_MAX: usize = 4;

/// Bytes of a set of slots: one bit for each number up to [`REPLICAS_MAX`].
pub const SLOT_BYTES_MAX: usize = REPLICAS_MAX as usize / 8 + 1;

/// The value of a node's record of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobReport {
    /// The job.
    pub service: ServiceId,
    /// The node that reports.
    pub node: NodeId,
    /// The latest scheduled run that this node has begun, in seconds since 1970; 0: none.
    pub begun_s: u64,
    /// Its iterations, latest first, at most [`ITERATIONS_MAX`].
    pub iterations: Vec<Completed>,
}

/// What a node completed of one iteration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completed {
    /// The iteration.
    pub version: TemplateVersion,
    /// The numbers of the slots.
    pub slots: SlotSet,
    /// The node's own slot of a global job.
    pub own: bool,
}

/// A set of slot numbers: bit `n % 8` of byte `n / 8`, without zero bytes at the end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SlotSet(Vec<u8>);

impl SlotSet {
    /// Adds a number, unless it is above the limit.
    pub fn insert(&mut self, number: u32) {
        let at = number as usize / 8;
        if at >= SLOT_BYTES_MAX {
            return;
        }
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        self.0[at] |= 1 << (number % 8);
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let bits = self.0.iter().zip(0u32..);
        bits.flat_map(|(byte, at)| {
            (0..8).filter(move |bit| byte & (1 << bit) != 0).map(move |bit| at * 8 + bit)
        })
    }

    /// Its size.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

impl RecordKey {
    /// The key of a node's report of a job.
    pub fn completions(node: NodeId, service: ServiceId) -> RecordKey {
        RecordKey::owned(Kind::COMPLETIONS, node, &subject(service))
    }
}

/// What the record is about, besides its node.
pub(crate) fn subject(service: ServiceId) -> [u8; 16] {
    service.0
}

impl JobReport {
    /// Nothing completed.
    pub fn none(node: NodeId, service: ServiceId) -> JobReport {
        JobReport { service, node, begun_s: 0, iterations: Vec::new() }
    }

    /// Adds a slot of an iteration.
    pub fn complete(&mut self, version: TemplateVersion, slot: Slot) {
        let done = self.iteration(version);
        match slot {
            Slot::Number(number) => done.slots.insert(number),
            Slot::Node(_) => done.own = true,
        }
    }

    /// Adds what this node said before, perhaps with a disk that was lost since. Older iterations
    /// than there is room for are left out.
    pub fn add(&mut self, other: &JobReport) {
        self.begun_s = self.begun_s.max(other.begun_s);
        for theirs in &other.iterations {
            let held = self.iterations.iter_mut().find(|done| done.version == theirs.version);
            if let Some(done) = held {
                theirs.slots.iter().for_each(|number| done.slots.insert(number));
                done.own |= theirs.own;
            } else if self.iterations.len() < ITERATIONS_MAX {
                self.iterations.push(theirs.clone());
            }
        }
    }

    /// The slots that were completed in an iteration.
    pub fn slots(&self, version: TemplateVersion) -> impl Iterator<Item = Slot> {
        let done = self.iterations.iter().filter(move |done| done.version == version);
        done.flat_map(|done| {
            let own = done.own.then_some(Slot::Node(self.node));
            done.slots.iter().map(Slot::Number).chain(own)
        })
    }

    fn iteration(&mut self, version: TemplateVersion) -> &mut Completed {
        if !self.iterations.iter().any(|done| done.version == version) {
            let new = Completed { version, slots: SlotSet::default(), own: false };
            self.iterations.insert(0, new);
            self.iterations.truncate(ITERATIONS_MAX);
        }
        let at = self.iterations.iter().position(|done| done.version == version);
        &mut self.iterations[at.expect("it was just put there")]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    const NODE: NodeId = NodeId([1; 16]);

    fn report(version: u64, slots: &[u32]) -> JobReport {
        let mut report = JobReport::none(NODE, ServiceId([2; 16]));
        for slot in slots {
            report.complete(TemplateVersion(version), Slot::Number(*slot));
        }
        report
    }

    fn slots(report: &JobReport, version: u64) -> Vec<Slot> {
        report.slots(TemplateVersion(version)).collect()
    }

    #[test]
    fn what_is_completed_is_said_once_and_per_iteration() {
        let mut said = report(7, &[9, 1, 9, 100_000]);
        said.complete(TemplateVersion(8), Slot::Node(NODE));
        assert_eq!(slots(&said, 7), [1, 9, 100_000].map(Slot::Number));
        assert_eq!(slots(&said, 8), [Slot::Node(NODE)]);
        assert_eq!(slots(&said, 9), []);
    }

    #[test]
    fn a_node_that_lost_its_disk_adds_what_it_had_said_before() {
        let (before, mut after) = (report(7, &[1, 2]), report(7, &[4]));
        after.add(&before);
        assert_eq!(slots(&after, 7), [1, 2, 4].map(Slot::Number));
        let twice = after.clone();
        after.add(&twice);
        assert_eq!(after, twice);
    }

    #[test]
    fn the_largest_report_fits_into_a_record() {
        let mut said = report(0, &[]);
        for version in 0..9 {
            for slot in 1..=REPLICAS_MAX {
                said.complete(TemplateVersion(version), Slot::Number(slot));
            }
        }
        assert_eq!(said.iterations.len(), ITERATIONS_MAX);
        assert_eq!(slots(&said, 8).len(), REPLICAS_MAX as usize);
        assert_eq!(slots(&said, 4), [], "the oldest are forgotten");
        assert!(wire::encode(&said).len() <= wire::VALUE_BYTES_MAX);
        let mut wild = SlotSet::default();
        wild.insert(u32::MAX);
        assert_eq!(wild, SlotSet::default());
    }
}
