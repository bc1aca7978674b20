//! Probes of the paths to other nodes: a task of the background runtime that sends them, takes the
//! answers, and tells what it finds.
//!
//! ```text
//! thread "networks" ── socket, targets ──▶ prober ──▶ largest packets ──▶ thread "networks"
//! who asks ─────────── check ────────────▶   │   └──▶ silent paths ─────▶ log
//! who asks ◀────────── what was found ───────┘
//! ```
//! It decides nothing: [`overlay::paths`] does. It must never delay a task that is attached, so it
//! shares no thread with that.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Weak;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use crdt_state::NodeId;
use overlay::paths::ends::{End, Ends};
use overlay::paths::{PathState, Paths, Verdict};
use overlay::plan::vxlan_overhead;
use overlay_linux::echo::EchoSocket;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, oneshot};

use super::Order;
use crate::path_row::{PathReach, PathRow};

/// A check that takes longer is answered with what is known then: a search for the largest packet
/// takes a few seconds, and a fleet of hundreds some more.
const CHECK_TIMEOUT: Duration = Duration::from_secs(15);

/// Sleep without anything to send.
const IDLE: Duration = Duration::from_secs(3_600);

/// What the prober is told.
pub(super) enum PathOrder {
    /// The device of probes was made, or made anew.
    Socket(EchoSocket),
    /// The other nodes changed.
    Plan(Box<Ends>),
    /// Somebody wants to know what is so now; answered when every path was probed.
    Check { done: oneshot::Sender<Vec<PathRow>> },
}

/// The task.
pub(super) struct PathProber {
    inbox: mpsc::UnboundedReceiver<PathOrder>,
    networks: Weak<Sender<Order>>,
    start: Instant,
    paths: Paths,
    ends: Ends,
    socket: Option<AsyncFd<EchoSocket>>,
    limits: BTreeMap<NodeId, u32>,
    silent: BTreeSet<NodeId>,
    lossy: BTreeSet<NodeId>,
    /// Was it told who there is?
    is_told: bool,
    /// The nodes that are to be reached in another way.
    given_up: BTreeSet<NodeId>,
    checks: Vec<(Instant, oneshot::Sender<Vec<PathRow>>)>,
}

impl PathProber {
    pub(super) fn new(
        inbox: mpsc::UnboundedReceiver<PathOrder>,
        networks: Weak<Sender<Order>>,
        given_up: BTreeSet<NodeId>,
    ) -> PathProber {
        let mut paths = Paths::default();
        paths.remember_given_up(given_up.clone());
        PathProber {
            inbox,
            networks,
            start: Instant::now(),
            paths,
            ends: Ends::default(),
            socket: None,
            limits: BTreeMap::new(),
            silent: BTreeSet::new(),
            lossy: BTreeSet::new(),
            is_told: false,
            given_up,
            checks: Vec::new(),
        }
    }

