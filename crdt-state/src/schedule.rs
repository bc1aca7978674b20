//! Schedules of jobs: what operators ask for, and what nodes declare of runs.
//!
//! ```text
//! a run of the schedule is due ──▶ a node declares it in a record of its own ──▶ the latest one
//!                                  (or passes over it)                          is the iteration
//! ```
//! There is no leader: two nodes that declare the same run declare the same iteration, because it is
//! made of the template and the due time alone. Which run is the latest must follow from the records
//! alone, whatever any clock says, so that every node starts the same tasks.

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, ServiceId};
use crate::key::{Kind, RecordKey};
use crate::spec::TemplateVersion;

/// The latest time of a run, in seconds since 1970: the year 9999, as far as calendars reckon. A clock
/// that shows a later one must not make a record that nobody reads.
pub const TIME_S_MAX: u64 = 253_402_207_200;

/// What becomes of a run that is due while the earlier one has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum Overlap {
    /// It is passed over.
    #[default]
    Skip,
    /// It takes the place of the earlier one, which is stopped.
    Replace,
}

/// What becomes of runs that were due while no node could declare them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum Missed {
    /// The latest one is made up for, once.
    #[default]
    RunOnce,
    /// They are passed over.
    Skip,
}

/// When a job runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Schedule {
    /// Five fields of a crontab: `0 3 * * *`.
    pub cron: String,
    /// The time zone in which they are read: `Europe/Berlin`, `UTC`.
    pub zone: String,
    /// What becomes of a run that is due while the earlier one has not ended.
    pub overlap: Overlap,
    /// What becomes of runs that were due while no node could declare them.
    pub missed: Missed,
}

/// The value of [`crate::spec::Facet::SCHEDULE`] is an optional one of these; `None`: it was taken
/// off.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// The schedule.
    pub schedule: Schedule,
    /// When it was written, in seconds since 1970, by the writer's clock: no earlier run is due.
    pub from_s: u64,
}

/// A run that a node declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ScheduledRun {
    /// Orders runs before their due times do. It is raised when the latest run is far in the future:
    /// a clock was wrong, and the runs of right clocks must come after it.
    pub round: u32,
    /// When it was due, in seconds since 1970.
    pub due_s: u64,
    /// The template that it runs.
    pub template: TemplateVersion,
}

/// The value of a node's record of the runs of one job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunReport {
    /// The job.
    pub service: ServiceId,
    /// The node that reports.
    pub node: NodeId,
    /// The latest run that it declared.
    pub run: Option<ScheduledRun>,
    /// The latest due time that it passed over because the earlier run had not ended, in seconds
    /// since 1970; 0: none.
    pub passed_over_s: u64,
}

impl RunReport {
    /// Nothing declared.
    pub fn none(node: NodeId, service: ServiceId) -> RunReport {
        RunReport { service, node, run: None, passed_over_s: 0 }
    }
}

impl RecordKey {
    /// The key of a node's report of the runs of a job.
    pub fn scheduled_runs(node: NodeId, service: ServiceId) -> RecordKey {
        RecordKey::owned(Kind::SCHEDULED_RUNS, node, &service.0)
    }
}

impl TemplateVersion {
    /// The version of the tasks of one run: each run is an iteration of its own.
    pub fn of_run(self, due_s: u64) -> TemplateVersion {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl scheduled run version 1");
        hasher.update(&self.0.to_be_bytes());
        hasher.update(&due_s.to_be_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
        TemplateVersion(u64::from_be_bytes(first))
    }
}

/// The latest run that was declared. When a job was updated on one side of a partition while the
/// other side declared a run, both may have declared one for the same time; the one with the template
/// that counts comes first.
pub fn latest_run<'a>(
    reports: impl Iterator<Item = &'a RunReport>,
    template: TemplateVersion,
) -> Option<ScheduledRun> {
    let runs = reports.filter_map(|report| report.run);
    runs.max_by_key(|run| (run.round, run.due_s, run.template == template, run.template))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(round: u32, due_s: u64, template: u64) -> RunReport {
        let run = ScheduledRun { round, due_s, template: TemplateVersion(template) };
        RunReport { run: Some(run), ..RunReport::none(NodeId([1; 16]), ServiceId([2; 16])) }
    }

    fn latest(reports: &[RunReport]) -> Option<(u32, u64, u64)> {
        let run = latest_run(reports.iter(), TemplateVersion(7))?;
        Some((run.round, run.due_s, run.template.0))
    }

    #[test]
    fn the_latest_run_is_the_same_in_whatever_order_the_reports_are_read() {
        let all = [report(0, 60, 7), report(0, 120, 8), report(0, 120, 7), report(0, 120, 9)];
        let mut backwards = all;
        backwards.reverse();
        assert_eq!(latest(&all), Some((0, 120, 7)), "the template that counts comes first");
        assert_eq!(latest(&all), latest(&backwards));
        assert_eq!(latest(&[]), None);
    }

    #[test]
    fn a_new_round_comes_after_a_run_of_a_clock_that_was_a_year_ahead() {
        assert_eq!(latest(&[report(0, 31_536_000, 7), report(1, 60, 7)]), Some((1, 60, 7)));
    }

    #[test]
    fn each_run_of_each_template_is_an_iteration_of_its_own() {
        let (one, other) = (TemplateVersion(1), TemplateVersion(2));
        let versions = [one, other, one.of_run(60), one.of_run(120), other.of_run(60)];
        assert_eq!(std::collections::BTreeSet::from(versions).len(), versions.len());
        assert_eq!(one.of_run(60).0, 14_612_869_850_260_039_193, "stays what it is");
    }
}
