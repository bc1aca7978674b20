//! The past of a slot: attempts and tasks that are over, of which a node keeps the latest ones.
//!
//! Nothing that anybody decides by is ever past: a task that runs or waits is not, and neither is one
//! that ended and is not to be started again. So what is forgotten changes no decision.

use super::{Attempt, Run, TaskRecord, TaskStatus};

impl TaskStatus {
    /// Is the task over, and was it replaced or stopped? One that ended by itself and is not started
    /// again is not past: it is why its slot stays as it is.
    pub fn is_past(&self) -> bool {
        self.current.state.is_terminal() && !self.desired_running
    }

    /// The run of one of its attempts.
    fn run(&self, attempt: &Attempt) -> Run {
        Run { task: self.id, attempt: attempt.number }
    }

    /// The runs of all its attempts, latest first.
    pub fn runs(&self) -> impl Iterator<Item = Run> {
        std::iter::once(&self.current).chain(&self.history).map(|attempt| self.run(attempt))
    }
}

impl TaskRecord {
    /// Of past attempts and past tasks together keeps the latest, so many. Returns the runs that are
    /// no longer in the record.
    pub fn forget_past(&mut self, limit: usize) -> Vec<Run> {
        let (mut room, mut forgotten) = (limit, Vec::new());
        self.tasks.retain_mut(|status| {
            if status.is_past() {
                if room == 0 {
                    forgotten.extend(status.runs());
                    return false;
                }
                room -= 1;
            }
            let kept = status.history.len().min(room);
            room -= kept;
            let over = status.history.split_off(kept);
            forgotten.extend(over.iter().map(|attempt| status.run(attempt)));
            true
        });
        forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Slot, TaskState};
    use super::*;
    use crate::id::{NodeId, ServiceId, TaskId};
    use crate::spec::TemplateVersion;

    /// A task of so many attempts.
    fn task(id: u8, attempts: u32, state: TaskState) -> TaskStatus {
        let mut status = TaskStatus {
            id: TaskId([id; 16]),
            template: TemplateVersion(u64::from(id)),
            desired_running: true,
            running_since: 0,
            created_wall_ms: 0,
            current: Attempt::first(0),
            history: Vec::new(),
        };
        for _ in 1..attempts {
            status.current.enter(TaskState::Failed, 0);
            status.next_attempt(0, "");
        }
        status.current.enter(state, 0);
        status
    }

    fn replaced(id: u8, attempts: u32) -> TaskStatus {
        TaskStatus { desired_running: false, ..task(id, attempts, TaskState::Shutdown) }
    }

    /// What is left with a limit: the id and the attempts of each task; and how many runs are not.
    fn left(tasks: &[TaskStatus], limit: usize) -> (Vec<(u8, Vec<u32>)>, usize) {
        let (slot, tasks) = (Slot::Number(1), tasks.to_vec());
        let (service, node) = (ServiceId([1; 16]), NodeId([2; 16]));
        let mut record = TaskRecord { service, slot, node, tasks };
        let forgotten = record.forget_past(limit).len();
        let attempts = |status: &TaskStatus| status.runs().map(|run| run.attempt).collect();
        let left = record.tasks.iter().map(|status| (status.id.0[0], attempts(status))).collect();
        (left, forgotten)
    }

    #[test]
    fn the_latest_of_a_slot_are_kept_whichever_task_they_are_of() {
        let tasks = [task(3, 3, TaskState::Running), replaced(2, 2), replaced(1, 4)];
        assert_eq!(left(&tasks, 0), (vec![(3, vec![3])], 8));
        assert_eq!(left(&tasks, 1), (vec![(3, vec![3, 2])], 7));
        assert_eq!(left(&tasks, 3), (vec![(3, vec![3, 2, 1]), (2, vec![2])], 5));
        let five = vec![(3, vec![3, 2, 1]), (2, vec![2, 1]), (1, vec![4])];
        assert_eq!(left(&tasks, 5), (five, 3));
        assert_eq!(left(&tasks, 50).1, 0);
    }

    #[test]
    fn what_runs_and_what_ended_for_good_is_never_past() {
        let ended = [TaskState::Complete, TaskState::Failed, TaskState::Rejected];
        for state in ended.into_iter().chain([TaskState::Assigned, TaskState::Running]) {
            let tasks = [task(2, 1, TaskState::Running), task(1, 2, state)];
            assert_eq!(left(&tasks, 0), (vec![(2, vec![1]), (1, vec![2])], 1), "{state:?}");
        }
        // It was told to stop, and still runs.
        let stopping = TaskStatus { desired_running: false, ..task(1, 1, TaskState::Running) };
        assert_eq!(left(&[stopping], 0), (vec![(1, vec![1])], 0));
    }
}
