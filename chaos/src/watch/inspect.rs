//! Inspects the world as a whole every second: feeds I1, I5, I14, and at the end all other checks.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::node::Availability;
use crdt_state::partition::Partition;
use crdt_state::service::Service;
use crdt_state::spec::Scale;
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};
use node_core::view::NodeView;

use super::runs::{fits, starts_nothing_beside};
use super::{Watch, ids, jobs, names};
use crate::anchor_habit::is_anchored;
use crate::bounds::{CALM_MS, FAIR_DELAY_MS, FAIR_LOSS_PERMILLE};
use crate::bounds::{QUIET_MS, QUIET_WITH_LOSS_MS, REJOIN_MS};
use crate::check::addresses::{self, Held, Lookup};
use crate::check::budgets;
use crate::check::convergence::{self, Standing};
use crate::check::reasons;
use crate::check::replicas::{self, Count};
use crate::invariant::{Invariant, Verdict, Violation};
use crate::machine::{JOIN_AT, Machine};
use crate::network::{MachineNo, Network};
use crate::programs::{Reliability, of_service};
use crate::sim_node::{SimNode, node_id};
use crate::sometimes::Event;

impl Watch {
    /// Inspects every part of the fleet, and checks the reasons that one machine gives.
    pub fn inspect(&mut self, at: u64, machines: &[Machine], network: &Network) {
        self.note_running(at, machines);
        let up: Vec<MachineNo> = machines.iter().filter(|m| m.is_up()).map(|m| m.no).collect();
        let parts = network.components(&up);
        self.sometimes.saw_times(Event::ThreeParts, u64::from(parts.len() >= 3));
        for part in &parts {
            self.note_part(at, part);
            if self.is_in_peace(at, part, machines, network) {
                self.sometimes.saw(Event::PartJudged);
                let is_lossless = network.worst_conditions(part).loss_permille == 0;
                let quiet_ms = if is_lossless { QUIET_MS } else { QUIET_WITH_LOSS_MS };
                let since_ms = at.saturating_sub(quiet_ms);
                let verdict = self.judge_part(since_ms, part, machines);
                self.report(verdict.map_err(|violation| with_sights(violation, part, machines)));
            }
        }
        self.ask_for_reasons(machines);
        if self.rest.since().is_some_and(|since| at >= since + REJOIN_MS) {
            self.idle_from.get_or_insert((at, self.traffic.total));
        }
        if self.is_settled(at, machines).is_ok() {
            let all: Vec<MachineNo> = (0..machines.len()).collect();
            self.sometimes.saw_times(Event::OnNetwork, held(&all, machines).len() as u64);
            self.settled_at = at;
        }
    }

    /// A machine whose part has changed needs time to recover: a bridge between two parts may be
    /// gone.
    fn note_part(&mut self, at: u64, part: &[MachineNo]) {
        for no in part {
            let last = &mut self.last[*no];
            if last.part != part {
                (last.part, last.disturbed_at) = (part.to_vec(), at);
            }
        }
    }

    /// The machines of all parts that were undisturbed for long enough to be judged.
    pub fn in_peace(
        &self,
        at: u64,
        machines: &[Machine],
        network: &Network,
    ) -> BTreeSet<MachineNo> {
        let up: Vec<MachineNo> = machines.iter().filter(|m| m.is_up()).map(|m| m.no).collect();
        let parts = network.components(&up).into_iter();
        parts.filter(|part| self.is_in_peace(at, part, machines, network)).flatten().collect()
    }

    /// Was this part cut off from the rest, undisturbed and on fair links for long enough?
    fn is_in_peace(
        &self,
        at: u64,
        part: &[MachineNo],
        machines: &[Machine],
        network: &Network,
    ) -> bool {
        let conditions = network.worst_conditions(part);
        let is_fair = conditions.loss_permille <= FAIR_LOSS_PERMILLE
            && conditions.delay_ms + conditions.jitter_ms <= FAIR_DELAY_MS;
        let calm =
            |no: &MachineNo| machines[*no].is_well() && at >= self.last[*no].disturbed_at + CALM_MS;
        let outside = machines.iter().filter(|m| m.is_up() && !part.contains(&m.no));
        let is_cut_off = outside.map(|m| m.no).all(|other| {
            part.iter().all(|no| !network.is_open(*no, other) && !network.is_open(other, *no))
        });
        is_fair
            && is_cut_off
            && can_meet(part, machines)
            && network.is_clique(part)
            && part.iter().all(calm)
    }

