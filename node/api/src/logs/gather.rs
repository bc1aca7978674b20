//! Reads every task of a scope and sends its lines in order, until all are read or the client is
//! gone.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Bytes;
use crdt_state::task::TaskState;
use crdt_state::{NodeId, TaskId};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use node_agent::{Changes, Unanswered};
use runtime::logs::{LogEntry, Stream};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::Wanted;
use super::chain::{Chain, ChainId, Known, KnownRun, Said};
use super::frames::{Source, error_frame, frame, payload};
use super::merge::{Clock, Merge, Next};
use super::scope::Scope;
use crate::Api;
use crate::snapshot::Snapshot;
use crate::task_object::TaskObject;

/// Without a line or a change, `until` is checked this often.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// A follower checks for new runs when something changed, but not more often than this: each check
/// goes through the tasks of the whole fleet.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_millis(250);

/// Its program has not started.
const WAITING: [TaskState; 4] =
    [TaskState::Pending, TaskState::Assigned, TaskState::Preparing, TaskState::Starting];

/// Its program has ended, or will never start.
const OVER: [TaskState; 5] = [
    TaskState::Complete,
    TaskState::Failed,
    TaskState::Shutdown,
    TaskState::Rejected,
    TaskState::Orphaned,
];

/// The client is gone.
struct ClientGone;

/// One request for logs.
pub struct Gather {
    api: Api,
    scope: Scope,
    what: Wanted,
    frames: mpsc::Sender<Bytes>,
    chains: BTreeMap<ChainId, Watched>,
    merge: Merge<Bytes>,
    /// The next items of the chains.
    news: FuturesUnordered<BoxFuture<'static, News>>,
    /// Chains whose line is waiting to be sent.
    held: BTreeMap<ChainId, mpsc::Receiver<Said>>,
    changes: Changes,
    is_over: bool,
    began: Instant,
    refreshed: Instant,
    /// Absent if nothing has changed since the last refresh.
    refresh_at: Option<Instant>,
}

type News = (ChainId, mpsc::Receiver<Said>, Option<Said>);

/// A chain, and the state that its reader gets.
struct Watched {
    node: NodeId,
    task: TaskId,
    name: String,
    hostname: String,
    source: Arc<Source>,
    known: watch::Sender<Known>,
    is_gone: bool,
    lacks: bool,
}

impl Gather {
    /// Nothing is read yet.
    pub fn new(api: Api, scope: Scope, what: Wanted, frames: mpsc::Sender<Bytes>) -> Gather {
        let changes = api.handle.changes();
        let now = Instant::now();
        Gather {
            api,
            scope,
            what,
            frames,
            chains: BTreeMap::new(),
            merge: if what.follow { Merge::following() } else { Merge::ending() },
            news: FuturesUnordered::new(),
            held: BTreeMap::new(),
            changes,
            is_over: false,
            began: now,
            refreshed: now,
            refresh_at: None,
        }
    }

    /// Reads and sends until the end.
    pub async fn run(mut self) {
        self.refresh().await;
        // An error means that the client is gone.
        let _ = self.send_all().await;
    }

    async fn send_all(&mut self) -> Result<(), ClientGone> {
        loop {
            let wait = match self.merge.next(self.clock()) {
                Next::Line(chain, line) => {
                    self.frames.send(line).await.map_err(|_| ClientGone)?;
                    if let Some(said) = self.held.remove(&chain) {
                        self.ask(chain, said);
                    }
                    continue;
                }
                Next::Wait(ms) => Duration::from_millis(ms),
                Next::Nothing => IDLE_INTERVAL,
            };
            let is_read = self.merge.is_over() && self.news.is_empty();
            if is_read && (self.is_over || !self.what.follow) || self.is_past_until() {
                return self.end().await;
            }
            let refresh_at = self.refresh_at;
            tokio::select! {
                Some((chain, receiver, said)) = self.news.next(), if !self.news.is_empty() => {
                    self.take(chain, receiver, said).await?;
                }
                () = sleep(wait), if !is_read => {}
                () = until(refresh_at), if self.what.follow => self.refresh().await,
                changed = self.changes.next(), if self.what.follow => self.on_change(&changed),
                () = self.frames.closed() => return Err(ClientGone),
            }
        }
    }

