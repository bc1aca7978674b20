//! Docker's placeholders in `--env`, `--hostname` and `--mount`, such as `{{.Task.Slot}}`.
//!
//! Only Docker's documented names exist; anything else in braces is refused when a service is
//! created, never passed on half expanded. Labels and arguments are never expanded, as in Swarm.

mod placeholder;

use crdt_state::spec::{Labels, MountSource, Template};
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, TaskId};

pub use placeholder::{NoSuchPlaceholder, Piece, Placeholder, pieces};

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

/// The name of a task: `web.1`, or `web.<node>` for a global service.
pub fn task_name(service_name: &str, slot: Slot) -> String {
    match slot {
        Slot::Number(n) => format!("{service_name}.{n}"),
        Slot::Node(id) => format!("{service_name}.{id}"),
    }
}

/// `.Task.Name`: the name of a task with its id.
pub fn task_run_name(names: &Names<'_>) -> String {
    format!("{}.{}", task_name(names.service_name, names.slot), names.task)
}

/// Expands the placeholders of one text. What a placeholder stands for is not expanded again: a
/// label may contain anything.
pub fn expand(text: &str, names: &Names<'_>) -> Result<String, NoSuchPlaceholder> {
    let piece = |piece: &Piece<'_>| match piece {
        Piece::Text(text) => (*text).to_owned(),
        Piece::Filled(placeholder) => value(*placeholder, names),
    };
    Ok(pieces(text)?.iter().map(piece).collect())
}

fn value(placeholder: Placeholder<'_>, names: &Names<'_>) -> String {
    match placeholder {
        Placeholder::ServiceId => names.service.to_string(),
        Placeholder::ServiceName => names.service_name.to_owned(),
        Placeholder::ServiceLabel(label) => {
            names.service_labels.get(label).cloned().unwrap_or_default()
        }
        Placeholder::NodeId => names.node.to_string(),
        Placeholder::NodeHostname => names.hostname.to_owned(),
        Placeholder::TaskId => names.task.to_string(),
        Placeholder::TaskName => task_run_name(names),
        Placeholder::TaskSlot => match names.slot {
            Slot::Number(n) => n.to_string(),
            Slot::Node(id) => id.to_string(),
        },
        Placeholder::Literal(text) => text.to_owned(),
    }
}

/// Expands what Docker expands: the environment, the host name, and what is mounted; of a container
/// that was made by hand nothing.
pub fn expand_template(
    template: &Template,
    names: &Names<'_>,
) -> Result<Template, NoSuchPlaceholder> {
    let mut expanded = template.clone();
    if template.is_standalone() {
        return Ok(expanded);
    }
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
    use crdt_state::spec::Mount;

    use super::*;

    fn labels() -> Labels {
        [("tier", "edge"), ("a.b-c", "dotted"), ("tricky", "{{.Node.ID}}")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    fn names(labels: &Labels) -> Names<'_> {
        Names {
            service: ServiceId([1; 16]),
            service_name: "web",
            service_labels: labels,
            node: NodeId([2; 16]),
            hostname: "pi-1",
            task: TaskId([3; 16]),
            slot: Slot::Number(4),
        }
    }

    fn expanded(text: &str) -> Result<String, NoSuchPlaceholder> {
        expand(text, &names(&labels()))
    }

    #[test]
    fn placeholders_stand_for_docker_s_values() {
        let name = format!("web.4.{}", TaskId([3; 16]));
        for (text, value) in [
            ("PORT=80{{.Task.Slot}}", "PORT=804"),
            ("{{ .Node.Hostname }}-{{.Service.Name}}", "pi-1-web"),
            ("{{.Task.Name}}", name.as_str()),
            ("{{.Service.Labels.tier}}", "edge"),
            (r#"{{index .Service.Labels "a.b-c"}}"#, "dotted"),
            ("{{ index  .Service.Labels `tier` }}", "edge"),
            (r#"{{index .Service.Labels "none"}}"#, ""),
            (r#"{{"{{"}} .Name {{"}}"}}"#, "{{ .Name }}"),
            ("a {{ b", "a {{ b"),
            ("", ""),
        ] {
            assert_eq!(expanded(text).as_deref(), Ok(value), "{text}");
        }
    }

    #[test]
    fn what_a_placeholder_stands_for_is_not_expanded_again() {
        assert_eq!(expanded("X={{.Service.Labels.tricky}}").as_deref(), Ok("X={{.Node.ID}}"));
    }

    #[test]
    fn an_unknown_placeholder_is_refused_with_those_there_are() {
        for inside in [
            ".Task.Port",
            ".Node.Labels.zone",
            "split .Task.Name",
            "env",
            "index .Service.Labels",
            "index .Service.Labels tier",
            ".Service.Labels.",
            ".Task.Slot | upper",
            "",
        ] {
            let refused = expanded(&format!("A={{{{{inside}}}}}")).expect_err(inside);
            assert_eq!(refused, NoSuchPlaceholder(inside.to_owned()));
            assert!(refused.to_string().contains(".Task.Slot; write {{\"{{\"}}"), "{refused}");
        }
    }

    #[test]
    fn what_swarm_expands_is_expanded_and_nothing_else() {
        let text = || "x-{{.Task.Slot}}".to_owned();
        let mount = |source| Mount { source, target: "/{{.Task.Slot}}".into(), read_only: false };
        let volume = |name| MountSource::Volume {
            name,
            no_copy: false,
            labels: [("l".to_owned(), text())].into(),
        };
        let bind = |path| MountSource::Bind {
            path,
            propagation: String::new(),
            non_recursive: false,
            create: false,
        };
        let mut template = Template {
            args: vec![text()],
            command: vec![text()],
            env: vec![text()],
            hostname: Some(text()),
            labels: [("l".to_owned(), text())].into(),
            ..Template::default()
        };
        template.container.hosts = vec![text()];
        template.container.mounts = vec![mount(volume(text())), mount(bind(text()))];

        let mut expected = template.clone();
        let filled = || "x-4".to_owned();
        expected.env = vec![filled()];
        expected.hostname = Some(filled());
        let mount = |source| Mount { source, target: "/4".into(), read_only: false };
        expected.container.mounts = vec![mount(volume(filled())), mount(bind(filled()))];
        assert_eq!(expand_template(&template, &names(&labels())), Ok(expected));
    }
}