    /// Judges a part; what it wrote until `since` has arrived everywhere in it.
    fn judge_part(&self, since: u64, part: &[MachineNo], machines: &[Machine]) -> Verdict {
        let is_quiet = part.iter().all(|no| self.last[*no].wrote_at <= since);
        if is_quiet {
            convergence::agree(&standings(part, machines))?;
        }
        let first = node(&machines[part[0]]).expect("a part is of machines that are up");
        let held = held(part, machines);
        addresses::distinct(&held)?;
        if is_quiet {
            judge_names(part, machines, &held)?;
        }
        for count in counts(part, machines, first) {
            replicas::not_too_many(&count.0)?;
            if count.1 == Reliability::Steady {
                replicas::not_too_few(&count.0)?;
            }
        }
        Ok(())
    }

    /// Are all machines up, do they agree, and does exactly what is planned run?
    pub fn is_settled(&self, at: u64, machines: &[Machine]) -> Verdict {
        let all: Vec<MachineNo> = (0..machines.len()).collect();
        for machine in machines {
            let restless =
                at < self.last[machine.no].wrote_at + QUIET_MS || machine.disk.waiting() > 0;
            if !self.joined[machine.no] || !machine.is_up() || restless {
                let what = if machine.is_up() { "still writes" } else { "is not up" };
                let detail = format!("n{} {what}", machine.no);
                return Err(Violation::new(Invariant::I1Convergence, detail));
            }
        }
        convergence::agree(&standings(&all, machines))?;
        judge_fleet(&all, machines)?;
        runs_as_planned(machines)?;
        starts_nothing_beside(machines)?;
        let Some(first) = node(&machines[0]) else { return Ok(()) };
        jobs::all_ended(first)?;
        jobs::unread_ended(first, machines)
    }

    fn ask_for_reasons(&mut self, machines: &[Machine]) {
        self.next_shown = (self.next_shown + 1) % machines.len();
        let Some(node) = node(&machines[self.next_shown]) else { return };
        let shown = node.shown();
        let waiting = shown.iter().filter(|task| !task.runs).count() as u64;
        self.sometimes.saw_times(Event::NotPlaced, waiting.min(1));
        self.note_conflicts(node);
        self.report(reasons::explained(self.next_shown, &shown));
        self.ask_since_when(self.next_shown, node);
        self.ask_for_causes(self.next_shown, node);
    }

    /// Judges what the fleet sent at rest, if its links are so good that nothing is sent twice.
    fn judge_idle_traffic(&self, at: u64, machines: &[Machine], network: &Network) -> Verdict {
        let all: Vec<MachineNo> = (0..machines.len()).collect();
        let conditions = network.worst_conditions(&all);
        let is_fair = conditions.loss_permille == 0
            && conditions.delay_ms + conditions.jitter_ms <= FAIR_DELAY_MS;
        match self.idle_from {
            Some((from, before)) if is_fair => {
                let leases = node(&machines[0]).map_or(0, |node| lease_bytes(node, at - from));
                let bytes = (self.traffic.total - before).saturating_sub(leases);
                budgets::idles(bytes, machines.len() as u64, at - from)
            }
            _ => Ok(()),
        }
    }

    /// The end: all checks of the final state.
    pub fn end(&mut self, at: u64, machines: &[Machine], network: &Network) {
        self.report(self.judge_idle_traffic(at, machines, network));
        let all: Vec<MachineNo> = (0..machines.len()).collect();
        self.report(convergence::agree(&standings(&all, machines)));
        self.report(judge_fleet(&all, machines));
        self.report(runs_as_planned(machines));
        for machine in machines {
            let Some(node) = node(machine) else { continue };
            self.judge_conflicts(node);
            self.report(reasons::explained(machine.no, &node.shown()));
        }
        for machine in machines {
            let on_disk: usize = machine.disk.waiting();
            self.report(budgets::at_most("writes that never end", on_disk as u64, 0, machine.no));
        }
    }
}

