//! The service that the bench runs, and the demo where it cannot have containers: busybox httpd, one
//! port per slot.
//!
//! Tasks of one node share its addresses, so each slot listens on a port of its own: 8000 plus its
//! number. The served page names the task that serves it.

use super::{Fleet, Node};
use crate::repo;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The port of slot `slot`.
pub fn port(slot: u64) -> u64 {
    8000 + slot
}

/// Its name.
pub const NAME: &str = "web";

/// What the tasks of a fleet run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Containers: needs root.
    Container,
    /// Programs of the host.
    Process,
}

/// What the service runs: a program of the host and its arguments.
#[derive(Debug, Clone)]
pub struct Program {
    /// The path of busybox on this machine.
    pub image: String,
    /// A shell that replaces itself by httpd, so that the process is httpd.
    pub arguments: Vec<String>,
}

/// Prints which task answers.
const WHO: &str = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\n\
                   echo \"web.$SLOT on $NODE\"\n";

impl Program {
    /// A program of the host that serves pages from the lab's folder.
    pub fn process(fleet: &Fleet) -> Result<Program> {
        let busybox = repo::program("busybox").context("no busybox; type: cargo xtask setup")?;
        let image = format!("process:{}", busybox.display());
        let pages = pages(fleet)?;
        Ok(Program { image, arguments: arguments(&fleet.nodes, &pages) })
    }
}

/// Listens at the address of its own node only: without root all nodes share this machine's
/// addresses, and a node that comes back starts its slot while another one still runs it.
fn arguments(nodes: &[Node], pages: &Path) -> Vec<String> {
    let own = |node: &Node| format!("{}) own={};;", node.name, node.address);
    let cases: Vec<String> = nodes.iter().map(own).collect();
    let listen = "exec busybox httpd -f -p $own:$((8000 + SLOT)) -h";
    let line = format!("case $NODE in {} esac; {listen} {}", cases.join(" "), pages.display());
    ["sh".into(), "-c".into(), line].into()
}

/// The environment, with Docker's placeholders.
pub const ENVIRONMENT: [&str; 2] = ["SLOT={{.Task.Slot}}", "NODE={{.Node.Hostname}}"];

/// Writes the served pages: one program that prints which task answers.
fn pages(fleet: &Fleet) -> Result<PathBuf> {
    let pages = fleet.dir.join("pages");
    let programs = pages.join("cgi-bin");
    std::fs::create_dir_all(&programs)?;
    std::fs::write(pages.join("index.html"), "hello\n")?;
    let who = programs.join("who");
    std::fs::write(&who, WHO)?;
    std::fs::set_permissions(&who, std::fs::Permissions::from_mode(0o755))?;
    Ok(pages)
}

/// The request body of `POST /services/create`.
pub fn spec(program: &Program, replicas: u64) -> Value {
    json!({
        "Name": NAME,
        "Mode": {"Replicated": {"Replicas": replicas}},
        "TaskTemplate": {
            "Runtime": "process",
            "ContainerSpec": {
                "Image": program.image,
                "Args": program.arguments,
                "Env": ENVIRONMENT,
            },
            // Every task opens a port of its own on its node.
            "Networks": [{"Target": "host"}],
        },
    })
}

/// Scales by the API, as `docker service scale` does: the current spec with another number.
pub fn scale(fleet: &Fleet, node: &Node, id: &str, replicas: u64) -> Result<()> {
    let now = fleet.get(node, &format!("/services/{id}"))?;
    let mut spec = now["Spec"].clone();
    spec["Mode"] = json!({"Replicated": {"Replicas": replicas}});
    let version = &now["Version"]["Index"];
    fleet.post(node, &format!("/services/{id}/update?version={version}"), &spec)?;
    Ok(())
}
