//! Operators at work: what they change, on which machine, and the answers that they get.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::spec::Labels;
use crdt_state::{RecordKey, ServiceId};
use node_core::Input;
use node_core::edit::{Edit, Edited, Refusal};

use super::{World, WorldEvent};
use crate::check::writes::WriteId;
use crate::network::MachineNo;
use crate::operator::{Operator, in_words};
use crate::sim_node::{Held, node_id};
use crate::sometimes::Event;
use crate::watch::{Answer, Written};

/// An edit that is not answered yet.
#[derive(Debug)]
pub struct Ticket {
    machine: MachineNo,
    wrote: Vec<WriteId>,
}

impl World {
    /// An operator edits something on a machine, if an agent runs there.
    pub(super) fn on_operate(&mut self) {
        if self.at >= self.profile.harm_until {
            return;
        }
        let pause_ms = self.operator.pause_ms();
        self.queue.put(self.at + pause_ms, WorldEvent::Operate);
        let seat = self.operator.seat(self.machines.len());
        let Some(agent) = &self.machines[seat].agent else { return };
        let seen = World::without_crowd(agent.node.seen());
        let edit = self.operator.edit(&seen);
        let changed = match &edit {
            Edit::UpdateService { id, .. } | Edit::RemoveService { id } => Some(*id),
            _ => None,
        };
        self.queue.put(self.at, WorldEvent::Edit { machine: seat, edit: edit.clone() });
        if let Some(id) = changed {
            self.twin(id);
        }
        self.namesake(seat, &edit);
        self.edit_in_conflict();
        self.on_habits(seat, &seen, &edit);
        self.on_jobs(seat);
        self.on_anchors(seat);
    }

    /// Two operators set the same label of a service to different values.
    fn edit_in_conflict(&mut self) {
        let Some((one, other)) = self.operator.conflicting_seats(self.machines.len()) else {
            return;
        };
        let seen = |no: MachineNo| self.machines[no].agent.as_ref().map(|agent| agent.node.seen());
        let (Some(first), Some(second)) = (seen(one), seen(other)) else { return };
        let Some(id) = first.services.first().map(|service| service.id) else { return };
        for (machine, seen) in [(one, first), (other, second)] {
            if let Some(edit) = self.operator.set_note(&seen, id) {
                self.queue.put(self.at, WorldEvent::Edit { machine, edit });
            }
        }
    }

    /// Another operator creates a service of the same name elsewhere, without knowing of the first.
    fn namesake(&mut self, seat: MachineNo, edit: &Edit) {
        let Edit::CreateService(spec) = edit else { return };
        let machines = self.machines.len();
        let Some((other, edit)) = self.operator.namesake(spec, machines) else { return };
        if other != seat {
            self.queue.put(self.at, WorldEvent::Edit { machine: other, edit });
        }
    }

    /// Another operator changes the same service elsewhere, without knowing of the first edit, and
    /// before the cleanup.
    fn twin(&mut self, id: ServiceId) {
        let Some(later_ms) = self.operator.has_twin() else { return };
        let seat = self.operator.seat(self.machines.len());
        let Some(agent) = &self.machines[seat].agent else { return };
        let seen = agent.node.seen();
        let at = (self.at + later_ms).min(self.profile.harm_until);
        if let Some(edit) = self.operator.change_of(&seen, id) {
            self.queue.put(at, WorldEvent::Edit { machine: seat, edit });
        }
    }

    /// The operator at each machine removes services that can never run.
    pub(super) fn on_cleanup(&mut self) {
        for machine in 0..self.machines.len() {
            let Some(agent) = &self.machines[machine].agent else { continue };
            // At once: an inspection in the same millisecond must not find the fleet at rest before
            // the cleanup.
            for edit in Operator::cleanup(&agent.node.seen()) {
                self.on_edit(machine, edit);
            }
        }
    }

