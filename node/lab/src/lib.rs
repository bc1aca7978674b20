//! `edgectl lab`: a whole fleet on one machine, to try things and to break them.
//!
//! As root every node is a network namespace of its own, connected to the others by a bridge in a
//! further namespace, so that the machine's own network is not touched. Otherwise every node is an
//! address of 127.0.0.0/8, and commands that need a link to cut say that they need root.
//!
//! The lab starts agents as an operator would, by the program and its flags; it must never read or
//! change an agent's internals. The name of everything that the lab creates contains the lab's
//! name, so that `down` finds it again, whatever failed before.

mod agents;
mod command;
mod groups;
mod links;
mod meet;
mod network;
mod process;
mod query;
mod state;
mod token;

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

pub use command::{LabCommand, run};
pub use links::Links;
pub use state::{LabNode, LabState, RunState};

/// The extension of the directory, beside its socket, where an agent keeps network namespaces.
const NETWORKS: &str = "networks";

/// The timeout for agents to open their sockets; a loaded machine with 50 agents needs seconds.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A fleet on this machine, as described by its state file.
pub struct Lab {
    state: LabState,
}

/// The arguments of `lab up`.
pub struct LabPlan {
    /// The lab's name, a part of the names of everything that is created.
    pub name: String,
    /// Where its files are kept.
    pub dir: PathBuf,
    /// How many nodes.
    pub nodes: u8,
    /// The link profile that the agents are given: `lan`, `wan` or `metered`.
    pub profile: String,
    /// The log filter of the agents, as in their config.
    pub log: String,
    /// The agents listen at all addresses of their nodes.
    pub listen_anywhere: bool,
}

impl Lab {
    /// Creates the network, starts the agents and waits until they are one fleet. If it fails,
    /// nothing is left behind.
    pub fn up(plan: &LabPlan) -> Result<Lab> {
        let state = LabState::new(plan)?;
        ensure!(
            !state.path().exists(),
            "lab `{}` is up already; type: edgectl lab down --name {0}",
            plan.name
        );
        let mut lab = Lab { state };
        let Err(error) = lab.build(plan) else { return Ok(lab) };
        let error = error.context(format!("lab `{}` did not come up", plan.name));
        Err(match lab.down() {
            Ok(()) => error,
            Err(left) => error.context(format!("something of it is left: {left:#}")),
        })
    }

    fn build(&mut self, plan: &LabPlan) -> Result<()> {
        std::fs::create_dir_all(&self.state.dir)
            .with_context(|| format!("cannot make {}", self.state.dir.display()))?;
        // The state is saved first, so that `down` finds everything that is created from here on.
        self.state.save()?;
        std::fs::write(self.state.config_path(), self.state.config(plan))?;
        if self.state.links == Links::Namespaces {
            network::create(&self.state)?;
        }
        // The first node makes the fleet, and the token is there before the others look for it.
        self.spawn(0)?;
        self.wait_for_sockets(&self.state.nodes[..1])?;
        token::write(&self.state.nodes[0], &self.state.token_path())?;
        for at in 1..self.state.nodes.len() {
            self.spawn(at)?;
        }
        self.state.save()?;
        self.wait_for_sockets(&self.state.nodes)?;
        meet::wait(&self.state.nodes)
    }

    /// The lab of this name, started earlier by any process.
    pub fn open(name: &str, dir: &Path) -> Result<Lab> {
        Ok(Lab { state: LabState::load(name, dir)? })
    }

    /// Its nodes, with the current state of their processes.
    pub fn nodes(&self) -> impl Iterator<Item = (&LabNode, RunState)> {
        self.state.nodes.iter().map(|node| (node, node.run_state()))
    }

    /// A node by its name, or by its number.
    pub fn node(&self, name: &str) -> Result<&LabNode> {
        Ok(&self.state.nodes[self.position(name)?])
    }

    fn position(&self, name: &str) -> Result<usize> {
        let found = self.state.nodes.iter().position(|node| {
            node.name == name || node.name.strip_prefix('n').is_some_and(|number| number == name)
        });
        found.with_context(|| {
            let names: Vec<&str> = self.state.nodes.iter().map(|node| node.name.as_str()).collect();
            format!("no node `{name}` in lab `{}`; it has {}", self.state.name, names.join(", "))
        })
    }

    /// Silently drops all packets between two groups of nodes, in both directions. An empty
    /// `others` means all other nodes.
    pub fn cut(&mut self, names: &[String], others: &[String]) -> Result<()> {
        self.needs_namespaces("cut")?;
        let mut group = Vec::new();
        for name in names {
            group.push(self.position(name)?);
        }
        let mut rest = Vec::new();
        for name in others {
            rest.push(self.position(name)?);
        }
        if others.is_empty() {
            rest = (0..self.state.nodes.len()).filter(|at| !group.contains(at)).collect();
        }
        ensure!(!rest.is_empty(), "there is nobody to be cut from");
        ensure!(!rest.iter().any(|at| group.contains(at)), "a node cannot be cut from itself");
        self.drop_between(&group, &rest)?;
        self.drop_between(&rest, &group)?;
        self.state.save()
    }

    /// Makes every node of `group` drop packets from `others`.
    fn drop_between(&mut self, group: &[usize], others: &[usize]) -> Result<()> {
        let names: Vec<String> =
            others.iter().map(|at| self.state.nodes[*at].name.clone()).collect();
        let addresses: Vec<_> = others.iter().map(|at| self.state.nodes[*at].address).collect();
        for at in group {
            network::drop_from(&self.state.namespace(*at), &addresses)?;
            self.state.nodes[*at].cut_from.extend(names.iter().cloned());
        }
        Ok(())
    }

