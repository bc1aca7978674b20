//! How faults begin and end, and how agents start and stop.

use std::net::SocketAddr;

use crdt_state::{NodeId, RecordKey, ServiceId};
use gossip::STRANGERS_MAX;
use node_core::Input;

use super::{Fact, World, WorldEvent};
use crate::fault::Harm;
use crate::machine::{Agent, JOIN_AT, address};
use crate::network::MachineNo;
use crate::sim_node::{SimNode, Start, node_id, removals_on_disk};
use crate::sometimes::Event;

impl World {
    pub(super) fn on_begin(&mut self, number: usize) {
        let harm = self.faults[number].harm.clone();
        self.trace.note(self.at, format_args!("fault: {harm}"), &[]);
        self.watch.disturbed(self.at, &harm.disturbs());
        match harm {
            Harm::Cut(links) => {
                links.iter().for_each(|(a, b)| self.network.cut(*a, *b));
                self.on_cut(&links);
            }
            Harm::LinkConditions(links, by) => {
                links.iter().for_each(|(a, b)| self.network.worsen(*a, *b, by));
            }
            Harm::AgentDown(no) => {
                self.machines[no].down += 1;
                self.kill_agent(no);
            }
            Harm::PowerDown(no) => {
                self.machines[no].down += 1;
                self.cut_power(no);
            }
            Harm::DiskLost(no) => {
                self.machines[no].down += 1;
                self.cut_power(no);
                self.watch.on_disk_lost(&self.machines, no);
                self.machines[no].disk.lose();
            }
            Harm::StoreCopied(no) => self.machines[no].disk.copy(),
            Harm::StoreRestored(no) => self.restore_store(no),
            Harm::DiskStall(no, ms) => self.machines[no].stall_ms += ms,
            Harm::Slow(no, ms) => self.machines[no].slow_ms += ms,
            Harm::Pause(no) => self.machines[no].paused += 1,
            Harm::ClockJump(no, ms) => self.machines[no].wall_off_ms += ms,
            Harm::Roam(no) => self.roam(no),
            Harm::Leave(no) => self.leave(no),
            Harm::Junk(no, count) => self.throw_junk(no, count),
            Harm::Poison(no, count) => self.throw_poison(no, count),
            Harm::Strangers(no, count) => self.call_by_strangers(no, count),
            Harm::Lies(no, count) => self.tell_lies(no, count),
            Harm::ProgramKill(no) => {
                if self.machines[no].programs.kill_one(self.at).is_some() {
                    self.watch.unsettled(self.at);
                    self.wait_for_programs(no);
                }
            }
        }
    }

    pub(super) fn on_end(&mut self, number: usize) {
        let harm = self.faults[number].harm.clone();
        self.trace.note(self.at, format_args!("over: {harm}"), &[]);
        self.watch.disturbed(self.at, &harm.disturbs());
        match harm {
            Harm::Cut(links) => links.iter().for_each(|(a, b)| self.network.mend(*a, *b)),
            Harm::LinkConditions(links, by) => {
                links.iter().for_each(|(a, b)| self.network.calm(*a, *b, by));
            }
            Harm::AgentDown(no)
            | Harm::PowerDown(no)
            | Harm::DiskLost(no)
            | Harm::StoreRestored(no) => {
                self.machines[no].down -= 1;
                if self.machines[no].down == 0 && self.machines[no].has_joined {
                    self.boot(no);
                }
            }
            Harm::DiskStall(no, ms) => self.machines[no].stall_ms -= ms,
            Harm::Slow(no, ms) => self.machines[no].slow_ms -= ms,
            Harm::Pause(no) => self.resume(no),
            Harm::Leave(no) => self.come_back(no),
            Harm::ClockJump(..)
            | Harm::ProgramKill(_)
            | Harm::Roam(_)
            | Harm::Junk(..)
            | Harm::Poison(..)
            | Harm::Strangers(..)
            | Harm::Lies(..)
            | Harm::StoreCopied(_) => {}
        }
    }

    /// The key and the boot counter are stored beside the store and do not change.
    fn restore_store(&mut self, no: MachineNo) {
        self.machines[no].down += 1;
        self.cut_power(no);
        let before = self.machines[no].disk.store();
        if self.machines[no].disk.restore() {
            self.watch.on_store_restored(&self.machines, no, before);
        }
    }

    fn resume(&mut self, no: MachineNo) {
        self.machines[no].paused -= 1;
        if self.machines[no].paused > 0 {
            return;
        }
        for (life, fact) in std::mem::take(&mut self.backlog[no]) {
            self.queue.put(self.at, WorldEvent::Agent { machine: no, life, fact });
        }
    }

    /// The addresses in the config never change; the other machines may move.
    fn roam(&mut self, no: MachineNo) {
        if no >= JOIN_AT {
            self.machines[no].site = self.machines[no].site.wrapping_add(1);
        }
    }

    fn leave(&mut self, no: MachineNo) {
        self.watch.unsettled(self.at);
        let fact = Fact::Input(Input::Leave);
        self.queue.put(self.at, WorldEvent::Agent { machine: no, life: 0, fact });
    }

    /// The agent is started again, whether it has already left or not.
    fn come_back(&mut self, no: MachineNo) {
        self.watch.unsettled(self.at);
        if std::mem::take(&mut self.machines[no].has_left) {
            self.machines[no].down -= 1;
        } else {
            self.kill_agent(no);
        }
        let machine = &self.machines[no];
        if machine.down == 0 && machine.has_joined && !machine.is_up() {
            self.boot(no);
        }
    }

