//! The output of the demo: titles, lines and tables on stdout, for a person who reads along.

use crate::fleet::view::Task;
use std::io::{Write, stdout};

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

/// The placement: a line per node, `slot(process)` for each task.
pub fn placement(tasks: &[Task], nodes: &[&str]) {
    for node in nodes {
        let own = tasks.iter().filter(|task| task.node == *node && task.is_running());
        let list: Vec<String> =
            own.map(|task| format!("web.{}({})", task.slot, task.pid)).collect();
        let list = if list.is_empty() { "nothing".to_owned() } else { list.join("  ") };
        say(&format!("  {node}  {list}"));
    }
}
