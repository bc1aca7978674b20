//! The simulator's program: `chaos run` and `chaos membership`.

use std::process::ExitCode;

use chaos::cli;

fn main() -> ExitCode {
    cli::main()
}
