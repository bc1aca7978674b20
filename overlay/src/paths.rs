//! The data path to every other node, as probes find it: does it answer, how long does that take,
//! how much is lost, and which is the largest packet that passes.
//!
//! ```text
//! targets, answers, time ──▶ Paths ──▶ probes to send
//!                              └─────▶ verdicts: silent since when, round trip, largest packet
//! ```
//! Probes go exactly the way of the data and the kernel of the other node answers them, so a path
//! is judged without the agent at its other end. Bytes are counted: what is steady has a budget per
//! node, whatever the number of peers. One path is [`path::Path`], its largest packet
//! [`size::SizeSearch`].

pub mod ends;
pub mod fault;
mod path;
mod size;

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::NodeId;

use path::Path;

/// A small probe: IPv6 and ICMPv6 header, and what tells it apart from others.
pub const SMALL_BYTES: u32 = 40 + 8 + 16;

/// A path in use is probed this often, if its node has few of them.
const STEADY_INTERVAL_US: u64 = 30 * SECOND_US;

/// Between two steady probes of a node, whatever the number of its peers. Over IPv4 one is 114 bytes,
/// one in 30 is as large as the link, and the other side sends as much back: with the probes of its
/// peers a node sends at most 330 bytes in a second.
const STEADY_SPACING_US: u64 = SECOND_US;

/// The largest packet of a path in use is found again after so many steady probes.
const SIZE_INTERVALS: u64 = 30;

/// What an earlier life had given up is remembered for this time of the caller's clock, which begins
/// with this life, if the node is not there.
const REMEMBERED_US: u64 = 300 * SECOND_US;

/// Between two probes of any kind: a node that comes to a fleet of hundreds sends no burst.
const SPACING_US: u64 = SECOND_US / 50;

const SECOND_US: u64 = 1_000_000;

/// Another node, as far as probes are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    /// The largest packet that both ends could take, if nothing between them is smaller.
    pub bytes_max: u32,
    /// Tasks use the path and membership hears the node: it is probed all the time. Others are
    /// probed when somebody asks.
    pub is_used: bool,
}

/// A probe to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// To whom.
    pub to: NodeId,
    /// Its number, which the answer repeats.
    pub number: u32,
    /// The size of the packet in the network, with the headers of IPv6 and ICMPv6.
    pub bytes: u32,
}

/// Does a path answer?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathState {
    /// It was not probed, or not long enough.
    Unknown,
    /// Its last probes were answered.
    Answers,
    /// Nothing came back since then, in microseconds of the caller's clock.
    Silent(u64),
}

impl PathState {
    /// Did answers stop, or never begin?
    pub fn is_silent(self) -> bool {
        matches!(self, PathState::Silent(_))
    }
}

/// What is known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Does it answer?
    pub reach: PathState,
    /// The smoothed round trip, in microseconds.
    pub rtt_us: Option<u64>,
    /// Small probes of the window, at most 32.
    pub sent: u32,
    /// Those of them without an answer in time.
    pub lost: u32,
    /// Are so many lost that tasks notice it?
    pub is_lossy: bool,
    /// The largest packet that passes in both directions; `None`: not known yet.
    pub bytes: Option<u32>,
    /// The largest packet that both ends could take.
    pub bytes_max: u32,
    /// Is it probed all the time?
    pub is_used: bool,
}

/// All paths of one node.
#[derive(Debug, Default)]
pub struct Paths {
    paths: BTreeMap<NodeId, Path>,
    /// Paths that an earlier life had given up, and that are not known yet.
    remembered: BTreeSet<NodeId>,
    last_number: u32,
    /// Before this time nothing is sent.
    free_us: u64,
}

impl Paths {
    /// The nodes that there are from now on. What is known of those that stay, stays.
    pub fn set_targets(&mut self, now_us: u64, targets: &BTreeMap<NodeId, Target>) {
        self.paths.retain(|node, _| targets.contains_key(node));
        for (node, target) in targets {
            match self.paths.get_mut(node) {
                Some(path) => path.set_target(now_us, *target),
                None => {
                    let mut path = Path::new(now_us, *target, node.0[0]);
                    if self.remembered.remove(node) {
                        path.give_up();
                    }
                    self.paths.insert(*node, path);
                }
            }
        }
        // Members are heard of one after the other.
        if now_us > REMEMBERED_US {
            self.remembered.clear();
        }
        self.set_interval();
    }

