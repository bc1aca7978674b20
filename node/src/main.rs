//! `edgectl`: the agent, its command line, the monitor beside each task and the helper of each
//! session in one, all in one program.
//!
//! A monitor lives as long as its task and there is one per task: it must begin before anything
//! else has touched the memory of this process.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if let (Some(word), Some(dir)) = (arguments.next(), arguments.next()) {
        match word.to_str() {
            Some("monitor") => runtime::monitor_main(Path::new(&dir)),
            Some("enter") => runtime::enter_main(Path::new(&dir)),
            _ => {}
        }
    }
    node::cli::run()
}
