//! The simulator's command line.

use clap::{Parser, Subcommand};

mod membership_bench;

#[derive(Parser)]
#[command(about = "Simulated fleets under virtual time")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The membership protocol: joins, verdicts, heals
    Membership {
        /// Print one JSON object
        #[arg(long)]
        json: bool,
        /// The seed of every scenario
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn main() {
    match Cli::parse().command {
        Command::Membership { json, seed } => {
            let output =
                if json { membership_bench::Output::Json } else { membership_bench::Output::Table };
            membership_bench::run(output, seed);
        }
    }
}
