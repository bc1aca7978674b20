//! When a job runs: the flags, and what is told instead of waiting for the next run.

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::say;
use crate::progress::{self, Goal, WaitFlags};
use node_docker::service::{ScheduleSpec, Service, ServiceSpec};

/// When a job runs.
#[derive(Debug, Default, Args)]
pub struct ScheduleFlags {
    /// When a job runs, as in a crontab: "0 3 * * *", "@daily"; '' takes the schedule off
    #[arg(long, value_name = "CRON", help_heading = "Schedule")]
    pub schedule: Option<String>,
    /// Time zone of the schedule: Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE", help_heading = "Schedule")]
    pub schedule_timezone: Option<String>,
    /// A run that is due while the one before has not ended: skip or replace [default: skip]
    #[arg(long, value_name = "POLICY", help_heading = "Schedule",
        value_parser = PossibleValuesParser::new(["skip", "replace"]))]
    pub schedule_overlap: Option<String>,
    /// Runs that were due while the fleet was down: run-once or skip [default: run-once]
    #[arg(long, value_name = "POLICY", help_heading = "Schedule",
        value_parser = PossibleValuesParser::new(["run-once", "skip"]))]
    pub schedule_missed: Option<String>,
}

impl ScheduleFlags {
    /// Changes what is given.
    pub fn apply(&self, spec: &mut ServiceSpec) {
        let rest = [&self.schedule_timezone, &self.schedule_overlap, &self.schedule_missed];
        if self.schedule.is_none() && rest.iter().all(|flag| flag.is_none()) {
            return;
        }
        let changed = spec.schedule.get_or_insert_default();
        match self.schedule.as_deref().map(str::trim) {
            Some("") => *changed = ScheduleSpec::default(),
            Some(cron) => cron.clone_into(&mut changed.cron),
            None => {}
        }
        let fields = [&mut changed.time_zone, &mut changed.overlap, &mut changed.missed];
        for (field, flag) in fields.into_iter().zip(rest) {
            if let Some(value) = flag {
                field.clone_from(value);
            }
        }
    }
}

/// Does the job of this spec begin at its next due time, and not now?
pub fn is_scheduled(spec: &ServiceSpec) -> bool {
    spec.schedule.as_ref().is_some_and(|schedule| !schedule.cron.is_empty())
}

/// Waits until a new service runs, or tells when it will.
pub async fn wait_for_new(
    client: &mut Client,
    (id, spec): (&str, &ServiceSpec),
    flags: &WaitFlags,
) -> Result<Exit, Failure> {
    wait_for(client, (id, spec), flags, Goal::Create).await
}

/// Waits for a service, or tells when a job with a schedule runs next.
pub async fn wait_for(
    client: &mut Client,
    (id, spec): (&str, &ServiceSpec),
    flags: &WaitFlags,
    goal: Goal,
) -> Result<Exit, Failure> {
    match is_scheduled(spec) && !flags.detach {
        true => tell(client, id).await,
        false => progress::wait(client, id, flags, goal).await,
    }
}

/// Tells when a job runs next, in place of waiting for it.
pub async fn tell(client: &mut Client, id: &str) -> Result<Exit, Failure> {
    let service: Service = client.get(&format!("/services/{id}")).await?;
    if let Some(next) = service.edge.schedule.map(|schedule| schedule.message) {
        say(format!("the job {} is scheduled; {next}", service.spec.name));
    }
    Ok(Exit::Done)
}

/// `0 3 * * * Europe/Berlin, overlapping runs: skip, missed runs: run-once`.
pub fn written(schedule: &ScheduleSpec) -> String {
    let ScheduleSpec { cron, time_zone, overlap, missed } = schedule;
    format!("{cron} {time_zone}, overlapping runs: {overlap}, missed runs: {missed}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_for_tests;
    use crate::service::create::{CreateArgs, spec_of};

    fn schedule(line: &[&str]) -> Result<Option<ScheduleSpec>, String> {
        let line = [&["service", "create", "--mode", "global-job"], line, &["busybox"]].concat();
        let args: CreateArgs = parse_for_tests(&line)?;
        Ok(spec_of(&args).map_err(|failure| failure.to_string())?.schedule)
    }

    #[test]
    fn flags_become_a_schedule() {
        assert_eq!(schedule(&[]), Ok(None));
        let typed = ["--schedule", "0 3 * * *", "--schedule-timezone", "Europe/Berlin"];
        let sent = schedule(&typed).expect("valid").expect("a schedule");
        assert_eq!((sent.cron.as_str(), sent.time_zone.as_str()), ("0 3 * * *", "Europe/Berlin"));
        let said = schedule(&["--schedule", "@daily", "--schedule-overlap", "queue"]);
        assert!(said.expect_err("refused").contains("skip, replace"));
    }

    #[test]
    fn what_no_flag_names_stays_and_an_empty_one_takes_all_off() {
        let [cron, time_zone, overlap, missed] =
            ["0 3 * * *", "Asia/Tokyo", "replace", "skip"].map(str::to_owned);
        let held = ScheduleSpec { cron, time_zone, overlap, missed };
        let mut spec = ServiceSpec { schedule: Some(held.clone()), ..ServiceSpec::default() };
        ScheduleFlags::default().apply(&mut spec);
        assert_eq!(spec.schedule.as_ref(), Some(&held));
        let missed = Some("run-once".to_owned());
        ScheduleFlags { schedule_missed: missed, ..ScheduleFlags::default() }.apply(&mut spec);
        let changed = spec.schedule.clone().expect("a schedule");
        assert_eq!(
            written(&changed),
            "0 3 * * * Asia/Tokyo, overlapping runs: replace, missed runs: run-once"
        );
        let off = Some(String::new());
        ScheduleFlags { schedule: off, ..ScheduleFlags::default() }.apply(&mut spec);
        assert_eq!(spec.schedule, Some(ScheduleSpec::default()));
        assert!(!is_scheduled(&spec));
    }
}
