//! Tasks: what a node was asked to run, what it reports about them, and the types that the pure
//! node and the runtimes share.
//!
//! ```text
//! pending → assigned → preparing → starting → running → complete | failed | shutdown
//!                 └────────┴──→ rejected                    (orphaned: lost with its node)
//! ```
//! States only move forward; a restart is a further attempt of the same task.

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, ServiceId, TaskId, first_16};
use crate::interface::TaskInterface;
use crate::spec::{Template, TemplateVersion};

mod past;

/// Which of a service's tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Slot {
    /// A slot of a replicated service, from 1.
    Number(u32),
    /// The slot of a global service on this node.
    Node(NodeId),
}

impl Slot {
    /// 17 bytes for hashing.
    pub fn to_bytes(self) -> [u8; 17] {
        let mut bytes = [0; 17];
        match self {
            Slot::Number(n) => bytes[1..5].copy_from_slice(&n.to_be_bytes()),
            Slot::Node(id) => {
                bytes[0] = 1;
                bytes[1..].copy_from_slice(&id.0);
            }
        }
        bytes
    }
}

impl TaskId {
    /// The same decision gives the same id on every node; a new template gives a new task.
    pub fn of(service: ServiceId, slot: Slot, node: NodeId, template: TemplateVersion) -> TaskId {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl task id 1");
        hasher.update(&service.0);
        hasher.update(&slot.to_bytes());
        hasher.update(&node.0);
        hasher.update(&template.0.to_be_bytes());
        TaskId(first_16(&hasher.finalize()))
    }
}

/// The states of a task, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TaskState {
    /// The task is wanted but has no owner yet.
    Pending,
    /// Its owner knows the task, and waits (for a backoff, or for its turn in a rollout).
    Assigned,
    /// Its files are being prepared.
    Preparing,
    /// It is being started.
    Starting,
    /// It runs.
    Running,
    /// It ended with code 0 and is not started again.
    Complete,
    /// It ended in any other way.
    Failed,
    /// It was stopped because it was no longer wanted here.
    Shutdown,
    /// It can never run here.
    Rejected,
    /// Its node is gone.
    Orphaned,
}

impl TaskState {
    /// Has the task ended: complete, failed, shutdown, rejected or orphaned?
    pub fn is_terminal(self) -> bool {
        self >= TaskState::Complete
    }

    /// Docker's name of the state.
    pub fn as_str(self) -> &'static str {
        match self {
            TaskState::Pending => "pending",
            TaskState::Assigned => "assigned",
            TaskState::Preparing => "preparing",
            TaskState::Starting => "starting",
            TaskState::Running => "running",
            TaskState::Complete => "complete",
            TaskState::Failed => "failed",
            TaskState::Shutdown => "shutdown",
            TaskState::Rejected => "rejected",
            TaskState::Orphaned => "orphaned",
        }
    }
}

/// The result of the health command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum Health {
    /// There is no health command: running counts as healthy.
    #[default]
    Unchecked,
    /// Not yet known.
    Starting,
    /// Healthy.
    Healthy,
    /// It failed as many times in a row as the template allows; the task is stopped and has failed.
    Unhealthy,
}

/// One attempt to run a task, current or past.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// 1 is the first.
    pub number: u32,
    /// The state of the attempt.
    pub state: TaskState,
    /// Health, while it runs.
    pub health: Health,
    /// Process id on its node, while it runs.
    pub pid: Option<u32>,
    /// Exit code; 128 + signal for a signal.
    pub exit_code: Option<i32>,
    /// Why it is in this state, for people; empty if there is nothing to report. While it runs: why
    /// it was started again, or [`Attempt::note`].
    pub message: String,
    /// The owner's time of day when the state was entered, milliseconds since 1970. Display only.
    pub wall_ms: u64,
}

/// The longest message of an attempt, in bytes. The current attempts and fifty past ones with a message
/// each come to 30 KB, half of what a record takes. A longer message is cut.
pub const MESSAGE_BYTES_MAX: usize = 512;

/// The prefix of the message of an attempt that was made because the previous one ended.
pub const AFTER: &str = "after: ";

/// A text from outside as a message, cut to the limit.
pub fn message_of(text: String) -> String {
    if text.len() <= MESSAGE_BYTES_MAX {
        return text;
    }
    let end = text.floor_char_boundary(MESSAGE_BYTES_MAX - '…'.len_utf8());
    format!("{}…", &text[..end])
}

impl Attempt {
    /// The first attempt of a task.
    pub fn first(wall_ms: u64) -> Attempt {
        Attempt {
            number: 1,
            state: TaskState::Assigned,
            health: Health::Unchecked,
            pid: None,
            exit_code: None,
            message: String::new(),
            wall_ms,
        }
    }

