//! I5: in a part of the fleet that was undisturbed, a service runs as many tasks as it should.
//!
//! This is judged from outside: it compares the programs that really run on the machines with a
//! simple count of the nodes that may take a task.

use crdt_state::spec::Scale;

use crate::invariant::{Invariant, Verdict, Violation};

/// One service in one part of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// Its name.
    pub service: String,
    /// Machines of the part, for the error message.
    pub part: String,
    /// How many tasks it should run.
    pub scale: Scale,
    /// Nodes that take tasks of it.
    pub eligible: u32,
    /// Nodes that keep tasks of it but take none.
    pub paused: u32,
    /// The most tasks on one node; 0: no limit.
    pub max_per_node: u32,
    /// Tasks that may run beside the wanted ones, because a rollout starts the new task first.
    pub surge: u32,
    /// Runs of it that really run.
    pub running: u32,
    /// Slots that have at least one run.
    pub slots: u32,
}

impl Count {
    /// The most runs that are wanted.
    pub fn most(&self) -> u32 {
        match self.scale {
            Scale::Replicated { replicas } => replicas,
            Scale::Global | Scale::JobGlobal => self.eligible + self.paused,
            Scale::JobReplicated { max_concurrent, .. } => max_concurrent,
        }
    }

    fn least(&self) -> u32 {
        let fits = match (self.eligible, self.max_per_node) {
            (0, _) => 0,
            (_, 0) => u32::MAX,
            (nodes, each) => nodes.saturating_mul(each),
        };
        match self.scale {
            Scale::Replicated { replicas } => replicas.min(fits),
            Scale::Global => self.eligible,
            // A job is over at some time.
            Scale::JobReplicated { .. } | Scale::JobGlobal => 0,
        }
    }

    fn broken(&self, how: &str) -> Violation {
        let Count { service, part, running, slots, .. } = self;
        let (least, most, surge) = (self.least(), self.most(), self.surge);
        let detail = format!(
            "{service} in {part} runs {running} times in {slots} slots, {how}: wanted {least} to {most} and {surge} of surge ({:?}, {} eligible, {} paused, {} per node)",
            self.scale, self.eligible, self.paused, self.max_per_node
        );
        Violation::new(Invariant::I5Replicas, detail)
    }
}

/// Are there not too many runs?
pub fn not_too_many(count: &Count) -> Verdict {
    if count.running > count.most() + count.surge { Err(count.broken("too many")) } else { Ok(()) }
}

/// Are there not too few slots with a run?
pub fn not_too_few(count: &Count) -> Verdict {
    if count.slots < count.least() { Err(count.broken("too few")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn web(replicas: u32, running: u32, slots: u32) -> Count {
        Count {
            service: "web".to_owned(),
            part: "{0,1}".to_owned(),
            scale: Scale::Replicated { replicas },
            eligible: 2,
            paused: 0,
            max_per_node: 0,
            surge: 0,
            running,
            slots,
        }
    }

    #[test]
    fn as_many_as_wanted_is_right() {
        assert_eq!(not_too_few(&web(3, 3, 3)), Ok(()));
        assert_eq!(not_too_many(&web(3, 3, 3)), Ok(()));
    }

    #[test]
    fn a_duplicate_is_too_many_and_does_not_make_up_for_an_empty_slot() {
        assert!(not_too_many(&web(3, 4, 3)).is_err());
        assert!(not_too_few(&web(3, 3, 2)).is_err());
    }

    #[test]
    fn what_does_not_fit_is_not_asked_for() {
        let count = Count { max_per_node: 1, ..web(3, 2, 2) };
        assert_eq!(not_too_few(&count), Ok(()));
        let nowhere = Count { eligible: 0, ..web(3, 0, 0) };
        assert_eq!(not_too_few(&nowhere), Ok(()));
    }

    #[test]
    fn a_global_service_runs_once_on_each_eligible_node() {
        let count = |running| Count { scale: Scale::Global, paused: 1, ..web(0, running, running) };
        assert!(not_too_few(&count(1)).is_err());
        assert_eq!(not_too_many(&count(3)), Ok(()));
        assert!(not_too_many(&count(4)).is_err());
    }
}
