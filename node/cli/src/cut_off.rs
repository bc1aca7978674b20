//! What would happen to each service if nodes were cut off now, for `edgectl plan`.

use std::collections::BTreeSet;

use crate::output::count;
use node_docker::edge::PlanRow;
use node_docker::service::Service;

/// One line per service, under a heading; none without services.
pub fn lines(
    services: &[Service],
    plan: &[PlanRow],
    shown: impl Fn(&str) -> String,
) -> Vec<String> {
    let mut lines = Vec::new();
    for service in services.iter().filter(|service| !service.spec.mode.is_job()) {
        let rows = plan.iter().filter(|row| row.service_id == service.id);
        let placed: Vec<&PlanRow> = rows.filter(|row| !row.node.is_empty()).collect();
        let placement = service.spec.task_template.placement.as_ref();
        let partition = placement.and_then(|placement| placement.partition.as_ref());
        let anchors = || -> Vec<String> {
            let anchors = partition.map(|partition| &partition.anchors[..]).unwrap_or_default();
            anchors.iter().map(|anchor| shown(anchor)).collect()
        };
        let what = match partition.map(|partition| partition.policy.as_str()) {
            Some("stay") => {
                let nodes: BTreeSet<&str> = placed.iter().map(|row| row.node.as_str()).collect();
                match nodes.is_empty() {
                    true => "stays where it runs".to_owned(),
                    false => format!("stays on {}", Vec::from_iter(nodes).join(", ")),
                }
            }
            Some("at-most-one") => match anchors().as_slice() {
                [anchor] => format!("stops on the side without {anchor}"),
                several => format!(
                    "stops on the side with less than {} of {}",
                    several.len() / 2 + 1,
                    several.join(", ")
                ),
            },
            _ if service.spec.mode.global.is_some() => "goes on on every node".to_owned(),
            _ => {
                let replicas = service.spec.mode.replicated.and_then(|mode| mode.replicas);
                let tasks = usize::try_from(replicas.unwrap_or(1)).unwrap_or(usize::MAX);
                format!("{} on each side", count(tasks, "task"))
            }
        };
        lines.push(format!("  {}: {what}", service.called()));
    }
    if !lines.is_empty() {
        lines.insert(0, "If nodes are cut off:".to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_policy_says_what_happens() {
        let service = |name: &str, placement: serde_json::Value| -> Service {
            serde_json::from_value(json!({"ID": name, "Spec": {"Name": name,
                "Mode": {"Replicated": {"Replicas": 4}},
                "TaskTemplate": {"Placement": placement}}}))
            .expect("a service")
        };
        let once =
            |anchors: &[&str]| json!({"Partition": {"Policy": "at-most-one", "Anchors": anchors}});
        let services = [
            service("web", json!({})),
            service("plc", json!({"Partition": {"Policy": "stay"}})),
            service("bill", once(&["1"])),
            service("pay", once(&["1", "2", "3"])),
        ];
        let row =
            PlanRow { service_id: "plc".to_owned(), node: "n5".to_owned(), ..PlanRow::default() };
        assert_eq!(
            lines(&services, &[row], |id| format!("n{id}")),
            [
                "If nodes are cut off:",
                "  web: 4 tasks on each side",
                "  plc: stays on n5",
                "  bill: stops on the side without n1",
                "  pay: stops on the side with less than 2 of n1, n2, n3",
            ]
        );
        assert_eq!(lines(&[], &[], str::to_owned), [""; 0]);
    }
}
