//! One machine of the world: its disk, its programs, its clocks, and the agent while there is one.
//!
//! ```text
//!              boot                    agent killed: programs live on
//!   without ──────────▶ with agent ──┬────────────────────────────────▶ without
//!      ▲                             └─ power lost: programs end ──────────┐
//!      └───────────────────────────────────────────────────────────────────┘
//! ```
//! A machine decides nothing; `crate::world` moves it.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

use crate::dice::Dice;
use crate::disk::Disk;
use crate::network::MachineNo;
use crate::programs::Programs;
use crate::sim_node::SimNode;

/// The time of day when a world begins: some second of 2026. Display only, as everywhere.
const WALL_MS_AT_START: i64 = 1_790_000_000_000;

/// The first so many machines are in the config of every agent, to be joined at: one may be down.
pub const JOIN_AT: usize = 2;

/// An agent that runs.
#[derive(Debug)]
pub struct Agent {
    /// The node in it.
    pub node: SimNode,
    /// When it was started: its own clock began then.
    pub booted_at: u64,
    /// Tells it from the agents before it.
    pub life: u64,
    /// When its timer is set to fire.
    pub timer_at: u64,
    /// When it is set to look after its programs.
    pub programs_at: u64,
}

/// One machine.
#[derive(Debug)]
pub struct Machine {
    /// Its number.
    pub no: MachineNo,
    /// Its disk.
    pub disk: Disk,
    /// Its programs.
    pub programs: Programs,
    /// The agent, unless it is down.
    pub agent: Option<Agent>,
    /// Agents so far.
    pub lives: u64,
    /// Faults that keep the agent down.
    pub down: u32,
    /// Faults that keep it from handling anything.
    pub paused: u32,
    /// Everything is handled so much later.
    pub slow_ms: u64,
    /// Each write takes so much longer.
    pub stall_ms: u64,
    /// What its time of day is off by.
    pub wall_off_ms: i64,
    /// How often its address has changed.
    pub site: u8,
    /// It has left the fleet, and waits to be started again.
    pub has_left: bool,
    /// Has it ever been started?
    pub has_joined: bool,
    /// Seed of what its agents draw.
    pub seed: u64,
    /// For how many writes of a crashed agent were made.
    pub dice: Dice,
}

impl Machine {
    /// A machine that was never started.
    pub fn new(no: MachineNo, seed: u64) -> Machine {
        let mut dice = Dice::new(seed, &format!("machine {no}"));
        Machine {
            no,
            disk: Disk::new(no),
            programs: Programs::new(Dice::new(seed, &format!("programs {no}"))),
            agent: None,
            lives: 0,
            down: 0,
            paused: 0,
            slow_ms: 0,
            stall_ms: 0,
            wall_off_ms: 0,
            site: 0,
            has_left: false,
            has_joined: false,
            seed: dice.any(),
            dice,
        }
    }

    /// The time of day as this machine knows it.
    pub fn wall_ms(&self, at: u64) -> u64 {
        let at = i64::try_from(at).expect("a world lasts minutes");
        u64::try_from(WALL_MS_AT_START + at + self.wall_off_ms).unwrap_or(0)
    }

    /// Where its agent is reached.
    pub fn address(&self) -> SocketAddr {
        address(self.no, self.site)
    }

    /// Is there an agent that handles what comes?
    pub fn is_up(&self) -> bool {
        self.agent.is_some()
    }

    /// Is it up and as quick as it should be?
    pub fn is_well(&self) -> bool {
        self.is_up() && self.paused == 0 && self.slow_ms == 0 && self.stall_ms == 0
    }
}

/// The address of a machine's agent at one of its sites.
pub fn address(machine: MachineNo, site: u8) -> SocketAddr {
    let host = u8::try_from(machine + 1).expect("a world has less than 255 machines");
    SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(10, 0, site, host), 7946))
}

/// The machine that is at an address now, if there is one.
pub fn machine_at(addr: SocketAddr, machines: &[Machine]) -> Option<MachineNo> {
    machines.iter().find(|machine| machine.address() == addr).map(|machine| machine.no)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leads_back_to_its_machine_until_it_moves() {
        let mut machines: Vec<Machine> = (0..7).map(|no| Machine::new(no, 1)).collect();
        assert_eq!(machine_at(address(6, 0), &machines), Some(6));
        machines[6].site = 1;
        assert_eq!(machine_at(address(6, 0), &machines), None);
        assert_eq!(machine_at(machines[6].address(), &machines), Some(6));
    }

    #[test]
    fn a_clock_before_1970_stands_at_0() {
        let mut machine = Machine::new(0, 1);
        machine.wall_off_ms = -i64::from(u32::MAX) * 1_000;
        assert_eq!(machine.wall_ms(5), 0);
    }
}
