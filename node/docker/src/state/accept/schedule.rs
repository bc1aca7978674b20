//! When a job runs.

use crdt_state::schedule::{Missed, Overlap, Schedule};

use super::super::BadSpec;
use super::{bad_value, bad_word};
use crate::service::ScheduleSpec;

/// Reads the schedule; without a pattern it is taken off. A client that knows of none changes none.
pub(super) fn accept(
    sent: Option<ScheduleSpec>,
    current: Option<Schedule>,
) -> Result<Option<Schedule>, BadSpec> {
    let Some(sent) = sent else { return Ok(current) };
    if sent.cron.trim().is_empty() {
        let given = [sent.time_zone, sent.overlap, sent.missed];
        return match given.iter().find(|value| !value.is_empty()) {
            None => Ok(None),
            Some(_) => {
                let hint = "a time zone and policies belong to a schedule, and there is none; give \
                            one along with them: --schedule \"0 3 * * *\"";
                Err(bad_value("Schedule.Cron", "", hint))
            }
        };
    }
    Ok(Some(Schedule {
        cron: sent.cron.trim().to_owned(),
        zone: if sent.time_zone.is_empty() { "UTC".to_owned() } else { sent.time_zone },
        overlap: match sent.overlap.as_str() {
            "" | "skip" => Overlap::Skip,
            "replace" => Overlap::Replace,
            other => return Err(bad_word("Schedule.Overlap", other, "skip, replace")),
        },
        missed: match sent.missed.as_str() {
            "" | "run-once" => Missed::RunOnce,
            "skip" => Missed::Skip,
            other => return Err(bad_word("Schedule.Missed", other, "run-once, skip")),
        },
    }))
}

/// The inverse.
pub(in super::super) fn show(schedule: &Schedule) -> ScheduleSpec {
    ScheduleSpec {
        cron: schedule.cron.clone(),
        time_zone: schedule.zone.clone(),
        overlap: match schedule.overlap {
            Overlap::Skip => "skip",
            Overlap::Replace => "replace",
        }
        .to_owned(),
        missed: match schedule.missed {
            Missed::RunOnce => "run-once",
            Missed::Skip => "skip",
        }
        .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;
    use crate::service::ServiceSpec;
    use crate::state::{accept, show};

    fn spec(schedule: &str) -> ServiceSpec {
        let task = r#""TaskTemplate": {"ContainerSpec": {"Image": "busybox"}}"#;
        let json = format!(
            r#"{{"Name": "job", {task}, "Mode": {{"GlobalJob": {{}}}}, "Schedule": {schedule}}}"#
        );
        read(json.as_bytes()).expect("a spec")
    }

    #[test]
    fn a_schedule_is_shown_as_it_was_accepted_and_survives_docker_s_client() {
        let sent = spec(r#"{"Cron": "0 3 * * *", "TimeZone": "Europe/Berlin", "Missed": "skip"}"#);
        let accepted = accept(sent, None).expect("accepted");
        let held = accepted.schedule.as_ref().expect("it has one");
        assert_eq!((held.overlap, held.missed), (Overlap::Skip, Missed::Skip));
        assert_eq!(accept(show(&accepted), None).as_ref(), Ok(&accepted));
        let lossy = ServiceSpec { schedule: None, ..show(&accepted) };
        assert_eq!(accept(lossy, Some(&accepted)).as_ref(), Ok(&accepted));
        let off = accept(spec(r#"{"Cron": ""}"#), Some(&accepted)).expect("accepted");
        assert_eq!(off.schedule, None);
        let utc = accept(spec(r#"{"Cron": "@daily"}"#), None).expect("accepted");
        assert_eq!(utc.schedule.expect("it has one").zone, "UTC");
    }

    #[test]
    fn what_is_no_schedule_is_refused() {
        for (sent, told) in [
            (r#"{"Cron": "0 3 * * *", "Overlap": "queue"}"#, "skip, replace"),
            (r#"{"Cron": "0 3 * * *", "Missed": "all"}"#, "run-once, skip"),
            (r#"{"TimeZone": "UTC"}"#, "give one along with them: --schedule"),
            (r#"{"Cron": " ", "Overlap": "skip"}"#, "give one along with them: --schedule"),
            (r#"{"Cron": "0 0 31 2 *"}"#, "no run within five years"),
        ] {
            let said = match accept(spec(sent), None) {
                Ok(spec) => spec.check().expect_err("refused").to_string(),
                Err(bad) => bad.to_string(),
            };
            assert!(said.contains(told), "{sent}: {said}");
        }
    }
}
