//! Replays the history that an agent wrote (`edgectl agent --history FILE`): builds the agent's
//! node again and gives it the same facts at the same times. After every step it checks the
//! invariants that one node's history can show: no panic, I2 (a refused edit writes nothing, no
//! stamp twice), I4, I11, I12 (what is acknowledged is on the disk), I13, I14.
//!
//! A history holds no key, but it holds the node's signatures. Each of them must be the signature
//! of exactly what the node signs here, and the state digests must equal those of the agent. So a
//! replay that reaches the end of the history did what the agent did. It must never judge by the
//! actions of other nodes: they are not in the history.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use crdt_state::replica::Witness;
use crdt_state::{Digest, Ed25519Verifier, RecordKey, Replica, Signature};
use gossip::Now;
use node_core::history::{Began, Entry};
use node_core::{Action, Input, Node};

use crate::check::budgets::{self, STATE_BYTES_MAX, STEP_ACTIONS_MAX, WAITING_WRITES_MAX};
use crate::check::function::Plans;
use crate::check::writes::{WriteId, Writes};
use crate::check::{durability, poison, reasons};
use crate::disk::Write;
use crate::invariant::{Invariant, Verdict, Violation};
use crate::run::without_panic;
use crate::sim_node::{SimNode, writes_on_disk};
use crate::trace::{Echo, Trace};
use crate::watch::Answer;

mod signatures;

use signatures::Signatures;

/// The only machine of a replay.
const MACHINE: usize = 0;

/// How often reasons are checked.
const REASONS_INTERVAL_MS: u64 = 1_000;

/// Why a replay ends before the history does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// An invariant is broken.
    Violated(Violation),
    /// The node acts differently here than in the history.
    Diverged(String),
    /// The entries are in an order that no agent writes.
    NoHistory(&'static str),
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::Violated(violation) => violation.fmt(f),
            Stopped::Diverged(what) => write!(f, "the replay is not what happened: {what}"),
            Stopped::NoHistory(what) => write!(f, "this is no whole history: {what}"),
        }
    }
}

impl From<Violation> for Stopped {
    fn from(violation: Violation) -> Stopped {
        Stopped::Violated(violation)
    }
}

/// A replay in progress.
struct Replay {
    trace: Trace,
    at: u64,
    inputs: u64,
    signatures: Signatures,
    node: SimNode,
    disk: BTreeMap<RecordKey, Vec<u8>>,
    waiting: VecDeque<Write>,
    /// The writes of each edit that is not answered yet.
    tickets: BTreeMap<u64, Vec<WriteId>>,
    writes: Writes,
    plans: Plans<Digest>,
    reasons_at: u64,
}

/// What the history says about a node before it is made.
#[derive(Default)]
struct Beginning {
    began: Option<Began>,
    records: Vec<(RecordKey, Vec<u8>)>,
    found: Vec<crdt_state::task::AdoptedRun>,
}

/// One fact, and the results that the history has for it.
struct Step {
    now: Now,
    wall_ms: u64,
    input: Option<Input>,
    signed: Vec<Signature>,
    digest: Option<Digest>,
}

/// The result of a replay.
#[derive(Debug)]
pub struct Report {
    /// Version of the agent that wrote the history.
    pub version: String,
    /// The number of facts that the node was given.
    pub inputs: u64,
    /// The node's time at the end.
    pub at: u64,
    /// The digest of its state at the end, if the node was made.
    pub digest: Option<Digest>,
    /// The last events, oldest first.
    pub last_events: Vec<String>,
    /// Why it ended before the history did.
    pub stopped: Option<Stopped>,
}

/// Replays a whole history.
pub fn replay(entries: Vec<Entry>, echo: Echo) -> Report {
    let mut report = Report {
        version: String::new(),
        inputs: 0,
        at: 0,
        digest: None,
        last_events: Vec::new(),
        stopped: None,
    };
    let begun = sorted(entries).and_then(|(beginning, steps)| {
        let mut steps = VecDeque::from(steps);
        let start = steps.pop_front();
        let start = start.ok_or(Stopped::NoHistory("the node was never started"))?;
        report.version = beginning.began.as_ref().map_or(String::new(), |b| b.version.clone());
        let replay = without_panic(|| Replay::begin(beginning, start, echo));
        Ok((replay.unwrap_or_else(|violation| Err(violation.into()))?, steps))
    });
    let (mut replay, steps) = match begun {
        Ok(begun) => begun,
        Err(stopped) => return Report { stopped: Some(stopped), ..report },
    };
    let ran = without_panic(|| steps.into_iter().try_for_each(|step| replay.step(step)));
    Report {
        inputs: replay.inputs,
        at: replay.at,
        digest: Some(replay.node.digest()),
        last_events: replay.trace.last().map(str::to_owned).collect(),
        stopped: ran.unwrap_or_else(|violation| Err(violation.into())).err(),
        ..report
    }
}

