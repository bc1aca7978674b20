//! `cargo xtask load`: the servers and clients that benches start in network namespaces.
//!
//! Each is this program, started again by `nsenter`, so that nothing else need be on the machine or
//! in a container. It prints one JSON object when it is done. It must never judge what it saw.

pub mod connections;
mod fetch;
pub mod names;
pub mod pull;
mod serve;

use anyhow::Result;
use clap::Subcommand;
use serde::Serialize;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

/// What to run.
#[derive(Subcommand)]
pub enum LoadCommand {
    /// Give every connection one byte and close it, until stdin ends
    Accept {
        /// At every address
        port: u16,
    },
    /// Open such connections for a while, some at a time
    Connect {
        /// Of the server
        address: SocketAddr,
        /// For how long
        #[arg(long, default_value_t = 1_000)]
        millis: u64,
    },
    /// Ask a name server as fast as it answers
    Ask(names::AskArgs),
    /// Wait until a name has an address, and a port there answers HTTP
    Await(names::AwaitArgs),
    /// Answer HTTP requests, until stdin ends
    Serve {
        /// At every address
        port: u16,
    },
    /// Send HTTP requests, each over a connection of its own, until stdin ends
    Pull(pull::PullArgs),
}

/// Runs it.
pub fn run(command: &LoadCommand) -> Result<()> {
    match command {
        LoadCommand::Accept { port } => connections::accept(*port),
        LoadCommand::Connect { address, millis } => {
            print(&connections::connect(*address, Duration::from_millis(*millis))?)
        }
        LoadCommand::Ask(args) => print(&names::ask(args)?),
        LoadCommand::Await(args) => print(&names::wait(args)?),
        LoadCommand::Serve { port } => serve::serve(*port),
        LoadCommand::Pull(args) => print(&pull::pull(args)),
    }
}

fn print(result: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string(result)?);
    Ok(())
}

/// Milliseconds of the machine's clock, which all its processes share.
pub fn now_ms() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| since.as_secs_f64() * 1000.0)
}

/// Returns when whoever started this process closes its stdin, or has ended.
fn until_stdin_ends() {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// The name server of every container.
const NAME_SERVER: SocketAddr =
    SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 0, 11)), 53);
