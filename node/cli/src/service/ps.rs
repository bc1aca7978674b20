//! `edgectl service ps`, and the rows of tasks for `node ps`.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::client::{Client, filters};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::filter::Filters;
use crate::output::{self, Listing, Natural, Row, Shown, ago, capital, compact_age, natural};
use crate::resolve;
use node_docker::Timestamp;
use node_docker::node::Node;
use node_docker::task::Task;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Services, by name or id
    #[arg(required = true, value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    tasks: TaskFlags,
}

/// Flags of every listing of tasks.
#[derive(Debug, Args)]
pub struct TaskFlags {
    /// Show only what fits: id, name, node, desired-state (running, shutdown, accepted)
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show ids instead of names
    #[arg(long)]
    no_resolve: bool,
    #[command(flatten)]
    listing: Listing,
}

/// A task, or an earlier one in its place.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct TaskRow {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    image: String,
    node: String,
    desired_state: String,
    current_state: String,
    error: String,
    ports: String,
}

impl Row for TaskRow {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "ID"),
        ("Name", "NAME"),
        ("Image", "IMAGE"),
        ("Node", "NODE"),
        ("DesiredState", "DESIRED STATE"),
        ("CurrentState", "CURRENT STATE"),
        ("Error", "ERROR"),
        ("Ports", "PORTS"),
    ];
    const TABLE: &'static str = "{{.ID}}\t{{.Name}}\t{{.Image}}\t{{.Node}}\t{{.DesiredState}}\t\
                                 {{.CurrentState}}\t{{.Error}}\t{{.Ports}}";
    const NONE: &'static str = "no tasks";
    fn quiet(&self) -> &str {
        &self.id
    }
}

/// Lists the tasks of services.
pub async fn run(args: PsArgs, mut client: Client) -> Result<Exit, Failure> {
    let mut tasks: Vec<Task> = Vec::new();
    let mut each = Each::new();
    for typed in &args.services {
        tasks.extend(each.take(read(&mut client, typed).await).unwrap_or_default());
    }
    if !tasks.is_empty() || each.is_well() {
        print(tasks, &args.tasks, &mut client).await?;
    }
    Ok(each.exit())
}

async fn read(client: &mut Client, typed: &str) -> Result<Vec<Task>, Failure> {
    let service = resolve::service(client, typed).await?;
    Ok(client.get(&format!("/tasks?{}", filters(&[("service", service.id.as_str())]))).await?)
}

/// Prints tasks as the flags say.
pub async fn print(
    mut tasks: Vec<Task>,
    flags: &TaskFlags,
    client: &mut Client,
) -> Result<(), Failure> {
    let filters = Filters::parse(&flags.filter, &["id", "name", "node", "desired-state"])?;
    filters.check("desired-state", &DESIRED_STATES)?;
    let nodes: Vec<Node> = client.get("/nodes").await?;
    let hostnames: BTreeMap<String, String> = match flags.no_resolve {
        true => BTreeMap::new(),
        false => nodes.into_iter().map(|node| (node.id, node.description.hostname)).collect(),
    };
    tasks.retain(|task| {
        let hostname = hostnames.get(&task.node_id);
        filters.any("id", |id| task.id.starts_with(id))
            && filters.any("name", |name| task.edge.name.starts_with(name))
            && filters.any("desired-state", |state| task.has_desired_state(state))
            && filters.any("node", |node| {
                hostname.is_some_and(|hostname| hostname == node) || task.node_id.starts_with(node)
            })
    });
    let view = RowView { hostnames, shown: flags.listing.shown(), now: output::now() };
    flags.listing.print(&view.rows(tasks))
}

/// What tasks are meant to be. A job's task is meant to complete.
const DESIRED_STATES: [&str; 4] = ["running", "shutdown", "accepted", "complete"];

struct RowView {
    hostnames: BTreeMap<String, String>,
    shown: Shown,
    now: Timestamp,
}

impl RowView {
    /// By place; for each the current task first, then earlier ones, latest first.
    fn rows(&self, mut tasks: Vec<Task>) -> Vec<TaskRow> {
        tasks.sort_by_cached_key(|task| {
            let is_past = !task.is_wanted();
            (place(task), is_past, Reverse(task.status.timestamp), Reverse(task.edge.attempt))
        });
        let mut rows = Vec::new();
        let mut place_before = None;
        for task in &tasks {
            let mut row = self.row(task);
            if place_before.as_ref() == Some(&place(task)) {
                row.name = format!(r" \_ {}", row.name);
            }
            place_before = Some(place(task));
            rows.push(row);
        }
        rows
    }

