//! The simulator's program: `chaos run`, `chaos replay` and `chaos membership`.

use std::process::ExitCode;

use chaos::cli;

fn main() -> ExitCode {
    cli::main()
}
