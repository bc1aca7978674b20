//! The state of a lab between two commands: one JSON file in its folder, replaced as a whole.
//!
//! It stores what was created, never what runs: whether an agent is up is asked of the system each
//! time.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::LabPlan;
use super::links::{Links, NODES_MAX, address};
use super::process::Process;

/// The stored state of a lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LabState {
    /// Its name.
    pub name: String,
    /// Where its files are.
    pub dir: PathBuf,
    /// How its nodes are connected.
    pub links: Links,
    /// Its nodes, `n1` first.
    pub nodes: Vec<LabNode>,
}

/// One node of a lab.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LabNode {
    /// `n1`, `n2`, …: also its host name.
    pub name: String,
    /// Where the other nodes see it, and where its agent listens, unless it is behind a router.
    pub address: Ipv4Addr,
    /// Where its agent listens behind its router.
    #[serde(default)]
    pub behind_router: Option<Ipv4Addr>,
    /// Its agent listens at all addresses of the node.
    #[serde(default)]
    pub listens_anywhere: bool,
    /// Its agent's data directory.
    pub data_dir: PathBuf,
    /// Its agent's API socket.
    pub socket: PathBuf,
    /// The log file of its agent.
    pub log: PathBuf,
    /// The agent that was started last.
    pub process: Option<Process>,
    /// It was killed on purpose, and its link is silent.
    pub killed: bool,
    /// Nodes whose packets it drops.
    pub cut_from: BTreeSet<String>,
}

/// The state of a node's agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// It runs.
    Up,
    /// It was killed by `lab kill`.
    Killed,
    /// It ended by itself.
    Ended,
}

impl RunState {
    /// The name in the table of nodes.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Up => "up",
            RunState::Killed => "killed",
            RunState::Ended => "ended",
        }
    }
}

impl LabNode {
    /// Looks for the agent's process.
    pub fn run_state(&self) -> RunState {
        match &self.process {
            Some(process) if process.is_alive() => RunState::Up,
            _ if self.killed => RunState::Killed,
            _ => RunState::Ended,
        }
    }
}

impl LabState {
    /// The state of a lab that is about to be created; touches nothing on disk.
    pub(super) fn new(plan: &LabPlan) -> Result<LabState> {
        let legal = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        ensure!(
            !plan.name.is_empty() && plan.name.len() <= 12 && plan.name.chars().all(legal),
            "a lab's name is 1 to 12 of a-z and 0-9, not `{}`",
            plan.name
        );
        ensure!(
            (1..=NODES_MAX).contains(&plan.nodes),
            "a lab has 1 to {NODES_MAX} nodes, not {}",
            plan.nodes
        );
        let root = nix::unistd::Uid::effective().is_root();
        let links = if root { Links::Namespaces } else { Links::Loopback };
        let dir = std::path::absolute(&plan.dir)?;
        let node = |number: u8| {
            let name = format!("n{number}");
            let own = dir.join(&name);
            LabNode {
                address: address(links, &plan.name, number),
                behind_router: None,
                listens_anywhere: plan.listen_anywhere,
                data_dir: own.join("data"),
                socket: own.join("edge.sock"),
                log: own.join("agent.log"),
                process: None,
                killed: false,
                cut_from: BTreeSet::new(),
                name,
            }
        };
        let nodes = (1..=plan.nodes).map(node).collect();
        Ok(LabState { name: plan.name.clone(), dir, links, nodes })
    }

    /// Loads the state file.
    pub(super) fn load(name: &str, dir: &Path) -> Result<LabState> {
        let path = dir.join("lab.json");
        let text = std::fs::read_to_string(&path).with_context(|| {
            format!("no lab `{name}` in {}; type: edgectl lab up --name {name}", dir.display())
        })?;
        serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))
    }

    /// The path of the state file.
    pub(super) fn path(&self) -> PathBuf {
        self.dir.join("lab.json")
    }

    /// Replaces the state file atomically.
    pub(super) fn save(&self) -> Result<()> {
        let draft = self.dir.join("lab.json.new");
        std::fs::write(&draft, serde_json::to_vec_pretty(self)?)
            .and_then(|()| std::fs::rename(&draft, self.path()))
            .with_context(|| format!("cannot write {}", self.path().display()))
    }

    /// The path of the config file that all agents of the lab read.
    pub(super) fn config_path(&self) -> PathBuf {
        self.dir.join("edge.toml")
    }

    /// The path of the file with the token by which all nodes but the first join.
    pub(super) fn token_path(&self) -> PathBuf {
        self.dir.join("join.token")
    }

    /// The text of the config file; an agent gets the settings of its own node by flags.
    pub(super) fn config(&self, plan: &LabPlan) -> String {
        // Three addresses to join at are enough: a member that answers announces the others.
        let seeds = self.nodes.iter().take(3).map(|node| format!("\"{}\"", node.address));
        let seeds = seeds.collect::<Vec<_>>().join(", ");
        let LabPlan { name, profile, log, .. } = plan;
        let token = self.token_path();
        format!(
            "# Written by `edgectl lab up`.\nfleet = \"{name}\"\njoin_token_file = {token:?}\n\
             join = [{seeds}]\nprofile = \"{profile}\"\nlog = \"{log}\"\n\
             # Its nodes share one machine: each would offer the same devices.\n\
             discover_devices = false\n"
        )
    }

    /// The network namespace of a node.
    pub(super) fn namespace(&self, at: usize) -> String {
        format!("edgelab-{}-{}", self.name, self.nodes[at].name)
    }

    /// The network namespace of a node's router.
    pub(super) fn router(&self, at: usize) -> String {
        format!("{}-router", self.namespace(at))
    }

    /// Removes the lab's folder with its content.
    pub(super) fn remove(&self) -> Result<()> {
        match std::fs::remove_dir_all(&self.dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.dir.display()))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(name: &str, nodes: u8, dir: &Path) -> LabPlan {
        LabPlan {
            name: name.into(),
            dir: dir.into(),
            nodes,
            profile: "lan".into(),
            log: "info".into(),
            listen_anywhere: false,
        }
    }

    #[test]
    fn a_state_that_was_saved_is_loaded_again() {
        let dir = tempfile::tempdir().unwrap();
        let state = LabState::new(&plan("shop", 5, dir.path())).unwrap();
        state.save().unwrap();
        let loaded = LabState::load("shop", dir.path()).unwrap();
        assert_eq!(loaded.nodes.len(), 5);
        assert_eq!(loaded.nodes[4].address, state.nodes[4].address);
    }

    #[test]
    fn a_lab_that_is_not_there_says_how_to_make_it() {
        let error = LabState::load("shop", Path::new("/nowhere")).unwrap_err();
        assert!(error.to_string().contains("edgectl lab up --name shop"), "{error}");
    }

    #[test]
    fn names_that_would_not_fit_a_namespace_are_refused() {
        for name in ["", "Shop", "a/b", "averylongname1"] {
            assert!(LabState::new(&plan(name, 3, Path::new("/tmp"))).is_err(), "{name}");
        }
        assert!(LabState::new(&plan("shop", 0, Path::new("/tmp"))).is_err());
    }

    #[test]
    fn the_config_holds_nothing_that_is_one_nodes_own() {
        let plan = plan("shop", 5, Path::new("/tmp/shop"));
        let text = LabState::new(&plan).unwrap().config(&plan);
        assert!(text.contains("fleet = \"shop\""), "{text}");
        assert!(!text.contains("hostname") && !text.contains("data_dir"), "{text}");
        assert!(!text.contains("key"), "nodes join by a token: {text}");
    }
}
