//! The world: machines, a network between them, operators, and all faults.
//!
//! One seed decides all of it. The world has one clock; each agent has its own, which begins when
//! the agent starts. Everything that happens is a [`WorldEvent`] from the queue: it is traced and
//! performed, and its effects are checked.
//!
//! ```text
//! form ──▶ harm ──▶ frozen (some seeds: the last cuts stay) ──▶ heal ──▶ agree ──▶ rest ──▶ end
//! ```

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::{NodeId, RecordKey};
use gossip::GossipConfig;
use node_core::Input;
use node_core::edit::Edit;

use crate::bounds::{CONVERGE_MS, FROZEN_MS, REST_MS};
use crate::dice::Dice;
use crate::fault::{self, Fault, Harm};
use crate::habit::{Habits, JobHabit, NetworkHabit};
use crate::invariant::Violation;

use crate::adversary::Adversary;
use crate::anchor_habit::AnchorHabit;
use crate::machine::Machine;
use crate::network::{MachineNo, Network};
use crate::operator::Operator;
use crate::profile::{HARM_FROM_MS, Profile};
use crate::queue::Queue;
use crate::sabotage::Sabotage;
use crate::sim_node::{Answered, node_id};
use crate::sometimes::Event;
use crate::trace::{Echo, Trace};
use crate::watch::Watch;

mod edits;
mod faults;
mod habits;
mod lies;
mod orders;

/// An event of an agent.
#[derive(Debug, Clone)]
pub enum Fact {
    /// An input arrives.
    Input(Input),
    /// The timer fires that was set for this time.
    Timer(u64),
    /// The disk has made the oldest write.
    Synced,
    /// An event of the programs is due that was set for this time.
    Programs(u64),
}

/// A reliable message or handshake under way.
#[derive(Debug, Clone)]
pub struct ReliableMessage {
    from: MachineNo,
    to: MachineNo,
    /// The receiver's site when it was sent.
    site: u8,
    what: Contents,
    life: u64,
    give_up_at: u64,
}

/// What is sent reliably.
#[derive(Debug, Clone)]
pub enum Contents {
    /// A message.
    Message(Vec<u8>),
    /// A handshake.
    Handshake,
}

/// One event.
#[derive(Debug, Clone)]
pub enum WorldEvent {
    /// An event of a machine's agent, if it is still the agent of this life; 0: whichever agent
    /// runs.
    Agent {
        /// The machine.
        machine: MachineNo,
        /// The life of the agent.
        life: u64,
        /// The event.
        fact: Fact,
    },
    /// An attempt of a reliable message, the first or a further one.
    Attempt(ReliableMessage),
    /// A machine is started for the first time.
    Join(MachineNo),
    /// A fault begins.
    Begin(usize),
    /// A fault is over.
    End(usize),
    /// An operator works at a machine and changes something.
    Operate,
    /// An operator changes something at this machine.
    Edit {
        /// The machine.
        machine: MachineNo,
        /// The change.
        edit: Edit,
    },
    /// Operators remove services that can never run.
    Cleanup,
    /// The world is inspected as a whole.
    Inspect,
}

/// The phase of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Harm,
    Frozen,
    Healed,
    Resting { until: u64 },
    Over,
}

/// One world.
#[derive(Debug)]
pub struct World {
    /// The profile of the seed.
    pub profile: Profile,
    /// Virtual time.
    pub at: u64,
    /// The machines, by number.
    pub machines: Vec<Machine>,
    /// The trace.
    pub trace: Trace,
    /// The checkers.
    pub watch: Watch,
    queue: Queue<WorldEvent>,
    network: Network,
    gossip: GossipConfig,
    faults: Vec<Fault>,
    operator: Operator,
    habits: Habits,
    networks: NetworkHabit,
    jobs: JobHabit,
    anchors: AnchorHabit,
    /// The names of services that were removed.
    removed_names: BTreeSet<String>,
    adversary: Adversary,
    dice: Dice,
    /// The ids of machines that call and never become members.
    strangers: Dice,
    ids: BTreeMap<NodeId, MachineNo>,
    backlog: Vec<Vec<(u64, Fact)>>,
    tickets: BTreeMap<u64, edits::Ticket>,
    last_ticket: u64,
    stage: Stage,
    heal_at: u64,
    /// The older records that a stale store comes back with; empty without that sabotage.
    living: BTreeMap<(MachineNo, RecordKey), Vec<u8>>,
}

