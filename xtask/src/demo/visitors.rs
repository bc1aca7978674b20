//! Visitors of the page on both sides of a cut: which of their requests may fail, and which not.
//!
//! A request may fail from the cut until its side runs everything itself. Some do while the heal
//! joins the sides, and are told. One that fails at any other time is a fault of the product, and
//! ends the demo with an error.

use super::print::say;
use crate::load::pull::{Failure, Pulled};
use anyhow::{Result, bail, ensure};

/// What happened to a side of the fleet, on the machine's clock.
#[derive(Debug, Clone, Copy)]
pub struct Side {
    /// It was about to be cut off.
    pub cut_at_ms: f64,
    /// The API showed that it ran everything itself.
    pub whole_at_ms: f64,
    /// The cut was about to be healed.
    pub healed_at_ms: f64,
    /// All nodes agreed and nothing changed any more.
    pub calm_at_ms: f64,
}

/// Was this request under way at some time between these two?
fn meets(failure: &Failure, from_ms: f64, until_ms: f64) -> bool {
    failure.at_ms + failure.took_ms >= from_ms && failure.at_ms <= until_ms
}

/// Tells what the visitors at one node saw; a failure at a wrong time is an error.
pub fn judge(node: &str, seen: &Pulled, side: Side) -> Result<()> {
    let spread_ms = super::SPREAD.as_secs_f64() * 1000.0;
    let (mut cut, mut heal) = (0, 0);
    for failure in &seen.failures {
        if meets(failure, side.cut_at_ms, side.whole_at_ms + spread_ms) {
            cut += 1;
        } else if meets(failure, side.healed_at_ms, side.calm_at_ms) {
            heal += 1;
        } else {
            let after = (failure.at_ms - side.cut_at_ms) / 1000.0;
            bail!("a request at {node}, {after:.1} s after the cut, failed: {}", failure.why);
        }
    }
    ensure!(cut + heal == seen.failed, "{} requests at {node} failed", seen.failed);
    ensure!(seen.requests > seen.failed, "no request at {node} was answered");
    let requests = seen.requests;
    say(&format!(
        "  {node}  {requests} requests; failed: {cut} when the cut was new, {heal} in the heal"
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: Side = Side {
        cut_at_ms: 10_000.0,
        whole_at_ms: 14_000.0,
        healed_at_ms: 20_000.0,
        calm_at_ms: 23_000.0,
    };

    fn seen(failures: &[(f64, f64)]) -> Pulled {
        let failure = |&(at_ms, took_ms)| Failure { at_ms, took_ms, why: "refused".into() };
        let failures: Vec<Failure> = failures.iter().map(failure).collect();
        Pulled { requests: 100, failed: failures.len(), failures }
    }

    #[test]
    fn what_meets_the_cut_or_the_heal_may_fail() {
        let met = [(9_900.0, 200.0), (14_900.0, 5_000.0), (19_900.0, 200.0), (22_900.0, 500.0)];
        assert!(judge("n1", &seen(&met), SIDE).is_ok());
    }

    #[test]
    fn what_fails_before_the_cut_on_a_whole_side_or_after_the_heal_is_a_fault() {
        let said = |at_ms| judge("n1", &seen(&[(at_ms, 1.0)]), SIDE).unwrap_err().to_string();
        assert!(said(9_000.0).contains("-1.0 s after the cut"), "{}", said(9_000.0));
        assert!(said(15_100.0).contains("5.1 s after the cut, failed: refused"));
        assert!(said(23_100.0).contains("13.1 s after the cut"));
    }

    #[test]
    fn a_page_that_nobody_saw_is_a_fault() {
        let none = Pulled { requests: 0, ..Pulled::default() };
        assert!(judge("n1", &none, SIDE).is_err());
        let many = Pulled { requests: 5_000, failed: 2_000, failures: Vec::new() };
        assert!(judge("n1", &many, SIDE).is_err());
    }
}
