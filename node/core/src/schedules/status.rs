//! The schedule of a job in words.

use super::{ClockFault, ScheduleStatus};

impl ScheduleStatus {
    /// `its next run: 2026-12-01 03:00 Europe/Berlin`, and what there is to know besides.
    pub fn in_words(&self) -> String {
        let next = match &self.next {
            Some(next) => format!("its next run: {next}"),
            None if self.is_unreadable => "its schedule, which this version cannot read".to_owned(),
            None => "its schedule".to_owned(),
        };
        let last = self.last.as_ref().map(|last| format!("the last one was {last}"));
        let passed = self
            .passed_over
            .as_ref()
            .map(|time| format!("{time} was passed over because the run before it had not ended"));
        let fault = self.fault.map(|fault| fault.in_words());
        [Some(next), last, passed, fault].into_iter().flatten().collect::<Vec<_>>().join("; ")
    }
}

impl ClockFault {
    /// What is wrong with the clock, and what follows.
    pub fn in_words(self) -> String {
        let (by_ms, what) = match self {
            ClockFault::Behind(ms) => (ms, "behind those of the other nodes"),
            ClockFault::Ahead(ms) => (ms, "ahead of those of the other nodes"),
            ClockFault::BeforeRecords(ms) => {
                (ms, "behind the time at which the schedule was written or last ran")
            }
        };
        let minutes = by_ms / 60_000;
        let by = match minutes {
            0..120 => format!("{minutes} minutes"),
            120..2_880 => format!("{} hours", minutes / 60),
            _ => format!("{} days", minutes / 1_440),
        };
        format!(
            "this node begins no scheduled run: its clock is {by} {what}; set it: timedatectl set-ntp true"
        )
    }
}
