//! `cargo xtask`: all tasks for this repository except editing it.
//!
//! It imports nothing from the workspace, so that it builds in seconds and works while the rest
//! does not compile. It must never hold product logic: it starts programs, reads what they print
//! and judges the sources.

mod bench;
mod chaos;
mod demo;
mod dockerd;
mod examples;
mod fleet;
mod fuzz;
mod guard;
mod heal;
mod http;
mod image;
mod load;
mod mutants;
mod record;
mod repo;
mod setup;
mod soak;
mod step;
mod suite;
mod tidy;
mod vm;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// The repository's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install what the tests and the demo need (quick when all is there)
    Setup,
    /// Run every check and test, set-up included: what continuous integration runs
    Test(suite::TestArgs),
    /// Check the house rules that rustfmt and clippy do not know
    Tidy,
    /// Run the simulator over many seeds: `--seeds N [--from N]`; the rest is passed on
    Chaos(chaos::ChaosArgs),
    /// Make small real images from Debian's packages: `cargo xtask examples [NAME…] [--try]`
    Examples(examples::ExamplesArgs),
    /// Show the main job in about a minute: a web page and its redis, a dead node, a cut and a heal
    Demo(demo::DemoArgs),
    /// Kill the agent again and again, and see that no task notices: `--kills N` (40, in 2 minutes)
    Soak(soak::SoakArgs),
    /// Cut and heal a fleet again and again, and see that no slot loses its task: `--heals N` (50)
    Heal(heal::HealArgs),
    /// Check limits and networks in a virtual machine with Debian (needs qemu; 10 minutes)
    Vm,
    /// Take each listed rule out of a copy, and see that its test turns red: `[NAME…] [--check]`
    Mutants(mutants::MutantsArgs),
    /// Let libFuzzer look for bytes that crash a decoder: `cargo xtask fuzz TARGET [--seconds N]`
    Fuzz(fuzz::FuzzArgs),
    /// Play the recorded sessions against dockerd of Debian's packages, and write what it answers
    Record,
    /// Servers and clients that the bench starts in network namespaces
    #[command(subcommand, hide = true)]
    Load(load::LoadCommand),
    /// Measure the promised numbers
    #[command(subcommand)]
    Bench(bench::BenchCommand),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup => setup::run(),
        Command::Test(args) => suite::run(&args),
        Command::Tidy => tidy::run(),
        Command::Chaos(args) => chaos::run(&args),
        Command::Examples(args) => examples::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Heal(args) => heal::run(&args),
        Command::Vm => vm::run(),
        Command::Mutants(args) => mutants::run(&args),
        Command::Fuzz(args) => fuzz::run(&args),
        Command::Record => record::run(),
        Command::Load(command) => load::run(&command),
        Command::Bench(command) => bench::run(&command),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
