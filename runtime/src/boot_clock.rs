//! The clock that counts from the boot of the machine, also while it sleeps.
//!
//! An end that was told to a monitor must be kept by a machine that was suspended: the other clocks
//! stand still meanwhile. Every process of one boot reads the same time, so it can be passed on.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

/// Milliseconds since the machine was booted.
pub fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let whole = u64::try_from(now.tv_sec).unwrap_or(0).saturating_mul(1_000);
    whole.saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0) / 1_000_000)
}

/// A descriptor that becomes readable at a time of this clock; a sleeping machine that wakes up
/// later finds it readable at once.
#[derive(Debug)]
pub struct Alarm {
    timer: OwnedFd,
    at_ms: Option<u64>,
}

impl Alarm {
    /// Without a time.
    pub fn new() -> rustix::io::Result<Alarm> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Alarm { timer: timerfd_create(TimerfdClockId::Boottime, flags)?, at_ms: None })
    }

    /// Becomes due at this time; `None`: never.
    pub fn set(&mut self, at_ms: Option<u64>) {
        self.at_ms = at_ms;
        let none = Timespec { tv_sec: 0, tv_nsec: 0 };
        let at = at_ms.map_or(none, |at| Timespec {
            // A time of 0 would switch it off.
            tv_sec: i64::try_from(at / 1_000).unwrap_or(i64::MAX),
            tv_nsec: i64::try_from(at % 1_000).unwrap_or(0) * 1_000_000 + 1,
        });
        let spec = Itimerspec { it_interval: none, it_value: at };
        // Whoever waits without it still looks at the time whenever it wakes up.
        let _ = timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &spec);
    }

    /// Has the time passed?
    pub fn is_due(&self) -> bool {
        self.at_ms.is_some_and(|at| at <= now_ms())
    }
}

impl AsFd for Alarm {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.timer.as_fd()
    }
}
