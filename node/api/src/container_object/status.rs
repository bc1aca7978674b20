//! Whether a container runs, in Docker's words.

use super::Container;
use node_docker::Timestamp;
use node_docker::task::Task;

/// Does its program run?
pub fn is_running(task: &Task) -> bool {
    task.status.state == "running"
}

/// `created`, `running` or `exited`.
pub fn state_word(task: &Task) -> &'static str {
    match task.status.state.as_str() {
        "running" => "running",
        "complete" | "failed" | "shutdown" | "rejected" | "orphaned" => "exited",
        _ => "created",
    }
}

/// The state of a container in Docker's word, also `paused` and `restarting`.
pub fn state(container: &Container) -> &'static str {
    let word = state_word(&container.task);
    let task = &container.task;
    match (word, container.standalone) {
        ("running", _) if container.paused => "paused",
        // Its program never ran.
        ("exited", Some(_)) if task.status.state == "rejected" => "created",
        ("created", Some(_)) if task.edge.attempt > 1 && task.is_wanted() => "restarting",
        _ => word,
    }
}

/// `Up 5 minutes (healthy)`.
pub fn status_text(container: &Container, now: Timestamp) -> String {
    text(&container.task, state(container), container.last_code, now)
}

fn text(task: &Task, state: &str, last_code: i32, now: Timestamp) -> String {
    let since = duration(now.0.saturating_sub(task.status.timestamp.0) / 1_000);
    match state {
        "paused" => format!("Up {since} (Paused)"),
        "restarting" => format!("Restarting ({}) {since} ago", last_code),
        "running" => match task.edge.health.as_str() {
            "starting" => format!("Up {since} (health: starting)"),
            health @ ("healthy" | "unhealthy") => format!("Up {since} ({health})"),
            _ => format!("Up {since}"),
        },
        "exited" => {
            let code = task.status.container_status.as_ref().map_or(0, |status| status.exit_code);
            format!("Exited ({code}) {since} ago")
        }
        _ => "Created".to_owned(),
    }
}

/// A duration in Docker's words.
fn duration(seconds: u64) -> String {
    const HOUR: u64 = 3_600;
    const DAY: u64 = 24 * HOUR;
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..HOUR => format!("{} minutes", seconds / 60),
        _ if seconds < 2 * HOUR => "About an hour".to_owned(),
        _ if seconds < 2 * DAY => format!("{} hours", seconds / HOUR),
        _ if seconds < 14 * DAY => format!("{} days", seconds / DAY),
        _ if seconds < 60 * DAY => format!("{} weeks", seconds / DAY / 7),
        _ if seconds < 730 * DAY => format!("{} months", seconds / DAY / 30),
        _ => format!("{} years", seconds / DAY / 365),
    }
}

#[cfg(test)]
mod tests {
    use node_docker::task::{ContainerStatus, TaskStatus};

    use super::*;

    #[test]
    fn durations_are_told_as_docker_tells_them() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (3_599, "59 minutes"),
            (3_600, "About an hour"),
            (100_000, "27 hours"),
            (1_000_000, "11 days"),
            (86_400 * 20, "2 weeks"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn a_status_tells_health_and_exit_code() {
        let task = |state: &str, health: &str| Task {
            status: TaskStatus {
                state: state.to_owned(),
                container_status: Some(ContainerStatus { exit_code: 3, ..Default::default() }),
                ..TaskStatus::default()
            },
            edge: node_docker::task::EdgeTask { health: health.to_owned(), ..Default::default() },
            ..Task::default()
        };
        let now = Timestamp(5_000);
        let status_text = |task: Task, now| text(&task, state_word(&task), 0, now);
        assert_eq!(status_text(task("running", "healthy"), now), "Up 5 seconds (healthy)");
        assert_eq!(status_text(task("running", "unchecked"), now), "Up 5 seconds");
        assert_eq!(status_text(task("failed", "unchecked"), now), "Exited (3) 5 seconds ago");
        assert_eq!(status_text(task("preparing", "unchecked"), now), "Created");
    }
}
