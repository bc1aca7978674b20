//! When a health command is run and what its results mean: Docker's rules, without a clock.
//!
//! ```text
//!            pass                    retries failures in a row
//! starting ───────▶ healthy ◀─────────────────────────────────▶ unhealthy
//!     └── retries failures in a row after the start period ──────────▲   (a pass leads back)
//! ```
//! All times are milliseconds since the program started. The checker only judges; it never acts on
//! an unhealthy task.

use crdt_state::spec::HealthCheck;
use crdt_state::task::Health;

/// The defaults, as in Docker.
const INTERVAL_MS: u64 = 30_000;
const TIMEOUT_MS: u64 = 30_000;
const RETRIES: u32 = 3;
const START_INTERVAL_MS: u64 = 5_000;

/// How one check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckResult {
    /// Exit code 0 in time.
    Passed,
    /// Anything else.
    Failed,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Run the command.
    Check,
    /// Kill the command that runs; it has failed.
    TimeOut,
}

#[derive(Debug, Clone, Copy)]
enum Phase {
    Waits { until: u64 },
    Checks { until: u64 },
}

/// The health state of one run.
#[derive(Debug)]
pub struct HealthChecker {
    check: HealthCheck,
    phase: Phase,
    verdict: Health,
    failures: u32,
}

impl HealthChecker {
    /// A program that has just started.
    pub fn new(check: &HealthCheck) -> HealthChecker {
        let or = |value: u64, default: u64| if value == 0 { default } else { value };
        let check = HealthCheck {
            test: check.test.clone(),
            interval_ms: or(check.interval_ms, INTERVAL_MS),
            timeout_ms: or(check.timeout_ms, TIMEOUT_MS),
            retries: if check.retries == 0 { RETRIES } else { check.retries },
            start_period_ms: check.start_period_ms,
            start_interval_ms: or(check.start_interval_ms, START_INTERVAL_MS),
        };
        let phase = Phase::Waits { until: 0 };
        let mut checker = HealthChecker { check, phase, verdict: Health::Starting, failures: 0 };
        checker.wait(0);
        checker
    }

    /// When something is due next.
    pub fn deadline(&self) -> u64 {
        match self.phase {
            Phase::Waits { until } | Phase::Checks { until } => until,
        }
    }

    /// What is due now, returned once.
    pub fn poll(&mut self, now: u64) -> Option<Due> {
        match self.phase {
            Phase::Waits { until } if until <= now => {
                self.phase = Phase::Checks { until: now.saturating_add(self.check.timeout_ms) };
                Some(Due::Check)
            }
            Phase::Checks { until } if until <= now => {
                // Its end is reported by handle_result; until then the timeout is not returned
                // again.
                self.phase = Phase::Checks { until: u64::MAX };
                Some(Due::TimeOut)
            }
            _ => None,
        }
    }

    /// A check is over. Returns the verdict if it has changed.
    pub fn handle_result(&mut self, now: u64, result: CheckResult) -> Option<Health> {
        let before = self.verdict;
        match result {
            CheckResult::Passed => {
                self.failures = 0;
                self.verdict = Health::Healthy;
            }
            CheckResult::Failed if self.is_starting(now) => {}
            CheckResult::Failed => {
                self.failures = self.failures.saturating_add(1);
                if self.failures >= self.check.retries {
                    self.verdict = Health::Unhealthy;
                }
            }
        }
        self.wait(now);
        (self.verdict != before).then_some(self.verdict)
    }

    /// The start period ends when its time is over, or with the first success.
    fn is_starting(&self, now: u64) -> bool {
        self.verdict == Health::Starting && now < self.check.start_period_ms
    }

    fn wait(&mut self, now: u64) {
        let starting = self.is_starting(now);
        let pause = if starting { self.check.start_interval_ms } else { self.check.interval_ms };
        self.phase = Phase::Waits { until: now.saturating_add(pause) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checker(start_period_ms: u64) -> HealthChecker {
        HealthChecker::new(&HealthCheck {
            test: vec![],
            interval_ms: 1000,
            timeout_ms: 100,
            retries: 2,
            start_period_ms,
            start_interval_ms: 10,
        })
    }

    #[test]
    fn it_takes_as_many_failures_in_a_row_as_retries() {
        let mut checker = checker(0);
        assert_eq!(checker.handle_result(1, CheckResult::Failed), None);
        assert_eq!(checker.handle_result(2, CheckResult::Passed), Some(Health::Healthy));
        assert_eq!(checker.handle_result(3, CheckResult::Failed), None);
        assert_eq!(checker.handle_result(4, CheckResult::Failed), Some(Health::Unhealthy));
        assert_eq!(checker.handle_result(5, CheckResult::Failed), None);
        assert_eq!(checker.handle_result(6, CheckResult::Passed), Some(Health::Healthy));
    }

    #[test]
    fn failures_in_the_start_period_do_not_count_and_checks_come_faster() {
        let mut checker = checker(500);
        assert_eq!(checker.deadline(), 10);
        for now in [10, 20, 30, 40] {
            assert_eq!(checker.poll(now), Some(Due::Check));
            assert_eq!(checker.handle_result(now, CheckResult::Failed), None);
        }
        assert_eq!(checker.handle_result(600, CheckResult::Failed), None);
        assert_eq!(checker.deadline(), 1600);
        assert_eq!(checker.handle_result(1600, CheckResult::Failed), Some(Health::Unhealthy));
    }

    #[test]
    fn a_success_ends_the_start_period() {
        let mut checker = checker(500);
        assert_eq!(checker.handle_result(10, CheckResult::Passed), Some(Health::Healthy));
        assert_eq!(checker.deadline(), 1010);
        assert_eq!(checker.handle_result(20, CheckResult::Failed), None);
        assert_eq!(checker.handle_result(30, CheckResult::Failed), Some(Health::Unhealthy));
    }

    #[test]
    fn a_check_that_takes_too_long_is_timed_out_once() {
        let mut checker = checker(0);
        assert_eq!(checker.poll(999), None);
        assert_eq!(checker.poll(1000), Some(Due::Check));
        assert_eq!(checker.poll(1099), None);
        assert_eq!(checker.poll(1100), Some(Due::TimeOut));
        assert_eq!(checker.poll(1200), None);
    }
}
