//! Nodes, placement, networks and ports: what has to be there before, and what is another here.

use super::Report;
use crate::migrate::stacks::Written;
use crate::migrate::stacks::networks::{BUILTIN, is_given};
use crate::migrate::swarm::Swarm;

/// The labels and the availability of nodes, as commands.
pub fn nodes(report: &mut Report, swarm: &Swarm) {
    let mut lines = Vec::new();
    for node in &swarm.nodes {
        let mut flags: Vec<String> = node
            .spec
            .labels
            .iter()
            .map(|(name, value)| format!("--label-add {}", quoted(&format!("{name}={value}"))))
            .collect();
        if !matches!(node.spec.availability.as_str(), "" | "active") {
            flags.push(format!("--availability {}", node.spec.availability));
        }
        if !flags.is_empty() {
            let host = quoted(&node.description.hostname);
            lines.push(format!("edgectl node update {} {host}", flags.join(" ")));
        }
    }
    if lines.is_empty() {
        return;
    }
    report.heading("Labels of nodes");
    report.line("If the nodes keep their host names, before anything is deployed:");
    report.code(&lines);
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    shlex::try_quote(text).map_or_else(|_| text.to_owned(), |quoted| quoted.into_owned())
}

/// Constraints that mean something else here.
pub fn constraints(report: &mut Report, swarm: &Swarm, stacks: &[Written]) {
    let mut items = Vec::new();
    for one in stacks.iter().flat_map(|stack| &stack.services) {
        let written = one.asked.pointer("/TaskTemplate/Placement/Constraints");
        let written = written.and_then(serde_json::Value::as_array).into_iter().flatten();
        for constraint in written.filter_map(serde_json::Value::as_str) {
            if let Some(what) = of_constraint(constraint, swarm) {
                items.push(format!("{}: `{constraint}`: {what}", one.here));
            }
        }
    }
    if items.is_empty() {
        return;
    }
    report.heading("Placement");
    items.iter().for_each(|item| report.item(item));
}

fn of_constraint(constraint: &str, swarm: &Swarm) -> Option<String> {
    let (key, value, is_equal) = match constraint.split_once("!=") {
        Some((key, value)) => (key, value, false),
        None => constraint.split_once("==").map(|(key, value)| (key, value, true))?,
    };
    let (key, value) = (key.trim(), value.trim());
    match key {
        "node.id" => Some(match swarm.host(value) {
            Some(host) => format!("ids are others here. It is {host}: write `node.hostname`, or a label"),
            None => "ids are others here, and no node of the swarm has this one".to_owned(),
        }),
        "node.hostname" => Some("the node has to have this host name here too".to_owned()),
        "node.role" if (value == "manager") != is_equal => Some(
            "every node here is a manager, so no node fits: take it out, or write a label of the nodes \
             that are meant"
                .to_owned(),
        ),
        "node.role" => Some("every node here is a manager, so all fit".to_owned()),
        key if key.starts_with("engine.labels.") => {
            Some("labels of Docker's daemon are `labels` in the agent's configuration".to_owned())
        }
        _ => None,
    }
}

/// Networks that have to be there before, and subnets.
pub fn networks(report: &mut Report, swarm: &Swarm, stacks: &[Written]) {
    let (mut commands, mut items) = (Vec::new(), Vec::new());
    let mut external: Vec<&String> =
        stacks.iter().flat_map(|stack| &stack.external_networks).collect();
    external.sort();
    external.dedup();
    for name in external {
        let is_made = stacks.iter().flat_map(|stack| &stack.fitted.stack.networks);
        if is_made.into_iter().any(|network| network.name == *name) {
            items.push(format!("`{name}` is made by another stack: deploy that one first"));
            continue;
        }
        let Some(network) = swarm.network(name) else {
            items.push(format!("`{name}` is not known to the swarm either"));
            continue;
        };
        let mut line = "edgectl network create".to_owned();
        for (flag, is_set) in [
            (" --attachable", network.attachable),
            (" --internal", network.internal),
            (" --ipv6", network.enable_ipv6),
        ] {
            line.push_str(if is_set { flag } else { "" });
        }
        if network.options.contains_key("encrypted") {
            line.push_str(" --opt encrypted");
        }
        let asked = network.ipam.config.iter().filter(|config| !is_given(&config.subnet, swarm));
        asked.for_each(|config| line.push_str(&format!(" --subnet {}", config.subnet)));
        commands.push(format!("{line} {}", quoted(name)));
    }
    for network in &swarm.networks {
        let subnets: Vec<&str> =
            network.ipam.config.iter().map(|config| config.subnet.as_str()).collect();
        let is_builtin = BUILTIN.contains(&network.name.as_str());
        let is_used = network.scope == "swarm" && !network.ingress && !is_builtin;
        if is_used && subnets.iter().any(|subnet| is_given(subnet, swarm)) {
            items.push(format!(
                "`{}` had the subnet {} of the swarm's pool: here it gets one of the fleet's",
                network.name,
                subnets.join(", ")
            ));
        }
        if is_used && !matches!(network.driver.as_str(), "overlay" | "") {
            items.push(format!(
                "`{}` has the driver {}: here it is overlay",
                network.name, network.driver
            ));
        }
    }
    if commands.is_empty() && items.is_empty() {
        return;
    }
    report.heading("Networks");
    if !commands.is_empty() {
        report.line("These belong to no stack. Before anything is deployed:");
        report.code(&commands);
    }
    items.iter().for_each(|item| report.item(item));
}

/// All published ports.
pub fn ports(report: &mut Report, stacks: &[Written]) {
    let mut rows = Vec::new();
    for one in stacks.iter().flat_map(|stack| &stack.services) {
        let given = one.original.pointer("/Endpoint/Ports").and_then(serde_json::Value::as_array);
        for port in given.into_iter().flatten() {
            let number =
                |key: &str| port.get(key).and_then(serde_json::Value::as_u64).unwrap_or_default();
            let word =
                |key: &str| port.get(key).and_then(serde_json::Value::as_str).unwrap_or_default();
            let asked =
                one.asked.pointer("/EndpointSpec/Ports").and_then(serde_json::Value::as_array);
            let is_it = |asked: &&serde_json::Value| {
                asked.get("PublishedPort") == port.get("PublishedPort")
            };
            let is_asked = asked.into_iter().flatten().any(|asked| is_it(&asked));
            rows.push(vec![
                format!(
                    "{}{}",
                    number("PublishedPort"),
                    if is_asked { "" } else { " (given by the swarm: here it is another)" }
                ),
                word("Protocol").to_owned(),
                word("PublishMode").to_owned(),
                one.here.clone(),
                number("TargetPort").to_string(),
            ]);
        }
    }
    if rows.is_empty() {
        return;
    }
    rows.sort();
    report.heading("Published ports");
    report.line(
        "Where the fleet's nodes are the swarm's, a port is free when the swarm's service has ended.",
    );
    let head =
        ["port", "protocol", "mode", "service", "port in the task"].map(str::to_owned).to_vec();
    report.table(&[vec![head], rows].concat());
}
