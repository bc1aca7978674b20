//! A node in the lines of Docker's client, tab by tab: see `service/inspect/docker_form.rs`.

use std::collections::BTreeMap;

use crate::value::go::bytes;
use node_docker::node::Node;

/// The whole text, without a line feed at its end.
pub(super) fn text(node: &Node) -> String {
    let mut lines = vec![format!("ID:\t\t\t{}", node.id)];
    let Node { spec, description, status, .. } = node;
    if !spec.name.is_empty() {
        lines.push(format!("Name:\t\t\t{}", spec.name));
    }
    labels(&mut lines, "Labels:", &spec.labels);
    lines.push(format!("Hostname:              \t{}", description.hostname));
    lines.push(format!("Joined at:             \t{}", joined(&node.created_at.to_rfc3339())));
    lines.push("Status:".to_owned());
    lines.push(format!(" State:\t\t\t{}", capital(&status.state)));
    if !status.message.is_empty() {
        lines.push(format!(" Message:              \t{}", capital(&status.message)));
    }
    lines.push(format!(" Availability:         \t{}", capital(&spec.availability)));
    if !status.addr.is_empty() {
        lines.push(format!(" Address:\t\t{}", status.addr));
    }
    if let Some(manager) = &node.manager_status {
        lines.push("Manager Status:".to_owned());
        lines.push(format!(" Address:\t\t{}", manager.addr));
        lines.push(format!(" Raft Status:\t\t{}", capital(&manager.reachability)));
        lines.push(format!(" Leader:\t\t{}", if manager.leader { "Yes" } else { "No" }));
    }
    lines.push("Platform:".to_owned());
    lines.push(format!(" Operating System:\t{}", description.platform.os));
    lines.push(format!(" Architecture:\t\t{}", description.platform.architecture));
    lines.push("Resources:".to_owned());
    let resources = &description.resources;
    lines.push(format!(" CPUs:\t\t\t{}", resources.nano_cpus / 1_000_000_000));
    let memory = Some(resources.memory_bytes).filter(|memory| *memory > 0).map(bytes);
    lines.push(format!(" Memory:\t\t{}", memory.unwrap_or_default()));
    lines.push(format!("Engine Version:\t\t{}", description.engine.engine_version));
    labels(&mut lines, "Engine Labels:", &description.engine.labels);
    if let Some(trust) = &description.tls_info {
        lines.push("TLS Info:".to_owned());
        lines.push(format!(" TrustRoot:\n{}", trust.trust_root));
        lines.push(format!(" Issuer Subject:\t{}", trust.cert_issuer_subject));
        lines.push(format!(" Issuer Public Key:\t{}", trust.cert_issuer_public_key));
    }
    lines.join("\n")
}

fn labels(lines: &mut Vec<String>, title: &str, labels: &BTreeMap<String, String>) {
    if !labels.is_empty() {
        lines.push(title.to_owned());
    }
    for (name, value) in labels {
        let value = if value.is_empty() { String::new() } else { format!("={value}") };
        lines.push(format!(" - {name}{value}"));
    }
}

/// `2026-05-01 12:00:00.25 +0000 utc`, of `2026-05-01T12:00:00.25Z`: what Go writes, in small letters.
fn joined(rfc3339: &str) -> String {
    rfc3339.replacen('T', " ", 1).replacen('Z', " +0000 utc", 1)
}

/// Docker's client writes all but the first character small.
fn capital(words: &str) -> String {
    let mut rest = words.chars();
    let first = rest.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    first + &rest.as_str().to_lowercase()
}