    fn clock(&self) -> Clock {
        let ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Clock { ms, wall_ns: wall_now_ns() }
    }

    fn is_past_until(&self) -> bool {
        self.what.follow && self.what.until_ns.is_some_and(|until| wall_now_ns() > until)
    }

    /// A task that starts or ends changes the list of runs to read.
    fn on_change(&mut self, changed: &Result<(), Unanswered>) {
        match changed {
            Ok(()) => self.refresh_at = Some(self.refreshed + REFRESH_INTERVAL_MIN),
            // The ending agent also ends the chains.
            Err(_) => self.close(),
        }
    }

    fn close(&mut self) {
        self.what.follow = false;
        self.chains.values_mut().for_each(Watched::leave);
    }

    /// Waits for the next item of a chain.
    fn ask(&mut self, chain: ChainId, said: mpsc::Receiver<Said>) {
        self.merge.on_asked(chain, self.clock());
        self.listen(chain, said);
    }

    fn listen(&mut self, chain: ChainId, mut said: mpsc::Receiver<Said>) {
        self.news.push(Box::pin(async move {
            let next = said.recv().await;
            (chain, said, next)
        }));
    }

    async fn take(
        &mut self,
        chain: ChainId,
        receiver: mpsc::Receiver<Said>,
        said: Option<Said>,
    ) -> Result<(), ClientGone> {
        match said {
            Some(Said::Line(source, line)) => {
                self.merge.on_line(chain, line.wall_ns, shown(&self.what, &source, &line));
                self.held.insert(chain, receiver);
                return Ok(());
            }
            None => {
                self.merge.on_end(chain);
                return Ok(());
            }
            Some(Said::CaughtUp) => self.merge.on_caught_up(chain),
            Some(Said::Lacks(why)) => {
                self.merge.on_caught_up(chain);
                self.note(chain, &why).await?;
            }
            Some(Said::Regained) => {
                if let Some(watched) = self.chains.get_mut(&chain) {
                    watched.lacks = false;
                }
            }
        }
        self.listen(chain, receiver);
        Ok(())
    }

    /// Reports in the stream itself why a log is missing, because its status was sent long ago.
    async fn note(&mut self, chain: ChainId, why: &str) -> Result<(), ClientGone> {
        let Some(watched) = self.chains.get_mut(&chain) else { return Ok(()) };
        watched.lacks = true;
        let why = why.replace("\n  ", "; ");
        let Watched { name, hostname, source, .. } = watched;
        let text = format!("edgectl: the log of {name} on {hostname} cannot be read: {why}\n");
        let (wall_ns, bytes) = (wall_now_ns(), text.into_bytes());
        let line = LogEntry { wall_ns, stream: Stream::Stderr, bytes };
        if !self.what.stderr {
            return Ok(());
        }
        self.frames.send(shown(&self.what, source, &line)).await.map_err(|_| ClientGone)
    }

    /// The request fails if some log is still missing.
    async fn end(&mut self) -> Result<(), ClientGone> {
        let mut nodes: Vec<&str> = self
            .chains
            .values()
            .filter(|watched| watched.lacks)
            .map(|watched| watched.hostname.as_str())
            .collect();
        nodes.sort_unstable();
        nodes.dedup();
        if nodes.is_empty() || self.what.unframed {
            return Ok(());
        }
        let what = format!("the logs are incomplete: not read on {}", nodes.join(", "));
        self.frames.send(error_frame(&what)).await.map_err(|_| ClientGone)
    }

