//! `POST /containers/create`: what Docker's clients ask of one container, as the spec of a service of
//! one task that stays on its node.
//!
//! Every field is taken out of the request. What is left asks for something that has no effect here,
//! and is refused by the flag that made it: nothing is ever dropped.

mod host;
mod mounts;
mod networks;
mod ports;
#[cfg(test)]
mod tests;

use crdt_state::NodeId;
use crdt_state::partition::{Partition, PartitionPolicy};
use crdt_state::spec::{Scale, Standalone};
use node_core::ServiceSpec;
use serde_json::{Map, Value, json};

use crate::service;
use crate::state::{BadSpec, accept, read_spec};

/// The fields of an object.
type Fields = Map<String, Value>;

const SECOND_NS: i64 = 1_000_000_000;

/// A container that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Its image, as it was typed.
    pub image: String,
    /// The spec of its service; networks by name.
    spec: service::ServiceSpec,
    standalone: Standalone,
}

impl Asked {
    /// The ports of its image are published too (`-P`): `80/tcp`.
    pub fn publish(&mut self, exposed: &[String]) -> Result<(), BadSpec> {
        let endpoint = self.spec.endpoint_spec.get_or_insert_default();
        for port in exposed {
            let port = ports::exposed(port)?;
            let is_there = |other: &service::PortConfig| {
                (other.target_port, &other.protocol) == (port.target_port, &port.protocol)
            };
            if !endpoint.ports.iter().any(is_there) {
                endpoint.ports.push(port);
            }
        }
        Ok(())
    }

    /// The spec, to look up the names of its networks.
    pub fn spec_mut(&mut self) -> &mut service::ServiceSpec {
        &mut self.spec
    }

    /// The service: it has no task until the container is started. `image` is what it is made of.
    pub fn accept(mut self, image: String) -> Result<ServiceSpec, BadSpec> {
        if let Some(container) = &mut self.spec.task_template.container_spec {
            container.image = image;
        }
        let mut spec = accept(self.spec, None)?;
        spec.scale = Scale::Replicated { replicas: 0 };
        spec.placement.constraints = vec![format!("node.id=={}", self.standalone.node)];
        spec.partition = Partition { policy: PartitionPolicy::Stay, ..Partition::default() };
        spec.template.extension.standalone = Some(self.standalone);
        Ok(spec)
    }
}

/// Whether the ports of the image are published too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    /// Only those that were named.
    Named,
    /// Those of the image, and those that were exposed by hand (`-P`).
    Exposed,
}

/// Reads a request for a container of this node.
pub fn read_create(body: &[u8], name: &str, node: NodeId) -> Result<(Asked, Publish), BadSpec> {
    let unreadable = |error: serde_json::Error| BadSpec::Unreadable(error.to_string());
    let mut sent: Fields = serde_json::from_slice(body).map_err(unreadable)?;
    let mut host = object(&mut sent, "HostConfig")?;
    let mut networking = object(&mut sent, "NetworkingConfig")?;
    let image = text(&mut sent, "Image");
    let mut standalone =
        Standalone { node, auto_remove: false, stdin_once: false, unless_stopped: false };
    standalone.auto_remove = flag(&mut host, "AutoRemove");
    standalone.stdin_once = flag(&mut sent, "StdinOnce");
    let publish = match flag(&mut host, "PublishAllPorts") {
        true => Publish::Exposed,
        false => Publish::Named,
    };
    let mut container = container(&mut sent, &image)?;
    container["Mounts"] = mounts::read(&mut sent, &mut host)?;
    host::into_container(&mut host, &mut container)?;
    let mut task = json!({
        "Resources": host::resources(&mut host)?,
        "RestartPolicy": host::restart(&mut host, &mut standalone)?,
        "LogDriver": host::log_driver(&mut host),
        "Networks": networks::read(&mut host, &mut networking)?,
    });
    task["ContainerSpec"] = container;
    let (ports, exposed) = ports::read(&mut sent, &mut host)?;
    refuse_rest("", &sent)?;
    refuse_rest("HostConfig.", &host)?;
    refuse_rest("NetworkingConfig.", &networking)?;
    let endpoint = json!({"Mode": "dnsrr", "Ports": ports});
    let spec = json!({"Name": name, "TaskTemplate": task, "EndpointSpec": endpoint});
    let spec = read_spec(spec.to_string().as_bytes())?;
    let mut asked = Asked { image, spec, standalone };
    if publish == Publish::Exposed {
        asked.publish(&exposed)?;
    }
    Ok((asked, publish))
}