/// A violation in a part, with the members that each machine in the part sees.
fn with_sights(violation: Violation, part: &[MachineNo], machines: &[Machine]) -> Violation {
    let sight = |no: &MachineNo| {
        let sees = node(&machines[*no]).map(SimNode::sees).unwrap_or_default();
        format!("n{no} sees [{sees}]")
    };
    let sights: Vec<String> = part.iter().map(sight).collect();
    Violation { detail: format!("{}; {}", violation.detail, sights.join(", ")), ..violation }
}

/// Can the machines find each other? A machine that lost its disk, is new or has moved is found
/// through the addresses in the config, which never change, or through a machine that can be found
/// and knows its address. Two machines that both moved while they were apart need a third one.
fn can_meet(part: &[MachineNo], machines: &[Machine]) -> bool {
    let calls = |no: MachineNo, other: MachineNo| {
        let (id, address) = (node_id(machines[other].seed), machines[other].address());
        node(&machines[no]).is_some_and(|node| node.calls(id, address))
    };
    if part.iter().any(|no| *no < JOIN_AT) {
        return true;
    }
    let mut found: Vec<MachineNo> = part.iter().take(1).copied().collect();
    let mut next = 0;
    while let Some(no) = found.get(next).copied() {
        let met = |other: &MachineNo| calls(no, *other) || calls(*other, no);
        let new = part.iter().filter(|other| !found.contains(other) && met(other));
        let new: Vec<MachineNo> = new.copied().collect();
        found.extend(new);
        next += 1;
    }
    found.len() == part.len()
}

fn node(machine: &Machine) -> Option<&SimNode> {
    machine.agent.as_ref().map(|agent| &agent.node)
}

/// The addresses of the tasks that run in a part.
fn held(part: &[MachineNo], machines: &[Machine]) -> Vec<Held> {
    let of = |no: &MachineNo| {
        let machine = &machines[*no];
        let tasks = node(machine).map(SimNode::task_addresses).unwrap_or_default();
        let held = tasks.into_iter().filter_map(|(network, run, address)| {
            let facts = machine.programs.facts(run)?;
            let runs = machine.programs.is_running(run);
            let is_steady = node(machine)?.own_runs().contains_key(&run);
            runs.then_some(Held {
                machine: *no,
                network,
                run,
                service: facts.service,
                address,
                is_steady,
            })
        });
        held.collect::<Vec<_>>()
    };
    part.iter().flat_map(of).collect()
}

/// Does every node of a part answer with what runs there?
fn judge_names(part: &[MachineNo], machines: &[Machine], held: &[Held]) -> Verdict {
    for no in part {
        let node = node(&machines[*no]).expect("a part is of machines that are up");
        addresses::resolved(&lookups(node, held))?;
    }
    Ok(())
}

/// What a node answers for the services of a part, by their names for all tasks.
fn lookups(node: &SimNode, held: &[Held]) -> Vec<Lookup> {
    let services = node.services();
    let named = services.iter().filter(|service| node.owns_name(service));
    let lookups = named.flat_map(|service| {
        let networks = service.networks.iter().map(|attachment| attachment.network);
        networks.filter_map(|network| {
            let name = format!("tasks.{}", service.name);
            let of = |held: &&Held| held.service == service.id && held.network == network;
            let mut runs: Vec<Held> = held.iter().filter(of).cloned().collect();
            // The name leads to those of one template.
            if node.is_side_by_side(service) {
                runs.iter_mut().for_each(|run| run.is_steady = false);
            }
            Some(Lookup { answered: node.resolve(network, &name)?, runs, name })
        })
    });
    lookups.collect()
}

fn standings(part: &[MachineNo], machines: &[Machine]) -> Vec<Standing<crdt_state::Digest>> {
    let standing = |no: &MachineNo| {
        let node = node(&machines[*no])?;
        Some(Standing { machine: *no, digest: node.digest(), placement: node.placement_hash() })
    };
    part.iter().filter_map(standing).collect()
}

