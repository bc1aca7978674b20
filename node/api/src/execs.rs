//! The commands that clients of this agent asked for: from their creation until their exit code was
//! read. They are only in memory: a command ends with the agent that its client is connected to.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crdt_state::NodeId;
use crdt_state::task::Run;
use runtime::exec::ExecOrder;

use super::failure::Failure;
use super::recent::Recent;
use node_agent::SessionWriter;
use node_docker::exec::ExecCreate;

/// Commands that are known at most; each takes a kilobyte.
const EXECS_MAX: usize = 256;

/// Characters of a command that an event tells: 256 events are kept in memory.
const TOLD_CHARS_MAX: usize = 200;

/// How long a command is known that was never started, or whose exit code nobody asked for.
const KEPT: Duration = Duration::from_secs(300);

/// One command.
#[derive(Clone)]
pub struct Exec {
    /// The container's id.
    pub container: String,
    /// The task's name, for messages.
    pub task: String,
    /// The node of the run.
    pub node: NodeId,
    /// The run.
    pub run: Run,
    /// The client's request.
    pub asked: ExecCreate,
    /// The same request for the helper.
    pub order: ExecOrder,
    /// Its state.
    pub state: ExecState,
    since: Instant,
}

/// The state of a command.
#[derive(Clone)]
pub enum ExecState {
    /// Not started.
    Created,
    /// Being started, or running.
    Running {
        /// Its process id on its node; 0 while it is being started.
        pid: u32,
        /// The writing side of its session.
        writer: Option<SessionWriter>,
    },
    /// Over.
    Ended {
        /// Its exit code.
        code: i32,
    },
}

/// All commands; clones are the same.
#[derive(Clone)]
pub struct Execs {
    all: Arc<Mutex<BTreeMap<String, Exec>>>,
    /// Told of what becomes of each, as of an event of its container.
    recent: Recent,
}

impl Exec {
    /// A command that was requested.
    pub fn new(
        container: &super::container::Container,
        asked: ExecCreate,
        order: ExecOrder,
    ) -> Exec {
        Exec {
            container: container.id.clone(),
            task: container.task.edge.name.clone(),
            node: container.node,
            run: container.run,
            asked,
            order,
            state: ExecState::Created,
            since: Instant::now(),
        }
    }
}

impl Execs {
    /// None yet.
    pub fn new(recent: Recent) -> Execs {
        Execs { all: Arc::default(), recent }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Exec>> {
        self.all.lock().expect("nothing panics while it holds this")
    }

    fn tell(&self, action: &str, id: &str, exec: &Exec, more: Option<(&str, &str)>) {
        let told = [("execID", id), ("name", exec.task.as_str())];
        let told: Vec<_> = told.into_iter().chain(more).collect();
        self.recent.tell("container", action, &exec.container, &told);
    }

    /// Stores a command, and returns its new id.
    pub fn add(&self, exec: Exec) -> Result<String, Failure> {
        let mut bytes = [0; 32];
        let no_luck = |error| Failure::Unavailable(format!("no random number: {error}"));
        getrandom::fill(&mut bytes).map_err(no_luck)?;
        let id: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut all = self.all();
        all.retain(|_, exec| exec.is_running() || exec.since.elapsed() < KEPT);
        if all.len() >= EXECS_MAX {
            let ended = all.iter().filter(|(_, exec)| !exec.is_running());
            let oldest = ended.min_by_key(|(_, exec)| exec.since).map(|(id, _)| id.clone());
            let full = || {
                Failure::Unavailable(format!(
                    "{EXECS_MAX} commands run over this agent already; end some, or ask another node"
                ))
            };
            all.remove(&oldest.ok_or_else(full)?);
        }
        self.tell(&format!("exec_create: {}", exec.words()), &id, &exec, None);
        all.insert(id.clone(), exec);
        Ok(id)
    }

    /// Finds a command by its id.
    pub fn find(&self, id: &str) -> Result<Exec, Failure> {
        let missing = || {
            Failure::Missing(format!(
                "No such exec instance: {id}; it is known to the agent that created it, for {} minutes",
                KEPT.as_secs() / 60
            ))
        };
        self.all().get(id).cloned().ok_or_else(missing)
    }

    /// Takes a command to start it, which is possible once.
    pub fn take(&self, id: &str) -> Result<Exec, Failure> {
        let exec = self.find(id)?;
        if !matches!(exec.state, ExecState::Created) {
            return Err(Failure::Conflict(format!(
                "exec {id} was started already; create another one"
            )));
        }
        self.set(id, ExecState::Running { pid: 0, writer: None });
        self.tell(&format!("exec_start: {}", exec.words()), id, &exec, None);
        Ok(exec)
    }

    /// Notes the state of a command.
    pub fn set(&self, id: &str, state: ExecState) {
        let mut all = self.all();
        let Some(exec) = all.get_mut(id) else { return };
        if let (ExecState::Ended { code }, true) = (&state, exec.is_running()) {
            self.tell("exec_die", id, exec, Some(("exitCode", &code.to_string())));
        }
        exec.state = state;
        exec.since = Instant::now();
    }
}

impl Exec {
    /// What is run, as far as an event tells it.
    fn words(&self) -> String {
        self.asked.cmd.join(" ").chars().take(TOLD_CHARS_MAX).collect()
    }

    fn is_running(&self) -> bool {
        matches!(self.state, ExecState::Running { .. })
    }
}