impl World {
    /// The world of a seed and its profile, before anything has happened.
    pub fn new(seed: u64, profile: Profile, echo: Echo) -> World {
        let count = profile.machines;
        let machines: Vec<Machine> = (0..count)
            .map(|no| Machine::new(no, Dice::new(seed, &format!("key {no}")).any()))
            .collect();
        let ids = machines.iter().map(|machine| (node_id(machine.seed), machine.no)).collect();
        let network = Network::new(count, profile.conditions, Dice::new(seed, "network"));
        let mut world = World {
            at: 0,
            trace: Trace::new(echo),
            watch: Watch::new(count),
            queue: Queue::default(),
            network,
            gossip: GossipConfig { rumours: profile.rumours, ..GossipConfig::default() },
            faults: Vec::new(),
            operator: Operator::new(profile.pace, seed),
            habits: Habits::new(seed),
            networks: NetworkHabit::new(seed),
            jobs: JobHabit::new(seed),
            anchors: AnchorHabit::new(seed),
            removed_names: BTreeSet::new(),
            adversary: Adversary::new(seed),
            dice: Dice::new(seed, "world"),
            strangers: Dice::new(seed, "strangers"),
            ids,
            backlog: vec![Vec::new(); count],
            tickets: BTreeMap::new(),
            last_ticket: 0,
            stage: Stage::Harm,
            heal_at: profile.harm_until + if profile.is_frozen { FROZEN_MS } else { 0 },
            living: BTreeMap::new(),
            machines,
            profile,
        };
        if world.profile.sabotage == Some(Sabotage::SilentRemovals) {
            world.watch.answered = Answered::SilentOnRemovals;
        }
        world.draw_faults(seed);
        world.draw_crowd();
        world.schedule();
        world
    }

    fn draw_faults(&mut self, seed: u64) {
        let until = self.profile.harm_until;
        for nemesis in &self.profile.nemeses {
            let mut dice = Dice::new(seed, &format!("nemesis {nemesis:?}"));
            let count = self.machines.len();
            self.faults.extend(fault::draw(*nemesis, count, HARM_FROM_MS, until, &mut dice));
        }
        if self.profile.is_frozen {
            let cuts = self.faults.iter_mut().filter(|fault| matches!(fault.harm, Harm::Cut(_)));
            cuts.filter(|fault| fault.end == until).for_each(|fault| fault.end += FROZEN_MS);
        }
    }

    fn schedule(&mut self) {
        for machine in 0..self.machines.len() {
            let is_late = machine >= self.machines.len() - self.profile.late;
            let at = match (machine, is_late) {
                (0, _) => 0,
                (_, false) => self.dice.between(0, 2_000),
                (_, true) => self.dice.between(HARM_FROM_MS, self.profile.harm_until),
            };
            self.queue.put(at, WorldEvent::Join(machine));
        }
        for (number, fault) in self.faults.iter().enumerate() {
            self.queue.put(fault.begin, WorldEvent::Begin(number));
            if !fault.harm.has_no_end() {
                self.queue.put(fault.end, WorldEvent::End(number));
            }
        }
        let first = self.dice.between(500, 4_000);
        self.queue.put(first, WorldEvent::Operate);
        self.queue.put(self.profile.harm_until + 1, WorldEvent::Cleanup);
        self.queue.put(1_000, WorldEvent::Inspect);
    }

    /// Performs all events until the end, a violation, or this time.
    pub fn run(&mut self, until: u64) -> Result<(), Violation> {
        while self.stage != Stage::Over && self.watch.violation.is_none() {
            let Some((at, event)) = self.queue.take() else { break };
            assert!(at >= self.at, "time does not run backwards");
            if at > until {
                break;
            }
            self.at = at;
            self.happen(event);
        }
        self.watch.violation.take().map_or(Ok(()), Err)
    }

    fn happen(&mut self, event: WorldEvent) {
        match event {
            WorldEvent::Agent { machine, life, fact } => self.on_fact(machine, life, fact),
            WorldEvent::Attempt(message) => self.on_attempt(message),
            WorldEvent::Join(machine) => self.on_join(machine),
            WorldEvent::Begin(fault) => self.on_begin(fault),
            WorldEvent::End(fault) => self.on_end(fault),
            WorldEvent::Operate => self.on_operate(),
            WorldEvent::Edit { machine, edit } => self.on_edit(machine, edit),
            WorldEvent::Cleanup => self.on_cleanup(),
            WorldEvent::Inspect => self.on_inspect(),
        }
    }

