//! The runs, and the reasons for stopping them: feeds I7.

use crdt_state::NodeId;
use crdt_state::node::Availability;
use crdt_state::service::Service;
use crdt_state::task::{Run, RunEvent, Slot, TaskStart};
use gossip::MemberState;
use node_core::view::{NodeView, Presence};

use super::{Watch, jobs, once};
use crate::bounds::LOSS_UNKNOWN_MS;
use crate::check::kept::{self, Born, Copy, Justified, Order, Other, Stopped};
use crate::invariant::{Invariant, Verdict, Violation};
use crate::machine::Machine;
use crate::network::MachineNo;
use crate::programs::{Programs, RunFacts};
use crate::sim_node::{SimNode, node_id};
use crate::sometimes::Event;

impl Watch {
    /// A node starts a run.
    pub fn on_start(&mut self, no: MachineNo, start: &TaskStart, machines: &[Machine]) {
        self.report(self.rest.moved(no, "starts a task"));
        self.starting.push((start.run, start.service));
        self.stopping.remove(&start.run);
        self.unwanted.remove(&(no, start.run));
        self.judge_job_start(no, start, machines);
        self.note_once(no, start, machines);
        let agent = machines[no].agent.as_ref();
        self.ordered_at.extend(agent.map(|agent| ((no, start.run), agent.node.counter())));
        self.note_apart(no, start, machines);
        self.note_failover(no, start, machines);
    }

    /// A node stops a run.
    pub fn on_stop(&mut self, no: MachineNo, run: Run, machines: &[Machine]) {
        let machine = &machines[no];
        self.report(self.rest.moved(machine.no, "stops a task"));
        // The start may still wait for the disk. Then nothing was started, and nobody will notice.
        self.starting.retain(|(other, _)| *other != run);
        let facts = machine.programs.facts(run);
        let (Some(agent), Some(facts)) = (&machine.agent, facts) else { return };
        if !machine.programs.is_running(run) {
            return;
        }
        let of_job = jobs::justify(no, facts, &agent.node)
            .or_else(|| once::justify(facts, &agent.node).map(Ok));
        let is_of_job = of_job.is_some();
        let stopped = self.stopped((no, run), facts, &agent.node, machines);
        // The verdict is kept after the order: an agent that is killed meanwhile will order the
        // stop again.
        let decided = self.unwanted.get(&(machine.no, run)).cloned();
        let verdict = decided.or(of_job).unwrap_or_else(|| kept::justify(&stopped));
        let is_asked_for = matches!(verdict, Ok(Justified::ByOperator | Justified::NotYetRunning));
        if !is_asked_for
            && !is_of_job
            && is_for_another(&stopped, &agent.node)
            && self.stopping.insert(run)
        {
            self.note_running(self.inspected_at, machines);
            self.report(kept::another_goes_on(&stopped, &self.copies(no, facts)));
        }
        match verdict {
            Ok(Justified::Surplus) => self.sometimes.saw(Event::SurplusDrained),
            Ok(Justified::Moved) => self.sometimes.saw(Event::Rebalanced),
            Ok(Justified::ByOperator | Justified::NotYetRunning) => {}
            Err(violation) => self.report(Err(violation)),
        }
    }

    /// All other copies of the slot that run now or ran a moment ago.
    pub(super) fn copies(&self, no: MachineNo, of: RunFacts) -> Vec<Copy> {
        let same = self.ran_lately.iter().filter(|(_, (machine, facts, _))| {
            *machine != no && (facts.service, facts.slot) == (of.service, of.slot)
        });
        let copy = |(run, (machine, _, ran_at)): (&Run, &(MachineNo, RunFacts, u64))| Copy {
            machine: *machine,
            ran_at: *ran_at,
            is_stopping: self.stopping.contains(run),
        };
        same.map(copy).collect()
    }

    /// Remembers the runs for as long as other nodes may believe, after their end, that they still
    /// run.
    pub(super) fn note_running(&mut self, at: u64, machines: &[Machine]) {
        self.inspected_at = at;
        for machine in machines {
            let running = machine.programs.running();
            self.ran_lately.extend(running.map(|(run, facts)| (run, (machine.no, facts, at))));
        }
        self.ran_lately.retain(|_, (_, _, ran_at)| *ran_at + LOSS_UNKNOWN_MS > at);
    }

