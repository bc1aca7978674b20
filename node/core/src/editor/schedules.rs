//! The schedule of a job, as operators write it; and a run that they ask for.

use crdt_state::schedule::{RunReport, Scheduled, ScheduledRun, TIME_S_MAX};
use crdt_state::service::Service;
use crdt_state::spec::{Facet, TemplateVersion};
use crdt_state::{RecordKey, ServiceId};

use super::Editor;
use crate::edit::ServiceSpec;
use crate::schedules::AHEAD_S_MAX;

impl Editor<'_> {
    /// Writes the schedule if it differs. What was due before now is not due.
    pub(super) fn write_schedule(
        &mut self,
        id: ServiceId,
        spec: &ServiceSpec,
        held: Option<&Service>,
    ) {
        let written = held.and_then(|held| held.schedule.as_ref()).map(|held| &held.schedule);
        if spec.schedule.as_ref() != written {
            let from_s = (self.wall_ms / 1_000).min(TIME_S_MAX);
            let value = spec.schedule.clone().map(|schedule| Scheduled { schedule, from_s });
            self.replica.edit(RecordKey::service(id), Facet::SCHEDULE, &value, self.wall_ms);
        }
    }

    /// `--force` runs a job with a schedule now: the run is declared by the node that is asked, and
    /// comes after every other one.
    pub(super) fn declare_forced(&mut self, wanted: &ServiceSpec, held: &Service) {
        let is_forced = wanted.template.force_update > held.template.force_update;
        if !is_forced || wanted.schedule.is_none() {
            return;
        }
        let Some(now) = Service::read(self.replica, held.id) else { return };
        let (now_s, key) =
            ((self.wall_ms / 1_000).min(TIME_S_MAX), RecordKey::scheduled_runs(self.me, held.id));
        let (round, due_s) = match held.run {
            Some(last) if last.due_s > now_s + AHEAD_S_MAX => (last.round.saturating_add(1), now_s),
            Some(last) => (last.round, now_s.max(last.due_s + 1).min(TIME_S_MAX)),
            None => (0, now_s),
        };
        let template = TemplateVersion::of(&now.template);
        let said = self.replica.owned::<RunReport>(&key).map(|(_, said)| said);
        let said = said.unwrap_or_else(|| RunReport::none(self.me, held.id));
        let run = Some(ScheduledRun { round, due_s, template });
        self.replica.put_owned(key, &RunReport { run, ..said }, self.wall_ms);
    }
}
