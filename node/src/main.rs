//! `edgectl`: the agent, its command line, the monitor beside each task, the helper of each
//! session, the tunnel of encrypted networks and the keeper of name servers' sockets, all in one
//! program. It only combines the packages.
//!
//! A monitor lives as long as its task and there is one per task: it must begin before anything
//! else has touched the memory of this process.

mod agent;
mod stacks;

use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use node_cli::{Exit, Failure, examples};

/// The commands that ask no agent.
#[derive(Debug, Subcommand)]
enum LocalCommand {
    /// Run the agent of this machine
    #[command(display_order = 0, help_template = examples!(
        "edgectl agent --config /etc/edgectl/edge.toml",
        "edgectl agent --config edge.toml --check             is the configuration right?",
    ))]
    Agent(Box<agent::AgentFlags>),
    /// A fleet on this machine, to try things and to break them
    #[command(subcommand)]
    Lab(node_lab::LabCommand),
}

impl node_cli::LocalCommands for LocalCommand {
    fn run(self) -> Result<Exit, Failure> {
        match self {
            LocalCommand::Agent(flags) => finished(agent::run(&flags)),
            LocalCommand::Lab(command) => finished(node_lab::run(command)),
        }
    }

    fn rekey(args: &node_cli::RekeyArgs) -> Result<Exit, Failure> {
        finished(agent::rekey(args))
    }
}

/// The agent and the lab write complete error messages themselves.
fn finished(result: anyhow::Result<()>) -> Result<Exit, Failure> {
    result.map(|()| Exit::Done).map_err(|error| {
        let failure = Failure::new(format!("{error:#}"));
        let removed = error.downcast_ref::<agent::Removed>().is_some();
        if removed { failure.exit(Exit::Removed) } else { failure }
    })
}

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if let (Some(word), Some(dir)) = (arguments.next(), arguments.next()) {
        match word.to_str() {
            Some("monitor") => runtime::monitor_main(Path::new(&dir)),
            Some("enter") => runtime::enter_main(Path::new(&dir)),
            Some("keeper") => overlay_dns::keeper_main(),
            Some("tunnel") => {
                overlay_tunnel::tunnel_main(&[dir].into_iter().chain(arguments).collect::<Vec<_>>())
            }
            _ => {}
        }
    }
    node_cli::run::<LocalCommand>()
}