    /// A program reports. A run that began is remembered at once: it may end before the next
    /// inspection.
    pub fn on_run_event(
        &mut self,
        (at, no): (u64, MachineNo),
        run: Run,
        event: &RunEvent,
        programs: &Programs,
    ) {
        self.note_cause(no, run, event);
        match event {
            RunEvent::Started { .. } => {
                let facts = programs.facts(run);
                self.ran_lately.extend(facts.map(|facts| (run, (no, facts, at))));
            }
            RunEvent::Exited { .. } => self.sometimes.saw(Event::ProgramEnded),
            RunEvent::Refused { .. } => self.sometimes.saw(Event::StartRefused),
            RunEvent::Preparing { .. } | RunEvent::Noted { .. } | RunEvent::HealthChanged(_) => {}
        }
    }

    /// Judges the runs that a node no longer wants since this step. Their stop is sent later: what
    /// runs now counts for it, however short it lives.
    pub(super) fn judge_unwanted(
        &mut self,
        at: u64,
        no: MachineNo,
        node: &SimNode,
        machines: &[Machine],
    ) {
        let machine = &machines[no];
        for run in node.unwanted_runs() {
            let key = (machine.no, run);
            if self.unwanted.contains_key(&key) {
                continue;
            }
            self.note_running(at, machines);
            let facts = machine.programs.facts(run).filter(|_| machine.programs.is_running(run));
            let verdict = facts.map_or(Ok(Justified::NotYetRunning), |facts| {
                let of_job = jobs::justify(no, facts, node);
                of_job.or_else(|| once::justify(facts, node).map(Ok)).unwrap_or_else(|| {
                    kept::justify(&self.stopped((no, run), facts, node, machines))
                })
            });
            self.unwanted.insert(key, verdict);
        }
    }

    fn stopped(
        &self,
        (no, run): (MachineNo, Run),
        facts: RunFacts,
        node: &SimNode,
        machines: &[Machine],
    ) -> Stopped {
        let machine = &machines[no];
        let RunFacts { service: id, slot, template, .. } = facts;
        let service = node.service(id);
        let view = node.node_view(node_id(machine.seed));
        let is_wanted = service.as_ref().is_some_and(|service| jobs::has_slot(service, slot));
        // A slot that failed in a paused update runs the earlier template.
        let is_current = service
            .as_ref()
            .is_some_and(|s| s.template_version == template && !s.is_returned(slot));
        let may_stay = match (&service, &view) {
            (Some(service), Some(view)) => {
                let here = machine.programs.running().filter(|(_, run)| run.service == id).count();
                let most = service.placement.max_per_node as usize;
                let is_room = most == 0 || here <= most;
                view.availability != Availability::Drain && fits(service, view) && is_room
            }
            _ => false,
        };
        let other = if is_wanted && is_current && may_stay {
            kept::other(&self.orders(run, facts, node, machines))
        } else {
            Other::None
        };
        let stays = node.owners_run(id, slot);
        let is_apart = stays.is_some_and(|stays| self.apart.contains(&pair(run, stays)));
        let (keeps, share) = service.as_ref().map_or((0, 0), |s| keeps_and_share(node, s));
        Stopped {
            machine: machine.no,
            run,
            service: id,
            slot,
            is_wanted,
            is_current,
            may_stay,
            other,
            born: if is_apart { Born::Apart } else { Born::InSight },
            keeps,
            share,
            known: node.known_of(id, slot),
            settled_at: self.settled_at,
            unsettled_at: self.unsettled_at,
        }
    }

    /// The order in which a run and the other runs of its slot that its node knows of began. A run
    /// whose program never ran is left out.
    fn orders(
        &self,
        run: Run,
        facts: RunFacts,
        node: &SimNode,
        machines: &[Machine],
    ) -> Vec<Order> {
        let started_at = |run| machines.iter().find_map(|m| m.programs.started_at(run));
        let knew = |later, earlier| self.knew.get(&later).is_some_and(|k| k.contains(&earlier));
        let known = node.known_runs(facts.service, facts.slot);
        let mine = known.get(&run).copied().unwrap_or(u64::MAX);
        let order = |(other, theirs): (&Run, &u64)| {
            let (mine_at, theirs_at) = (started_at(run)?, started_at(*other)?);
            Some(if knew(run, *other) || knew(*other, run) {
                Order::Known { mine_at, theirs_at }
            } else {
                Order::Concurrent { mine, theirs: *theirs }
            })
        };
        known.iter().filter(|(other, _)| other.task != run.task).filter_map(order).collect()
    }

    /// Compares since when a node reports its own runs to run with when it ordered their start.
    pub(super) fn ask_since_when(&mut self, no: MachineNo, node: &SimNode) {
        for (run, since) in node.own_runs() {
            if let Some(ordered_at) = self.ordered_at.get(&(no, run)) {
                let begun = (*ordered_at, node.counter());
                self.report(kept::reported_since(no, run, since, begun));
            }
        }
    }

