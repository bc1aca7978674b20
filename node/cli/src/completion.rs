//! `edgectl completion`: scripts that complete commands and flags.

use clap::{Args, Command, ValueEnum};
use clap_complete::{Shell, generate};

use super::failure::{Exit, Failure};
use super::output::print;

/// Which shell.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    shell: KnownShell,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum KnownShell {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script for all commands below `root`.
pub fn run(args: &CompletionArgs, root: &mut Command) -> Result<Exit, Failure> {
    let shell = match args.shell {
        KnownShell::Bash => Shell::Bash,
        KnownShell::Zsh => Shell::Zsh,
        KnownShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, root, "edgectl", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Exit::Done)
}
