//! The output of the demo: titles, lines and tables on stdout, for a person who reads along in a
//! terminal of 80 columns.

use crate::fleet::view::Task;
use std::io::{Write, stdout};

/// Tasks beside each other in the placement: `redis.1(123456)` five times fits.
const TASKS_PER_LINE: usize = 5;

/// Prints one line and flushes it, because the reader waits while things happen.
pub fn say(line: &str) {
    let mut out = stdout().lock();
    // If the reader has gone, the demo ends at its next step, not here.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The beginning of a chapter.
pub fn title(text: &str) {
    say(&format!("\n— {text} —"));
}

/// A command that a person could have typed.
pub fn typed(node: &str, line: &str) {
    say(&format!("  {node}$ {line}"));
}

/// The placement: per node `name(process)` for each task.
pub fn placement(tasks: &[Task], nodes: &[&str]) {
    for node in nodes {
        let own = tasks.iter().filter(|task| task.node == *node && task.is_running());
        let mut list: Vec<String> =
            own.map(|task| format!("{}({})", task.name, task.pid)).collect();
        list.sort();
        if list.is_empty() {
            list.push("nothing".to_owned());
        }
        for (at, part) in list.chunks(TASKS_PER_LINE).enumerate() {
            let head = if at == 0 { node } else { "  " };
            say(&format!("  {head}  {}", part.join("  ")));
        }
    }
}
