//! I7: a healthy task with an unchanged template keeps its run through partition, heal, agent
//! restart and clock jump.
//!
//! Checks every order to stop a healthy run, and demands a reason for it. There are two reasons
//! besides an operator's edit. First, the run is the surplus one of a duplicate: the other run
//! really began earlier, or a cut made the two and the machine has its share of the service without
//! this run. Second, the run moves to another node; this is a reason only if, since the fleet was
//! last settled, something changed the shares: a machine came without its tasks, a program ended by
//! itself, an operator wrote. A cut, a heal, a pause, a killed agent and a wrong clock change no
//! shares.

use crdt_state::ServiceId;
use crdt_state::task::{Run, Slot};

use crate::invariant::{Invariant, Verdict, Violation};
use crate::network::MachineNo;

/// Another run of the same slot that the stopping machine knows of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// There is none.
    None,
    /// It began to run before the stopped run.
    RunsLonger,
    /// It began to run after the stopped run.
    RunsShorter,
}

/// Which of two runs of a slot began first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The node that started the later run knew that the earlier one ran: the real times decide.
    Known {
        /// When the stopped run really began.
        mine_at: u64,
        /// When the other one really began.
        theirs_at: u64,
    },
    /// Neither node knew of the other's run, and they share no clock: the counters that their nodes
    /// wrote decide.
    Concurrent {
        /// The counter of the stopped run.
        mine: u64,
        /// The counter of the other run.
        theirs: u64,
    },
}

impl Order {
    fn is_other_first(self) -> bool {
        match self {
            Order::Known { mine_at, theirs_at } => theirs_at <= mine_at,
            Order::Concurrent { mine, theirs } => theirs <= mine,
        }
    }
}

/// Summarises the other runs of a slot.
pub fn other(orders: &[Order]) -> Other {
    if orders.is_empty() {
        return Other::None;
    }
    let is_first = orders.iter().any(|order| order.is_other_first());
    if is_first { Other::RunsLonger } else { Other::RunsShorter }
}

/// How the run that stays and the run that is stopped came to exist at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Born {
    /// The node that started the later run could not see the other run's node.
    Apart,
    /// The node that started the later run saw the other run: a move.
    InSight,
}

/// What the machine that stops a run knows about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The machine that stops it.
    pub machine: MachineNo,
    /// The run that is stopped.
    pub run: Run,
    /// The service of the run.
    pub service: ServiceId,
    /// The slot of the run.
    pub slot: Slot,
    /// The service exists, owns its name, and has this slot.
    pub is_wanted: bool,
    /// The run was started from the current template.
    pub is_current: bool,
    /// Availability and constraints allow the run to stay here.
    pub may_stay: bool,
    /// Another run of the slot.
    pub other: Other,
    /// How the planned owner's run and this one came to exist at the same time.
    pub born: Born,
    /// How many tasks of the service the machine keeps; its share if all are assigned evenly is
    /// `share`.
    pub keeps: u32,
    /// See `keeps`.
    pub share: u32,
    /// Everything that the machine knows about the slot, for people.
    pub known: String,
    /// When the fleet was last settled.
    pub settled_at: u64,
    /// When the shares last had a reason to change.
    pub unsettled_at: u64,
}

/// Why a healthy run may be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Justified {
    /// An operator's change asks for it.
    ByOperator,
    /// The slot has another run that began earlier, or that fits the shares better after a cut.
    Surplus,
    /// The shares changed, and the new owner runs the task.
    Moved,
    /// The run had not started when its node decided to stop it; the order came later.
    NotYetRunning,
}

/// Is there a reason to stop the run?
pub fn justify(stopped: &Stopped) -> Result<Justified, Violation> {
    if !(stopped.is_wanted && stopped.is_current && stopped.may_stay) {
        return Ok(Justified::ByOperator);
    }
    match stopped.other {
        Other::RunsLonger => Ok(Justified::Surplus),
        Other::RunsShorter if stopped.unsettled_at >= stopped.settled_at => Ok(Justified::Moved),
        Other::RunsShorter if stopped.born == Born::Apart && stopped.keeps >= stopped.share => {
            Ok(Justified::Surplus)
        }
        Other::RunsShorter => {
            Err(broken(stopped, "for a younger one, and nothing changed the shares"))
        }
        Other::None => Err(broken(stopped, "and nobody else runs it")),
    }
}

fn broken(stopped: &Stopped, how: &str) -> Violation {
    let Stopped { machine, service, slot, run, known, settled_at, born, keeps, share, .. } =
        stopped;
    let detail = format!(
        "n{machine} stops a healthy run of {service} {slot:?} ({run:?}) {how} since {settled_at} ms; they were born {born:?}, it keeps {keeps} and its share is {share}; it knows of: {known}"
    );
    Violation::new(Invariant::I7Kept, detail)
}

/// Another copy of the slot, as it really is and not as nodes report it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copy {
    /// The machine that has it.
    pub machine: MachineNo,
    /// When it was last seen running, a moment ago at most.
    pub ran_at: u64,
    /// Was it ordered to end in favour of another copy?
    pub is_stopping: bool,
}

