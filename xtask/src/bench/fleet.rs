//! `bench fleet`: five agents of the release build, measured from outside.
//!
//! Every time is from the request until `GET /tasks` shows the result, polled every 10 ms. The
//! bench must never ask an agent for a figure that the kernel can give.

use super::figures::{Figures, Limit, Limits, median, worst};
use super::heal;
use super::process::{Counters, rss_mib};
use crate::fleet::view::Task;
use crate::fleet::{Fleet, Links, program, service};
use crate::setup;
use anyhow::{Context, Result};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Every figure in order, with its limit.
const LIMITS: Limits = &[
    ("create_10_s", Limit::AtMost(0.5)),
    ("scale_10_to_50_s", Limit::AtMost(1.5)),
    ("restart_s", Limit::AtMost(0.5)),
    ("failover_median_s", Limit::AtMost(5.0)),
    ("failover_worst_s", Limit::AtMost(8.0)),
    ("rss_mib", Limit::AtMost(15.0)),
    ("idle_cpu_percent", Limit::AtMost(0.3)),
    ("idle_bytes_per_s", Limit::AtMost(600.0)),
    ("idle_disk_bytes", Limit::AtMost(0.0)),
    ("service_ls_ms", Limit::AtMost(20.0)),
    ("heal_restarts", Limit::AtMost(0.0)),
];

const NODES: usize = 5;
/// Tasks while failover and idle cost are measured.
const TASKS: u64 = 50;
/// Cuts, each followed by a heal.
const ROUNDS: usize = 10;
/// How many programs are killed.
const KILLS: usize = 5;
/// How often the command line is run.
const COMMANDS: usize = 20;
/// How long idle cost is measured.
const IDLE: Duration = Duration::from_secs(60);
/// Much longer than every limit, so that a miss gives a number and not an error.
const TIMEOUT: Duration = Duration::from_secs(120);

/// Measures all figures; takes the fleet down even if it fails.
pub fn measure() -> Result<Figures> {
    setup::run()?;
    let edgectl = program::release()?;
    let fleet = Fleet::up(&edgectl, "bench", NODES)?;
    let mut figures = Figures::new(LIMITS);
    let measured = all(&fleet, &mut figures);
    fleet.down()?;
    measured.map(|()| figures)
}

fn all(fleet: &Fleet, figures: &mut Figures) -> Result<()> {
    let id = create(fleet, figures)?;
    scale(fleet, &id, figures)?;
    restart(fleet, figures)?;
    service_ls(fleet, figures)?;
    match fleet.links {
        Links::Namespaces => failover(fleet, figures)?,
        Links::Loopback => {
            eprintln!("  failover, heal and bytes sent need root: sudo -E cargo xtask bench fleet")
        }
    }
    memory(fleet, figures)?;
    idle(fleet, figures)
}

fn create(fleet: &Fleet, figures: &mut Figures) -> Result<String> {
    let spec = service::spec(&service::Program::process(fleet)?, 10);
    let begun = Instant::now();
    let created = fleet.post(&fleet.nodes[0], "/services/create", &spec)?;
    until_running(fleet, 10)?;
    figures.note("create_10_s", begun.elapsed().as_secs_f64());
    created["ID"].as_str().map(str::to_owned).context("create answered without an ID")
}

fn scale(fleet: &Fleet, id: &str, figures: &mut Figures) -> Result<()> {
    let begun = Instant::now();
    service::scale(fleet, &fleet.nodes[0], id, TASKS)?;
    until_running(fleet, TASKS as usize)?;
    figures.note("scale_10_to_50_s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Waits until the first node reports that all run; it may be the last one to know.
fn until_running(fleet: &Fleet, count: usize) -> Result<()> {
    let what = format!("{count} tasks run");
    fleet.wait(&what, TIMEOUT, || {
        Ok(fleet.tasks(&fleet.nodes[0])?.iter().filter(|task| task.is_running()).count() == count)
    })?;
    Ok(())
}

/// The worst time of some programs, each killed once: a second kill would measure the backoff.
fn restart(fleet: &Fleet, figures: &mut Figures) -> Result<()> {
    let tasks = fleet.calm(TASKS as usize, Duration::from_secs(1))?;
    let mut times = Vec::new();
    for task in tasks.iter().step_by(tasks.len() / KILLS).take(KILLS) {
        let begun = Instant::now();
        let pid = task.pid.to_string();
        let status = Command::new("/bin/sh").args(["-c", "kill -9 \"$0\"", &pid]).status()?;
        anyhow::ensure!(status.success(), "web.{} has no process {pid}", task.slot);
        fleet.wait("the program runs again", TIMEOUT, || {
            let again = |other: &&Task| other.slot == task.slot && other.pid != task.pid;
            Ok(fleet.tasks(&fleet.nodes[0])?.iter().filter(again).any(Task::is_running))
        })?;
        times.push(begun.elapsed().as_secs_f64());
    }
    figures.note("restart_s", worst(&times));
    Ok(())
}

fn service_ls(fleet: &Fleet, figures: &mut Figures) -> Result<()> {
    let mut times = Vec::new();
    for _ in 0..COMMANDS {
        let begun = Instant::now();
        fleet.edgectl(&fleet.nodes[0], &["service", "ls"])?;
        times.push(begun.elapsed().as_secs_f64() * 1000.0);
    }
    figures.note("service_ls_ms", median(times));
    Ok(())
}

fn failover(fleet: &Fleet, figures: &mut Figures) -> Result<()> {
    let (mut times, mut restarts) = (Vec::new(), 0);
    for number in 1..=ROUNDS {
        let round = heal::round(fleet, number % NODES, TASKS as usize)?;
        eprintln!(
            "  cut {number} of {ROUNDS}: {:.2} s, {} restarted",
            round.failover_s, round.restarts
        );
        times.push(round.failover_s);
        restarts += round.restarts;
    }
    figures.note("failover_worst_s", worst(&times));
    figures.note("failover_median_s", median(times));
    figures.note("heal_restarts", restarts as f64);
    Ok(())
}

/// The memory of the largest agent.
fn memory(fleet: &Fleet, figures: &mut Figures) -> Result<()> {
    let sizes: Vec<f64> = fleet.agents()?.into_iter().map(rss_mib).collect::<Result<_>>()?;
    figures.note("rss_mib", worst(&sizes));
    Ok(())
}

/// The most that any agent used in a minute without requests.
fn idle(fleet: &Fleet, figures: &mut Figures) -> Result<()> {
    fleet.calm(TASKS as usize, Duration::from_secs(3))?;
    sleep(Duration::from_secs(5));
    let agents = fleet.agents()?;
    let read = || agents.iter().map(|pid| Counters::read(*pid)).collect::<Result<Vec<Counters>>>();
    eprintln!("  watching idle agents for {} s", IDLE.as_secs());
    let before = read()?;
    sleep(IDLE);
    let after = read()?;
    let most = |of: fn(&Counters) -> f64| {
        let used: Vec<f64> = before.iter().zip(&after).map(|(a, b)| of(b) - of(a)).collect();
        worst(&used)
    };
    let seconds = IDLE.as_secs_f64();
    figures.note("idle_cpu_percent", 100.0 * most(|counters| counters.cpu_s) / seconds);
    figures.note("idle_disk_bytes", most(|counters| counters.disk_bytes));
    if fleet.links == Links::Namespaces {
        figures.note("idle_bytes_per_s", most(|counters| counters.sent_bytes) / seconds);
    }
    Ok(())
}