    /// An event of an agent, unless the agent is gone; a paused agent gets the event later.
    fn on_fact(&mut self, no: MachineNo, life: u64, fact: Fact) {
        let machine = &mut self.machines[no];
        if let (Fact::Synced, Some(agent)) = (&fact, &machine.agent)
            && agent.life == life
        {
            let written = machine.disk.synced();
            self.watch.on_synced(&self.machines[no], &written);
            if self.profile.sabotage == Some(Sabotage::LyingDisk) {
                return;
            }
            let input = Input::Persisted { seq: written.seq };
            return self.hand_over(no, life, Fact::Input(input));
        }
        self.hand_over(no, life, fact);
    }

    fn hand_over(&mut self, no: MachineNo, life: u64, fact: Fact) {
        let machine = &mut self.machines[no];
        let Some(agent) = machine.agent.as_mut().filter(|a| life == 0 || a.life == life) else {
            return;
        };
        if machine.paused > 0 {
            self.backlog[no].push((agent.life, fact));
            return;
        }
        match fact {
            Fact::Input(input) => self.feed(no, input),
            Fact::Timer(at) if agent.timer_at == at => {
                agent.timer_at = u64::MAX;
                self.feed(no, Input::TimerFired);
            }
            Fact::Programs(at) if agent.programs_at == at => {
                agent.programs_at = u64::MAX;
                let at = self.at;
                while let Some((run, event)) = self.machines[no].programs.poll(at) {
                    self.watch.on_run_event((at, no), run, &event, &self.machines[no].programs);
                    self.feed(no, Input::Run { run, event });
                }
                self.wait_for_programs(no);
            }
            Fact::Timer(_) | Fact::Programs(_) | Fact::Synced => {}
        }
    }

    fn feed(&mut self, no: MachineNo, input: Input) {
        let (at, machine) = (self.at, &mut self.machines[no]);
        let wall_ms = machine.wall_ms(at);
        let Some(agent) = &mut machine.agent else { return };
        note_input(&mut self.trace, at, no, &input);
        agent.node.step(at - agent.booted_at, wall_ms, input);
        self.carry_out(no);
    }

    fn on_inspect(&mut self) {
        self.queue.put(self.at + 1_000, WorldEvent::Inspect);
        if self.stage == Stage::Harm && self.at > self.profile.harm_until {
            self.stage = Stage::Frozen;
        }
        if self.stage == Stage::Frozen && self.at >= self.heal_at {
            self.stage = Stage::Healed;
            self.watch.rest_ends();
        }
        self.watch.inspect(self.at, &self.machines, &self.network);
        self.watch.judge_poison(&self.machines, &self.adversary);
        match self.stage {
            Stage::Harm | Stage::Over => {}
            Stage::Frozen => {
                if self.at >= self.heal_at - REST_MS && self.at < self.heal_at - 1_000 {
                    let peaceful = self.watch.in_peace(self.at, &self.machines, &self.network);
                    self.watch.rest_begins(self.at, peaceful);
                }
                if self.at >= self.heal_at - 1_000 {
                    self.watch.rest_ends();
                }
            }
            Stage::Healed => self.await_agreement(),
            Stage::Resting { until } if self.at >= until => {
                self.watch.end(self.at, &self.machines, &self.network);
                self.stage = Stage::Over;
            }
            Stage::Resting { .. } => {
                if self.profile.sabotage == Some(Sabotage::RestlessOperator) {
                    self.disturb_rest();
                }
            }
        }
    }

    fn await_agreement(&mut self) {
        match self.watch.is_settled(self.at, &self.machines) {
            Ok(()) => {
                let took_ms = self.at - self.heal_at;
                self.trace.note(self.at, format_args!("all agree, after {took_ms} ms"), &[]);
                self.watch.agreed(took_ms);
                self.watch.sometimes.saw(Event::Settled);
                self.watch.rest_begins(self.at, (0..self.machines.len()).collect());
                self.stage = Stage::Resting { until: self.at + REST_MS };
            }
            Err(violation) if self.at >= self.heal_at + CONVERGE_MS => {
                self.watch.report(Err(violation));
            }
            Err(_) => {}
        }
    }
}

fn note_input(trace: &mut Trace, at: u64, no: MachineNo, input: &Input) {
    match input {
        Input::Datagram { from, bytes, .. } => {
            trace.note(at, format_args!("n{no} datagram of {} from {from}", bytes.len()), bytes);
        }
        Input::Message { from, bytes } => {
            trace.note(at, format_args!("n{no} message of {} from {from}", bytes.len()), bytes);
        }
        Input::TimerFired => trace.note(at, format_args!("n{no} timer"), &[]),
        Input::Persisted { seq } => trace.note(at, format_args!("n{no} persisted {seq}"), &[]),
        other => trace.note(at, format_args!("n{no} {other:?}"), &[]),
    }
}