    fn set_interval(&mut self) {
        let used = self.paths.values().filter(|path| path.target().is_used).count() as u64;
        let interval_us = STEADY_INTERVAL_US.max(used * STEADY_SPACING_US);
        self.paths.values_mut().for_each(|path| path.set_interval(interval_us));
    }

    /// Probes every path once more, also those that nobody uses.
    pub fn check(&mut self, now_us: u64) {
        self.paths.values_mut().for_each(|path| path.check(now_us));
    }

    /// Is a check still going on?
    pub fn is_checking(&self) -> bool {
        self.paths.values().any(Path::is_checking)
    }

    /// An answer has come, to the probe of this number and size.
    pub fn handle_answer(&mut self, now_us: u64, from: NodeId, number: u32, bytes: u32) {
        if let Some(path) = self.paths.get_mut(&from) {
            path.on_answer(now_us, number, bytes);
        }
    }

    /// The next probe to send now, until there is none.
    pub fn poll_probe(&mut self, now_us: u64) -> Option<Probe> {
        self.paths.values_mut().for_each(|path| path.on_time(now_us));
        if now_us < self.free_us {
            return None;
        }
        // Who has waited longest is next.
        let due = self.paths.iter_mut().filter_map(|(node, path)| {
            let due_us = path.send_due_us().filter(|due_us| *due_us <= now_us)?;
            Some((due_us, node, path))
        });
        let (_, node, path) = due.min_by_key(|(due_us, node, _)| (*due_us, **node))?;
        self.last_number = self.last_number.wrapping_add(1);
        let (to, number) = (*node, self.last_number);
        let bytes = path.send(now_us, number)?;
        self.free_us = now_us + SPACING_US;
        Some(Probe { to, number, bytes })
    }

    /// When [`Paths::poll_probe`] is to be asked again.
    pub fn deadline_us(&self) -> Option<u64> {
        let sends = self.paths.values().filter_map(Path::send_due_us).min();
        let sends = sends.map(|due_us| due_us.max(self.free_us));
        let waits = self.paths.values().filter_map(Path::wait_due_us).min();
        sends.into_iter().chain(waits).min()
    }

    /// What is known of each path.
    pub fn verdicts(&self) -> impl Iterator<Item = (NodeId, Verdict)> {
        self.paths.iter().map(|(node, path)| (*node, path.verdict()))
    }

    /// The paths in use from which nothing comes back, although membership hears their nodes.
    pub fn silent(&self) -> BTreeSet<NodeId> {
        let is_silent = |verdict: &Verdict| verdict.is_used && verdict.reach.is_silent();
        self.verdicts().filter(|(_, verdict)| is_silent(verdict)).map(|(node, _)| node).collect()
    }

    /// The paths that answer, and lose much.
    pub fn lossy(&self) -> BTreeSet<NodeId> {
        let lossy = self.verdicts().filter(|(_, verdict)| verdict.is_lossy);
        lossy.map(|(node, _)| node).collect()
    }

    /// The paths that are silent for so long that their nodes are to be reached in another way,
    /// until some answers in a row have come.
    pub fn given_up(&self) -> BTreeSet<NodeId> {
        let given_up = self.paths.iter().filter(|(_, path)| path.is_given_up());
        given_up.map(|(node, _)| *node).chain(self.remembered.iter().copied()).collect()
    }

    /// An earlier life of this node had given these paths up. Told before the targets.
    pub fn remember_given_up(&mut self, nodes: BTreeSet<NodeId>) {
        self.remembered = nodes;
    }

    /// The largest packet of each path that takes less than both of its ends could.
    pub fn limits(&self) -> BTreeMap<NodeId, u32> {
        let limited = |(node, verdict): (NodeId, Verdict)| {
            Some((node, verdict.bytes.filter(|bytes| *bytes < verdict.bytes_max)?))
        };
        self.verdicts().filter_map(limited).collect()
    }
}

#[cfg(test)]
mod tests;
