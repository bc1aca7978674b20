//! Limits of the scale of a service, of the schedule of a job, and of what nodes say of its runs.

use super::{Bounded, REPLICAS_MAX, Unfit, WORD_BYTES_MAX, at_most, number, read};
use crate::job::{ITERATIONS_MAX, JobReport, SLOT_BYTES_MAX, subject};
use crate::record::OwnedRecord;
use crate::schedule::{RunReport, Schedule, Scheduled, TIME_S_MAX};
use crate::spec::Scale;

impl Bounded for Scale {
    fn check(&self) -> Result<(), Unfit> {
        let most = u64::from(REPLICAS_MAX);
        match self {
            Scale::Replicated { replicas } => {
                number("the number of replicas", u64::from(*replicas), most)
            }
            Scale::JobReplicated { completions, max_concurrent } => {
                number("the number of completions", u64::from(*completions), most)?;
                number("the number of concurrent tasks", u64::from(*max_concurrent), most)?;
                let may_run = *max_concurrent > 0 || *completions == 0;
                may_run.then_some(()).ok_or(Unfit::NoSuch("a job of which no task may run"))
            }
            Scale::Global | Scale::JobGlobal => Ok(()),
        }
    }
}

/// Is the record of the node and the job that it speaks of?
pub(super) fn check(record: &OwnedRecord, value: &[u8]) -> Result<(), Unfit> {
    let said: JobReport = read("what a node completed of a job", value)?;
    let is_its_own = said.node == record.owner() && record.subject == subject(said.service);
    if is_its_own { said.check() } else { Err(Unfit::Misfiled) }
}

impl Bounded for JobReport {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of iterations", self.iterations.len(), ITERATIONS_MAX)?;
        self.iterations.iter().try_for_each(|done| {
            at_most("the number of completed slots", done.slots.bytes(), SLOT_BYTES_MAX)
        })
    }
}

impl Bounded for Schedule {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the length of the schedule", self.cron.len(), WORD_BYTES_MAX)?;
        at_most("the length of the time zone", self.zone.len(), WORD_BYTES_MAX)
    }
}

impl Bounded for Option<Scheduled> {
    fn check(&self) -> Result<(), Unfit> {
        let Some(Scheduled { schedule, from_s }) = self else { return Ok(()) };
        number("the beginning of the schedule", *from_s, TIME_S_MAX)?;
        schedule.check()
    }
}

/// Is the record of the node and the job that it speaks of?
pub(super) fn check_runs(record: &OwnedRecord, value: &[u8]) -> Result<(), Unfit> {
    let said: RunReport = read("what a node says of runs of a job", value)?;
    let is_its_own = said.node == record.owner() && record.subject == subject(said.service);
    if is_its_own { said.check() } else { Err(Unfit::Misfiled) }
}

impl Bounded for RunReport {
    fn check(&self) -> Result<(), Unfit> {
        number("the time of a run", self.run.map_or(0, |run| run.due_s), TIME_S_MAX)?;
        number("the time of a run that was passed over", self.passed_over_s, TIME_S_MAX)
    }
}