    /// Runs until the thread "networks" has ended.
    pub(super) async fn run(mut self) {
        loop {
            self.send();
            self.tell();
            let wake = tokio::time::Instant::from_std(self.wake());
            tokio::select! {
                order = self.inbox.recv() => match order {
                    Some(order) => self.take(order),
                    None => return,
                },
                answer = next_answer(self.socket.as_ref()) => match answer {
                    Ok(Some(answer)) => self.take_answer(answer),
                    Ok(None) => {}
                    // Its device is gone; another one will follow.
                    Err(_) => self.socket = None,
                },
                () = tokio::time::sleep_until(wake) => {}
            }
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn wake(&self) -> Instant {
        let probe = self.paths.deadline_us().filter(|_| self.socket.is_some());
        let probe = probe.map(|due_us| self.start + Duration::from_micros(due_us));
        let checks = self.checks.iter().map(|(end, _)| *end);
        checks.chain(probe).min().unwrap_or_else(|| Instant::now() + IDLE)
    }

    fn take(&mut self, order: PathOrder) {
        match order {
            PathOrder::Socket(socket) => {
                // SAFETY: the socket owns its descriptor, which stays the same until it is dropped
                // with the registration.
                let registered =
                    unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
                self.socket = registered
                    .inspect_err(|error| tracing::warn!("networks: no probes of paths: {error}"))
                    .ok();
            }
            PathOrder::Plan(ends) => {
                (self.ends, self.is_told) = (*ends, true);
                let alike = self.ends.peers.iter().filter(|(_, end)| !self.ends.is_unlike(end));
                let targets = alike.map(|(node, end)| (*node, end.target)).collect();
                self.paths.set_targets(self.now_us(), &targets);
            }
            PathOrder::Check { done } => {
                // Who comes while a check goes on gets its result.
                if self.checks.is_empty() {
                    self.paths.check(self.now_us());
                }
                self.checks.push((Instant::now() + CHECK_TIMEOUT, done));
            }
        }
    }

    fn take_answer(&mut self, answer: overlay_linux::echo::Echo) {
        let from = self.ends.peers.iter().find(|(_, end)| end.address == answer.from);
        if let Some((node, _)) = from {
            let (node, now_us) = (*node, self.now_us());
            self.paths.handle_answer(now_us, node, answer.number, answer.bytes);
        }
    }

    fn send(&mut self) {
        let Some(socket) = &self.socket else { return };
        while let Some(probe) = self.paths.poll_probe(self.now_us()) {
            let Some(end) = self.ends.peers.get(&probe.to) else { continue };
            // A probe that could not be sent is one without an answer.
            if let Err(error) = socket.get_ref().send(end.address, probe.number, probe.bytes) {
                tracing::trace!("probe of {} bytes to {}: {error}", probe.bytes, probe.to);
            }
        }
    }

    /// Tells what became different.
    fn tell(&mut self) {
        let limits = self.paths.limits();
        if limits != self.limits {
            for (node, bytes) in limits.iter().filter(|(node, b)| self.limits.get(node) != Some(b))
            {
                tracing::info!("networks: packets to node {node} have at most {bytes} bytes");
            }
            self.limits.clone_from(&limits);
            let overhead = self.ends.underlay.map_or(0, vxlan_overhead);
            let below = limits.into_iter().map(|(node, bytes)| (node, bytes + overhead));
            self.order(Order::Limits(below.collect()));
        }
        // Until then those of an earlier agent hold.
        let given_up = if self.is_told { self.given_up() } else { self.given_up.clone() };
        if given_up != self.given_up {
            self.given_up.clone_from(&given_up);
            self.order(Order::Detours(given_up.into_iter().map(|n| (n, self.since(n))).collect()));
        }
        let lossy = self.paths.lossy();
        if lossy != self.lossy {
            self.lossy.clone_from(&lossy);
            self.order(Order::Lossy(lossy));
        }
        let silent = self.paths.silent();
        for node in silent.difference(&self.silent) {
            tracing::warn!("networks: no packet comes back from node {node}: edgectl net check");
        }
        for node in self.silent.difference(&silent) {
            tracing::info!("networks: packets come back from node {node} again");
        }
        self.silent = silent;
        let (is_over, now) = (!self.paths.is_checking(), Instant::now());
        let is_done = |(end, _): &mut (Instant, _)| is_over || *end <= now;
        let done: Vec<_> = self.checks.extract_if(.., is_done).collect();
        for (_, done) in done {
            // Who asked may be gone.
            let _ = done.send(self.rows());
        }
    }

    fn order(&self, order: Order) {
        // The thread ends with the agent.
        if let Some(networks) = self.networks.upgrade() {
            let _ = networks.send(order);
        }
    }

    /// Since when nothing comes back from a node.
    fn since(&self, node: NodeId) -> Instant {
        let reach = self.paths.verdicts().find(|(other, _)| *other == node).map(|(_, v)| v.reach);
        match reach {
            Some(PathState::Silent(since_us)) => self.start + Duration::from_micros(since_us),
            _ => Instant::now(),
        }
    }

    /// Of two nodes with addresses of different families one may have both.
    fn given_up(&self) -> BTreeSet<NodeId> {
        let unlike = self.ends.peers.iter().filter(|(_, end)| self.ends.is_unlike(end));
        let unlike = unlike.map(|(node, _)| *node);
        self.paths.given_up().into_iter().chain(unlike).collect()
    }

    fn rows(&self) -> Vec<PathRow> {
        let verdicts: BTreeMap<NodeId, Verdict> = self.paths.verdicts().collect();
        let now_us = self.now_us();
        let row = |(node, end): (&NodeId, &End)| {
            let mut row = PathRow {
                node: *node,
                address: end.underlay,
                is_heard: end.is_heard,
                is_detoured: end.has_tunnel && self.given_up.contains(node),
                reach: PathReach::Unlike,
                rtt_us: None,
                sent: 0,
                lost: 0,
                is_lossy: false,
                bytes: None,
                bytes_max: end.target.bytes_max,
            };
            if let Some(verdict) = verdicts.get(node) {
                row.reach = match verdict.reach {
                    PathState::Unknown => PathReach::Unknown,
                    PathState::Answers => PathReach::Answers,
                    PathState::Silent(since_us) => {
                        PathReach::Silent { ms: now_us.saturating_sub(since_us) / 1_000 }
                    }
                };
                (row.rtt_us, row.bytes) = (verdict.rtt_us, verdict.bytes);
                (row.sent, row.lost) = (verdict.sent, verdict.lost);
                row.is_lossy = verdict.is_lossy;
            }
            row
        };
        self.ends.peers.iter().map(row).collect()
    }
}

/// Waits for an answer; forever without a socket.
async fn next_answer(
    socket: Option<&AsyncFd<EchoSocket>>,
) -> io::Result<Option<overlay_linux::echo::Echo>> {
    let Some(socket) = socket else { return std::future::pending().await };
    loop {
        let mut ready = socket.readable().await?;
        if let Ok(received) = ready.try_io(|socket| socket.get_ref().receive()) {
            return received;
        }
    }
}
