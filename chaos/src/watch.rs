//! Feeds the checkers: after every step with its changes, every second with the world as a whole.
//!
//! It sees everything and changes nothing. It keeps the first violation, which ends the run.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::task::Run;
use crdt_state::{Digest, Kind, NodeId, ServiceId, StoreId};
use node_core::event::Event as NodeEvent;

use crate::check::budgets::{self, STATE_BYTES_MAX, Traffic};
use crate::check::durability::{self, Counters};
use crate::check::function::Plans;
use crate::check::kept::{self, Justified};
use crate::check::labels::LabelEdits;
use crate::check::listed::Removed;
use crate::check::rest::Rest;
use crate::check::resurrection::Removals;
use crate::check::writes::{WriteId, Writes};
use crate::disk::Write;
use crate::invariant::{Invariant, Verdict, Violation};
use crate::machine::Machine;
use crate::network::MachineNo;
use crate::programs::RunFacts;
use crate::sim_node::{Answered, SimNode, removals_on_disk, writes_on_disk};
use crate::sometimes::{Event, Sometimes};

mod causes;
mod conflicts;
mod inspect;
mod jobs;
mod once;
mod poison;
mod runs;
#[cfg(test)]
mod tests;

pub use conflicts::Written;

/// What an operator was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is done.
    Done,
    /// It is refused, and nothing changed.
    Refused,
}

/// What was last seen of a machine.
#[derive(Debug, Clone, Default)]
struct Last {
    digest: Digest,
    members: u64,
    placement: u64,
    /// New identities since its agent was started.
    renewals: u64,
    /// When it was last disturbed by something that it may need time to recover from.
    disturbed_at: u64,
    /// The part of the fleet that it was in.
    part: Vec<MachineNo>,
    wrote_at: u64,
}

/// All checkers, and the facts that they need.
#[derive(Debug)]
pub struct Watch {
    /// The first broken invariant.
    pub violation: Option<Violation>,
    /// The interesting states that were reached.
    pub sometimes: Sometimes,
    last: Vec<Last>,
    /// Machines that were ever started.
    joined: Vec<bool>,
    writes: Writes,
    counters: Counters,
    removals: Removals,
    plans: Plans<Digest>,
    rest: Rest,
    jobs: jobs::JobFacts,
    once: once::OnceFacts,
    causes: causes::Causes,
    traffic: Traffic,
    settled_at: u64,
    unsettled_at: u64,
    /// From when bytes count as idle traffic, and how many were sent before.
    idle_from: Option<(u64, u64)>,
    agreed_after_ms: Option<u64>,
    next_shown: MachineNo,
    removed: Removed,
    labels: LabelEdits,
    /// What nodes answer to a query for the losers of conflicts.
    pub answered: Answered,
    /// Runs that their node no longer wants, judged when the node decided so. The order to stop
    /// waits for the disk, and by then the reason for it may be gone.
    unwanted: BTreeMap<(MachineNo, Run), Result<Justified, Violation>>,
    /// Pairs of runs of one slot: the node that started the later one could not see the other.
    apart: BTreeSet<(Run, Run)>,
    /// For each run the other runs of its slot that its node believed to be running at its start.
    knew: BTreeMap<Run, BTreeSet<Run>>,
    /// The highest counter that a node had seen when it ordered the start of a run, for the runs that
    /// began in the present life of its agent.
    ordered_at: BTreeMap<(MachineNo, Run), u64>,
    /// Runs that their node ordered to end.
    stopping: BTreeSet<Run>,
    /// For each run its machine, its facts, and when it was last seen running.
    ran_lately: BTreeMap<Run, (MachineNo, RunFacts, u64)>,
    /// The time of the last update of `ran_lately`, or nearly.
    inspected_at: u64,
    /// Runs started in this step.
    starting: Vec<(Run, ServiceId)>,
}

impl Watch {
    /// Watches this many machines.
    pub fn new(machines: usize) -> Watch {
        Watch {
            violation: None,
            sometimes: Sometimes::default(),
            last: vec![Last::default(); machines],
            joined: vec![false; machines],
            writes: Writes::default(),
            counters: Counters::default(),
            removals: Removals::default(),
            plans: Plans::default(),
            rest: Rest::default(),
            jobs: jobs::JobFacts::default(),
            once: once::OnceFacts::default(),
            causes: causes::Causes::default(),
            traffic: Traffic::default(),
            settled_at: 0,
            unsettled_at: 0,
            idle_from: None,
            agreed_after_ms: None,
            next_shown: 0,
            removed: Removed::default(),
            labels: LabelEdits::default(),
            answered: Answered::InFull,
            unwanted: BTreeMap::new(),
            apart: BTreeSet::new(),
            knew: BTreeMap::new(),
            ordered_at: BTreeMap::new(),
            stopping: BTreeSet::new(),
            ran_lately: BTreeMap::new(),
            inspected_at: 0,
            starting: Vec::new(),
        }
    }

