//! `bench trust`: how long joining by a token takes, and what a fleet notices of wrong tokens and of
//! datagrams that no member sent, how soon a container on another node has read a new secret, and what
//! signatures cost in the simulator.
//!
//! Three agents of the release build on loopback, without a lab: a lab is joined already. The flood
//! comes from a program of its own (`node/agent/examples/join_flood.rs`), from sixteen addresses.

use super::figures::{Figures, Limit, Limits, median, worst};
use super::process::rss_mib;
use super::{junk, secret_ready};
use crate::fleet::program;
use crate::fleet::view::ready_nodes;
use crate::{chaos, http, repo, step::succeed};
use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

const LIMITS: Limits = &[
    ("join_s", Limit::AtMost(1.0)),
    ("join_worst_s", Limit::AtMost(3.0)),
    ("create_s", Limit::AtMost(0.5)),
    ("create_flooded_s", Limit::AtMost(1.0)),
    ("create_flooded_worst_s", Limit::AtMost(3.0)),
    ("flooded_rss_mib", Limit::AtMost(8.0)),
    ("junk_cpu_percent", Limit::AtMost(10.0)),
    ("junk_rss_mib", Limit::AtMost(1.0)),
    ("spread_unsigned_s", Limit::AtMost(5.0)),
    ("spread_signed_s", Limit::AtMost(5.5)),
    ("signing_adds_percent", Limit::AtMost(10.0)),
    ("secret_ready_ms", Limit::AtMost(300.0)),
    ("secret_ready_worst_ms", Limit::AtMost(1_000.0)),
];

/// A net that no test uses.
const NET: &str = "127.157.0";
const MEMBERS: usize = 3;
/// Machines that join, one after the other.
const JOINS: usize = 7;
/// Services that are created, with and without the flood.
const CREATES: usize = 15;
/// Wrong tokens per second.
const RATE: u32 = 1_000;
const SOURCES: usize = 16;
const POLL: Duration = Duration::from_millis(5);
/// Much longer than every limit, so that a miss gives a number and not an error.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Agents, each with a folder of its own; they end with this value.
struct Machines {
    edgectl: PathBuf,
    dir: PathBuf,
    agents: Vec<Child>,
}

/// Measures all figures.
pub fn measure() -> Result<Figures> {
    let edgectl = program::release()?;
    let mut cargo = repo::cargo();
    let example = ["build", "--release", "--package", "node-agent", "--example", "join_flood"];
    succeed(cargo.args(example)).context("the flood does not build")?;
    let flood = edgectl.with_file_name("examples").join("join_flood");
    let dir = std::env::temp_dir().join(format!("edgectl-bench-trust-{}", std::process::id()));
    let mut machines = Machines { edgectl, dir, agents: Vec::new() };
    let mut figures = Figures::new(LIMITS);
    joins(&mut machines, &mut figures)?;
    creates(&machines, &flood, &mut figures)?;
    junk(&machines, &mut figures)?;
    secret_ready::measure(&machines.edgectl, &mut figures)?;
    signing(&mut figures)?;
    Ok(figures)
}

/// What signatures add to the spreading of 1,000 changes on 50 nodes, in the simulator.
fn signing(figures: &mut Figures) -> Result<()> {
    let said =
        chaos::release().args(["signing", "--json"]).output().context("cannot start cargo")?;
    ensure!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let all: Map<String, Value> = serde_json::from_slice(&said.stdout)?;
    for name in ["spread_unsigned_s", "spread_signed_s", "signing_adds_percent"] {
        figures.note(name, all.get(name).and_then(Value::as_f64).context("a figure is missing")?);
    }
    Ok(())
}

fn joins(machines: &mut Machines, figures: &mut Figures) -> Result<()> {
    machines.start(1)?;
    let token = machines.edgectl(1, &["swarm", "join-token", "--quiet"])?;
    let mut took = Vec::new();
    for number in 2..=JOINS + 1 {
        machines.start(number)?;
        let begun = Instant::now();
        machines.edgectl(number, &["swarm", "join", "--token", token.trim(), &address(1)])?;
        machines.until(|machines| {
            let nodes = http::get(&machines.socket(1), "/nodes")?;
            Ok(ready_nodes(&nodes) == number)
        })?;
        took.push(begun.elapsed().as_secs_f64());
    }
    figures.note("join_s", median(took.clone()));
    figures.note("join_worst_s", worst(&took));
    Ok(())
}