    /// A request of the template that is not met where the task runs.
    pub fn note(&self) -> Option<&str> {
        let says = self.state == TaskState::Running && !self.message.is_empty();
        (says && !self.message.starts_with(AFTER)).then_some(self.message.as_str())
    }

    /// Enters a state.
    pub fn enter(&mut self, state: TaskState, wall_ms: u64) {
        self.state = state;
        self.wall_ms = wall_ms;
        if state != TaskState::Running {
            self.health = Health::Unchecked;
        }
    }
}

/// One task as its owner reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// [`TaskId::of`] service, slot, node, template.
    pub id: TaskId,
    /// The version of the template that it runs.
    pub template: TemplateVersion,
    /// Does its owner still want it to run?
    pub desired_running: bool,
    /// The owner's Lamport counter when this task last entered `running`. It orders tasks by "runs
    /// longest", comparably between nodes. `u64::MAX` before that.
    pub running_since: u64,
    /// The owner's time of day when the task was created. Display only.
    pub created_wall_ms: u64,
    /// The current attempt.
    pub current: Attempt,
    /// Past attempts, latest first; see [`TaskRecord::forget_past`].
    pub history: Vec<Attempt>,
}

impl TaskStatus {
    /// Moves the current attempt into the history and begins the next one.
    pub fn next_attempt(&mut self, wall_ms: u64, why: &str) {
        let mut next = Attempt::first(wall_ms);
        next.number = self.current.number.saturating_add(1);
        if !why.is_empty() {
            next.message = format!("{AFTER}{why}");
        }
        let past = std::mem::replace(&mut self.current, next);
        self.history.insert(0, past);
        self.running_since = u64::MAX;
    }
}

/// The value of a task record: one node's report of one slot of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// The service.
    pub service: ServiceId,
    /// The slot of the service.
    pub slot: Slot,
    /// The node that reports.
    pub node: NodeId,
    /// Latest first. More than one task that has not ended exists only during a start-first update.
    pub tasks: Vec<TaskStatus>,
}

/// One attempt of one task, the name by which a runtime knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Run {
    /// The task.
    pub task: TaskId,
    /// Its attempt.
    pub attempt: u32,
}

/// Everything a runtime needs to run one attempt. The placeholders in `template` are already
/// expanded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskStart {
    /// The attempt.
    pub run: Run,
    /// The service it belongs to.
    pub service: ServiceId,
    /// Its name: `web`.
    pub service_name: String,
    /// The slot of the task.
    pub slot: Slot,
    /// The version of the template; it is read back when tasks are adopted.
    pub template_version: TemplateVersion,
    /// What to run.
    pub template: Template,
    /// The interfaces of its network namespace; none: it is on the network of its template.
    #[serde(default)]
    pub interfaces: Vec<TaskInterface>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// It is gone and nobody knows how it ended.
    Unknown,
}

/// An event that a runtime reports, in order per run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RunEvent {
    /// What the run needs, such as its image, is being fetched. Reported once, at the beginning.
    Preparing {
        /// What is fetched, and from where.
        message: String,
    },
    /// The program runs.
    Started {
        /// Process id.
        pid: u32,
    },
    /// It runs, but something that was requested does not hold here, such as a limit that this
    /// machine cannot enforce.
    Noted {
        /// What and why.
        message: String,
    },
    /// The result of the health command changed.
    HealthChanged(Health),
    /// It ended; no process of it is left.
    Exited {
        /// How it ended.
        exit: Exit,
        /// It was killed for using more memory than its limit.
        oom: bool,
    },
    /// It could not be started; no process of it is left.
    Refused {
        /// True: it can never start with this template (no such program, no such user). False: it
        /// may start later (no memory, disk full).
        permanent: bool,
        /// What failed, why, and what to do.
        reason: String,
    },
}

/// A run that a runtime found when the agent started, still running or ended meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdoptedRun {
    /// What it was started from.
    pub start: TaskStart,
    /// What has happened to it so far: the process id, or how it ended.
    pub event: RunEvent,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_running_attempt_has_a_note_and_why_it_began_is_none() {
        let mut attempt = Attempt::first(0);
        attempt.message = "a limit is not enforced".to_owned();
        assert_eq!(attempt.note(), None);
        attempt.enter(TaskState::Running, 1);
        assert_eq!(attempt.note(), Some("a limit is not enforced"));
        attempt.message = format!("{AFTER}non-zero exit (1)");
        assert_eq!(attempt.note(), None);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(message_of("short".into()), "short");
        for filler in ["a", "é", "…", "🦀"] {
            let message = message_of(filler.repeat(1000));
            assert!(message.len() <= MESSAGE_BYTES_MAX && message.len() > MESSAGE_BYTES_MAX - 6);
            assert!(message.ends_with('…'));
        }
    }
}
