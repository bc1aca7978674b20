//! Orders: the actions of a node, and how the world performs them.

use crdt_state::Kind;
use crdt_state::task::{Run, TaskStart};
use node_core::tasks::STARTING_MAX;
use node_core::{Action, Input};

use super::{Contents, Fact, ReliableMessage, World, WorldEvent};
use crate::bounds::{RELIABLE_MS, RETRY_MS};
use crate::check::budgets::{self, DATAGRAM_COSTS, STEP_ACTIONS_MAX, WAITING_WRITES_MAX};
use crate::disk::Write;
use crate::machine::machine_at;
use crate::network::MachineNo;
use crate::sabotage::Sabotage;
use crate::sim_node::{node_id, removals_on_disk};
use crate::sometimes::Event;

/// How long after its acknowledgement a lying disk really writes.
const LIE_MS: u64 = 500;

impl World {
    /// Takes and performs all actions of a node, sets its timer, and has the checkers look at it.
    pub(super) fn carry_out(&mut self, no: MachineNo) {
        let mut orders = 0;
        while let Some(action) = self.machines[no].agent.as_mut().and_then(|a| a.node.poll_action())
        {
            orders += 1;
            self.perform(no, action);
        }
        let most = STEP_ACTIONS_MAX as u64;
        self.watch.report(budgets::at_most("actions of one step", orders, most, no));
        if orders > 0 {
            self.count_starting(no);
        }
        self.set_timer(no);
        self.watch.after_step(self.at, no, &self.machines);
        if self.machines[no].has_left && self.machines[no].is_up() {
            self.machines[no].down += 1;
            self.kill_agent(no);
        }
    }

    fn set_timer(&mut self, no: MachineNo) {
        let (at, machine) = (self.at, &mut self.machines[no]);
        let Some(agent) = &mut machine.agent else { return };
        let Some(deadline) = agent.node.deadline() else { return };
        let due = (agent.booted_at + deadline).max(at + 1) + machine.slow_ms;
        if due < agent.timer_at {
            agent.timer_at = due;
            let fact = Fact::Timer(due);
            self.queue.put(due, WorldEvent::Agent { machine: no, life: agent.life, fact });
        }
    }

    fn perform(&mut self, no: MachineNo, action: Action) {
        let at = self.at;
        match action {
            Action::SendDatagram { addr, bytes, .. } => {
                if let Some(to) = self.recipient(addr) {
                    self.send_datagram(no, to, bytes);
                }
            }
            Action::SendMessage { to, addr, bytes } => self.send_message(no, to, addr, bytes),
            Action::Connect { addr } => {
                if let Some(to) = self.recipient(addr).filter(|to| *to != no) {
                    self.trace.note(at, format_args!("n{no} connects to n{to}"), &[]);
                    self.dispatch(no, to, Contents::Handshake);
                }
            }
            Action::Persist { seq, puts, drops } => self.persist(no, Write { seq, puts, drops }),
            Action::StartRun(start) => self.start_run(no, &start),
            Action::StopRun { run, grace_ms, .. } => self.stop_run(no, run, grace_ms),
            Action::ExpireRun { run, at: until } => {
                let booted_at = self.machines[no].agent.as_ref().map_or(0, |agent| agent.booted_at);
                let until = (until != gossip::Now::NEVER).then(|| booted_at + until.0);
                self.trace.note(at, format_args!("n{no} lets {run:?} live until {until:?}"), &[]);
                self.machines[no].programs.expire(run, until);
                self.wait_for_programs(no);
            }
            Action::ForgetRun { run } => {
                self.trace.note(at, format_args!("n{no} forgets {run:?}"), &[]);
                self.watch.on_forget(&self.machines[no], run);
                self.machines[no].programs.forget(run);
            }
            Action::Answer { ticket, result } => self.on_answer(no, ticket, result),
            Action::Event(event) => {
                self.watch.on_event(&event);
                self.trace.note(
                    at,
                    format_args!("n{no} says {:?} {}", event.subject, event.action),
                    &[],
                );
            }
            // No history of the simulator creates a secret: its keys are of nobody.
            Action::ShareKey(_)
            | Action::TellCopies { .. }
            | Action::Acquaint(_)
            | Action::TakeFleetKey(_)
            | Action::Seal(_) => {}
            Action::Departed => {
                self.trace.note(at, format_args!("n{no} has left"), &[]);
                self.machines[no].has_left = true;
            }
        }
    }

