//! The start of a container with a network of the fleet against one without any, in turn.

use super::report::{Measured, Report};
use super::shop::{IMAGE, NETWORK, Shop, TIMEOUT};
use crate::bench::figures::median;
use crate::fleet::view::Task;
use anyhow::{Result, bail};
use serde_json::json;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Starts of each kind; the median of the differences counts.
const STARTS: usize = 15;
/// The polling interval; short compared with one start.
const LOOK: Duration = Duration::from_millis(1);

/// Measures it, from the request until `GET /tasks` shows the task running.
pub fn measure(shop: &Shop, report: &mut Report) -> Result<()> {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 0..STARTS {
        let mut both = [(NETWORK, &mut with), ("none", &mut without)];
        if round % 2 == 1 {
            both.reverse();
        }
        for (network, times) in both {
            times.push(start(shop, network)?);
        }
    }
    let differences = with.iter().zip(&without).map(|(with, without)| with - without).collect();
    let value = Measured::value(median(differences));
    let pair = (median(with), median(without));
    report.add("start_overlay_ms", value.against("none", "ms", pair));
    Ok(())
}

fn start(shop: &Shop, network: &str) -> Result<f64> {
    let spec = json!({
        "Name": "one",
        "Mode": {"Replicated": {"Replicas": 1}},
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": IMAGE,
                "Command": ["sleep", "100000"],
                "StopGracePeriod": 100_000_000,
            },
            "Placement": {"Constraints": ["node.hostname==n1"]},
            "Networks": [{"Target": network}],
        },
    });
    let node = &shop.fleet.nodes[0];
    let begun = Instant::now();
    let created = shop.fleet.post(node, "/services/create?resolve=never", &spec)?;
    let took = loop {
        let tasks = shop.fleet.tasks(node)?;
        let took = begun.elapsed();
        let own = |task: &&Task| created["ID"] == task.service.as_str();
        if tasks.iter().find(own).is_some_and(Task::is_running) {
            break took;
        }
        if took > TIMEOUT {
            bail!("a container on {network} did not start within {} s", TIMEOUT.as_secs());
        }
        sleep(LOOK);
    };
    shop.remove("one")?;
    // The container ends after its record: its work must not count in the next start.
    sleep(Duration::from_millis(500));
    Ok(took.as_secs_f64() * 1000.0)
}
