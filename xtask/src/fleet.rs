//! A fleet for demos and measurements: a lab, driven by `edgectl lab` and by each agent's API.
//!
//! It sees only what an operator sees: commands, sockets, `/proc`. It must never read an agent's
//! data directory.

pub mod namespaces;
pub mod place;
pub mod program;
pub mod service;
pub mod view;

use crate::guard::Guard;
use crate::{http, step::succeed};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The polling interval. Short compared with every limit, long compared with one answer.
const POLL: Duration = Duration::from_millis(10);

/// A lab that is up.
pub struct Fleet {
    edgectl: PathBuf,
    name: String,
    /// Its folder, which also holds files that a service serves.
    pub dir: PathBuf,
    /// Whether links can be cut: they can if the lab has namespaces, which needs root.
    pub links: Links,
    /// Its nodes, `n1` first.
    pub nodes: Vec<Node>,
    guard: Guard,
}

/// How the lab's nodes are connected, as its state file says.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Links {
    /// Network namespaces.
    Namespaces,
    /// Addresses of 127.0.0.0/8.
    Loopback,
}

/// One node of the lab.
#[derive(Clone, Deserialize)]
pub struct Node {
    /// `n1`.
    pub name: String,
    /// The address that it listens on.
    pub address: String,
    /// The socket of its API.
    pub socket: PathBuf,
    process: Option<Process>,
}

#[derive(Clone, Copy, Deserialize)]
struct Process {
    pid: u32,
}

/// The parts of the lab's state file that are read here.
#[derive(Deserialize)]
struct State {
    dir: PathBuf,
    links: Links,
    nodes: Vec<Node>,
}

impl Fleet {
    /// Starts a lab of `count` nodes and waits until all nodes know each other.
    pub fn up(edgectl: &Path, name: &str, count: usize) -> Result<Fleet> {
        // Remove what an interrupted earlier run left behind.
        succeed(Command::new(edgectl).args(["lab", "down", "--name", name]))?;
        let guard = Guard::new(edgectl, name)?;
        let mut up = Command::new(edgectl);
        up.args(["lab", "up", "--name", name, "--nodes", &count.to_string()]);
        let output = up.stdin(Stdio::null()).output().context("cannot start edgectl")?;
        if !output.status.success() {
            bail!("edgectl lab up: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let dir = PathBuf::from(format!("/tmp/edgelab-{name}"));
        let State { dir, links, nodes } = state(&dir)?;
        let (edgectl, name) = (edgectl.to_path_buf(), name.to_owned());
        let fleet = Fleet { edgectl, name, dir, links, nodes, guard };
        fleet.wait("all nodes know each other", Duration::from_secs(30), || fleet.is_met())?;
        Ok(fleet)
    }

    /// Does every node report every node as alive?
    fn is_met(&self) -> Result<bool> {
        for node in &self.nodes {
            if view::ready_nodes(&http::get(&node.socket, "/nodes")?) < self.nodes.len() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// `edgectl lab <words> --name <this lab>`.
    pub fn lab(&self, words: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.edgectl);
        succeed(command.arg("lab").args(words).args(["--name", &self.name]).stdout(Stdio::null()))
    }

    /// Runs `edgectl <words>` against one node; returns its stdout.
    pub fn edgectl(&self, node: &Node, words: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.edgectl);
        command.args(words).env("EDGECTL_SOCKET", &node.socket).stdin(Stdio::null());
        let output = command.output().context("cannot start edgectl")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("edgectl {} on {}: {}", words.join(" "), node.name, said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// The output of a program that runs in `node`'s network; `edgectl` there talks to that node.
    pub fn on_node(&self, node: &Node, words: &[&str]) -> Result<String> {
        let mut command = Command::new(&self.edgectl);
        command.args(["lab", "exec", &node.name, "--name", &self.name, "--"]).args(words);
        command.env("EDGECTL_SOCKET", &node.socket);
        let output = command.stdin(Stdio::null()).output().context("cannot start edgectl")?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("{} on {}: {}", words.join(" "), node.name, said.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Sends a `GET` to one node.
    pub fn get(&self, node: &Node, path: &str) -> Result<Value> {
        http::get(&node.socket, path)
    }

    /// Sends a `POST` to one node.
    pub fn post(&self, node: &Node, path: &str, body: &Value) -> Result<Value> {
        http::post(&node.socket, path, body)
    }

    /// The wanted tasks, as one node sees them.
    pub fn tasks(&self, node: &Node) -> Result<Vec<view::Task>> {
        let tasks = http::get(&node.socket, view::WANTED_TASKS)?;
        view::tasks(&tasks, &http::get(&node.socket, "/nodes")?)
    }

    /// Process ids of all running agents, in the order of the nodes.
    pub fn agents(&self) -> Result<Vec<u32>> {
        let nodes = state(&self.dir)?.nodes;
        Ok(nodes.iter().filter_map(|node| node.process).map(|process| process.pid).collect())
    }

    /// Waits until `done`; returns how long it took. Errors of an attempt count as "not yet".
    pub fn wait(
        &self,
        what: &str,
        timeout: Duration,
        mut done: impl FnMut() -> Result<bool>,
    ) -> Result<Duration> {
        let begun = Instant::now();
        loop {
            let now = done();
            if let Ok(true) = now {
                return Ok(begun.elapsed());
            }
            if begun.elapsed() > timeout {
                let seconds = timeout.as_secs();
                let why = now.err().map_or(String::new(), |error| format!(": {error:#}"));
                bail!("not within {seconds} s: {what}{why}");
            }
            sleep(POLL);
        }
    }

    /// Waits until every node shows the same tasks, all of them running, and nothing has changed
    /// for `rest`.
    pub fn calm(&self, count: usize, rest: Duration) -> Result<Vec<view::Task>> {
        let mut last: (Vec<view::Task>, Instant) = (Vec::new(), Instant::now());
        self.wait("all nodes agree and rest", Duration::from_secs(90), || {
            let tasks = self.tasks(&self.nodes[0])?;
            for node in &self.nodes[1..] {
                if self.tasks(node)? != tasks {
                    last.1 = Instant::now();
                    return Ok(false);
                }
            }
            if last.0 != tasks {
                last = (tasks, Instant::now());
            }
            let running = last.0.len() == count && last.0.iter().all(view::Task::is_running);
            Ok(running && last.1.elapsed() >= rest)
        })?;
        Ok(last.0)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Adds a line to the agents' configuration and restarts them, before any task runs.
    pub fn configure(&self, line: &str) -> Result<()> {
        let path = self.dir.join("edge.toml");
        let mut text =
            std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        text.push_str(line);
        text.push('\n');
        std::fs::write(&path, text)?;
        for node in &self.nodes {
            self.lab(&["kill", &node.name])?;
            self.lab(&["start", &node.name])?;
        }
        self.wait("all nodes know each other again", Duration::from_secs(30), || self.is_met())
            .map(drop)
    }

    /// Takes the lab down.
    pub fn down(self) -> Result<()> {
        self.guard.take_down()
    }

    /// Leaves the lab up.
    pub fn keep(self) -> Result<()> {
        self.guard.keep()
    }
}

fn state(dir: &Path) -> Result<State> {
    let path = dir.join("lab.json");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}