/// What operators ask for with services that run at most once.
fn lease_bytes(node: &SimNode, for_ms: u64) -> u64 {
    let services = node.services().into_iter().filter(|s| s.partition.is_at_most_one());
    let bytes = services.map(|service| {
        let Scale::Replicated { replicas } = service.scale else { return 0 };
        let Partition { fence_after_ms, anchors, .. } = &service.partition;
        budgets::leases(u64::from(replicas), anchors.len() as u64, *fence_after_ms, for_ms)
    });
    bytes.sum()
}

/// Every sound service runs as many tasks as it should; the others do not run more.
fn judge_fleet(part: &[MachineNo], machines: &[Machine]) -> Verdict {
    let held = held(part, machines);
    addresses::distinct(&held)?;
    judge_names(part, machines, &held)?;
    let first = node(&machines[part[0]]).expect("all are up");
    for (count, reliability) in counts(part, machines, first) {
        replicas::not_too_many(&count)?;
        if reliability != Reliability::Unsound {
            replicas::not_too_few(&count)?;
        }
    }
    Ok(())
}

/// Every service as one node of a part knows it, with the number of its runs in the part.
fn counts(part: &[MachineNo], machines: &[Machine], node: &SimNode) -> Vec<(Count, Reliability)> {
    let mut running: BTreeMap<ServiceId, Vec<Slot>> = BTreeMap::new();
    for (_, facts) in part.iter().flat_map(|no| machines[*no].programs.running()) {
        running.entry(facts.service).or_default().push(facts.slot);
    }
    let ids = ids(machines);
    let views: Vec<NodeView> = part.iter().filter_map(|no| node.node_view(ids[no])).collect();
    let count = |service: Service| {
        let runs = running.remove(&service.id).unwrap_or_default();
        let reliability = of_service(&service);
        let count = count(&service, part, &views, &runs);
        let surge = if node.is_side_by_side(&service) { count.most() } else { 0 };
        (Count { surge, ..count }, reliability)
    };
    node.services().into_iter().map(count).collect()
}

fn count(service: &Service, part: &[MachineNo], views: &[NodeView], runs: &[Slot]) -> Count {
    let fit = || views.iter().filter(|view| fits(service, view));
    let with = |availability| fit().filter(|view| view.availability == availability).count() as u32;
    Count {
        service: service.name.clone(),
        part: names(part),
        scale: service.scale,
        // Those that do not run everywhere may rightly run nowhere in a part.
        eligible: if is_anchored(service) { 0 } else { with(Availability::Active) },
        paused: with(Availability::Pause),
        max_per_node: service.placement.max_per_node,
        surge: 0,
        running: runs.len() as u32,
        slots: runs.iter().collect::<BTreeSet<_>>().len() as u32,
    }
}

/// Does each slot of a sound service run where it is planned, and only there?
fn runs_as_planned(machines: &[Machine]) -> Verdict {
    let first = node(&machines[0]).expect("all are up");
    let by_id: BTreeMap<NodeId, MachineNo> =
        ids(machines).into_iter().map(|(no, id)| (id, no)).collect();
    let sound: BTreeSet<ServiceId> = first
        .services()
        .iter()
        .filter(|service| of_service(service) != Reliability::Unsound)
        .filter(|service| !first.is_side_by_side(service))
        .map(|service| service.id)
        .collect();
    let mut planned = BTreeSet::new();
    for ((service, slot), owner) in first.placement() {
        if let Some(owner) = owner.filter(|_| sound.contains(&service)) {
            planned.insert((service, slot, by_id.get(&owner).copied()));
        }
    }
    let mut running = BTreeSet::new();
    for machine in machines {
        let runs = machine
            .programs
            .running()
            .filter(|(_, facts)| sound.contains(&facts.service) || first.is_removed(facts.service));
        running.extend(runs.map(|(_, facts)| (facts.service, facts.slot, Some(machine.no))));
    }
    match planned.symmetric_difference(&running).next() {
        None => Ok(()),
        Some((service, slot, machine)) => {
            let how = if planned.contains(&(*service, *slot, *machine)) {
                "planned there and does not run"
            } else {
                "runs there unplanned"
            };
            let machine = machine.map_or("nobody".to_owned(), |no| format!("n{no}"));
            let detail = format!("{service} {slot:?} on {machine}: {how}");
            Err(Violation::new(Invariant::I5Replicas, detail))
        }
    }
}
