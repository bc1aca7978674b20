//! Names: what a container's name server carries, and how soon a healthy task is in its names.

use super::report::{Measured, Report};
use super::shop::{IDLE, SERVE, Shop, WEB};
use crate::bench::figures::{median, worst};
use crate::load::names::{Asked, Awaited};
use anyhow::{Result, ensure};
use std::time::{Duration, SystemTime};

/// Rounds of questions.
const ROUNDS: usize = 5;
/// Services that become healthy, one after the other.
const SERVICES: usize = 7;
/// Questions that are unanswered at a time, as with eight clients that ask without a pause.
const UNANSWERED: &str = "8";

/// Asks the name server of one container.
pub fn load(shop: &Shop, report: &mut Report) -> Result<()> {
    shop.create("web", &["--replicas", "3"], &IDLE)?;
    shop.running("web", 3)?;
    let client = shop.client(&shop.fleet.nodes[0])?;
    for name in ["web", "tasks.web", "web.1", "cli"] {
        shop.resolve(&client, name)?;
    }
    let (mut rates, mut slowest) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let words = ["ask", "--unanswered", UNANSWERED, "web", "tasks.web", "web.1", "cli"];
        let asked: Asked = client.load(&words)?;
        ensure!(asked.empty == 0, "{} of the answers have no address", asked.empty);
        ensure!(asked.lost == 0, "{} of the questions were not answered", asked.lost);
        rates.push(asked.per_second);
        slowest.push(asked.p99_ms);
    }
    let how = format!("{UNANSWERED} questions unanswered at a time");
    report.add("dns_p99_ms", Measured::value(median(slowest)).note(&*how));
    report.add("dns_qps", Measured::value(median(rates)).note(how));
    shop.remove("web")
}

/// From the moment when a task's check passes first until its name leads to it on every node.
///
/// The check itself leaves a file; its time and that of each answer are of the machine's clock.
pub fn ready(shop: &Shop, report: &mut Report) -> Result<()> {
    let nodes = &shop.fleet.nodes;
    let clients = nodes.iter().map(|node| shop.client(node)).collect::<Result<Vec<_>>>()?;
    let (mut named, mut answered) = (Vec::new(), Vec::new());
    for number in 0..SERVICES {
        let name = format!("new{number}");
        let waiting =
            clients.iter().map(|client| client.start_load(&["await", &name, "--port", "80"]));
        let waiting = waiting.collect::<Result<Vec<_>>>()?;
        shop.create(&name, &[], &[&WEB[..], &SERVE].concat())?;
        let seen = waiting.into_iter().map(|one| one.collect::<Awaited>());
        let seen = seen.collect::<Result<Vec<_>>>()?;
        let task = &shop.running(&name, 1)?[0];
        let healthy =
            std::fs::metadata(format!("/proc/{}/root/tmp/healthy", task.pid))?.modified()?;
        let healthy = healthy.duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64() * 1000.0;
        let last =
            |of: fn(&Awaited) -> f64| worst(&seen.iter().map(of).collect::<Vec<f64>>()) - healthy;
        named.push(last(|one| one.named_at_ms));
        answered.push(last(|one| one.answered_at_ms));
        shop.remove(&name)?;
        // The next task's start must not wait for the end of this one.
        std::thread::sleep(Duration::from_millis(300));
    }
    let named = median(named);
    let slowest = worst(&answered);
    let note = format!("its name after {named:.0}; slowest of {SERVICES} {slowest:.0}");
    report.add("name_ready_ms", Measured::value(median(answered)).note(note));
    Ok(())
}
