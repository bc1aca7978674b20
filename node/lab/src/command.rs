//! The commands of `edgectl lab` and their arguments.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use super::{Lab, LabPlan, Links};

/// A fleet on this machine, to try things and to break them
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Start a fleet: as root in network namespaces, otherwise on 127.0.0.0/8
    Up {
        /// How many nodes
        #[arg(short = 'n', long, default_value_t = 3)]
        nodes: u8,
        /// What the agents think their links are like: lan, wan or metered
        #[arg(long, default_value = "lan")]
        profile: String,
        /// What the agents log
        #[arg(long, default_value = "info")]
        log: String,
        /// Let the agents listen at all addresses of their nodes, as on real machines
        #[arg(long)]
        listen_anywhere: bool,
        /// Which lab
        #[command(flatten)]
        which: LabName,
    },
    /// List the nodes
    Ls {
        /// Which lab
        #[command(flatten)]
        which: LabName,
    },
    /// Drop all packets between some nodes and the others, in silence
    Cut {
        /// The nodes on one side
        #[arg(required = true, value_delimiter = ',', value_name = "NODE")]
        nodes: Vec<String>,
        /// The nodes on the other side; all others unless given
        #[arg(long, value_delimiter = ',', value_name = "NODE")]
        from: Vec<String>,
        /// Which lab
        #[command(flatten)]
        which: LabName,
    },
    /// Let all packets pass again
    Heal {
        /// Which lab
        #[command(flatten)]
        which: LabName,
    },
    /// End a node as a power cut does: agent and tasks gone, the link silent
    Kill {
        /// Which
        node: String,
        /// Which lab
        #[command(flatten)]
        which: LabName,
    },
    /// Start the agent of a node that was killed
    Start {
        /// Which
        node: String,
        /// Which lab
        #[command(flatten)]
        which: LabName,
    },
    /// Put a node behind a router that translates addresses, and start it again: it can dial out, and
    /// nobody can dial in
    Nat {
        /// Which
        node: String,
        /// Which lab
        #[command(flatten)]
        which: LabName,
    },
    /// Run a command where a node runs: `lab exec n2 -- curl http://10.99.1.3:8001`
    Exec {
        /// Which
        node: String,
        /// Which lab
        #[command(flatten)]
        which: LabName,
        /// The command and its arguments
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Print what makes a shell talk to a node: `eval "$(edgectl lab env n2)"`
    Env {
        /// Which
        node: String,
        /// Which lab
        #[command(flatten)]
        which: LabName,
    },
    /// End everything and remove everything that the lab made
    Down {
        /// Which lab
        #[command(flatten)]
        which: LabName,
    },
}

/// Which lab is meant.
#[derive(Debug, Clone, Args)]
pub struct LabName {
    /// Name of the lab
    #[arg(long, default_value = "lab")]
    name: String,
    /// Where its files are kept; /tmp/edgelab-NAME unless given
    #[arg(long)]
    dir: Option<PathBuf>,
}

impl LabName {
    fn dir(&self) -> PathBuf {
        self.dir.clone().unwrap_or_else(|| format!("/tmp/edgelab-{}", self.name).into())
    }

    fn open(&self) -> Result<Lab> {
        Lab::open(&self.name, &self.dir())
    }
}

/// Runs one command.
pub fn run(command: LabCommand) -> Result<()> {
    match command {
        LabCommand::Up { nodes, profile, log, listen_anywhere, which } => {
            let (name, dir) = (which.name.clone(), which.dir());
            up(&LabPlan { name, dir, nodes, profile, log, listen_anywhere })
        }
        LabCommand::Ls { which } => {
            print!("{}", table(&which.open()?));
            Ok(())
        }
        LabCommand::Cut { nodes, from, which } => which.open()?.cut(&nodes, &from),
        LabCommand::Heal { which } => which.open()?.heal(),
        LabCommand::Kill { node, which } => which.open()?.kill(&node),
        LabCommand::Start { node, which } => which.open()?.start(&node),
        LabCommand::Nat { node, which } => which.open()?.put_behind_router(&node),
        LabCommand::Exec { node, which, command } => exec(&which.open()?, &node, &command),
        LabCommand::Env { node, which } => {
            println!("export EDGECTL_SOCKET={}", which.open()?.node(&node)?.socket.display());
            Ok(())
        }
        LabCommand::Down { which } => down(&which),
    }
}

fn up(plan: &LabPlan) -> Result<()> {
    let lab = Lab::up(plan)?;
    if lab.state.links == Links::Loopback {
        eprintln!(
            "without root: no cut, no heal, and a killed node refuses instead of falling silent"
        );
    }
    print!("{}", table(&lab));
    eprintln!("to talk to one of them: eval \"$(edgectl lab env n1 --name {})\"", plan.name);
    Ok(())
}

/// Replaces this process by the command, so that its exit code, signals and terminal are the
/// command's.
fn exec(lab: &Lab, node: &str, command: &[String]) -> Result<()> {
    let (program, arguments) = command.split_first().context("a command is required")?;
    let error = lab.command_in(node, program)?.args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {program}"))
}

/// Also removes a lab whose state file is lost, as far as names show what belonged to it.
fn down(which: &LabName) -> Result<()> {
    match which.open() {
        Ok(lab) => lab.down(),
        Err(_) => Lab::sweep(&which.name),
    }
}

/// The nodes as a table.
fn table(lab: &Lab) -> String {
    let mut rows =
        vec![["NODE", "ADDRESS", "PID", "STATE", "CUT FROM", "SOCKET"].map(str::to_owned)];
    for (node, run_state) in lab.nodes() {
        let pid = node.process.filter(|process| process.is_alive());
        let cut: Vec<&str> = node.cut_from.iter().map(String::as_str).collect();
        rows.push([
            node.name.clone(),
            node.address.to_string(),
            pid.map_or("-".into(), |process| process.pid.to_string()),
            run_state.as_str().to_owned(),
            if cut.is_empty() { "-".into() } else { cut.join(",") },
            node.socket.display().to_string(),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("   ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}
