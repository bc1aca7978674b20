//! What operators and nodes say of jobs.

use crdt_state::job::JobReport;
use crdt_state::schedule::{Missed, Overlap, RunReport, Schedule, Scheduled, ScheduledRun};
use crdt_state::spec::TemplateVersion;
use crdt_state::task::Slot;

use crate::{Differing, NODE, SERVICE};

#[test]
fn what_nodes_completed_of_jobs_is_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    let mut said = JobReport { begun_s: 6, ..JobReport::none(NODE, SERVICE) };
    said.complete(TemplateVersion(7), Slot::Number(9));
    said.complete(TemplateVersion(8), Slot::Node(NODE));
    differing.check("JobReport", &said, "43 bytes 4b6c44f581765a7dbcdbd026b00a62dc");
    differing.end();
}

#[test]
fn schedules_and_their_runs_are_read_by_agents_of_other_versions() {
    let mut differing = Differing::default();
    let [cron, zone] = ["0 3 * * *", "UTC"].map(str::to_owned);
    let schedule = Schedule { cron, zone, overlap: Overlap::Replace, missed: Missed::Skip };
    let scheduled = Scheduled { schedule, from_s: 60 };
    differing.check("Scheduled", &Some(scheduled), "010109302033202a202a202a0355544301013c");
    differing.check("Scheduled, taken off", &None::<Scheduled>, "0100");
    let run = ScheduledRun { round: 1, due_s: 120, template: TemplateVersion(7) };
    let said = RunReport { run: Some(run), passed_over_s: 60, ..RunReport::none(NODE, SERVICE) };
    differing.check("RunReport", &said, "38 bytes 608490c7c220b7bb6600ddcbb65e5d54");
    differing.end();
}