    /// Keeps the first violation.
    pub fn report(&mut self, verdict: Verdict) {
        if let (Err(violation), None) = (verdict, &self.violation) {
            self.violation = Some(violation);
        }
    }

    /// A machine was started for the first time.
    pub fn joined(&mut self, at: u64, machine: MachineNo) {
        self.joined[machine] = true;
        self.removals.joined(machine);
        self.disturbed(at, &[machine].into());
    }

    /// These machines were disturbed.
    pub fn disturbed(&mut self, at: u64, machines: &BTreeSet<MachineNo>) {
        machines.iter().for_each(|machine| self.last[*machine].disturbed_at = at);
    }

    /// Something happened that may change the owners of slots.
    pub fn unsettled(&mut self, at: u64) {
        self.unsettled_at = at;
    }

    /// An operator changes something here.
    pub fn edited(&mut self, at: u64, machine: MachineNo) {
        self.unsettled(at);
        self.disturbed(at, &[machine].into());
    }

    /// An edit is answered.
    pub fn on_answer(&mut self, machine: &Machine, wrote: &[WriteId], answer: Answer) {
        if let Answer::Refused = answer {
            self.sometimes.saw(Event::EditRefused);
            if let Some(write) = wrote.first() {
                let detail = format!("n{} refused an edit and wrote {write:?}", machine.no);
                self.report(Err(Violation::new(Invariant::I2Writes, detail)));
            }
            return;
        }
        self.sometimes.saw(Event::EditDone);
        let mut missing = Vec::new();
        for write in wrote {
            let bytes = machine.disk.records().get(&write.key);
            let held = bytes.map(|bytes| writes_on_disk(write.key, bytes)).unwrap_or_default();
            let held = held.into_iter().map(|(write, _)| write).collect();
            if !self.writes.is_kept(*write, &held) {
                missing.push(*write);
            }
            self.writes.acknowledged(*write);
        }
        self.report(durability::answered(machine.no, &missing));
    }

    /// A node requests a write to its disk.
    pub fn on_persist(&mut self, at: u64, machine: &Machine, write: &Write) {
        self.last[machine.no].wrote_at = at;
        self.report(self.rest.wrote(at, machine.no, write));
        self.note_completed(at, machine, write);
        let Some(agent) = &machine.agent else { return };
        for (key, bytes) in &write.puts {
            for (held, _) in writes_on_disk(*key, bytes) {
                let writer = held.stamp.writer;
                if writer.store != machine.disk.store() {
                    let verdict = self.counters.held(machine.no, writer, held.stamp.lamport);
                    self.report(verdict);
                }
            }
            if key.kind == Kind::SERVICE {
                self.on_service(machine.no, &agent.node, ServiceId(key.id));
            }
        }
        let bytes = agent.node.state_bytes() as u64;
        self.report(budgets::at_most("bytes of state", bytes, STATE_BYTES_MAX as u64, machine.no));
    }

    fn on_service(&mut self, machine: MachineNo, node: &SimNode, id: ServiceId) {
        if node.service(id).is_some() {
            self.report(self.removals.saw_living(machine, id));
        }
    }

    /// A node's writes are on disk.
    pub fn on_synced(&mut self, machine: &Machine, write: &Write) {
        for (key, bytes) in &write.puts {
            self.note_stored(machine.disk.store(), writes_on_disk(*key, bytes).iter());
            if key.kind == Kind::SERVICE {
                for removal in removals_on_disk(*key, bytes) {
                    let id = ServiceId(key.id);
                    let is_stable = self.removals.saw_removed(machine.no, id, removal);
                    self.sometimes.saw_times(Event::RemovalStable, u64::from(is_stable));
                }
            }
        }
    }

