//! Connections that still go to a task which was killed, as clients see them. It must never ask an
//! agent when it noticed.

use super::report::{Measured, Report};
use super::shop::{SERVE, Shop, WEB};
use crate::bench::figures::{median, worst};
use crate::fleet::place::Running;
use crate::load::now_ms;
use crate::load::pull::{Failure, Pulled};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// Tasks that are killed.
const KILLS: usize = 5;

/// From the death of a task until the last connection that went to it, as clients of the virtual
/// address on its own node and on the others see it.
pub fn measure(shop: &Shop, report: &mut Report) -> Result<()> {
    let (mut same, mut others) = (Vec::new(), Vec::new());
    for _ in 0..KILLS {
        shop.create("web", &["--replicas", "5"], &[&WEB[..], &SERVE].concat())?;
        let tasks = shop.running("web", 5)?;
        let victim = tasks.first().context("five tasks run")?;
        let clients = start_probes(shop)?;
        // The clients have got going.
        sleep(Duration::from_millis(500));
        let pid = victim.pid.to_string();
        let killed_at = now_ms();
        let status = Command::new("/bin/sh").args(["-c", "kill -9 \"$0\"", &pid]).status()?;
        ensure!(status.success(), "the task has no process {pid}");
        sleep(Duration::from_secs(3));
        for (node, client) in shop.fleet.nodes.iter().zip(clients) {
            let seen: Pulled = client.finish()?;
            let times = if victim.is_on(&node.name) { &mut same } else { &mut others };
            times.push(last_after(&seen.failures, killed_at));
        }
        shop.remove("web")?;
    }
    let add = |report: &mut Report, name, times: Vec<f64>| {
        let note = format!("slowest of {} {:.0}", times.len(), worst(&times));
        report.add(name, Measured::value(median(times)).note(note));
    };
    add(report, "dead_after_same_ms", same);
    add(report, "dead_after_other_ms", others);
    Ok(())
}

/// On every node clients that begin a request every 2 ms together.
fn start_probes(shop: &Shop) -> Result<Vec<Running>> {
    let each = |node| {
        let client = shop.client(node)?;
        client.start_load(&["pull", "web", "80", "--clients", "8", "--pace-ms", "16"])
    };
    shop.fleet.nodes.iter().map(each).collect()
}

/// When the last request began that failed after this time, counted from it. Requests that were
/// under way count as nothing: they went to a task that was alive.
fn last_after(failures: &[Failure], killed_at: f64) -> f64 {
    failures.iter().map(|failure| failure.at_ms - killed_at).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_failure_counts_and_none_is_nothing() {
        let failure = |at_ms| Failure { at_ms, took_ms: 1.0, why: "refused".into() };
        assert_eq!(last_after(&[failure(90.0), failure(130.0), failure(120.0)], 100.0), 30.0);
        assert_eq!(last_after(&[failure(90.0)], 100.0), 0.0);
    }
}