    /// Remembers the runs of the slot that the starting node believes to be running.
    fn note_knew(&mut self, node: &SimNode, start: &TaskStart) {
        let known = node.known_runs(start.service, start.slot);
        self.knew.insert(start.run, known.into_keys().collect());
    }

    /// Remembers the runs of the same slot that the starting node does not see.
    fn note_apart(&mut self, no: MachineNo, start: &TaskStart, machines: &[Machine]) {
        let Some(agent) = &machines[no].agent else { return };
        if !machines[no].programs.is_running(start.run) {
            self.note_knew(&agent.node, start);
        }
        for other in machines.iter().filter(|machine| machine.no != no) {
            if agent.node.sees_holder(node_id(other.seed), start.service, start.slot) {
                continue;
            }
            let runs = other.programs.running();
            let same = runs.filter(|(_, f)| f.service == start.service && f.slot == start.slot);
            self.apart.extend(same.map(|(run, _)| pair(run, start.run)));
        }
    }

    /// Was the run started because the machine with the earlier run cannot be reached?
    fn note_failover(&mut self, no: MachineNo, start: &TaskStart, machines: &[Machine]) {
        let Some(agent) = &machines[no].agent else { return };
        let is_it = |(_, facts): &(Run, RunFacts)| {
            facts.service == start.service && facts.slot == start.slot
        };
        let elsewhere = machines.iter().filter(|m| m.no != no);
        let given_up =
            elsewhere.filter(|machine| machine.programs.running().any(|run| is_it(&run)));
        let given_up = given_up.filter(|machine| {
            agent.node.member_state(node_id(machine.seed)) == Some(MemberState::Unreachable)
        });
        self.sometimes.saw_times(Event::Failover, given_up.count() as u64);
    }
}

/// Is another copy the only reason for the stop? It is if the slot is wanted with this template,
/// and the node is a member.
fn is_for_another(stopped: &Stopped, node: &SimNode) -> bool {
    let is_numbered = matches!(stopped.slot, Slot::Number(_));
    stopped.is_wanted && stopped.is_current && is_numbered && node.node_view(node.id()).is_some()
}

/// The pair of two runs, in either order.
fn pair(one: Run, other: Run) -> (Run, Run) {
    (one.min(other), one.max(other))
}

/// How many slots of a service stay on a node, and how many each node has if all are assigned
/// evenly. Both are counted, without a look at how the plan was made.
fn keeps_and_share(node: &SimNode, service: &Service) -> (u32, u32) {
    let views = node.node_views();
    let is_on = |owner: NodeId, availability| {
        views.iter().any(|view| view.id == owner && view.availability == availability)
    };
    let owners: Vec<NodeId> = node
        .placement()
        .into_iter()
        .filter_map(|((id, _), owner)| owner.filter(|_| id == service.id))
        .collect();
    let assigned = owners.iter().filter(|owner| is_on(**owner, Availability::Active)).count();
    let takers = views.iter().filter(|view| {
        let is_here = view.presence == Presence::Here;
        is_here && view.availability == Availability::Active && fits(service, view)
    });
    let keeps = owners.iter().filter(|owner| **owner == node.id()).count();
    let share = assigned.checked_div(takers.count()).unwrap_or(0);
    (keeps as u32, share as u32)
}

/// Do the constraints allow a task of the service on this node? Parses only the few forms that the
/// operators of this world write, with simple code of its own.
pub(super) fn fits(service: &Service, node: &NodeView) -> bool {
    service.placement.constraints.iter().all(|text| {
        let (key, wanted, value) = match text.split_once("!=") {
            Some((key, value)) => (key, false, value),
            None => text.split_once("==").map(|(k, v)| (k, true, v)).expect("it is == or !="),
        };
        let has = match key.trim() {
            "node.labels.zone" => node.labels.get("zone"),
            "node.hostname" => Some(&node.hostname),
            "engine.labels.site" => node.engine_labels.get("site"),
            other => unreachable!("no operator writes {other}"),
        };
        (has.map(String::as_str) == Some(value.trim())) == wanted
    })
}

/// A paused blue-green update keeps its failed tasks beside the old ones: is none about to start
/// again?
pub fn starts_nothing_beside(machines: &[Machine]) -> Verdict {
    for machine in machines {
        if let Some(name) = machine.agent.as_ref().and_then(|agent| agent.node.starts_beside()) {
            let detail = format!("{name} starts on n{} beside an older task", machine.no);
            return Err(Violation::new(Invariant::I5Replicas, detail));
        }
    }
    Ok(())
}
