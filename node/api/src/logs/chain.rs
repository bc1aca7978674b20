//! The output of one task on its node: its runs, one after the other, starting with the oldest kept
//! one.
//!
//! A run that has not begun is waited for, and one that ended is followed by the next. If the
//! connection to the node breaks, reading continues at the same place. The reader is told what is
//! missing, and ends everything by going away.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use crdt_state::task::Run;
use crdt_state::{NodeId, TaskId};
use runtime::logs::LogEntry;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::Wanted;
use super::frames::Source;
use super::lines::Lines;
use super::place::LogPosition;
use crate::task_object::spoken;
use node_agent::transport::LogRequest;
use node_agent::{Handle, LogNews, LogsGone};

/// A log that is not followed is given up after this time without data.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// A followed log that broke off, or does not exist yet, is requested again after this time.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// Number of a chain within one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChainId(pub u64);

/// A task in the fleet's records, as far as its output is concerned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Its runs by number.
    pub runs: BTreeMap<u32, KnownRun>,
    /// For how long its node has not been heard.
    pub unreachable_ms: Option<u64>,
    /// No record mentions it any more: runs that have begun are read to their end.
    pub is_gone: bool,
    /// No further run is to be expected.
    pub is_last: bool,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownRun {
    /// The name under which its lines are shown.
    pub source: Arc<Source>,
    /// Did its program start?
    pub has_begun: bool,
    /// Has it ended?
    pub is_over: bool,
}

/// An item of a chain.
#[derive(Debug)]
pub enum Said {
    /// A line.
    Line(Arc<Source>, LogEntry),
    /// No more for now.
    CaughtUp,
    /// Something cannot be read, with the reason.
    Lacks(String),
    /// Reading works again.
    Regained,
}

/// A task whose output is read.
pub struct Chain {
    /// Access to the nodes.
    pub handle: Handle,
    /// The node that ran it.
    pub node: NodeId,
    /// The task.
    pub task: TaskId,
    /// The client's request.
    pub wanted: Wanted,
    /// The state of the task in the records.
    pub known: watch::Receiver<Known>,
    /// The channel for its lines.
    pub said: mpsc::Sender<Said>,
    /// Something is missing, and this was reported.
    pub lacks: bool,
}

/// Reading ends: the client is gone, or the reason was reported.
struct Stop;

/// How the reading of a log ended.
enum Ended {
    Whole,
    Failed(String),
}

enum Step {
    Read(u32, Arc<Source>),
    Wait,
    End,
}

impl Known {
    /// The next step when the runs up to this one are read.
    fn after(&self, done: u32) -> Step {
        match self.runs.range(done.saturating_add(1)..).next() {
            Some((number, run)) if run.has_begun => Step::Read(*number, Arc::clone(&run.source)),
            None if self.is_last => Step::End,
            _ if self.is_gone => Step::End,
            _ => Step::Wait,
        }
    }

    /// The same without waiting.
    fn already_after(&self, done: u32) -> Step {
        match self.runs.range(done.saturating_add(1)..).next() {
            Some((number, run)) => Step::Read(*number, Arc::clone(&run.source)),
            None => Step::End,
        }
    }

    /// Will this run write nothing more, as far as the records say?
    fn is_over(&self, number: u32) -> bool {
        self.is_gone || self.runs.get(&number).is_none_or(|run| run.is_over)
    }
}

impl Chain {
    /// Reads until no more can come.
    pub async fn read(mut self) {
        let _ = self.read_runs().await;
    }

    async fn read_runs(&mut self) -> Result<(), Stop> {
        let tails = self.tails().await;
        let newest = tails.last_key_value().map_or(0, |(number, _)| *number);
        let skipped = tails.iter().filter(|(number, tail)| **tail == 0 && **number < newest);
        let mut done = skipped.map(|(number, _)| *number).max().unwrap_or(0);
        loop {
            let step = {
                let known = self.known.borrow_and_update();
                if self.wanted.follow { known.after(done) } else { known.already_after(done) }
            };
            match step {
                Step::Read(number, source) => {
                    let tail = tails.get(&number).copied();
                    self.read_run(number, &source, tail).await?;
                    done = number;
                }
                Step::Wait => {
                    self.say(Said::CaughtUp).await?;
                    self.known.changed().await.map_err(|_| Stop)?;
                }
                Step::End => return Ok(()),
            }
        }
    }

    /// How many of the last lines of each run are requested, counted from the newest run.
    async fn tails(&mut self) -> BTreeMap<u32, u64> {
        let mut tails = BTreeMap::new();
        let Some(mut missing) = self.wanted.tail else { return tails };
        let numbers: Vec<u32> = self.known.borrow().runs.keys().rev().copied().collect();
        for (index, number) in numbers.iter().enumerate() {
            tails.insert(*number, missing);
            if missing > 0 && index + 1 < numbers.len() {
                missing -= self.count(*number, missing).await.min(missing);
            }
        }
        tails
    }

    /// How many lines a run has, up to a number.
    async fn count(&mut self, number: u32, most: u64) -> u64 {
        let request = LogRequest {
            run: Run { task: self.task, attempt: number },
            tail: Some(most),
            since_wall_ms: None,
            follow: false,
        };
        if self.known.borrow().unreachable_ms.is_some() {
            return 0;
        }
        let Ok(mut entries) = self.handle.logs(self.node, request).await else { return 0 };
        let mut lines = Lines::default();
        let mut count = 0;
        while let Ok(Some(Ok(news))) = timeout(SILENCE_MAX, entries.next()).await {
            if let LogNews::Entry(entry) = news {
                count += u64::from(lines.push(entry).is_some());
            }
        }
        count + lines.finish().len() as u64
    }