    /// Ends all drops. A killed node stays silent until it is started.
    pub fn heal(&mut self) -> Result<()> {
        self.needs_namespaces("heal")?;
        for at in 0..self.state.nodes.len() {
            network::pass_all(&self.state.namespace(at))?;
            self.state.nodes[at].cut_from.clear();
        }
        self.state.save()
    }

    /// Ends a node as a power cut does: first its link falls silent, then agent and tasks are
    /// killed.
    pub fn kill(&mut self, name: &str) -> Result<()> {
        let at = self.position(name)?;
        if self.state.links == Links::Namespaces {
            // First the link: the kernel of a dead process would answer the packets that arrive for
            // it.
            network::silence(&self.state.namespace(at))?;
        }
        self.state.nodes[at].killed = true;
        self.state.save()?;
        self.end_node(at)
    }

    /// Ends the agent and the tasks of a node, and what they left in the kernel.
    fn end_node(&self, at: usize) -> Result<()> {
        self.end_processes(at)?;
        let node = &self.state.nodes[at];
        groups::remove(&node.data_dir);
        let networks = node.socket.with_extension(NETWORKS);
        overlay_linux::links::sweep(&networks)
            .with_context(|| format!("cannot remove {}", networks.display()))
    }

    /// Starts the agent of a node that was killed, or whose agent ended, with its old disk.
    pub fn start(&mut self, name: &str) -> Result<()> {
        let at = self.position(name)?;
        if self.state.nodes[at].run_state() == RunState::Up {
            bail!("node {} is up", self.state.nodes[at].name);
        }
        if self.state.links == Links::Namespaces {
            network::unsilence(&self.state.namespace(at))?;
        }
        self.state.nodes[at].killed = false;
        self.spawn(at)?;
        self.state.save()?;
        self.wait_for_sockets(&self.state.nodes)
    }

    /// Puts a node behind a router that translates addresses, as most homes and small sites have
    /// one: it can dial out, and nobody can dial in. The node is killed and started again.
    pub fn put_behind_router(&mut self, name: &str) -> Result<()> {
        self.needs_namespaces("nat")?;
        let at = self.position(name)?;
        if self.state.nodes[at].behind_router.is_some() {
            bail!("node {name} is behind a router already");
        }
        self.kill(name)?;
        let (namespace, router) = (self.state.namespace(at), self.state.router(at));
        let inner = network::insert_router(&namespace, &router, self.state.nodes[at].address)?;
        self.state.nodes[at].behind_router = Some(inner);
        self.state.save()?;
        self.start(name)
    }

    /// A command that runs in this node's network and uses its agent.
    pub fn command_in(&self, name: &str, program: &str) -> Result<Command> {
        let at = self.position(name)?;
        let mut command = match self.state.links {
            Links::Namespaces => network::inside(&self.state.namespace(at), program),
            Links::Loopback => Command::new(program),
        };
        command.env("EDGECTL_SOCKET", &self.state.nodes[at].socket);
        Ok(command)
    }

    /// Ends and removes everything that this lab created, also after an incomplete start.
    pub fn down(self) -> Result<()> {
        for at in 0..self.state.nodes.len() {
            self.end_node(at)?;
        }
        Lab::sweep(&self.state.name)?;
        self.state.remove()
    }

    /// Removes the namespaces of a lab, and the processes in them, by its name only: for a lab
    /// whose state file is lost.
    pub fn sweep(name: &str) -> Result<()> {
        for namespace in network::namespaces(name)? {
            process::end_all(&namespace, || network::processes(&namespace))?;
            network::remove(&namespace)?;
        }
        Ok(())
    }

    fn needs_namespaces(&self, what: &str) -> Result<()> {
        if self.state.links == Links::Namespaces {
            return Ok(());
        }
        let nodes = self.state.nodes.len();
        bail!(
            "{what} needs network namespaces, and this lab was started without root; type: \
             edgectl lab down && sudo edgectl lab up -n {nodes}"
        )
    }

    fn spawn(&mut self, at: usize) -> Result<()> {
        let mut command = match self.state.links {
            Links::Namespaces => network::inside(&self.state.namespace(at), "setsid"),
            Links::Loopback => Command::new("setsid"),
        };
        let config = self.state.config_path();
        let node = &mut self.state.nodes[at];
        node.process = Some(agents::start(&mut command, node, &config)?);
        Ok(())
    }

    fn end_processes(&self, at: usize) -> Result<()> {
        let node = &self.state.nodes[at];
        match self.state.links {
            Links::Namespaces => {
                let namespace = self.state.namespace(at);
                process::end_all(&node.name, || network::processes(&namespace))
            }
            Links::Loopback => process::end_all(&node.name, || Ok(agents::of_node(node))),
        }
    }

    /// Waits until the agent of each of these nodes that should be up accepts connections.
    fn wait_for_sockets(&self, nodes: &[LabNode]) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        for node in nodes.iter().filter(|node| !node.killed) {
            while UnixStream::connect(&node.socket).is_err() {
                if node.run_state() != RunState::Up {
                    bail!("the agent of {} ended:\n{}", node.name, agents::log_tail(node));
                }
                if Instant::now() > deadline {
                    let tail = agents::log_tail(node);
                    bail!("{} does not answer on {}:\n{tail}", node.name, node.socket.display());
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }
}