    fn start_run(&mut self, no: MachineNo, start: &TaskStart) {
        let TaskStart { service_name, slot, run, .. } = start;
        let at = self.at;
        self.trace.deed(at, format_args!("n{no} starts {service_name} {slot:?} {run:?}"));
        self.watch.on_start(no, start, &self.machines);
        self.machines[no].programs.start(at, start);
        self.wait_for_programs(no);
    }

    /// Counts them when a step is carried out: it may stop one that starts, and start another.
    fn count_starting(&mut self, no: MachineNo) {
        let (starting, most) = (self.machines[no].programs.starting(), STARTING_MAX);
        self.watch.sometimes.saw_times(Event::StartsAtBound, u64::from(starting == most));
        self.watch.report(budgets::at_most("runs that start", starting as u64, most as u64, no));
    }

    fn stop_run(&mut self, no: MachineNo, run: Run, grace_ms: u64) {
        let at = self.at;
        self.trace.deed(at, format_args!("n{no} stops {run:?} within {grace_ms} ms"));
        self.watch.on_stop(no, run, &self.machines);
        if self.profile.sabotage != Some(Sabotage::DeafPrograms) {
            self.machines[no].programs.stop(at, run, grace_ms);
        }
        self.wait_for_programs(no);
    }

    fn recipient(&self, addr: std::net::SocketAddr) -> Option<MachineNo> {
        machine_at(addr, &self.machines)
    }

    fn send_datagram(&mut self, from: MachineNo, to: MachineNo, bytes: Vec<u8>) {
        let sent = bytes.len() as u64 + DATAGRAM_COSTS;
        self.watch.on_sent(self.at, from, to, sent);
        let late_ms = self.machines[to].slow_ms;
        let copies = if self.profile.sabotage == Some(Sabotage::Chatter) { 3 } else { 1 };
        for _ in 1..copies {
            self.watch.on_sent(self.at, from, to, sent);
        }
        for transit_ms in self.network.datagram(from, to) {
            let (sender, bytes) = (node_id(self.machines[from].seed), bytes.clone());
            let input = Input::Datagram { sender, from: self.machines[from].address(), bytes };
            let fact = Fact::Input(input);
            let at = self.at + transit_ms + late_ms;
            self.queue.put(at, WorldEvent::Agent { machine: to, life: 0, fact });
        }
    }

    fn send_message(
        &mut self,
        no: MachineNo,
        to: crdt_state::NodeId,
        addr: std::net::SocketAddr,
        bytes: Vec<u8>,
    ) {
        let message_max = gossip::output::MESSAGE_BYTES_MAX as u64;
        let size = bytes.len() as u64;
        self.watch.report(budgets::at_most("bytes of a message", size, message_max, no));
        let right = self.recipient(addr).filter(|machine| self.ids.get(&to) == Some(machine));
        match right {
            Some(machine) if machine != no => {
                self.watch.on_sent(self.at, no, machine, size);
                self.dispatch(no, machine, Contents::Message(bytes));
            }
            _ => self.undelivered(no, to),
        }
    }

    /// No machine with this id has this address.
    fn undelivered(&mut self, no: MachineNo, to: crdt_state::NodeId) {
        let life = self.machines[no].lives;
        let fact = Fact::Input(Input::Undelivered { to });
        let at = self.at + RELIABLE_MS;
        self.queue.put(at, WorldEvent::Agent { machine: no, life, fact });
    }

    fn dispatch(&mut self, from: MachineNo, to: MachineNo, what: Contents) {
        let life = self.machines[from].lives;
        let give_up_at = self.at + RELIABLE_MS;
        let site = self.machines[to].site;
        self.on_attempt(ReliableMessage { from, to, site, what, life, give_up_at });
    }