fn creates(machines: &Machines, flood: &Path, figures: &mut Figures) -> Result<()> {
    let quiet = created(machines, "quiet")?;
    figures.note("create_s", median(quiet));
    let before = machines.memory()?;
    let targets: Vec<String> = (1..=MEMBERS).map(|n| format!("{}:7946", address(n))).collect();
    let sources: Vec<String> = (1..=SOURCES).map(|n| format!("127.157.1.{n}:0")).collect();
    let mut flooding = Command::new(flood);
    flooding.args([&RATE.to_string(), &targets.join(","), &sources.join(",")]);
    let mut flooding = flooding.stdout(Stdio::null()).spawn().context("cannot start the flood")?;
    sleep(Duration::from_secs(3));
    let measured = created(machines, "flooded").and_then(|took| Ok((took, machines.memory()?)));
    let _ = flooding.kill();
    let _ = flooding.wait();
    let (flooded, after) = measured?;
    figures.note("create_flooded_s", median(flooded.clone()));
    figures.note("create_flooded_worst_s", worst(&flooded));
    figures.note("flooded_rss_mib", after - before);
    Ok(())
}

/// What datagrams cost that no member sent. The flood of tokens has left the agent's memory as large as
/// it gets, so what is added is the junk's.
fn junk(machines: &Machines, figures: &mut Figures) -> Result<()> {
    let nodes = http::get(&machines.socket(1), "/nodes")?;
    let second = nodes
        .as_array()
        .and_then(|nodes| nodes.iter().find(|node| node["Description"]["Hostname"] == "m2"));
    let member = second.and_then(|node| node["ID"].as_str()).context("a second member")?;
    let at = format!("{}:7946", address(1)).parse().context("an address")?;
    let cost = junk::throw(machines.agents[0].id(), at, member)?;
    figures.note("junk_cpu_percent", cost.cpu_percent);
    figures.note("junk_rss_mib", cost.rss_mib);
    ensure!(
        cost.rate > 0.8 * f64::from(junk::RATE),
        "only {:.0} datagrams a second could be thrown: the machine is busy",
        cost.rate
    );
    Ok(())
}

/// How long each of a few services took from its request until every other member had it.
fn created(machines: &Machines, name: &str) -> Result<Vec<f64>> {
    let mut took = Vec::new();
    for number in 0..CREATES {
        let name = format!("{name}-{number}");
        let task = json!({ "ContainerSpec": { "Image": "process:/bin/true" } });
        let mode = json!({ "Replicated": { "Replicas": 0 } });
        let spec = json!({ "Name": name, "TaskTemplate": task, "Mode": mode });
        let begun = Instant::now();
        http::post(&machines.socket(1), "/services/create", &spec)?;
        machines.until(|machines| {
            let knows = |number| -> Result<bool> {
                let services = http::get(&machines.socket(number), "/services")?;
                let all = services.as_array().context("a list")?;
                Ok(all.iter().any(|service| service["Spec"]["Name"] == name.as_str()))
            };
            (2..=MEMBERS).try_fold(true, |all, number| Ok(all && knows(number)?))
        })?;
        took.push(begun.elapsed().as_secs_f64());
        sleep(Duration::from_millis(200));
    }
    Ok(took)
}

fn address(number: usize) -> String {
    format!("{NET}.{number}")
}

impl Machines {
    fn socket(&self, number: usize) -> PathBuf {
        self.dir.join(format!("{number}.sock"))
    }

    fn start(&mut self, number: usize) -> Result<()> {
        std::fs::create_dir_all(&self.dir)?;
        let mut agent = Command::new(&self.edgectl);
        agent.args(["agent", "--hostname", &format!("m{number}"), "--log", "error"]);
        agent.arg("--data-dir").arg(self.dir.join(format!("data-{number}")));
        agent.arg("--socket").arg(self.socket(number));
        agent.args(["--listen", &address(number)]).stdin(Stdio::null());
        self.agents.push(agent.spawn().context("cannot start an agent")?);
        self.until(|machines| Ok(http::get(&machines.socket(number), "/nodes").is_ok()))
    }

    fn edgectl(&self, number: usize, words: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.edgectl);
        let output = command.args(words).env("EDGECTL_SOCKET", self.socket(number)).output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "edgectl {}: {}", words.join(" "), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The memory of the member that was asked to create.
    fn memory(&self) -> Result<f64> {
        rss_mib(self.agents[0].id())
    }

    fn until(&self, holds: impl Fn(&Machines) -> Result<bool>) -> Result<()> {
        let begun = Instant::now();
        while !holds(self)? {
            ensure!(begun.elapsed() < TIMEOUT, "not within {} s", TIMEOUT.as_secs());
            sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for agent in &mut self.agents {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