    fn row(&self, task: &Task) -> TaskRow {
        let container = task.spec.container_spec.as_ref();
        TaskRow {
            id: output::id(&task.id, self.shown),
            name: task.edge.name.clone(),
            image: output::image(container.map_or("", |c| c.image.as_str()), self.shown),
            node: match self.hostnames.get(&task.node_id) {
                Some(hostname) => hostname.clone(),
                None => output::id(&task.node_id, self.shown),
            },
            desired_state: capital(&task.desired_state),
            current_state: current_state(task, self.now),
            error: output::error(&task.status.err, self.shown),
            ports: output::ports(&task.status.port_status.ports),
        }
    }
}

/// Services are in the order of their names. In a global service the place of a task is its node.
fn place(task: &Task) -> (Natural, String, Option<u64>, Option<String>) {
    let service = task.edge.name.split('.').next().unwrap_or_default();
    let node = task.slot.is_none().then(|| task.node_id.clone());
    (natural(service), task.service_id.clone(), task.slot, node)
}

/// `Running 3 minutes ago`, with further information.
fn current_state(task: &Task, now: Timestamp) -> String {
    let mut text = capital(&task.status.state);
    if let Some(age) = output::age(now, task.status.timestamp) {
        text = format!("{text} {}", ago(age));
    }
    if let Some(ms) = task.edge.unreachable_ms {
        return format!("{text} (unreachable {})", compact_age(Duration::from_millis(ms)));
    }
    match task.edge.health.as_str() {
        "starting" if task.status.state == "running" => format!("{text} (health: starting)"),
        "unhealthy" => format!("{text} (unhealthy)"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: Timestamp = Timestamp(1_777_636_800_000);

    fn task(id: &str, slot: u64, state: &str, desired: &str, seconds_ago: u64) -> Task {
        serde_json::from_value(json!({
            "ID": format!("{id}56789abcdefghijklmnopq"),
            "ServiceID": "s", "Slot": slot, "NodeID": "n1id",
            "DesiredState": desired,
            "Spec": {"ContainerSpec": {"Image": "process:/usr/bin/busybox"}},
            "Status": {"State": state, "Timestamp": Timestamp(NOW.0 - seconds_ago * 1000)},
            "Edge": {"Name": format!("web.{slot}")}
        }))
        .expect("a task")
    }

    fn lines(tasks: Vec<Task>) -> Vec<String> {
        let hostnames = BTreeMap::from([("n1id".to_owned(), "pi-1".to_owned())]);
        let view = RowView { hostnames, shown: Shown::Short, now: NOW };
        Listing::default().lines(&view.rows(tasks)).expect("a table")
    }

    #[test]
    fn past_tasks_stand_under_the_current_one() {
        let mut failed = task("aaa", 1, "failed", "shutdown", 200);
        failed.status.err = "exit code 1".to_owned();
        let tasks = vec![
            task("bbb", 2, "running", "running", 180),
            task("ccc", 1, "shutdown", "shutdown", 4000),
            failed,
            task("ddd", 1, "running", "running", 180),
        ];
        let image = "process:busybox   pi-1  ";
        assert_eq!(
            lines(tasks),
            [
                "ID             NAME        IMAGE             NODE   DESIRED STATE   CURRENT STATE                ERROR           PORTS".to_owned(),
                format!("ddd56789abcd   web.1       {image} Running         Running 3 minutes ago"),
                format!("aaa56789abcd    \\_ web.1   {image} Shutdown        Failed 3 minutes ago         \"exit code 1\""),
                format!("ccc56789abcd    \\_ web.1   {image} Shutdown        Shutdown about an hour ago"),
                format!("bbb56789abcd   web.2       {image} Running         Running 3 minutes ago"),
            ]
        );
    }

    #[test]
    fn a_task_on_an_unreachable_node_says_so() {
        let mut task = task("aaa", 1, "running", "running", 900);
        task.edge.unreachable_ms = Some(840_000);
        assert_eq!(current_state(&task, NOW), "Running 15 minutes ago (unreachable 14m)");
    }

    #[test]
    fn a_node_without_a_clock_gets_no_age() {
        let mut task = task("aaa", 1, "running", "running", 0);
        task.status.timestamp = Timestamp(5_000);
        task.edge.health = "unhealthy".to_owned();
        assert_eq!(current_state(&task, NOW), "Running (unhealthy)");
    }
}