    /// Tries a reliable message. It fails for good when its timeout has passed or its sender is
    /// gone.
    pub(super) fn on_attempt(&mut self, message: ReliableMessage) {
        let ReliableMessage { from, to, life, give_up_at, .. } = message;
        if self.machines[from].agent.as_ref().is_none_or(|agent| agent.life != life) {
            return;
        }
        let is_message = matches!(message.what, Contents::Message(_));
        if is_message && self.profile.sabotage == Some(Sabotage::LostMessages) {
            return;
        }
        let transit_ms = self.network.attempt(from, to);
        let receiver = &self.machines[to];
        let to_is_there = receiver.is_up() && receiver.paused == 0 && receiver.site == message.site;
        match transit_ms.filter(|_| to_is_there) {
            Some(transit_ms) => self.arrive(message, transit_ms),
            None if self.at + RETRY_MS <= give_up_at => {
                self.queue.put(self.at + RETRY_MS, WorldEvent::Attempt(message));
            }
            None if is_message => {
                self.watch.sometimes.saw(Event::Undelivered);
                let to = node_id(self.machines[to].seed);
                let fact = Fact::Input(Input::Undelivered { to });
                self.queue.put(self.at, WorldEvent::Agent { machine: from, life, fact });
            }
            None => {}
        }
    }

    fn arrive(&mut self, message: ReliableMessage, transit_ms: u64) {
        let ReliableMessage { from, to, what, life, .. } = message;
        let (from_id, to_id) = (node_id(self.machines[from].seed), node_id(self.machines[to].seed));
        let at = self.at + transit_ms + self.machines[to].slow_ms;
        let input = match what {
            Contents::Message(bytes) => Input::Message { from: from_id, bytes },
            Contents::Handshake => {
                let input = Input::Connected { node: to_id, addr: self.machines[to].address() };
                let back = at + transit_ms + self.machines[from].slow_ms;
                let fact = Fact::Input(input);
                self.queue.put(back, WorldEvent::Agent { machine: from, life, fact });
                Input::Connected { node: from_id, addr: self.machines[from].address() }
            }
        };
        let fact = Fact::Input(input);
        self.queue.put(at, WorldEvent::Agent { machine: to, life: 0, fact });
    }

    fn persist(&mut self, no: MachineNo, write: Write) {
        let at = self.at;
        let kinds: Vec<u8> = write.puts.iter().map(|(key, _)| key.kind.0).collect();
        self.trace.note(at, format_args!("n{no} writes records of kinds {kinds:x?}"), &[]);
        self.watch.on_persist(at, &self.machines[no], &write);
        if self.profile.sabotage == Some(Sabotage::StaleStore) {
            let living =
                write.puts.iter().filter(|(key, bytes)| removals_on_disk(*key, bytes).is_empty());
            let living = living.filter(|(key, _)| key.kind == Kind::SERVICE);
            self.living.extend(living.map(|(key, bytes)| ((no, *key), bytes.clone())));
        }
        let takes_ms = self.dice.between(1, 5);
        let machine = &mut self.machines[no];
        let is_lie = self.profile.sabotage == Some(Sabotage::LyingDisk);
        let takes_ms = takes_ms + machine.stall_ms + if is_lie { LIE_MS } else { 0 };
        let seq = write.seq;
        let done_at = machine.disk.write(at, takes_ms, write);
        let (waiting, most) = (machine.disk.waiting() as u64, WAITING_WRITES_MAX as u64);
        let life = machine.lives;
        let late_ms = machine.slow_ms;
        if is_lie {
            let fact = Fact::Input(Input::Persisted { seq });
            self.queue.put(at + 1, WorldEvent::Agent { machine: no, life, fact });
        } else {
            self.watch.report(budgets::at_most("waiting transactions", waiting, most, no));
        }
        let fact = Fact::Synced;
        self.queue.put(done_at + late_ms, WorldEvent::Agent { machine: no, life, fact });
    }

    /// Wakes the agent when its programs have an event.
    pub(super) fn wait_for_programs(&mut self, no: MachineNo) {
        let machine = &mut self.machines[no];
        let (Some(due), Some(agent)) = (machine.programs.deadline(), &mut machine.agent) else {
            return;
        };
        let at = due.max(self.at) + machine.slow_ms;
        if at < agent.programs_at {
            agent.programs_at = at;
            let (life, fact) = (agent.life, Fact::Programs(at));
            self.queue.put(at, WorldEvent::Agent { machine: no, life, fact });
        }
    }
}
