//! Docker's placeholders in `--env`, `--hostname` and `--mount`, such as `{{.Task.Slot}}`.
//!
//! Only Docker's documented names exist; anything else in braces is refused when a service is
//! created, never passed on half expanded.

use crdt_state::spec::{Labels, MountSource, Template};
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, TaskId};

/// The values that placeholders stand for.
#[derive(Debug, Clone)]
pub struct Names<'a> {
    /// `.Service.ID`
    pub service: ServiceId,
    /// `.Service.Name`
    pub service_name: &'a str,
    /// `.Service.Labels`
    pub service_labels: &'a Labels,
    /// `.Node.ID`
    pub node: NodeId,
    /// `.Node.Hostname`
    pub hostname: &'a str,
    /// `.Task.ID`
    pub task: TaskId,
    /// `.Task.Slot`; of a global service the node's id, as in Docker.
    pub slot: Slot,
}

/// A placeholder that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{{{{{0}}}}}` is not a placeholder; there are .Service.ID, .Service.Name, .Service.Labels.NAME, .Node.ID, .Node.Hostname, .Task.ID, .Task.Name and .Task.Slot"
)]
pub struct NoSuchPlaceholder(pub String);

/// The name of a task: `web.1`, or `web.<node>` for a global service.
pub fn task_name(service_name: &str, slot: Slot) -> String {
    match slot {
        Slot::Number(n) => format!("{service_name}.{n}"),
        Slot::Node(id) => format!("{service_name}.{id}"),
    }
}

/// Expands the placeholders of one text.
pub fn expand(text: &str, names: &Names<'_>) -> Result<String, NoSuchPlaceholder> {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, tail)) = rest.split_once("{{") {
        let Some((inside, after)) = tail.split_once("}}") else { break };
        expanded.push_str(before);
        expanded.push_str(&value(inside.trim(), names)?);
        rest = after;
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn value(placeholder: &str, names: &Names<'_>) -> Result<String, NoSuchPlaceholder> {
    Ok(match placeholder {
        ".Service.ID" => names.service.to_string(),
        ".Service.Name" => names.service_name.to_owned(),
        ".Node.ID" => names.node.to_string(),
        ".Node.Hostname" => names.hostname.to_owned(),
        ".Task.ID" => names.task.to_string(),
        ".Task.Name" => format!("{}.{}", task_name(names.service_name, names.slot), names.task),
        ".Task.Slot" => match names.slot {
            Slot::Number(n) => n.to_string(),
            Slot::Node(id) => id.to_string(),
        },
        other => match other.strip_prefix(".Service.Labels.") {
            Some(label) => names.service_labels.get(label).cloned().unwrap_or_default(),
            None => return Err(NoSuchPlaceholder(other.to_owned())),
        },
    })
}

/// Expands what Docker expands: the environment, the host name, and what is mounted.
pub fn expand_template(
    template: &Template,
    names: &Names<'_>,
) -> Result<Template, NoSuchPlaceholder> {
    let mut expanded = template.clone();
    for entry in &mut expanded.env {
        *entry = expand(entry, names)?;
    }
    if let Some(hostname) = &mut expanded.hostname {
        *hostname = expand(hostname, names)?;
    }
    for mount in &mut expanded.container.mounts {
        if let MountSource::Bind { path: source, .. } | MountSource::Volume { name: source, .. } =
            &mut mount.source
        {
            *source = expand(source, names)?;
        }
        mount.target = expand(&mount.target, names)?;
    }
    Ok(expanded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<String, NoSuchPlaceholder> {
        let labels = Labels::from([("tier".to_owned(), "edge".to_owned())]);
        let names = Names {
            service: ServiceId([1; 16]),
            service_name: "web",
            service_labels: &labels,
            node: NodeId([2; 16]),
            hostname: "pi-1",
            task: TaskId([3; 16]),
            slot: Slot::Number(4),
        };
        expand(text, &names)
    }

    #[test]
    fn placeholders_stand_for_docker_s_values() {
        assert_eq!(expanded("PORT=80{{.Task.Slot}}"), Ok("PORT=804".into()));
        assert_eq!(expanded("{{ .Node.Hostname }}-{{.Service.Name}}"), Ok("pi-1-web".into()));
        assert_eq!(expanded("{{.Service.Labels.tier}}"), Ok("edge".into()));
        assert_eq!(expanded("a {{ b"), Ok("a {{ b".into()));
    }

    #[test]
    fn an_unknown_placeholder_is_refused() {
        assert_eq!(expanded("{{.Task.Port}}"), Err(NoSuchPlaceholder(".Task.Port".into())));
    }
}
