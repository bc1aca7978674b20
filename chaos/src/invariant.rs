//! The invariants by number and name, and the report of a broken one.
//!
//! The invariants are defined in `docs/invariants.md`; each checker is a file under `check/`.

use std::fmt;

/// An invariant of the fleet that the simulator watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// After the last fault plus T all members have the same digest and the same placement.
    I1Convergence,
    /// Every acknowledged write is held, superseded by one that saw it, or a listed conflict.
    I2Writes,
    /// A service whose removal is known to all never returns.
    I3Resurrection,
    /// Equal digests and equal member views give equal plans.
    I4Function,
    /// Not more runs than desired plus surge, not fewer than fit.
    I5Replicas,
    /// A slot of an at-most-one service never runs twice in the whole world.
    I6AtMostOne,
    /// A healthy task with an unchanged template keeps its run.
    I7Kept,
    /// No two live tasks share an address.
    I8Addresses,
    /// Names resolve to what runs.
    I9Names,
    /// With faults frozen every component comes to rest.
    I10Rest,
    /// Queues, state and bytes per link stay within their budgets.
    I11Budgets,
    /// A crash at any write loses nothing that was acknowledged or sent.
    I12Durability,
    /// A poison record harms only itself.
    I13Poison,
    /// Every wanted task that does not run has a reason.
    I14Reasons,
    /// A completed slot of a job does not run again in its iteration, and every job ends.
    I19Jobs,
    /// No assertion fails, whatever comes in.
    Panic,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Invariant::I1Convergence => "I1 convergence",
            Invariant::I2Writes => "I2 no lost write",
            Invariant::I3Resurrection => "I3 no resurrection",
            Invariant::I4Function => "I4 the plan is a function",
            Invariant::I5Replicas => "I5 replica bounds",
            Invariant::I6AtMostOne => "I6 at most one",
            Invariant::I7Kept => "I7 no needless restart",
            Invariant::I8Addresses => "I8 addresses",
            Invariant::I9Names => "I9 names",
            Invariant::I10Rest => "I10 rest",
            Invariant::I11Budgets => "I11 budgets",
            Invariant::I12Durability => "I12 durability",
            Invariant::I13Poison => "I13 poison",
            Invariant::I14Reasons => "I14 reasons",
            Invariant::I19Jobs => "I19 jobs",
            Invariant::Panic => "no panic",
        })
    }
}

/// A broken invariant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant that is broken.
    pub invariant: Invariant,
    /// How it was broken.
    pub detail: String,
}

impl Violation {
    /// A violation, described in words.
    pub fn new(invariant: Invariant, detail: impl Into<String>) -> Violation {
        Violation { invariant, detail: detail.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.detail)
    }
}

/// The result of a checker.
pub type Verdict = Result<(), Violation>;
