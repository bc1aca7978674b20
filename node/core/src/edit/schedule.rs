//! What is refused of schedules.

use crdt_state::schedule::Schedule;

use super::ServiceSpec;
use crate::timetable::{BadTimetable, Timetable};

/// Why a schedule was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSchedule {
    /// Only what ends can begin again.
    #[error(
        "only a job has a schedule, and a service that is no job runs all the time; create it with \
         --mode replicated-job or --mode global-job, or leave out --schedule"
    )]
    NoJob,
    /// Pattern or zone.
    #[error(transparent)]
    Timetable(#[from] BadTimetable),
}

/// Checks a schedule.
pub(super) fn check(spec: &ServiceSpec) -> Result<(), BadSchedule> {
    let Some(Schedule { cron, zone, .. }) = &spec.schedule else { return Ok(()) };
    if !spec.scale.is_job() {
        return Err(BadSchedule::NoJob);
    }
    Timetable::parse(cron, zone)?;
    Ok(())
}