    fn throw_junk(&mut self, no: MachineNo, count: u64) {
        for _ in 0..count {
            let len = self.dice.index(80);
            let bytes: Vec<u8> = (0..len).map(|_| self.dice.index(256) as u8).collect();
            let sender = self.dice.index(self.machines.len());
            let id = node_id(self.machines[sender].seed);
            let input = match self.dice.below(2) {
                0 => Input::Datagram { sender: id, from: self.machines[sender].address(), bytes },
                _ => Input::Message { from: id, bytes },
            };
            let fact = Fact::Input(input);
            self.queue.put(self.at, WorldEvent::Agent { machine: no, life: 0, fact });
        }
    }

    /// Machines that nobody knows complete the handshake and are never heard again.
    fn call_by_strangers(&mut self, no: MachineNo, count: u64) {
        let is_beyond = count > STRANGERS_MAX as u64 && self.machines[no].is_up();
        self.watch.sometimes.saw_times(Event::StrangersBeyondBound, u64::from(is_beyond));
        for number in 0..count {
            let id = [self.strangers.any().to_be_bytes(), self.strangers.any().to_be_bytes()];
            let node = NodeId(id.concat().try_into().expect("two times 8 bytes"));
            // A network for documentation: no machine of the world has such an address.
            let addr = SocketAddr::from(([203, 0, 113, 1], 1_024 + number as u16));
            let fact = Fact::Input(Input::Connected { node, addr });
            self.queue.put(self.at, WorldEvent::Agent { machine: no, life: 0, fact });
        }
    }

    /// A member sends records that no operator could write, also of services that this machine
    /// knows.
    fn throw_poison(&mut self, no: MachineNo, count: u64) {
        for _ in 0..count {
            let Some(agent) = &self.machines[no].agent else { return };
            let delta = |id: ServiceId| agent.node.replica().delta([RecordKey::service(id)]);
            let services = agent.node.services().into_iter();
            let services: Vec<_> =
                services.map(|service| (service.id, delta(service.id))).collect();
            let poison = self.adversary.poison(&services);
            self.watch.poisoned(self.at, &poison);
            let input = Input::Message { from: poison.from, bytes: poison.bytes };
            let fact = Fact::Input(input);
            self.queue.put(self.at, WorldEvent::Agent { machine: no, life: 0, fact });
        }
    }

    pub(super) fn kill_agent(&mut self, no: MachineNo) {
        let machine = &mut self.machines[no];
        if machine.agent.take().is_none() {
            return;
        }
        let dice = &mut machine.dice;
        machine.disk.crash(dice);
        machine.programs.agent_crashed(self.at);
        self.backlog[no].clear();
        self.watch.sometimes.saw(Event::AgentKilled);
        self.watch.on_crash(&self.machines[no]);
        self.drop_tickets(no);
    }

    fn cut_power(&mut self, no: MachineNo) {
        self.kill_agent(no);
        self.watch.sometimes.saw(Event::PowerLost);
        self.watch.unsettled(self.at);
        self.machines[no].programs.power_lost(self.at);
    }

    pub(super) fn on_join(&mut self, no: MachineNo) {
        self.machines[no].has_joined = true;
        self.watch.joined(self.at, no);
        self.watch.unsettled(self.at);
        if self.machines[no].down == 0 {
            self.boot(no);
        }
    }

    /// Joins as the real agent does: at the addresses of the config, and of members known before.
    fn join_all(&mut self, no: MachineNo, life: u64) {
        let Some(agent) = &self.machines[no].agent else { return };
        let own = self.machines[no].address();
        let mut addrs = agent.node.remembered();
        addrs.extend((0..self.machines.len().min(JOIN_AT)).map(|seed| address(seed, 0)));
        addrs.sort_unstable();
        addrs.dedup();
        for addr in addrs.into_iter().filter(|addr| *addr != own) {
            let fact = Fact::Input(Input::Join { addr });
            self.queue.put(self.at, WorldEvent::Agent { machine: no, life, fact });
        }
    }

    /// Starts the agent of a machine.
    pub(super) fn boot(&mut self, no: MachineNo) {
        let (at, gossip) = (self.at, self.gossip);
        let machine = &mut self.machines[no];
        machine.lives += 1;
        machine.disk.falsify(|key, bytes| {
            let older = self.living.get(&(no, key))?;
            (!removals_on_disk(key, bytes).is_empty()).then(|| older.clone())
        });
        let adopted = machine.programs.adopt(at);
        self.trace.note(at, format_args!("n{no} boots with {} runs", adopted.len()), &[]);
        self.watch.sometimes.saw_times(Event::Adopted, adopted.len() as u64);
        let node = SimNode::boot(Start {
            machine: no,
            address: machine.address(),
            seed: machine.seed,
            wall_ms: machine.wall_ms(at),
            disk: &mut machine.disk,
            adopted,
            gossip,
        });
        let life = machine.lives;
        machine.agent =
            Some(Agent { node, booted_at: at, life, timer_at: u64::MAX, programs_at: u64::MAX });
        self.watch.disturbed(at, &[no].into());
        self.watch.on_boot(&self.machines[no]);
        self.carry_out(no);
        self.wait_for_programs(no);
        self.join_all(no, life);
    }
}