/// Splits a history into the beginning and the steps. In the first step the node is made.
fn sorted(entries: Vec<Entry>) -> Result<(Beginning, Vec<Step>), Stopped> {
    let mut beginning = Beginning::default();
    let mut steps: Vec<Step> = Vec::new();
    let early = Stopped::NoHistory("a fact comes before the node was started");
    for entry in entries {
        let last = steps.last_mut();
        match entry {
            Entry::Began(began) => beginning.began = Some(*began),
            Entry::Record { key, bytes } => beginning.records.push((key, bytes)),
            Entry::Found(run) => beginning.found.push(*run),
            Entry::Started { now, wall_ms } => steps.push(Step::new(now, wall_ms, None)),
            Entry::Input { now, wall_ms, input } => {
                last.ok_or_else(|| early.clone())?;
                steps.push(Step::new(now, wall_ms, Some(*input)));
            }
            Entry::Signed(signature) => {
                last.ok_or_else(|| early.clone())?.signed.push(signature);
            }
            Entry::Digest(digest) => last.ok_or_else(|| early.clone())?.digest = Some(digest),
        }
    }
    Ok((beginning, steps))
}

impl Step {
    fn new(now: Now, wall_ms: u64, input: Option<Input>) -> Step {
        Step { now, wall_ms, input, signed: Vec::new(), digest: None }
    }
}

impl Replay {
    fn begin(beginning: Beginning, start: Step, echo: Echo) -> Result<Replay, Stopped> {
        let Beginning { began, records, found } = beginning;
        let began = began.ok_or(Stopped::NoHistory("what the node is made from is missing"))?;
        let signatures = Signatures::new(began.key);
        signatures.expect(start.signed);
        let signer = Box::new(signatures.clone());
        let mut replica = Replica::new(began.writer, signer, Arc::new(Ed25519Verifier));
        replica.watch(Box::new(Unwatched), began.held_back, began.set_aside);
        for (key, bytes) in &records {
            // A record that cannot be read is quarantined, as it was in the agent.
            let _ = replica.load(*key, bytes);
        }
        let node = Node::new(began.config, replica, found, start.now, start.wall_ms);
        let mut replay = Replay {
            trace: Trace::new(echo),
            at: start.now.0,
            inputs: 0,
            signatures,
            node: SimNode::of(node, start.now),
            disk: records.into_iter().collect(),
            waiting: VecDeque::new(),
            tickets: BTreeMap::new(),
            writes: Writes::default(),
            plans: Plans::default(),
            reasons_at: start.now.0,
        };
        replay.after_step(start.digest)?;
        Ok(replay)
    }

    fn step(&mut self, step: Step) -> Result<(), Stopped> {
        let Step { now, wall_ms, input, signed, digest } = step;
        let Some(input) = input else {
            return Err(Stopped::NoHistory("the node is started twice"));
        };
        (self.at, self.inputs) = (now.0, self.inputs + 1);
        self.note(&input);
        self.signatures.expect(signed);
        if let Input::Persisted { seq } = &input {
            self.synced(*seq)?;
        }
        match &input {
            Input::Edit { ticket, .. } => {
                let (ticket, before) = (*ticket, self.held());
                self.node.step(now.0, wall_ms, input);
                let after = self.held();
                let wrote: Vec<WriteId> =
                    after.keys().filter(|write| !before.contains_key(write)).copied().collect();
                for write in &wrote {
                    self.writes.written(*write, &after[write], &[])?;
                }
                self.tickets.insert(ticket, wrote);
            }
            _ => self.node.step(now.0, wall_ms, input),
        }
        self.after_step(digest)
    }

    fn held(&self) -> BTreeMap<WriteId, Vec<u8>> {
        self.node.shared_writes().into_iter().collect()
    }

    fn note(&mut self, input: &Input) {
        let at = self.at;
        match input {
            Input::Datagram { from, bytes, .. } => {
                self.trace.note(at, format_args!("datagram of {} from {from}", bytes.len()), bytes);
            }
            Input::Message { from, bytes } => {
                self.trace.note(at, format_args!("message of {} from {from}", bytes.len()), bytes);
            }
            other => self.trace.note(at, format_args!("{other:?}"), &[]),
        }
    }

