//! The progress for a person: moving lines on a terminal, one line per change elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::time::Duration;

use super::snapshot::{Place, PlaceState, Snapshot};
use crate::output::{count, cut, say};

/// Nobody can follow more lines than this; Docker's number.
const LINES_MAX: usize = 20;
/// The states that a task goes through, for its bar.
const STEPS: [&str; 7] =
    ["new", "pending", "assigned", "preparing", "starting", "running", "complete"];
const BAR_CHARS: usize = 40;

/// Where the progress is shown.
pub enum View {
    /// Nowhere.
    Silent,
    /// On a terminal.
    Moving(Moving),
    /// In a file or a pipe.
    Lines(Lines),
}

impl View {
    /// Shows nothing.
    pub fn silent() -> View {
        View::Silent
    }

    /// Shows it on stderr, depending on whether that is a terminal.
    pub fn for_stderr(hostnames: BTreeMap<String, String>) -> View {
        if std::io::stderr().is_terminal() {
            View::Moving(Moving { drawn: Vec::new(), hostnames })
        } else {
            View::Lines(Lines { shown: BTreeMap::new(), done: None, hostnames })
        }
    }

    /// Shows the progress.
    pub fn show(&mut self, snapshot: &Snapshot, verifying: Option<Duration>) {
        match self {
            View::Silent => {}
            View::Moving(moving) => moving.show(snapshot, verifying),
            View::Lines(lines) => lines.show(snapshot).iter().for_each(say),
        }
    }
}

fn overall(snapshot: &Snapshot) -> String {
    let stopping = match snapshot.surplus {
        0 => String::new(),
        number => format!(", {number} to stop"),
    };
    let (done, wanted) = (snapshot.done(), snapshot.wanted);
    match snapshot.concurrent {
        None => format!("overall progress: {done} out of {wanted} tasks{stopping}"),
        Some(_) => format!("job progress: {done} out of {wanted} complete{stopping}"),
    }
}

/// `active tasks: 2 out of 3 tasks`, as Docker's client counts them.
fn active(snapshot: &Snapshot) -> Option<String> {
    let most = snapshot.concurrent?.min(snapshot.wanted.saturating_sub(snapshot.done()));
    Some(format!("active tasks: {} out of {most} tasks", snapshot.active()))
}

/// A block of lines that is redrawn. Each line is cut to the width of the terminal: a wrapped line
/// cannot be redrawn.
pub struct Moving {
    drawn: Vec<String>,
    hostnames: BTreeMap<String, String>,
}

impl Moving {
    fn show(&mut self, snapshot: &Snapshot, verifying: Option<Duration>) {
        let mut lines = vec![overall(snapshot)];
        lines.extend(active(snapshot));
        if snapshot.places.len() <= LINES_MAX {
            let line = |(place, state)| place_line(place, state, snapshot, &self.hostnames);
            lines.extend(snapshot.places.iter().map(line));
        }
        if let Some(time) = verifying {
            let time = count(usize::try_from(time.as_secs()).unwrap_or(usize::MAX), "second");
            lines.push(format!("verify: Waiting {time} to verify that tasks are stable..."));
        }
        let width = terminal_size::terminal_size_of(std::io::stderr())
            .map_or(80, |(width, _)| usize::from(width.0));
        let lines: Vec<String> =
            lines.iter().map(|line| cut(line, width.saturating_sub(1))).collect();
        if lines != self.drawn {
            // Up to the first line of the block, and clear the screen from there.
            let rewind = match self.drawn.len() {
                0 => String::new(),
                number => format!("\x1b[{number}A\r\x1b[J"),
            };
            say(format!("{rewind}{}", lines.join("\n")));
            self.drawn = lines;
        }
    }
}

