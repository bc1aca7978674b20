//! The monitor as a program of its own, for the tests of this crate. The agent calls
//! `runtime::monitor_main` in its own `main` instead.

use std::path::Path;

fn main() {
    let mut arguments = std::env::args_os().skip(1);
    match (arguments.next(), arguments.next()) {
        (Some(word), Some(dir)) if word == "monitor" => runtime::monitor_main(Path::new(&dir)),
        (Some(word), Some(dir)) if word == "enter" => runtime::enter_main(Path::new(&dir)),
        _ => {
            eprintln!("runtime-monitor is started by the tests: runtime-monitor monitor <folder>");
            std::process::exit(2);
        }
    }
}
