//! One machine of the world: its disk, its programs, its clocks, and its agent unless that is down.
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

/// The time of day when a world begins: a second in 2026. Display only, as everywhere.
const WALL_MS_AT_START: i64 = 1_790_000_000_000;

/// The config of every agent names the first machines as addresses to join at. There are two,
/// because one may be down.
pub const JOIN_AT: usize = 2;

/// An agent that is running.
#[derive(Debug)]
pub struct Agent {
    /// The agent's node.
    pub node: SimNode,
    /// When it was started: its own clock began then.
    pub booted_at: u64,
    /// Distinguishes it from earlier agents of the machine.
    pub life: u64,
    /// When its timer is set to fire.
    pub timer_at: u64,
    /// When the agent is set to poll its programs.
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
    /// The number of agents so far.
    pub lives: u64,
    /// Faults that keep the agent down.
    pub down: u32,
    /// Faults that keep the machine from handling anything.
    pub paused: u32,
    /// Everything is handled this much later.
    pub slow_ms: u64,
    /// Each write takes this much longer.
    pub stall_ms: u64,
    /// The error of its time of day.
    pub wall_off_ms: i64,
    /// How often its address has changed.
    pub site: u8,
    /// It has left the fleet, and waits to be started again.
    pub has_left: bool,
    /// Has it ever been started?
    pub has_joined: bool,
    /// The seed for the random numbers of its agents.
    pub seed: u64,
    /// Draws how many waiting writes of a crashed agent were made.
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

    /// The time of day by this machine's clock.
    pub fn wall_ms(&self, at: u64) -> u64 {
        let at = i64::try_from(at).expect("a world lasts minutes");
        u64::try_from(WALL_MS_AT_START + at + self.wall_off_ms).unwrap_or(0)
    }

    /// The address of its agent.
    pub fn address(&self) -> SocketAddr {
        address(self.no, self.site)
    }

    /// Is an agent running?
    pub fn is_up(&self) -> bool {
        self.agent.is_some()
    }

    /// Is it up, and neither paused nor slow nor stalled?
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