    fn note_stored<'a>(
        &mut self,
        store: StoreId,
        writes: impl Iterator<Item = &'a (WriteId, Vec<u8>)>,
    ) {
        for (write, _) in writes.filter(|(write, _)| write.stamp.writer.store == store) {
            self.counters.stored(write.stamp.writer, write.stamp.lamport);
        }
    }

    /// An agent is gone; its disk may hold some of the waiting writes.
    pub fn on_crash(&mut self, machine: &Machine) {
        for (key, bytes) in machine.disk.records() {
            self.note_stored(machine.disk.store(), writes_on_disk(*key, bytes).iter());
        }
    }

    /// A disk is about to be lost.
    pub fn on_disk_lost(&mut self, machines: &[Machine], lost: MachineNo) {
        self.sometimes.saw(Event::StoreLost);
        self.counters.store_lost(machines[lost].disk.store());
        self.removals.lost_disk(lost);
        let others = machines.iter().filter(|machine| machine.no != lost);
        let records = others.flat_map(|machine| machine.disk.records());
        let left = records.flat_map(|(key, bytes)| writes_on_disk(*key, bytes));
        let left = left.map(|(write, _)| write).collect();
        let count = self.writes.disk_lost(&left);
        self.sometimes.saw_times(Event::WriteLostWithDisk, count);
    }

    /// A store was replaced by an older copy of it.
    pub fn on_store_restored(&mut self, machines: &[Machine], no: MachineNo, before: StoreId) {
        self.sometimes.saw(Event::StoreRestored);
        let disk = &machines[no].disk;
        if disk.store() != before {
            self.counters.store_lost(before);
        }
        let services = disk.records().iter().filter(|(key, _)| key.kind == Kind::SERVICE);
        let removed = services
            .map(|(key, bytes)| (ServiceId(key.id), removals_on_disk(*key, bytes)))
            .collect::<Vec<_>>();
        self.removals.restored(no, &removed);
        let records = machines.iter().flat_map(|machine| machine.disk.records());
        let left = records.flat_map(|(key, bytes)| writes_on_disk(*key, bytes));
        let left = left.map(|(write, _)| write).collect();
        let count = self.writes.disk_lost(&left);
        self.sometimes.saw_times(Event::WriteLostWithDisk, count);
    }

    /// An agent was started.
    pub fn on_boot(&mut self, machine: &Machine) {
        self.causes.forget(machine.no);
        let agent = machine.agent.as_ref().expect("it was just started");
        self.last[machine.no].digest = agent.node.digest();
        self.last[machine.no].renewals = 0;
        // A record that was lost with the last life is written again, with a counter of this one.
        self.ordered_at.retain(|(no, _), _| *no != machine.no);
        self.unwanted.retain(|(no, run), _| *no != machine.no || machine.programs.is_running(*run));
        for service in agent.node.services() {
            self.report(self.removals.saw_living(machine.no, service.id));
        }
    }

    /// A step was taken and its actions were performed.
    pub fn after_step(&mut self, at: u64, no: MachineNo, machines: &[Machine]) {
        let machine = &machines[no];
        self.judge_once(at, machines);
        for (_, service) in std::mem::take(&mut self.starting) {
            self.report(self.removals.started(machine.no, service));
        }
        let Some(agent) = &machine.agent else { return };
        let (digest, members) = (agent.node.digest(), agent.node.members_hash());
        let renewals = agent.node.renewals();
        let last = &mut self.last[machine.no];
        // A generation of a later start, which others reported, begins to count anew.
        self.sometimes.saw_times(Event::Renewed, renewals.saturating_sub(last.renewals));
        last.renewals = renewals;
        if last.digest == digest && last.members == members {
            return;
        }
        let placement = agent.node.placement_hash();
        let moved = last.placement != placement;
        (last.digest, last.members, last.placement) = (digest, members, placement);
        let verdict = self.plans.made(at, machine.no, (digest, members), placement);
        self.report(verdict);
        if moved {
            self.report(self.rest.moved(machine.no, "plans otherwise"));
        }
        self.judge_unwanted(at, no, &agent.node, machines);
    }

    /// Bytes are sent on a link.
    pub fn on_sent(&mut self, at: u64, from: MachineNo, to: MachineNo, bytes: u64) {
        let verdict = self.traffic.sent(at, from, to, bytes);
        self.report(verdict);
    }

    /// A node emits an event for operators.
    pub fn on_event(&mut self, event: &NodeEvent) {
        if event.action == "unreachable" {
            self.sometimes.saw(Event::Unreachable);
        }
    }

    /// From now on nothing may change on these machines.
    pub fn rest_begins(&mut self, at: u64, machines: BTreeSet<MachineNo>) {
        if self.rest.since().is_none() {
            self.rest.begin(at, machines);
        }
    }

    /// Changes are allowed again.
    pub fn rest_ends(&mut self) {
        self.rest.end();
        self.idle_from = None;
    }

    /// All agreed, this long after the heal.
    pub fn agreed(&mut self, took_ms: u64) {
        self.agreed_after_ms = Some(took_ms);
    }

    /// How long after the heal all agreed.
    pub fn agreed_after_ms(&self) -> Option<u64> {
        self.agreed_after_ms
    }

    /// Bytes sent in the whole run.
    pub fn bytes_sent(&self) -> u64 {
        self.traffic.total
    }

    /// A node forgets a run.
    pub fn on_forget(&mut self, machine: &Machine, run: Run) {
        self.unwanted.remove(&(machine.no, run));
        if machine.programs.is_running(run) {
            self.report(kept::forgot_running(machine.no, run));
        }
    }
}

/// Names of machines, for people.
fn names(machines: &[MachineNo]) -> String {
    let names: Vec<String> = machines.iter().map(|no| format!("n{no}")).collect();
    names.join(" ")
}

/// The node of each machine.
fn ids(machines: &[Machine]) -> BTreeMap<MachineNo, NodeId> {
    machines.iter().map(|machine| (machine.no, crate::sim_node::node_id(machine.seed))).collect()
}