    /// The disk has made the oldest write.
    fn synced(&mut self, seq: u64) -> Result<(), Stopped> {
        let write = self.waiting.pop_front().filter(|write| write.seq == seq);
        let Some(write) = write else {
            return Err(Stopped::Diverged(format!("write {seq} was never asked for")));
        };
        self.disk.extend(write.puts);
        write.drops.iter().for_each(|key| {
            self.disk.remove(key);
        });
        Ok(())
    }

    /// Takes all actions of the node, and makes all checks.
    fn after_step(&mut self, digest: Option<Digest>) -> Result<(), Stopped> {
        let mut orders = 0;
        while let Some(action) = self.node.poll_action() {
            orders += 1;
            self.take(action)?;
        }
        budgets::at_most("actions of one step", orders, STEP_ACTIONS_MAX as u64, MACHINE)?;
        let bytes = self.node.state_bytes() as u64;
        budgets::at_most("bytes of state", bytes, STATE_BYTES_MAX as u64, MACHINE)?;
        if let Some(what) = self.signatures.difference() {
            return Err(Stopped::Diverged(what));
        }
        let has = self.node.digest();
        if let Some(digest) = digest.filter(|digest| *digest != has) {
            return Err(Stopped::Diverged(format!("its state is {has}, and was {digest}")));
        }
        let from = (has, self.node.members_hash());
        self.plans.made(self.at, MACHINE, from, self.node.placement_hash())?;
        if self.at >= self.reasons_at + REASONS_INTERVAL_MS {
            self.reasons_at = self.at;
            reasons::explained(MACHINE, &self.node.shown())?;
            self.node
                .services()
                .iter()
                .try_for_each(|service| poison::is_sound(MACHINE, service))?;
        }
        Ok(())
    }

    fn take(&mut self, action: Action) -> Verdict {
        let at = self.at;
        match action {
            Action::SendDatagram { addr, bytes, .. } => {
                self.trace.note(at, format_args!("sends {} to {addr}", bytes.len()), &bytes);
            }
            Action::SendMessage { to, bytes, .. } => {
                self.trace.note(at, format_args!("sends {} to {to}", bytes.len()), &bytes);
            }
            Action::Persist { seq, puts, drops } => {
                self.trace.note(at, format_args!("writes {seq}"), &[]);
                self.waiting.push_back(Write { seq, puts, drops });
                let waiting = self.waiting.len() as u64;
                budgets::at_most("waiting writes", waiting, WAITING_WRITES_MAX as u64, MACHINE)?;
            }
            Action::Answer { ticket, result } => {
                self.trace.deed(at, format_args!("answers {ticket}: {result:?}"));
                let wrote = self.tickets.remove(&ticket).unwrap_or_default();
                let answer = if result.is_ok() { Answer::Done } else { Answer::Refused };
                self.answered(&wrote, answer)?;
            }
            other => self.trace.deed(at, format_args!("{other:?}")),
        }
        Ok(())
    }

    fn answered(&self, wrote: &[WriteId], answer: Answer) -> Verdict {
        if answer == Answer::Refused {
            return wrote.first().map_or(Ok(()), |write| {
                let detail = format!("an edit was refused and wrote {write:?}");
                Err(Violation::new(Invariant::I2Writes, detail))
            });
        }
        let keys: BTreeSet<RecordKey> = wrote.iter().map(|write| write.key).collect();
        let on_disk = keys.iter().filter_map(|key| Some((key, self.disk.get(key)?)));
        let on_disk: BTreeSet<WriteId> = on_disk
            .flat_map(|(key, bytes)| writes_on_disk(*key, bytes))
            .map(|(write, _)| write)
            .collect();
        // A later write of the same facet replaces a write that it saw.
        let is_there = |write: &WriteId| {
            let later = |held: &&WriteId| {
                (held.key, held.facet) == (write.key, write.facet) && held.stamp >= write.stamp
            };
            on_disk.iter().any(|held| later(&held))
        };
        let missing: Vec<WriteId> =
            wrote.iter().filter(|write| !is_there(write)).copied().collect();
        durability::answered(MACHINE, &missing)
    }
}

/// A replay has no need of reports of the records that are being applied.
struct Unwatched;

impl Witness for Unwatched {
    fn applying(&mut self, _: &[Digest]) {}
    fn applied(&mut self) {}
}
