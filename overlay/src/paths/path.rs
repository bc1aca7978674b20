//! One path: when it is probed, and what the answers say.
//!
//! ```text
//!          first answer            3 lost in a row
//! Unknown ─────────────▶ Answers ─────────────────▶ Silent
//!    └── 15 s without an answer ─────────────────────▲  │
//!                            ◀──── 3 answers in a row ──┘
//! ```
//! A lost probe is repeated at once, so that a silent path is known a few seconds after the first.

use super::size::{SizeSearch, Step};
use super::{PathState, SECOND_US, SIZE_INTERVALS, SMALL_BYTES, Target, Verdict};

/// So many small probes lost in a row make a path silent. One in eight lost, each by itself: once in
/// 512 probes, four hours of steady probing, and mended by the next.
const LOST_MAX: u32 = 3;

/// So many answers in a row end a silence: what is told of a path that comes and goes stays rare.
const ANSWERED_MIN: u32 = 3;

/// So many make it given up: a node that is gone is rarely heard for that long.
const LOST_GIVEN_UP: u32 = LOST_MAX + 2;

/// So many of the last 32 small probes lost make a path lossy: a quarter. At one lost in twenty this
/// happens once in 42,000 probes, which is two weeks.
const LOST_HEAVY: u32 = 8;

/// So many answers in a row end that: at one lost in four, once in 450 probes, which is four hours.
const ANSWERED_CLEAN: u32 = 16;

/// The other end may not be set up yet when its node appears.
const GRACE_US: u64 = 15 * SECOND_US;

/// Without an answer for this time a probe is lost; a path with a long round trip has four of them.
const TIMEOUT_MIN_US: u64 = SECOND_US;
const TIMEOUT_MAX_US: u64 = 4 * SECOND_US;

/// The same for probes of sizes, of which several are needed one after the other.
const SIZE_TIMEOUT_MIN_US: u64 = SECOND_US / 6;

/// A silent path is probed again after this time, which then doubles.
const SILENT_INTERVAL_MIN_US: u64 = 2 * SECOND_US;
const SILENT_INTERVAL_MAX_US: u64 = 30 * SECOND_US;

/// A probe whose answer is awaited.
#[derive(Debug, Clone, Copy)]
struct Sent {
    number: u32,
    at_us: u64,
}

/// The state of one path.
#[derive(Debug)]
pub struct Path {
    target: Target,
    interval_us: u64,
    /// Shifts the steady probes, so that those of many paths are not sent together.
    phase: Option<u8>,
    known_us: u64,
    answered_us: Option<u64>,
    silent_us: Option<u64>,
    is_given_up: bool,
    rtt_us: Option<u64>,
    lost_in_row: u32,
    answered_in_row: u32,
    /// The last small probes, the latest lowest; a set bit was lost.
    window: u32,
    window_len: u32,
    is_lossy: bool,
    small: Option<Sent>,
    small_due_us: Option<u64>,
    bytes: Option<u32>,
    search: Option<SizeSearch>,
    /// When the current try of sizes began, and when its last probe was sent.
    try_began_us: u64,
    try_us: Option<u64>,
    size_due_us: Option<u64>,
    is_checking: bool,
}

impl Path {
    pub fn new(now_us: u64, target: Target, phase: u8) -> Path {
        let mut path = Path {
            target,
            interval_us: super::STEADY_INTERVAL_US,
            phase: Some(phase),
            known_us: now_us,
            answered_us: None,
            silent_us: None,
            is_given_up: false,
            rtt_us: None,
            lost_in_row: 0,
            answered_in_row: 0,
            window: 0,
            window_len: 0,
            is_lossy: false,
            small: None,
            small_due_us: None,
            bytes: None,
            search: None,
            try_began_us: 0,
            try_us: None,
            size_due_us: None,
            is_checking: false,
        };
        if target.is_used {
            path.begin(now_us);
        }
        path
    }

    pub fn target(&self) -> Target {
        self.target
    }

    pub fn is_given_up(&self) -> bool {
        self.is_given_up
    }

    pub fn give_up(&mut self) {
        self.is_given_up = true;
    }

    pub fn is_checking(&self) -> bool {
        self.is_checking
    }

    pub fn set_interval(&mut self, interval_us: u64) {
        self.interval_us = interval_us;
    }

