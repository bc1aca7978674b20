//! The API's answers about nodes and tasks, as far as the demo and the bench read them.

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The tasks whose desired state is `running`; the filter is `{"desired-state":["running"]}`.
pub const WANTED_TASKS: &str = "/tasks?filters=%7B%22desired-state%22%3A%5B%22running%22%5D%7D";

/// A task as one node sees it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    /// The service's id.
    pub service: String,
    /// Its own name: `web.2`.
    pub name: String,
    /// The number of the slot.
    pub slot: u64,
    /// Host name of the node that has it; empty if none has.
    pub node: String,
    /// Docker's name of its state.
    pub state: String,
    /// What its health check last said: `starting` before its first report, `unchecked` without one.
    pub health: String,
    /// Its process; 0 if it has none.
    pub pid: u32,
    /// Its node cannot be reached: these values are old.
    pub unreachable: bool,
}

impl Task {
    /// Does it run, according to current information?
    pub fn is_running(&self) -> bool {
        self.state == "running" && !self.unreachable && self.pid != 0
    }

    /// Does it run, and has its health check passed if it has one?
    pub fn is_serving(&self) -> bool {
        self.is_running() && !["starting", "unhealthy"].contains(&self.health.as_str())
    }

    /// Is it on the node of this name?
    pub fn is_on(&self, node: &str) -> bool {
        self.node == node
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawTask {
    #[serde(rename = "ServiceID")]
    service_id: String,
    #[serde(default)]
    slot: u64,
    #[serde(rename = "NodeID", default)]
    node_id: String,
    status: RawStatus,
    #[serde(default)]
    edge: RawEdge,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawStatus {
    state: String,
    container_status: Option<RawProcess>,
}

#[derive(Deserialize)]
struct RawProcess {
    #[serde(rename = "PID", default)]
    pid: u32,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct RawEdge {
    #[serde(default)]
    name: String,
    #[serde(default)]
    health: String,
    unreachable_ms: Option<u64>,
}

/// The tasks in order of slot, with the names of their nodes.
pub fn tasks(tasks: &Value, nodes: &Value) -> Result<Vec<Task>> {
    let names = names(nodes);
    let raw: Vec<RawTask> = serde_json::from_value(tasks.clone()).context("/tasks")?;
    let mut tasks: Vec<Task> = raw
        .into_iter()
        .map(|task| Task {
            service: task.service_id,
            name: task.edge.name,
            health: task.edge.health,
            slot: task.slot,
            node: names.get(&task.node_id).cloned().unwrap_or_default(),
            state: task.status.state,
            pid: task.status.container_status.map_or(0, |process| process.pid),
            unreachable: task.edge.unreachable_ms.is_some(),
        })
        .collect();
    tasks.sort();
    Ok(tasks)
}

/// Host names by node id.
fn names(nodes: &Value) -> BTreeMap<String, String> {
    let all = nodes.as_array().map_or(&[][..], Vec::as_slice);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.iter().map(|node| (text(&node["ID"]), text(&node["Description"]["Hostname"]))).collect()
}

/// How many nodes are reported as ready, the answering one included.
pub fn ready_nodes(nodes: &Value) -> usize {
    let all = nodes.as_array().map_or(&[][..], Vec::as_slice);
    all.iter().filter(|node| node["Status"]["State"] == "ready").count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_task_of_an_unreachable_node_does_not_count_as_running() {
        let nodes =
            json!([{"ID": "a", "Description": {"Hostname": "n1"}, "Status": {"State": "ready"}}]);
        let task = |edge: Value| {
            json!([{"ServiceID": "s", "Slot": 2, "NodeID": "a", "Edge": edge,
                "Status": {"State": "running", "ContainerStatus": {"PID": 7}}}])
        };
        let fresh = tasks(&task(json!({})), &nodes).unwrap();
        assert!(fresh[0].is_running() && fresh[0].is_on("n1") && fresh[0].slot == 2);
        let old = tasks(&task(json!({"UnreachableMs": 1200})), &nodes).unwrap();
        assert!(!old[0].is_running());
        assert_eq!(ready_nodes(&nodes), 1);
        let of = |health: &str| tasks(&task(json!({"Health": health})), &nodes).unwrap().remove(0);
        assert!(of("healthy").is_serving() && of("unchecked").is_serving());
        assert!(of("starting").is_running() && !of("starting").is_serving());
        assert!(!of("unhealthy").is_serving());
    }
}
