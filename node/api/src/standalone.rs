//! Containers that were made by hand on one node, with Docker's container API: `docker run` and its
//! relatives. Decision 28.
//!
//! Each is a service of one task that is bound to its node. It is created with no replica, `start`
//! gives it one and `stop` takes it away; its record keeps what its task did until it is removed.

pub mod attach;
pub mod create;
pub mod files;
pub mod listing;
pub mod removal;
pub mod run;
pub mod wait;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crdt_state::service::Service;
use crdt_state::spec::Scale;
use crdt_state::task::{Attempt, Run, Slot, TaskState, TaskStatus};
use crdt_state::{NodeId, ServiceId, TaskId};
use gossip::Now;
use node_core::Node;

use super::Api;
use super::failure::Failure;

/// The only slot.
pub const SLOT: Slot = Slot::Number(1);

/// Exit codes that are kept of removed containers, for those that wait for them.
const CODES_MAX: usize = 1_000;

/// The exit code of a container whose end is unknown, because its machine went down: Docker's.
const CODE_UNKNOWN: i32 = 255;

/// The exit code of a container that was removed while it ran: 128 + SIGKILL.
const CODE_KILLED: i32 = 137;

/// What this agent remembers of containers beyond their records; clones are the same.
#[derive(Clone, Default)]
pub struct Standalones(Arc<Mutex<Remembered>>);

#[derive(Default)]
struct Remembered {
    /// How removed containers ended.
    codes: BTreeMap<ServiceId, i32>,
    /// How many clients are attached to each container, and have not read all of its output.
    attached: BTreeMap<ServiceId, usize>,
}

impl Standalones {
    fn remembered(&self) -> MutexGuard<'_, Remembered> {
        self.0.lock().expect("nothing panics while it holds this")
    }

    fn note_code(&self, id: ServiceId, code: i32) {
        let mut remembered = self.remembered();
        if remembered.codes.len() >= CODES_MAX {
            remembered.codes.pop_first();
        }
        remembered.codes.insert(id, code);
    }

    fn code(&self, id: ServiceId) -> Option<i32> {
        self.remembered().codes.get(&id).copied()
    }

    fn is_attached(&self, id: ServiceId) -> bool {
        self.remembered().attached.contains_key(&id)
    }

    fn attach(&self, id: ServiceId) -> AttachedGuard {
        *self.remembered().attached.entry(id).or_default() += 1;
        AttachedGuard { all: self.clone(), id }
    }
}

/// A client is attached as long as this is there.
struct AttachedGuard {
    all: Standalones,
    id: ServiceId,
}

impl Drop for AttachedGuard {
    fn drop(&mut self) {
        let mut remembered = self.all.remembered();
        let left = remembered.attached.get_mut(&self.id).map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            remembered.attached.remove(&self.id);
        }
    }
}

/// A container at one moment.
#[derive(Debug, Clone)]
pub struct Moment {
    /// Its task: the same from its creation to its removal.
    pub task: TaskId,
    /// Is it to run?
    pub is_wanted: bool,
    /// What its node reports of its attempts; `None` before the first start.
    pub status: Option<TaskStatus>,
    /// Why it is to run and no attempt of it is begun.
    pub reason: Option<String>,
}

impl Moment {
    /// As the node sees it; `None`: it was removed, or is none.
    pub fn of(node: &Node, now: Now, id: ServiceId) -> Option<Moment> {
        let service = node.service(id)?;
        let standalone = service.template.extension.standalone?;
        let mut views = node.report(now).tasks_of(service);
        views.retain(|view| view.slot == SLOT);
        let task = task_of(service, standalone.node);
        // Where it is to run and has no place, that is another view than what it did before.
        let reason =
            views.iter().filter(|view| view.status.is_none()).find_map(|v| v.reason.clone());
        let status = views.into_iter().find(|view| view.id == task).and_then(|view| view.status);
        let is_wanted = !matches!(service.written_scale, Scale::Replicated { replicas: 0 });
        Some(Moment { task, is_wanted, status, reason })
    }

    /// The number of its latest attempt; 0: it was never started.
    pub fn number(&self) -> u32 {
        self.status.as_ref().map_or(0, |status| status.current.number)
    }

    /// Does it run, start, stop, or wait for its restart?
    pub fn is_live(&self) -> bool {
        self.status.as_ref().is_some_and(|status| !status.current.state.is_terminal())
    }

    /// Does its program run?
    pub fn is_running(&self) -> bool {
        self.status.as_ref().is_some_and(|status| status.current.state == TaskState::Running)
    }

    /// Its latest attempt.
    pub fn run(&self) -> Run {
        Run { task: self.task, attempt: self.number() }
    }

    /// Its attempts with these numbers, the earliest first.
    fn attempts(&self, from: u32) -> impl Iterator<Item = &Attempt> {
        let status = self.status.iter();
        let all = status.flat_map(|s| s.history.iter().rev().chain(std::iter::once(&s.current)));
        all.filter(move |attempt| attempt.number >= from)
    }

    /// How the first attempt ended that has this number or a higher one, if it has ended.
    pub fn end_from(&self, from: u32) -> Option<i32> {
        let ended = self.attempts(from).find(|attempt| attempt.state.is_terminal())?;
        Some(code_of(ended))
    }
}

/// The task of a container.
pub fn task_of(service: &Service, node: NodeId) -> TaskId {
    TaskId::of(service.id, SLOT, node, service.template_version)
}

fn code_of(attempt: &Attempt) -> i32 {
    attempt.exit_code.unwrap_or(CODE_UNKNOWN)
}

impl Api {
    /// A container as it is now.
    pub(super) async fn moment(&self, id: ServiceId) -> Result<Option<Moment>, Failure> {
        self.read(move |node, now| Moment::of(node, now, id)).await
    }
}