    pub fn set_target(&mut self, now_us: u64, target: Target) {
        let before = std::mem::replace(&mut self.target, target);
        if before.bytes_max != target.bytes_max {
            self.bytes = self.bytes.filter(|bytes| *bytes <= target.bytes_max);
            self.search = None;
            self.size_due_us = self.size_due_us.map(|_| now_us);
        }
        match (before.is_used, target.is_used) {
            (false, true) => self.begin(now_us),
            (true, false) if !self.is_checking => self.rest(),
            _ => {}
        }
    }

    /// It is in use from now on, and nothing is known of it yet.
    fn begin(&mut self, now_us: u64) {
        self.known_us = now_us;
        self.lost_in_row = 0;
        self.small_due_us = Some(now_us);
        self.size_due_us = Some(now_us);
    }

    /// Nobody uses it: what is known becomes old, and is not told.
    fn rest(&mut self) {
        (self.small, self.small_due_us, self.size_due_us) = (None, None, None);
        (self.search, self.try_us, self.silent_us) = (None, None, None);
        (self.lost_in_row, self.is_lossy) = (0, false);
    }

    /// Probes at once. What was lost counts on: who asks again and again must not keep the path from
    /// being given up.
    pub fn check(&mut self, now_us: u64) {
        self.is_checking = true;
        (self.small, self.search, self.try_us) = (None, None, None);
        (self.small_due_us, self.size_due_us) = (Some(now_us), Some(now_us));
    }

    pub fn on_answer(&mut self, now_us: u64, number: u32, bytes: u32) {
        self.lost_in_row = 0;
        if self.answered_us.replace(now_us).is_none() {
            // What was lost before the other end was set up says nothing of the path.
            self.forget_lost();
        }
        if let Some(sent) = self.small.filter(|sent| sent.number == number) {
            self.small = None;
            self.note(0);
            self.answered_in_row += 1;
            let rtt_us = now_us.saturating_sub(sent.at_us);
            let smooth = |last: u64| (7 * last + rtt_us) / 8;
            self.rtt_us = Some(self.rtt_us.map_or(rtt_us, smooth));
            let wait_us = self.wait_us();
            self.small_due_us = self.target.is_used.then_some(now_us + wait_us);
        }
        if self.answered_in_row >= ANSWERED_MIN {
            self.is_given_up = false;
        }
        if self.answered_in_row >= ANSWERED_CLEAN && self.is_lossy {
            self.forget_lost();
        }
        if self.answered_in_row >= ANSWERED_MIN && self.silent_us.take().is_some() {
            // That was silence, and is over.
            self.forget_lost();
            // The way may be another one now.
            (self.search, self.try_us) = (None, None);
            self.size_due_us = Some(now_us);
        }
        let step = self.search.as_mut().and_then(|search| search.on_answer(bytes));
        self.on_step(now_us, step);
    }

    /// From an answer to the next steady probe.
    fn wait_us(&mut self) -> u64 {
        if self.silent_us.is_some() || self.is_given_up {
            return SECOND_US;
        }
        let shift_us =
            self.phase.take().map_or(0, |phase| self.interval_us * u64::from(phase) / 512);
        self.interval_us - shift_us
    }

    /// What is late counts as lost.
    pub fn on_time(&mut self, now_us: u64) {
        if self.small_timeout_us().is_some_and(|due_us| due_us <= now_us) {
            self.small = None;
            self.on_lost(now_us);
        }
        if self.try_timeout_us().is_some_and(|due_us| due_us <= now_us) {
            self.try_us = None;
            let is_heard = self.answered_us.is_some_and(|at_us| at_us >= self.try_began_us);
            if is_heard {
                let step = self.search.as_mut().map(SizeSearch::on_lost);
                self.on_step(now_us, step);
            } else {
                // Nothing passes at all: no matter of size. Small probes go on.
                self.search = None;
                self.size_due_us = Some(now_us + SECOND_US);
            }
        }
    }

    fn on_lost(&mut self, now_us: u64) {
        self.note(1);
        self.answered_in_row = 0;
        self.lost_in_row += 1;
        let is_enough = self.lost_in_row >= LOST_MAX;
        let had_time = self.answered_us.is_some() || now_us >= self.known_us + GRACE_US;
        if is_enough && (had_time || self.is_checking) && self.silent_us.is_none() {
            self.silent_us = Some(self.answered_us.unwrap_or(self.known_us));
            self.is_lossy = false;
        }
        if self.silent_us.is_none() {
            self.small_due_us = Some(now_us);
            return;
        }
        self.is_given_up |= self.lost_in_row >= LOST_GIVEN_UP;
        self.is_checking = false;
        (self.search, self.try_us, self.size_due_us) = (None, None, None);
        let doublings = self.lost_in_row.saturating_sub(LOST_MAX).min(8);
        let most_us = SILENT_INTERVAL_MAX_US.max(self.interval_us);
        let wait_us = (SILENT_INTERVAL_MIN_US << doublings).min(most_us);
        self.small_due_us = self.target.is_used.then_some(now_us + wait_us);
    }