/// One copy of a wanted slot must go on. A healthy copy may be stopped only while another one runs
/// that was not ordered to end in favour of a third. A copy that a fault or an operator ended a
/// moment ago counts as running, because the node that stops its copy could not know of the end.
pub fn another_goes_on(stopped: &Stopped, copies: &[Copy]) -> Verdict {
    if copies.iter().any(|copy| !copy.is_stopping) {
        return Ok(());
    }
    Err(broken(stopped, &format!("and it is the last copy ({copies:?})")))
}

/// A node reports since which counter its run runs. That is above the highest counter that the node
/// had seen when it ordered the start, and at most the highest that it has seen now: `begun`. Else
/// two copies on both sides of a cut are compared by a value that means nothing, and the younger one
/// may stay.
pub fn reported_since(machine: MachineNo, run: Run, since: u64, begun: (u64, u64)) -> Verdict {
    let (ordered_at, now) = begun;
    if (ordered_at + 1..=now).contains(&since) {
        return Ok(());
    }
    let detail = format!(
        "n{machine} reports that {run:?} runs since counter {since}; it ordered the start at {ordered_at}, and is at {now}"
    );
    Err(Violation::new(Invariant::I7Kept, detail))
}

/// A machine forgets a run that still runs: nothing would ever stop it.
pub fn forgot_running(machine: MachineNo, run: Run) -> Verdict {
    let detail = format!("n{machine} forgets {run:?}, which runs");
    Err(Violation::new(Invariant::I7Kept, detail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::TaskId;

    fn stopped() -> Stopped {
        Stopped {
            machine: 1,
            run: Run { task: TaskId([1; 16]), attempt: 1 },
            service: ServiceId([2; 16]),
            slot: Slot::Number(1),
            is_wanted: true,
            is_current: true,
            may_stay: true,
            other: Other::None,
            born: Born::InSight,
            keeps: 2,
            share: 2,
            known: String::new(),
            settled_at: 500,
            unsettled_at: 100,
        }
    }

    #[test]
    fn a_healthy_run_that_nobody_else_runs_must_not_be_stopped() {
        assert!(justify(&stopped()).is_err());
    }

    #[test]
    fn a_node_that_misreports_since_when_its_program_runs_convinces_nobody() {
        // The nodes' own reports say the opposite of what happened, and are not used.
        let younger = other(&[Order::Known { mine_at: 1_000, theirs_at: 60_000 }]);
        assert_eq!(younger, Other::RunsShorter);
        assert!(justify(&Stopped { other: younger, ..stopped() }).is_err());
        let older = other(&[Order::Known { mine_at: 60_000, theirs_at: 1_000 }]);
        assert_eq!(justify(&Stopped { other: older, ..stopped() }), Ok(Justified::Surplus));
    }

    #[test]
    fn of_runs_whose_nodes_did_not_know_of_each_other_the_lower_counter_counts_as_first() {
        assert_eq!(other(&[Order::Concurrent { mine: 7, theirs: 3 }]), Other::RunsLonger);
        assert_eq!(other(&[Order::Concurrent { mine: 3, theirs: 7 }]), Other::RunsShorter);
        assert_eq!(other(&[]), Other::None);
    }

    #[test]
    fn the_last_copy_of_a_slot_is_not_stopped_and_one_that_is_being_stopped_is_none() {
        let copy = Copy { machine: 2, ran_at: 5_000, is_stopping: false };
        let stopping = Copy { is_stopping: true, ..copy };
        assert_eq!(another_goes_on(&stopped(), &[stopping, copy]), Ok(()));
        assert!(another_goes_on(&stopped(), &[stopping, stopping]).is_err());
        assert!(another_goes_on(&stopped(), &[]).is_err());
    }

    #[test]
    fn a_run_is_reported_to_run_since_a_counter_after_the_order_to_start_it() {
        let run = stopped().run;
        assert_eq!(reported_since(1, run, 8, (7, 9)), Ok(()));
        assert!(reported_since(1, run, 7, (7, 9)).is_err());
        assert!(reported_since(1, run, u64::MAX, (7, 9)).is_err(), "it was never written");
    }

    #[test]
    fn what_the_operator_no_longer_wants_is_stopped() {
        for unwanted in [
            Stopped { is_wanted: false, ..stopped() },
            Stopped { is_current: false, ..stopped() },
            Stopped { may_stay: false, ..stopped() },
        ] {
            assert_eq!(justify(&unwanted), Ok(Justified::ByOperator));
        }
    }

    #[test]
    fn the_younger_duplicate_goes_and_the_older_one_only_after_a_change_of_shares() {
        let younger = Stopped { other: Other::RunsLonger, ..stopped() };
        assert_eq!(justify(&younger), Ok(Justified::Surplus));
        let older = Stopped { other: Other::RunsShorter, ..stopped() };
        assert!(justify(&older).is_err());
        let moved = Stopped { unsettled_at: 600, ..older };
        assert_eq!(justify(&moved), Ok(Justified::Moved));
    }

    #[test]
    fn of_the_copies_that_a_cut_made_the_older_one_goes_only_from_a_machine_with_its_share() {
        let older = Stopped { other: Other::RunsShorter, ..stopped() };
        let surplus = Stopped { born: Born::Apart, ..older.clone() };
        assert_eq!(justify(&surplus), Ok(Justified::Surplus));
        assert!(justify(&Stopped { keeps: 1, ..surplus }).is_err());
        assert!(justify(&Stopped { keeps: 3, ..older }).is_err());
    }
}
