//! The simulator's program: `chaos run`, `chaos replay`, `chaos membership` and `chaos placement`.

use std::process::ExitCode;

use chaos::cli;

fn main() -> ExitCode {
    cli::main()
}