/// `1/3: running   [=======================================>] pi-2`
fn place_line(
    place: &Place,
    state: &PlaceState,
    snapshot: &Snapshot,
    hostnames: &BTreeMap<String, String>,
) -> String {
    let node = hostnames.get(&state.node_id).map_or("", String::as_str);
    let label = match place {
        Place::Slot(number) => format!("{number}/{}", snapshot.wanted),
        Place::Node(_) => node.to_owned(),
    };
    let note = state.trouble().unwrap_or(node);
    let step = STEPS.iter().position(|step| *step == state.state).unwrap_or(1);
    let last = if snapshot.concurrent.is_some() { STEPS.len() - 1 } else { STEPS.len() - 2 };
    let filled = (BAR_CHARS - 1) * step.min(last) / last;
    let bar = format!("{}>", "=".repeat(filled));
    format!("{label}: {:<9} [{bar:<BAR_CHARS$}] {note}", state.state).trim_end().to_owned()
}

/// One line per change.
pub struct Lines {
    shown: BTreeMap<Place, (String, String)>,
    done: Option<u64>,
    hostnames: BTreeMap<String, String>,
}

impl Lines {
    fn show(&mut self, snapshot: &Snapshot) -> Vec<String> {
        let mut lines = Vec::new();
        for (place, state) in &snapshot.places {
            let seen = (state.state.clone(), state.node_id.clone());
            let is_news = state.state != "new" && self.shown.get(place) != Some(&seen);
            if is_news && snapshot.places.len() <= LINES_MAX {
                lines.push(self.change(state));
            }
            self.shown.insert(place.clone(), seen);
        }
        if self.done.replace(snapshot.done()) != Some(snapshot.done()) {
            lines.push(overall(snapshot));
        }
        lines
    }

    fn change(&self, state: &PlaceState) -> String {
        let node = self.hostnames.get(&state.node_id).map(|name| format!(" on {name}"));
        let trouble = state.trouble().map(|error| format!(": {error}"));
        let (node, trouble) = (node.unwrap_or_default(), trouble.unwrap_or_default());
        format!("{}: {}{node}{trouble}", state.name, state.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::snapshot::{Baseline, Counts};
    use node_docker::service::{Replicated, Service};
    use node_docker::task::Task;

    fn snapshot(states: &[&str]) -> Snapshot {
        let mut service = Service::default();
        service.spec.name = "web".to_owned();
        service.spec.mode.replicated = Some(Replicated { replicas: Some(states.len() as u64) });
        let tasks: Vec<Task> = (1..)
            .zip(states)
            .map(|(slot, state)| {
                let mut task = Task { slot: Some(slot), ..Task::default() };
                task.node_id = "id1".to_owned();
                task.desired_state = "running".to_owned();
                task.status.state = (*state).to_owned();
                task.edge.name = format!("web.{slot}");
                task.edge.up_to_date = true;
                task
            })
            .collect();
        Snapshot::of(&service, &tasks, &Baseline::default(), Counts::CurrentVersion)
    }

    fn hostnames() -> BTreeMap<String, String> {
        BTreeMap::from([("id1".to_owned(), "pi-1".to_owned())])
    }

    #[test]
    fn elsewhere_each_change_is_one_line() {
        let mut lines = Lines { shown: BTreeMap::new(), done: None, hostnames: hostnames() };
        assert_eq!(
            lines.show(&snapshot(&["starting", "new"])),
            ["web.1: starting on pi-1", "overall progress: 0 out of 2 tasks"]
        );
        assert_eq!(lines.show(&snapshot(&["starting", "new"])), Vec::<String>::new());
        assert_eq!(
            lines.show(&snapshot(&["running", "starting"])),
            [
                "web.1: running on pi-1",
                "web.2: starting on pi-1",
                "overall progress: 1 out of 2 tasks"
            ]
        );
    }

    #[test]
    fn a_bar_grows_with_the_state() {
        let snapshot = snapshot(&["running", "pending"]);
        let lines: Vec<String> = snapshot
            .places
            .iter()
            .map(|(place, state)| place_line(place, state, &snapshot, &hostnames()))
            .collect();
        assert_eq!(lines[0], format!("1/2: running   [{}>] pi-1", "=".repeat(39)));
        assert_eq!(lines[1], format!("2/2: pending   [{}>{}] pi-1", "=".repeat(7), " ".repeat(32)));
    }
}
