//! The service that the demo and the bench run: busybox httpd, one port per slot.
//!
//! Tasks of one node share its addresses, so each slot listens on a port of its own: 8000 and its
//! number. What it serves says who serves it.

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

/// The image reference that names busybox on this machine.
pub fn image() -> Result<String> {
    let busybox = repo::program("busybox").context("no busybox; type: cargo xtask setup")?;
    Ok(format!("process:{}", busybox.display()))
}

/// The arguments after the image: a shell that becomes httpd, so that the process is httpd's.
pub fn arguments(pages: &Path) -> Vec<String> {
    let line = format!("exec busybox httpd -f -p $((8000 + SLOT)) -h {}", pages.display());
    ["sh".into(), "-c".into(), line].into()
}

/// The environment, with Docker's template.
pub const ENVIRONMENT: [&str; 2] = ["SLOT={{.Task.Slot}}", "NODE={{.Node.Hostname}}"];

/// Writes the pages that are served: one program that says which task answers.
pub fn pages(fleet: &Fleet) -> Result<PathBuf> {
    let pages = fleet.dir.join("pages");
    let programs = pages.join("cgi-bin");
    std::fs::create_dir_all(&programs)?;
    std::fs::write(pages.join("index.html"), "hello\n")?;
    let who = programs.join("who");
    let text = "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\n\
                echo \"web.$SLOT on $NODE\"\n";
    std::fs::write(&who, text)?;
    std::fs::set_permissions(&who, std::fs::Permissions::from_mode(0o755))?;
    Ok(pages)
}

/// The body of `POST /services/create`.
pub fn spec(pages: &Path, replicas: u64) -> Result<Value> {
    Ok(json!({
        "Name": NAME,
        "Mode": {"Replicated": {"Replicas": replicas}},
        "TaskTemplate": {
            "Runtime": "process",
            "ContainerSpec": {
                "Image": image()?,
                "Args": arguments(pages),
                "Env": ENVIRONMENT,
            },
        },
    }))
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
