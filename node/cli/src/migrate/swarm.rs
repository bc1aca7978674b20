//! What a manager of a swarm says, in its own JSON: what no type here knows must not be lost.

use std::collections::BTreeMap;
use std::path::Path;

use node_docker::config::Config;
use node_docker::network::Network;
use node_docker::node::Node;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::docker_host;
use crate::client::{CallError, Client};
use crate::failure::Failure;

/// A swarm.
#[derive(Debug, Default)]
pub struct Swarm {
    /// `/info` of the manager that was asked.
    pub info: Value,
    /// Its services, by name.
    pub services: Vec<Value>,
    /// Its tasks.
    pub tasks: Vec<Value>,
    /// All networks, also those of the one machine.
    pub networks: Vec<Network>,
    /// Its configs, with their data.
    pub configs: Vec<Config>,
    /// Its secrets, without.
    pub secrets: Vec<Value>,
    /// Its nodes.
    pub nodes: Vec<Node>,
    /// The volumes of the manager that was asked.
    pub volumes: Vec<Value>,
}

impl Swarm {
    /// Asks a manager for everything.
    pub async fn read(socket: &Path) -> Result<Swarm, Failure> {
        let mut client = Client::connect(socket).await.map_err(docker_host::failure)?;
        let version: Value = ask(&mut client, "/version").await?;
        let info: Value = ask(&mut client, "/info").await?;
        is_manager(&version, &info)?;
        let mut swarm = Swarm {
            services: ask(&mut client, "/services").await?,
            tasks: ask(&mut client, "/tasks").await?,
            networks: ask(&mut client, "/networks").await?,
            configs: ask(&mut client, "/configs").await?,
            secrets: ask(&mut client, "/secrets").await?,
            nodes: ask(&mut client, "/nodes").await?,
            volumes: volumes(ask(&mut client, "/volumes").await?),
            info,
        };
        swarm.services.sort_by_key(|service| text(service, "/Spec/Name").to_owned());
        swarm.nodes.sort_by(|a, b| a.description.hostname.cmp(&b.description.hostname));
        Ok(swarm)
    }

    /// The host name of a node.
    pub fn host(&self, id: &str) -> Option<&str> {
        let node = self.nodes.iter().find(|node| node.id == id)?;
        Some(node.description.hostname.as_str())
    }

    /// The name of a network.
    pub fn network(&self, target: &str) -> Option<&Network> {
        let by_id = self.networks.iter().find(|network| network.id == target);
        by_id.or_else(|| self.networks.iter().find(|network| network.name == target))
    }

    /// The host names of the nodes that run tasks of a service.
    pub fn hosts_of(&self, service: &str) -> Vec<String> {
        let is_meant = |task: &&Value| {
            text(task, "/ServiceID") == service && text(task, "/DesiredState") == "running"
        };
        let nodes = self.tasks.iter().filter(is_meant).map(|task| text(task, "/NodeID"));
        let mut hosts: Vec<String> =
            nodes.filter_map(|id| self.host(id)).map(str::to_owned).collect();
        hosts.sort();
        hosts.dedup();
        hosts
    }

    /// Where a volume is on a node.
    pub fn volume_path(&self, name: &str) -> String {
        let known = self.volumes.iter().find(|volume| text(volume, "/Name") == name);
        match known.map(|volume| text(volume, "/Mountpoint")).filter(|path| !path.is_empty()) {
            Some(path) => path.to_owned(),
            None => {
                let root = Some(text(&self.info, "/DockerRootDir")).filter(|root| !root.is_empty());
                format!("{}/volumes/{name}/_data", root.unwrap_or("/var/lib/docker"))
            }
        }
    }
}

/// The text at a path like `/Spec/Name`; empty if there is none.
pub fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// The labels at a path.
pub fn labels(value: &Value, path: &str) -> BTreeMap<String, String> {
    let Some(Value::Object(fields)) = value.pointer(path) else { return BTreeMap::new() };
    let pair = |(name, value): (&String, &Value)| {
        (name.clone(), value.as_str().unwrap_or_default().to_owned())
    };
    fields.iter().map(pair).collect()
}

async fn ask<T: DeserializeOwned>(client: &mut Client, path: &str) -> Result<T, Failure> {
    let socket = client.socket().to_owned();
    client.get(path).await.map_err(|error| match error {
        // Some other program that speaks HTTP.
        CallError::Refused { status: 404, .. } if path == "/version" => {
            docker_host::failure(CallError::NotTheApi(socket, "it knows no /version".to_owned()))
        }
        other => docker_host::failure(other),
    })
}

fn volumes(answer: Value) -> Vec<Value> {
    match answer.get("Volumes") {
        Some(Value::Array(volumes)) => volumes.clone(),
        _ => Vec::new(),
    }
}

/// Only managers know the services.
fn is_manager(version: &Value, info: &Value) -> Result<(), Failure> {
    if text(version, "/ApiVersion").is_empty() || info.get("Swarm").is_none() {
        return Err(Failure::new("what answers there is not Docker")
            .why("its /version and /info are not Docker's")
            .hint("--docker-host unix:///PATH, with the path of Docker's socket"));
    }
    let state = text(info, "/Swarm/LocalNodeState");
    if info.pointer("/Swarm/ControlAvailable") == Some(&Value::Bool(true)) {
        return Ok(());
    }
    let failure = Failure::new("this node is not a swarm manager");
    if state != "active" {
        return Err(failure
            .why(format!(
                "its Docker is in no swarm (its state is {})",
                if state.is_empty() { "unknown" } else { state }
            ))
            .hint("this command on a manager of the swarm"));
    }
    let managers = info.pointer("/Swarm/RemoteManagers").and_then(Value::as_array);
    let addresses: Vec<&str> =
        managers.into_iter().flatten().map(|manager| text(manager, "/Addr")).collect();
    let failure = failure.why("it is a worker, and workers do not know the services");
    Err(match addresses.as_slice() {
        [] => failure.hint("this command on a manager of the swarm"),
        addresses => failure.hint(format!("this command on a manager: {}", addresses.join(", "))),
    })
}
