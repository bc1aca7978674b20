//! I11: queues, state and bytes per link stay within their budgets.
//!
//! ```text
//! actions of one step    10,000   a full exchange of the largest state here is some 100 messages
//! waiting transactions        2   a node has one write under way, and may ask for the next
//! state of a machine      8 MiB   some 100 records of at most a few KiB; 256 KiB is one record
//! bytes of a link         4 MiB   in 10 s: a full exchange both ways and some; idle is 5 KiB
//! idle bytes                600   a second and machine, on average, with all headers: the design's;
//!                                 without the leases that operators ask for
//! bytes of a lease          200   a question of 35 and its answer, with headers
//! ```

use std::collections::BTreeMap;

use crate::invariant::{Invariant, Verdict, Violation};
use crate::network::MachineNo;

/// Actions that one input may cause.
pub const STEP_ACTIONS_MAX: usize = 10_000;
/// Transactions that wait for the disk.
pub const WAITING_WRITES_MAX: usize = 2;
/// Bytes of all records of a machine.
pub const STATE_BYTES_MAX: usize = 8 << 20;
/// The length of the window in which the bytes of a link are counted.
pub const LINK_WINDOW_MS: u64 = 10_000;
/// Bytes on one link, one direction, in one window.
pub const LINK_BYTES_MAX: u64 = 4 << 20;
/// Bytes that a machine at rest sends in a second, on average over the fleet.
pub const IDLE_BYTES_MAX: u64 = 600;
/// Bytes of a question for a lease and of its answer.
pub const LEASE_BYTES: u64 = 200;
/// The overhead of a datagram besides its bytes: seal 32, UDP 8, IPv4 20.
pub const DATAGRAM_COSTS: u64 = 60;

/// The bytes that were sent, per link and window.
#[derive(Debug, Default)]
pub struct Traffic {
    window: u64,
    links: BTreeMap<(MachineNo, MachineNo), u64>,
    /// Bytes of all links in the whole run.
    pub total: u64,
}

impl Traffic {
    /// A machine sends bytes to another.
    pub fn sent(&mut self, at: u64, from: MachineNo, to: MachineNo, bytes: u64) -> Verdict {
        if at / LINK_WINDOW_MS != self.window {
            self.window = at / LINK_WINDOW_MS;
            self.links.clear();
        }
        self.total += bytes;
        let sum = self.links.entry((from, to)).or_default();
        *sum += bytes;
        at_most("bytes of a link in 10 s", *sum, LINK_BYTES_MAX, from)
    }
}

/// Compares a figure of a machine with its budget.
pub fn at_most(what: &str, has: u64, budget: u64, machine: MachineNo) -> Verdict {
    if has <= budget {
        return Ok(());
    }
    let detail = format!("n{machine}: {what}: {has}, of {budget} at most");
    Err(Violation::new(Invariant::I11Budgets, detail))
}

/// The bytes of asking `anchors` for the leases of `slots`, four times in `fence_after_ms`.
pub fn leases(slots: u64, anchors: u64, fence_after_ms: u64, for_ms: u64) -> u64 {
    slots * anchors * (4 * for_ms / fence_after_ms.max(1) + 1) * LEASE_BYTES
}

/// Compares the bytes that a fleet at rest sent in `for_ms` milliseconds with the budget.
pub fn idles(bytes: u64, machines: u64, for_ms: u64) -> Verdict {
    let each = bytes * 1_000 / (machines * for_ms).max(1);
    if each <= IDLE_BYTES_MAX {
        return Ok(());
    }
    let detail = format!("at rest a machine sends {each} B/s, of {IDLE_BYTES_MAX} at most");
    Err(Violation::new(Invariant::I11Budgets, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_over_its_budget_in_one_window_is_found() {
        let mut traffic = Traffic::default();
        assert_eq!(traffic.sent(0, 0, 1, LINK_BYTES_MAX), Ok(()));
        assert_eq!(traffic.sent(1, 1, 0, LINK_BYTES_MAX), Ok(()));
        assert!(traffic.sent(2, 0, 1, 1).is_err());
        assert_eq!(traffic.sent(LINK_WINDOW_MS, 0, 1, 1), Ok(()));
        assert_eq!(traffic.total, 2 * LINK_BYTES_MAX + 2);
    }

    #[test]
    fn a_fleet_that_talks_at_rest_is_found() {
        assert_eq!(idles(3 * 600 * 25, 3, 25_000), Ok(()));
        assert!(idles(3 * 601 * 25, 3, 25_000).is_err());
    }

    #[test]
    fn a_figure_over_its_budget_is_found() {
        assert_eq!(at_most("state", 5, 5, 0), Ok(()));
        assert!(at_most("state", 6, 5, 0).is_err());
    }
}
