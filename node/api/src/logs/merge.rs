//! The order of lines from several tasks: a pure machine that holds one line of each.
//!
//! ```text
//! awaited ──line──▶ holds a line ──next──▶ awaited        a task that ended is forgotten
//!    └──caught up──▶ quiet ──line──▶ holds a line
//! ```
//! A line is sent once no task can still have an earlier one. That is so when each other task holds
//! a line, has ended, or is quiet while the line is older than anything that may be on the way.
//! Clocks of nodes differ; a line from the future is not waited for.

use std::collections::BTreeMap;

use super::chain::ChainId;

/// A task in an unknown state holds up the others for at most this long, in milliseconds: it may be
/// behind a slow link. For a log that is not followed, the reader itself reports when it gives up.
pub const AWAIT_MS_MAX: u64 = 2_000;

/// Longest delay of a written line, in milliseconds: two checks of the file, and the way here.
pub const HOLD_MS: u64 = 500;

/// The time of a step.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// Monotonic.
    pub ms: u64,
    /// Time of day.
    pub wall_ns: u64,
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<T> {
    /// Send this line.
    Line(ChainId, T),
    /// Wait this many milliseconds, unless something arrives.
    Wait(u64),
    /// Wait until something arrives.
    Nothing,
}

/// Lines, and the tasks from which lines are expected.
#[derive(Debug)]
pub struct Merge<T> {
    lines: BTreeMap<(u64, ChainId), T>,
    awaited: BTreeMap<ChainId, Awaited>,
    follow: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Since(u64),
    Quiet,
}

impl<T> Merge<T> {
    /// For logs that end.
    pub fn ending() -> Merge<T> {
        Merge { lines: BTreeMap::new(), awaited: BTreeMap::new(), follow: false }
    }

    /// For followed logs: no task is waited for without end.
    pub fn following() -> Merge<T> {
        Merge { follow: true, ..Merge::ending() }
    }

    /// A line is expected from a task.
    pub fn on_asked(&mut self, chain: ChainId, clock: Clock) {
        self.awaited.insert(chain, Awaited::Since(clock.ms));
    }

    /// The task has no line for now.
    pub fn on_caught_up(&mut self, chain: ChainId) {
        if let Some(awaited) = self.awaited.get_mut(&chain) {
            *awaited = Awaited::Quiet;
        }
    }

    /// The task has sent a line; it is asked again once that line is sent on.
    pub fn on_line(&mut self, chain: ChainId, wall_ns: u64, line: T) {
        self.awaited.remove(&chain);
        self.lines.insert((wall_ns, chain), line);
    }

    /// The task sends no more lines.
    pub fn on_end(&mut self, chain: ChainId) {
        self.awaited.remove(&chain);
    }

    /// Was everything sent that can come?
    pub fn is_over(&self) -> bool {
        self.lines.is_empty() && self.awaited.is_empty()
    }

    /// The next step.
    pub fn next(&mut self, clock: Clock) -> Next<T> {
        let Some(((wall_ns, _), _)) = self.lines.first_key_value() else { return Next::Nothing };
        let wait_ms = self.awaited.values().map(|awaited| match awaited {
            Awaited::Since(_) if !self.follow => u64::MAX,
            Awaited::Since(since) => (since + AWAIT_MS_MAX).saturating_sub(clock.ms),
            Awaited::Quiet => hold_ms(*wall_ns, clock.wall_ns),
        });
        match wait_ms.max().unwrap_or(0) {
            0 => {}
            u64::MAX => return Next::Nothing,
            wait_ms => return Next::Wait(wait_ms),
        }
        let ((_, chain), line) = self.lines.pop_first().expect("there is a first one");
        Next::Line(chain, line)
    }
}

/// For how long a line of this time is held back.
fn hold_ms(wall_ns: u64, now_ns: u64) -> u64 {
    let (wall_ms, now_ms) = (wall_ns / 1_000_000, now_ns / 1_000_000);
    match wall_ms > now_ms.saturating_add(HOLD_MS) {
        true => 0,
        false => wall_ms.saturating_add(HOLD_MS).saturating_sub(now_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: ChainId = ChainId(1);
    const B: ChainId = ChainId(2);

    /// A clock whose monotonic time and time of day start together.
    fn at(ms: u64) -> Clock {
        Clock { ms, wall_ns: ms * 1_000_000 }
    }

    fn ns(ms: u64) -> u64 {
        ms * 1_000_000
    }

    #[test]
    fn lines_of_logs_that_end_come_in_order_of_time() {
        let mut merge = Merge::ending();
        merge.on_asked(A, at(0));
        merge.on_asked(B, at(0));
        merge.on_line(A, ns(5), "a5");
        assert_eq!(merge.next(at(60_000)), Next::Nothing, "B may have an earlier one");
        merge.on_line(B, ns(3), "b3");
        assert_eq!(merge.next(at(60_000)), Next::Line(B, "b3"));
        merge.on_asked(B, at(60_000));
        assert_eq!(merge.next(at(60_000)), Next::Nothing);
        merge.on_end(B);
        assert!(!merge.is_over());
        assert_eq!(merge.next(at(60_000)), Next::Line(A, "a5"));
        merge.on_asked(A, at(60_000));
        merge.on_end(A);
        assert!(merge.is_over());
    }

    #[test]
    fn a_task_that_does_not_answer_holds_followed_ones_up_for_a_while_only() {
        let mut merge = Merge::following();
        merge.on_asked(A, at(0));
        merge.on_asked(B, at(0));
        merge.on_line(A, 0, "a");
        assert_eq!(merge.next(at(10)), Next::Wait(AWAIT_MS_MAX - 10));
        assert_eq!(merge.next(at(AWAIT_MS_MAX)), Next::Line(A, "a"));
    }

    #[test]
    fn a_fresh_line_waits_for_quiet_tasks_and_an_old_one_does_not() {
        let mut merge = Merge::following();
        merge.on_asked(A, at(9_000));
        merge.on_asked(B, at(9_000));
        merge.on_caught_up(B);
        merge.on_line(A, ns(10_000), "fresh");
        assert_eq!(merge.next(at(10_100)), Next::Wait(HOLD_MS - 100));
        merge.on_line(B, ns(9_950), "late");
        assert_eq!(merge.next(at(10_100)), Next::Line(B, "late"));
        merge.on_asked(B, at(10_100));
        merge.on_caught_up(B);
        assert_eq!(merge.next(at(10_000 + HOLD_MS)), Next::Line(A, "fresh"));
        merge.on_line(A, ns(3_600_000), "from the future");
        assert_eq!(merge.next(at(11_000)), Next::Line(A, "from the future"));
    }

    #[test]
    fn a_task_alone_is_never_held() {
        let mut merge = Merge::following();
        merge.on_asked(A, at(0));
        merge.on_line(A, ns(100), "a");
        assert_eq!(merge.next(at(100)), Next::Line(A, "a"));
    }
}
