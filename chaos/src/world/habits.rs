//! Operators with habits at work: what they do besides the usual edits, when, and where.

use node_core::edit::Edit;

use super::{World, WorldEvent};
use crate::anchor_habit::is_anchored;
use crate::check::writes::WriteId;
use crate::fault::{Fault, Harm};
use crate::habit::CROWD;
use crate::network::MachineNo;
use crate::operator::Seen;
use crate::profile::HARM_FROM_MS;
use crate::profile::Habit;
use crate::sometimes::Event;

impl World {
    /// A machine gets more tasks than it may start at once, and then its power fails.
    pub(super) fn draw_crowd(&mut self) {
        if !self.has_habit(Habit::Crowd) {
            return;
        }
        let (machines, until) = (self.machines.len(), self.profile.harm_until);
        let (machine, [at, begin, end]) = self.habits.crowded(machines, HARM_FROM_MS, until);
        let edit = self.habits.crowd(machine);
        self.queue.put(at, WorldEvent::Edit { machine, edit });
        self.faults.push(Fault { begin, end, harm: Harm::PowerDown(machine) });
    }

    /// What an operator sees, without what belongs to habits: the crowd, jobs, anchored services.
    pub(super) fn without_crowd(mut seen: Seen) -> Seen {
        seen.services.retain(|service| {
            service.name != CROWD && !service.scale.is_job() && !is_anchored(service)
        });
        seen
    }

    /// An operator at this machine may have something to do for services that stay or run once.
    pub(super) fn on_anchors(&mut self, seat: MachineNo) {
        if !self.has_habit(Habit::Anchors) {
            return;
        }
        let Some(agent) = &self.machines[seat].agent else { return };
        let seen = agent.node.seen();
        if let Some(edit) = self.anchors.edit(&seen) {
            self.put_edit((seat, 0, edit));
        }
    }

    /// An operator at this machine may have something to do for jobs.
    pub(super) fn on_jobs(&mut self, seat: MachineNo) {
        if !self.has_habit(Habit::Jobs) {
            return;
        }
        let Some(agent) = &self.machines[seat].agent else { return };
        let seen = agent.node.seen();
        if let Some(edit) = self.jobs.edit(&seen) {
            self.put_edit((seat, 0, edit));
        }
    }

    /// Adds the edits of habits to an edit of an operator who sees this.
    pub(super) fn on_habits(&mut self, seat: MachineNo, seen: &Seen, edit: &Edit) {
        if let (true, Edit::RemoveService { id }) = (self.has_habit(Habit::ReuseName), edit)
            && let Some(told) = self.habits.after_removal(seen, *id, self.machines.len())
        {
            self.put_edit(told);
        }
        if self.has_habit(Habit::Rename)
            && let Some(edit) = self.habits.rename(seen)
        {
            self.put_edit((seat, 0, edit));
        }
    }

    /// The fleet is partitioned at these links.
    pub(super) fn on_cut(&mut self, links: &[(MachineNo, MachineNo)]) {
        if self.has_habit(Habit::ReuseName)
            && let Some(told) = self.habits.across(links)
        {
            told.into_iter().for_each(|told| self.put_edit(told));
        }
    }

    /// The name of the service of an edit, before the edit.
    pub(super) fn name_before(&self, no: MachineNo, edit: &Edit) -> Option<String> {
        let (Edit::UpdateService { id, .. } | Edit::RemoveService { id }) = edit else {
            return None;
        };
        let agent = self.machines[no].agent.as_ref()?;
        agent.node.service(*id).map(|service| service.name)
    }

    /// Counts edits that give or use a name. `before`: the name that the service had.
    pub(super) fn note_name(&mut self, edit: &Edit, before: Option<String>, wrote: &[WriteId]) {
        if wrote.is_empty() {
            return;
        }
        match (edit, before) {
            (Edit::CreateService(spec), _) if self.removed_names.contains(&spec.name) => {
                self.watch.sometimes.saw(Event::NameReused);
            }
            (Edit::UpdateService { spec, .. }, Some(before)) if spec.name != before => {
                self.watch.sometimes.saw(Event::Renamed);
            }
            (Edit::RemoveService { .. }, Some(before)) => {
                self.removed_names.insert(before);
            }
            _ => {}
        }
    }

    /// Half of all new services are on the fleet's default network.
    pub(super) fn on_networks(&mut self, edit: Edit) -> Edit {
        match edit {
            Edit::CreateService(spec) if self.has_habit(Habit::Networks) => {
                Edit::CreateService(Box::new(self.networks.attach(*spec)))
            }
            other => other,
        }
    }

    fn put_edit(&mut self, (machine, later_ms, edit): (MachineNo, u64, Edit)) {
        let at = (self.at + later_ms).min(self.profile.harm_until);
        self.queue.put(at, WorldEvent::Edit { machine, edit });
    }

    fn has_habit(&self, habit: Habit) -> bool {
        self.profile.habits.contains(&habit)
    }
}