    fn on_step(&mut self, now_us: u64, step: Option<Step>) {
        match step {
            None => {}
            Some(Step::Send) => {
                self.begin_try(now_us);
            }
            Some(Step::Found(bytes)) => {
                (self.search, self.try_us) = (None, None);
                let wait_us = SIZE_INTERVALS * self.interval_us;
                self.size_due_us = self.target.is_used.then_some(now_us + wait_us);
                self.is_checking = false;
                self.bytes = Some(bytes);
            }
        }
    }

    /// A small probe is sent with each try: only what it survives is a matter of size.
    fn begin_try(&mut self, now_us: u64) {
        (self.try_us, self.try_began_us) = (None, now_us);
        if self.small.is_none() {
            self.small_due_us = Some(now_us);
        }
    }

    fn note(&mut self, lost: u32) {
        self.window = self.window << 1 | lost;
        self.window_len = (self.window_len + 1).min(u32::BITS);
        let is_heard = self.answered_us.is_some() && self.silent_us.is_none();
        self.is_lossy |= is_heard && self.lost() >= LOST_HEAVY;
    }

    fn forget_lost(&mut self) {
        (self.window, self.window_len, self.is_lossy) = (0, 0, false);
    }

    /// Of the window.
    fn lost(&self) -> u32 {
        let mask = u32::MAX.checked_shr(u32::BITS - self.window_len).unwrap_or(0);
        (self.window & mask).count_ones()
    }

    /// When something is to be sent.
    pub fn send_due_us(&self) -> Option<u64> {
        let small = self.small_due_us.filter(|_| self.small.is_none());
        // Sizes are tried only where something answers.
        let is_heard = self.answered_us.is_some() && self.silent_us.is_none();
        let size = match &self.search {
            Some(search) => search.has_unsent().then_some(0),
            None => self.size_due_us,
        };
        small.into_iter().chain(size.filter(|_| is_heard && self.lost_in_row == 0)).min()
    }

    /// Sends what is due: the size of the packet.
    pub fn send(&mut self, now_us: u64, number: u32) -> Option<u32> {
        if self.small.is_none() && self.small_due_us.is_some_and(|due_us| due_us <= now_us) {
            self.small = Some(Sent { number, at_us: now_us });
            self.small_due_us = None;
            return Some(SMALL_BYTES);
        }
        if self.search.is_none() {
            self.search = Some(SizeSearch::new(self.bytes, self.target.bytes_max));
            self.begin_try(now_us);
        }
        let search = self.search.as_mut()?;
        self.size_due_us = None;
        // The try ends some time after the last of its probes.
        self.try_us = Some(now_us);
        search.next_size()
    }

    /// When something that is awaited counts as lost.
    pub fn wait_due_us(&self) -> Option<u64> {
        self.small_timeout_us().into_iter().chain(self.try_timeout_us()).min()
    }

    fn small_timeout_us(&self) -> Option<u64> {
        Some(self.small?.at_us + self.timeout_us(TIMEOUT_MIN_US))
    }

    fn try_timeout_us(&self) -> Option<u64> {
        let is_waiting = self.search.as_ref().is_some_and(|search| !search.has_unsent());
        let try_us = self.try_us.filter(|_| is_waiting)?;
        Some(try_us + self.timeout_us(SIZE_TIMEOUT_MIN_US))
    }

    fn timeout_us(&self, min_us: u64) -> u64 {
        self.rtt_us.map_or(TIMEOUT_MIN_US, |rtt_us| (4 * rtt_us).clamp(min_us, TIMEOUT_MAX_US))
    }

    pub fn verdict(&self) -> Verdict {
        let reach = match (self.silent_us, self.answered_us) {
            (Some(since_us), _) => PathState::Silent(since_us),
            (None, Some(_)) => PathState::Answers,
            (None, None) => PathState::Unknown,
        };
        Verdict {
            reach,
            rtt_us: self.rtt_us,
            sent: self.window_len,
            lost: self.lost(),
            is_lossy: self.is_lossy,
            bytes: self.bytes,
            bytes_max: self.target.bytes_max,
            is_used: self.target.is_used,
        }
    }
}