    /// Updates the list of runs.
    async fn refresh(&mut self) {
        self.refreshed = Instant::now();
        self.refresh_at = None;
        let Ok(snapshot) = Snapshot::latest(&self.api).await else { return self.close() };
        self.is_over = self.scope.is_over(&snapshot);
        let mut found: BTreeMap<(NodeId, TaskId), Vec<TaskObject>> = BTreeMap::new();
        for object in self.scope.objects(&snapshot) {
            let Some((node, run)) = object.run else { continue };
            found.entry((node, run.task)).or_default().push(object);
        }
        let ends_here = self.is_over && !matches!(self.scope, Scope::Run(_));
        for watched in self.chains.values_mut().filter(|watched| !watched.is_gone) {
            match found.remove(&(watched.node, watched.task)) {
                Some(objects) => watched.tell(&objects),
                None => watched.leave(),
            }
        }
        for ((node, task), objects) in found {
            self.begin(&snapshot, (node, task), &objects);
        }
        for watched in self.chains.values_mut() {
            if ends_here {
                watched.leave();
            }
            if watched.is_gone {
                watched.check_node(&snapshot);
            }
        }
    }

    fn begin(&mut self, snapshot: &Snapshot, at: (NodeId, TaskId), objects: &[TaskObject]) {
        let Some(first) = objects.first() else { return };
        let chain = ChainId(self.chains.len() as u64);
        let is_last = matches!(self.scope, Scope::Run(_));
        let (known, told) = watch::channel(Known { is_last, ..Known::default() });
        let watched = Watched {
            node: at.0,
            task: at.1,
            name: first.task.edge.name.clone(),
            hostname: snapshot.hostname(at.0),
            source: Arc::new(source(first)),
            known,
            is_gone: false,
            lacks: false,
        };
        watched.tell(objects);
        self.chains.insert(chain, watched);
        // One line waits here and one in the merge; all others stay on the disk.
        let (said, receiver) = mpsc::channel(1);
        let reader = Chain {
            handle: self.api.handle.clone(),
            node: at.0,
            task: at.1,
            wanted: self.what,
            known: told,
            said,
            lacks: false,
        };
        tokio::spawn(reader.read());
        self.ask(chain, receiver);
    }
}

impl Watched {
    /// Passes the current records to the reader. Runs without a record are over.
    fn tell(&self, objects: &[TaskObject]) {
        self.known.send_modify(|known| {
            known.runs.values_mut().for_each(|run| run.is_over = true);
            known.unreachable_ms =
                objects.iter().find_map(|object| object.task.edge.unreachable_ms);
            for object in objects {
                let Some((_, run)) = object.run else { continue };
                let shown = known.runs.get(&run.attempt).map(|run| Arc::clone(&run.source));
                let source = shown.unwrap_or_else(|| Arc::new(source(object)));
                let (has_begun, is_over) = (!is_in(object, &WAITING), is_in(object, &OVER));
                known.runs.insert(run.attempt, KnownRun { source, has_begun, is_over });
            }
        });
    }

    /// No record mentions it any more.
    fn leave(&mut self) {
        self.is_gone = true;
        self.known.send_modify(|known| known.is_gone = true);
    }

    /// Runs that have begun are read to their end as long as their node answers.
    fn check_node(&self, snapshot: &Snapshot) {
        let row = snapshot.nodes.iter().find(|row| row.id == self.node);
        let silent_ms = match row {
            Some(row) if row.is_me || row.state.is_active() => None,
            Some(row) => Some(row.since_ms),
            None => Some(0),
        };
        self.known.send_modify(|known| known.unreachable_ms = silent_ms);
    }
}

/// Without an instant it never returns.
async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn is_in(object: &TaskObject, states: &[TaskState]) -> bool {
    states.iter().any(|state| state.as_str() == object.task.status.state)
}

fn shown(what: &Wanted, source: &Source, line: &LogEntry) -> Bytes {
    match what.unframed {
        true => payload(what.prefix, source, line).into(),
        false => frame(what.prefix, source, line),
    }
}

fn source(object: &TaskObject) -> Source {
    Source {
        node: object.task.node_id.clone(),
        service: object.task.service_id.clone(),
        task: object.task.id.clone(),
    }
}

fn wall_now_ns() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}