/// The part of a container's spec that is in `Config`.
fn container(sent: &mut Fields, image: &str) -> Result<Value, BadSpec> {
    // They say what this client does, not what the container is.
    for name in ["AttachStdin", "AttachStdout", "AttachStderr", "ArgsEscaped", "Shell", "OnBuild"] {
        sent.remove(name);
    }
    let (command, args) = words(sent)?;
    let mut container = json!({
        "Image": image, "Command": command, "Args": args,
        "TTY": flag(sent, "Tty"), "OpenStdin": flag(sent, "OpenStdin"),
    });
    let renamed =
        [("Hostname", "Hostname"), ("User", "User"), ("WorkingDir", "Dir"), ("Env", "Env")];
    let kept = [("Labels", "Labels"), ("StopSignal", "StopSignal"), ("Healthcheck", "Healthcheck")];
    for (theirs, ours) in renamed.into_iter().chain(kept) {
        if let Some(value) = sent.remove(theirs).filter(|value| !value.is_null()) {
            container[ours] = value;
        }
    }
    if let Some(seconds) = sent.remove("StopTimeout").and_then(|seconds| seconds.as_i64()) {
        // -1: as long as it takes.
        let seconds = if seconds < 0 { i64::from(i32::MAX) } else { seconds };
        container["StopGracePeriod"] = json!(seconds.saturating_mul(SECOND_NS));
    }
    Ok(container)
}

/// Entrypoint and command. An entrypoint of one empty word takes off that of the image, so that the
/// command begins with the program.
fn words(sent: &mut Fields) -> Result<(Vec<String>, Vec<String>), BadSpec> {
    let mut entrypoint = list(sent.remove("Entrypoint"), "Entrypoint")?;
    let mut cmd = list(sent.remove("Cmd"), "Cmd")?;
    if entrypoint == [""] {
        if cmd.is_empty() {
            let hint = "the image's entrypoint is taken off and no command is given; add one";
            return Err(bad("Entrypoint", "", hint));
        }
        entrypoint = vec![cmd.remove(0)];
    }
    Ok((entrypoint, cmd))
}

/// A list of words, or one word.
fn list(value: Option<Value>, field: &'static str) -> Result<Vec<String>, BadSpec> {
    match value {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(word)) => Ok(vec![word]),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|_| bad(field, &value.to_string(), "it is a list of words")),
    }
}

/// Takes an object out; an absent one is empty.
fn object(from: &mut Fields, field: &'static str) -> Result<Fields, BadSpec> {
    match from.remove(field) {
        None | Some(Value::Null) => Ok(Fields::new()),
        Some(Value::Object(fields)) => Ok(fields),
        Some(other) => Err(bad(field, &other.to_string(), "it is an object")),
    }
}

fn text(from: &mut Fields, field: &str) -> String {
    let value = from.remove(field);
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn flag(from: &mut Fields, field: &str) -> bool {
    from.remove(field).and_then(|value| value.as_bool()).unwrap_or(false)
}

fn number(from: &mut Fields, field: &str) -> i64 {
    from.remove(field).and_then(|value| value.as_i64()).unwrap_or(0)
}

fn bad(field: &'static str, value: &str, hint: &str) -> BadSpec {
    BadSpec::BadValue { field, value: value.to_owned(), hint: hint.to_owned() }
}

/// Refuses what was not taken out and asks for something.
fn refuse_rest(path: &str, rest: &Fields) -> Result<(), BadSpec> {
    let asked = rest.iter().find(|(name, value)| !host::asks_for_nothing(name, value));
    match asked {
        None => Ok(()),
        Some((name, _)) => Err(BadSpec::NoEffect {
            field: format!("{path}{name}"),
            flag: host::flag_of(name).to_owned(),
        }),
    }
}
