//! Events in Docker's form: facts that the node tells, and what clients did to this node alone.

use std::collections::BTreeMap;

use crdt_state::task::Run;
use crdt_state::{FileId, TaskId};
use node_core::{Event as Fact, Subject};

use super::wall_clock::wall_clock;
use node_docker::event::{Actor, Event, LegacyEvent};
use node_docker::{container_id, standalone_id};

/// An event in Docker's form.
pub fn event(fact: Fact) -> Event {
    let (kind, id, name) = match fact.subject {
        Subject::Service { id, name } => ("service", id.to_string(), name),
        Subject::Network { id, name } => ("network", id.to_string(), name),
        Subject::File { id, name } => (file_word(id), id.to_string(), name),
        Subject::Node { id, name } => ("node", id.to_string(), name),
        Subject::Task { id, ref name } => return container_event(id, name.clone(), fact),
    };
    let mut attributes: BTreeMap<_, _> =
        fact.attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    attributes.insert("name".to_owned(), name);
    at(fact.wall_ms, kind, fact.action, Actor { id, attributes })
}

fn file_word(id: FileId) -> &'static str {
    match id {
        FileId::Config(_) => "config",
        FileId::Secret(_) => "secret",
    }
}

/// An event of an attempt of a task is shown as an event of a container of this node, in Docker's
/// words.
fn container_event(task: TaskId, name: String, fact: Fact) -> Event {
    let mut attempt = 0;
    let mut attributes = BTreeMap::new();
    let mut is_standalone = false;
    for (key, value) in fact.attributes {
        match key {
            "attempt" => attempt = value.parse().unwrap_or(0),
            "standalone" => is_standalone = true,
            "label" => {
                let (label, value) = value.split_once('=').unwrap_or((&value, ""));
                attributes.insert(label.to_owned(), value.to_owned());
            }
            "service" => {
                attributes.insert("com.docker.swarm.service.id".to_owned(), value);
            }
            "service_name" => {
                attributes.insert("com.docker.swarm.service.name".to_owned(), value);
            }
            key => {
                attributes.insert(key.to_owned(), value);
            }
        }
    }
    if is_standalone {
        attributes.remove("com.docker.swarm.service.id");
        let name = attributes.remove("com.docker.swarm.service.name");
        attributes.insert("name".to_owned(), name.unwrap_or_default());
        let id = standalone_id(task);
        return local(fact.wall_ms, "container", fact.action, Actor { id, attributes });
    }
    attributes.insert("name".to_owned(), format!("{name}.{task}"));
    attributes.insert("com.docker.swarm.task.id".to_owned(), task.to_string());
    attributes.insert("com.docker.swarm.task.name".to_owned(), format!("{name}.{task}"));
    let id = container_id(Run { task, attempt });
    local(fact.wall_ms, "container", fact.action, Actor { id, attributes })
}

/// An event of this node alone, at this moment.
pub fn happened_here(kind: &str, action: &str, id: &str, attributes: &[(&str, &str)]) -> Event {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    let attributes = attributes.iter().map(owned).collect();
    local(wall_clock().0, kind, action, Actor { id: id.to_owned(), attributes })
}

fn local(wall_ms: u64, kind: &str, action: &str, actor: Actor) -> Event {
    let legacy = matches!(kind, "container" | "image").then(|| LegacyEvent {
        status: action.to_owned(),
        id: actor.id.clone(),
        from: (kind == "container")
            .then(|| actor.attributes.get("image").cloned().unwrap_or_default()),
    });
    Event { scope: "local".to_owned(), legacy, ..at(wall_ms, kind, action, actor) }
}

/// A listener read too slowly and missed some.
pub fn missed_events(missed: u64) -> Event {
    let attributes = [("missed".to_owned(), missed.to_string())].into();
    at(wall_clock().0, "daemon", "missed", Actor { id: String::new(), attributes })
}

fn at(wall_ms: u64, kind: &str, action: &str, actor: Actor) -> Event {
    let wall_ms = i64::try_from(wall_ms).unwrap_or(i64::MAX);
    Event {
        kind: kind.to_owned(),
        action: action.to_owned(),
        actor,
        scope: "swarm".to_owned(),
        legacy: None,
        time: wall_ms / 1_000,
        time_nano: wall_ms.saturating_mul(1_000_000),
    }
}
