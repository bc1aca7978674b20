//! The rollout of `bench placement`: five agents change ten tasks one after the other.
//!
//! Each task counts after its monitor time, so ten of these is the least that it can take; what is
//! above is how long nodes need to stop and start a program and to hear of each other.

use super::figures::{Figures, Limit, Limits};
use crate::fleet::{Fleet, program, service};
use crate::setup;
use anyhow::{Context, Result};
use serde_json::json;
use std::time::{Duration, Instant};

/// Every figure, with its limit.
const LIMITS: Limits = &[("rolling_10_ratio", Limit::AtMost(1.05))];

const NODES: usize = 5;
const TASKS: u64 = 10;
const MONITOR: Duration = Duration::from_secs(1);
/// Much longer than the limit, so that a miss gives a number and not an error.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Measures it; takes the fleet down even if that fails.
pub fn measure() -> Result<Figures> {
    setup::run()?;
    let edgectl = program::release()?;
    let fleet = Fleet::up(&edgectl, "bench", NODES)?;
    let mut figures = Figures::new(LIMITS);
    let measured = update(&fleet, &mut figures);
    fleet.down()?;
    measured.map(|()| figures)
}

fn update(fleet: &Fleet, figures: &mut Figures) -> Result<()> {
    let node = &fleet.nodes[0];
    let mut spec = service::spec(&service::Program::process(fleet)?, TASKS);
    spec["UpdateConfig"] = json!({
        "Parallelism": 1, "Delay": 0, "Monitor": MONITOR.as_nanos() as u64, "Order": "stop-first",
    });
    let created = fleet.post(node, "/services/create", &spec)?;
    let id = created["ID"].as_str().context("create answered without an ID")?;
    fleet.calm(TASKS as usize, 2 * MONITOR)?;
    let path = format!("/services/{id}");
    let version = fleet.get(node, &path)?["Version"]["Index"].clone();
    spec["TaskTemplate"]["ForceUpdate"] = json!(1);
    let begun = Instant::now();
    fleet.post(node, &format!("{path}/update?version={version}"), &spec)?;
    fleet.wait("the update is completed", TIMEOUT, || {
        Ok(fleet.get(node, &path)?["UpdateStatus"]["State"] == "completed")
    })?;
    let least = MONITOR.as_secs_f64() * TASKS as f64;
    figures.note("rolling_10_ratio", begun.elapsed().as_secs_f64() / least);
    Ok(())
}