    /// Somebody writes although everything should be at rest.
    pub(super) fn disturb_rest(&mut self) {
        let labels = Some(Labels::from([("at".to_owned(), self.at.to_string())]));
        let id = node_id(self.machines[0].seed);
        let edit = Edit::UpdateNode { id, version: None, availability: None, labels };
        self.on_edit(0, edit);
    }

    pub(super) fn on_edit(&mut self, no: MachineNo, edit: Edit) {
        let edit = self.on_networks(edit);
        // An operator does not use a machine that does not answer.
        if self.machines[no].paused > 0 || self.machines[no].slow_ms > 0 {
            return;
        }
        let Some(agent) = &self.machines[no].agent else { return };
        let before = agent.node.shared_writes();
        self.last_ticket += 1;
        let ticket = self.last_ticket;
        self.watch.edited(self.at, no);
        self.tickets.insert(ticket, Ticket { machine: no, wrote: Vec::new() });
        let wrote = self.feed_edit(no, ticket, edit, &before);
        if let Some(open) = self.tickets.get_mut(&ticket) {
            open.wrote = wrote;
        }
    }

    fn feed_edit(
        &mut self,
        no: MachineNo,
        ticket: u64,
        edit: Edit,
        before: &[Held],
    ) -> Vec<WriteId> {
        let words = in_words(&edit);
        self.trace.note(self.at, format_args!("n{no} is told {ticket}: {words}"), &[]);
        let picked = match &edit {
            Edit::PickLabel { label, .. } => Some(label.clone()),
            _ => None,
        };
        let is_name = matches!(edit, Edit::TakeName { .. });
        self.watch.sometimes.saw_times(Event::NameSettled, u64::from(is_name));
        let named = self.name_before(no, &edit);
        let input = Input::Edit { ticket, edit: Box::new(edit.clone()) };
        let (at, machine) = (self.at, &mut self.machines[no]);
        let wall_ms = machine.wall_ms(at);
        let Some(agent) = &mut machine.agent else { return Vec::new() };
        let keys: BTreeSet<RecordKey> = before.iter().map(|(write, _)| write.key).collect();
        let labels: BTreeMap<RecordKey, Labels> =
            keys.into_iter().map(|key| (key, agent.node.labels(&key))).collect();
        agent.node.step(at - agent.booted_at, wall_ms, input);
        let after = agent.node.shared_writes();
        let known: BTreeSet<WriteId> = before.iter().map(|(write, _)| *write).collect();
        let news: Vec<&Held> = after.iter().filter(|(write, _)| !known.contains(write)).collect();
        for (write, value) in &news {
            let (write, held) = (*write, before);
            let labels_now = agent.node.labels(&write.key);
            let labels_then = labels.get(&write.key).unwrap_or(&labels_now);
            let labels = (labels_then, &labels_now);
            let picked = picked.as_ref();
            self.watch.written(&Written { write, value, held, labels, picked });
        }
        let wrote: Vec<WriteId> = news.into_iter().map(|(write, _)| *write).collect();
        self.note_name(&edit, named, &wrote);
        if let Some(open) = self.tickets.get_mut(&ticket) {
            open.wrote = Vec::clone(&wrote);
        }
        self.carry_out(no);
        wrote
    }

    pub(super) fn on_answer(
        &mut self,
        no: MachineNo,
        ticket: u64,
        result: Result<Edited, Refusal>,
    ) {
        self.trace.deed(self.at, format_args!("n{no} answers {ticket}: {result:?}"));
        let Some(open) = self.tickets.remove(&ticket) else { return };
        let answer = if result.is_ok() { Answer::Done } else { Answer::Refused };
        self.watch.on_answer(&self.machines[no], &open.wrote, answer);
    }

    /// The agent is gone, and with it its unanswered edits.
    pub(super) fn drop_tickets(&mut self, no: MachineNo) {
        let before = self.tickets.len();
        self.tickets.retain(|_, ticket| ticket.machine != no);
        let dropped = (before - self.tickets.len()) as u64;
        self.watch.sometimes.saw_times(Event::EditUnanswered, dropped);
    }
}