    async fn read_run(
        &mut self,
        number: u32,
        source: &Arc<Source>,
        tail: Option<u64>,
    ) -> Result<(), Stop> {
        let mut place = LogPosition::new(tail, self.wanted.since_ns);
        let mut lines = Lines::default();
        loop {
            // Taken before the log is read, so that its last lines are not missed.
            let was_over = self.known.borrow().is_over(number);
            let ended = self.read_source(number, source, &mut place, &mut lines).await?;
            let is_read = match &ended {
                Ended::Whole => was_over || !self.wanted.follow,
                Ended::Failed(why) => {
                    self.lack(why).await?;
                    was_over && self.known.borrow().is_gone || !self.wanted.follow
                }
            };
            if is_read {
                if matches!(ended, Ended::Whole) {
                    self.regain().await?;
                }
                for line in lines.finish() {
                    self.show(source, line).await?;
                }
                // A node that does not answer would otherwise be asked for each of its runs.
                return if self.lacks { Err(Stop) } else { Ok(()) };
            }
            self.say(Said::CaughtUp).await?;
            tokio::select! {
                changed = self.known.changed() => changed.map_err(|_| Stop)?,
                () = sleep(RETRY_INTERVAL) => {}
            }
        }
    }

    /// Reads from a place until the log ends or breaks off.
    async fn read_source(
        &mut self,
        number: u32,
        source: &Arc<Source>,
        place: &mut LogPosition,
        lines: &mut Lines,
    ) -> Result<Ended, Stop> {
        if let Some(why) = self.unreachable() {
            return Ok(Ended::Failed(why));
        }
        let follow = self.wanted.follow;
        let run = Run { task: self.task, attempt: number };
        let request = LogRequest { follow, ..place.request(run) };
        let Ok(mut entries) = self.handle.logs(self.node, request).await else { return Err(Stop) };
        loop {
            let next = tokio::select! {
                next = entries.next() => next,
                changed = self.known.changed() => {
                    changed.map_err(|_| Stop)?;
                    // The connection may be dead without an error; asking again loses nothing.
                    if let Some(why) = self.unreachable() {
                        return Ok(Ended::Failed(why));
                    }
                    continue;
                }
                () = sleep(SILENCE_MAX), if !follow => {
                    return Ok(Ended::Failed("it does not answer".to_owned()));
                }
            };
            match next {
                None => return Ok(Ended::Whole),
                Some(Ok(LogNews::CaughtUp)) => {
                    self.regain().await?;
                    self.say(Said::CaughtUp).await?;
                }
                Some(Ok(LogNews::Entry(entry))) => {
                    self.regain().await?;
                    if place.is_new(&entry) {
                        self.take(source, entry, lines).await?;
                    }
                }
                // A run without output, or whose files were removed.
                Some(Err(LogsGone::Disk(error))) if error.kind() == ErrorKind::NotFound => {
                    return Ok(Ended::Whole);
                }
                Some(Err(error)) => return Ok(Ended::Failed(error.to_string())),
            }
        }
    }

    async fn take(
        &mut self,
        source: &Arc<Source>,
        entry: LogEntry,
        lines: &mut Lines,
    ) -> Result<(), Stop> {
        let line = if self.wanted.is_exact() { Some(entry) } else { lines.push(entry) };
        match line {
            Some(line) => self.show(source, line).await,
            None => Ok(()),
        }
    }

    async fn show(&mut self, source: &Arc<Source>, line: LogEntry) -> Result<(), Stop> {
        match self.wanted.wants(&line) {
            true => self.say(Said::Line(Arc::clone(source), line)).await,
            false => Ok(()),
        }
    }

    fn unreachable(&self) -> Option<String> {
        let silent_ms = self.known.borrow().unreachable_ms?;
        Some(format!("its node has been unreachable for {}", spoken(silent_ms)))
    }

    async fn lack(&mut self, why: &str) -> Result<(), Stop> {
        if std::mem::replace(&mut self.lacks, true) {
            return Ok(());
        }
        self.say(Said::Lacks(why.to_owned())).await
    }

    async fn regain(&mut self) -> Result<(), Stop> {
        match std::mem::take(&mut self.lacks) {
            true => self.say(Said::Regained).await,
            false => Ok(()),
        }
    }

    async fn say(&self, said: Said) -> Result<(), Stop> {
        self.said.send(said).await.map_err(|_| Stop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(has_begun: bool) -> KnownRun {
        let source = Source { node: String::new(), service: String::new(), task: String::new() };
        KnownRun { source: Arc::new(source), has_begun, is_over: false }
    }

    fn word(step: Step) -> &'static str {
        match step {
            Step::Read(_, _) => "read",
            Step::Wait => "wait",
            Step::End => "end",
        }
    }

    #[test]
    fn a_run_that_waits_for_its_start_is_waited_for_and_the_next_one_too() {
        let mut known = Known::default();
        known.runs.extend([(1, run(true)), (2, run(false))]);
        assert_eq!(word(known.after(0)), "read");
        assert_eq!(word(known.after(1)), "wait", "it is between two runs");
        known.runs.insert(2, run(true));
        assert_eq!(word(known.after(1)), "read");
        assert_eq!(word(known.after(2)), "wait", "a third may come");
        assert_eq!(word(known.already_after(2)), "end");
        known.is_last = true;
        assert_eq!(word(known.after(2)), "end");
    }

    #[test]
    fn what_is_gone_is_read_to_its_end_and_not_waited_for() {
        let mut known = Known { is_gone: true, ..Known::default() };
        known.runs.extend([(1, run(true)), (2, run(false))]);
        assert_eq!(word(known.after(0)), "read");
        assert_eq!(word(known.after(1)), "end");
    }
}
