//! How the demo speaks: titles, lines and tables on stdout, for a person who reads along.

use crate::fleet::view::Task;
use std::io::{Write, stdout};

/// One line; at once, because the reader waits while things happen.
pub fn say(line: &str) {
    let mut out = stdout().lock();
    // A reader who went away ends the demo at its next step, not here.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The beginning of a chapter.
pub fn title(text: &str) {
    say(&format!("\n— {text} —"));
}

/// What somebody could have typed.
pub fn typed(node: &str, line: &str) {
    say(&format!("  {node}$ {line}"));
}

/// Who runs what: a line per node, `slot(process)` for each task.
pub fn placement(tasks: &[Task], nodes: &[&str]) {
    for node in nodes {
        let own = tasks.iter().filter(|task| task.node == *node && task.is_running());
        let list: Vec<String> =
            own.map(|task| format!("web.{}({})", task.slot, task.pid)).collect();
        let list = if list.is_empty() { "nothing".to_owned() } else { list.join("  ") };
        say(&format!("  {node}  {list}"));
    }
}
