//! Data that lies on nodes: what is bound from there, and volumes.

use serde_json::Value;

use super::Report;
use crate::migrate::stacks::Written;
use crate::migrate::swarm::{Swarm, text};

/// What has to be moved, with where it is.
pub fn write(report: &mut Report, swarm: &Swarm, stacks: &[Written]) {
    let (mut binds, mut volumes) = (Vec::new(), Vec::new());
    for one in stacks.iter().flat_map(|stack| &stack.services) {
        let hosts = swarm.hosts_of(&one.id);
        let hosts =
            if hosts.is_empty() { "no node runs it now".to_owned() } else { hosts.join(", ") };
        let mounts = one.original.pointer("/Spec/TaskTemplate/ContainerSpec/Mounts");
        for mount in mounts.and_then(Value::as_array).into_iter().flatten() {
            let (source, target) = (text(mount, "/Source"), text(mount, "/Target"));
            let cells = |path: String| {
                vec![format!("`{path}`"), hosts.clone(), one.here.clone(), format!("`{target}`")]
            };
            match text(mount, "/Type") {
                "bind" => binds.push(cells(source.to_owned())),
                "volume" | "" if !source.is_empty() => {
                    volumes
                        .push([vec![source.to_owned()], cells(swarm.volume_path(source))].concat());
                }
                _ => {}
            }
        }
    }
    binds.sort();
    volumes.sort();
    let head = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    if !binds.is_empty() {
        report.heading("Paths of nodes");
        report.line("These have to be on every node where the task may run:");
        report.table(
            &[vec![head(&["path", "nodes of the swarm", "service", "in the task"])], binds]
                .concat(),
        );
    }
    if volumes.is_empty() {
        return;
    }
    report.heading("Volumes");
    report.line(
        "Volumes are folders of a node here too, and tasks stay where their data is. They begin empty: \
         move the data while nothing writes to it. A way that works for each, when the stack runs here and \
         its service is stopped there:",
    );
    report.code(&["ssh NODE tar -C PATH -c . | edgectl cp - SERVICE.1:TARGET".to_owned()]);
    report.table(
        &[vec![head(&["volume", "path", "nodes of the swarm", "service", "in the task"])], volumes]
            .concat(),
    );
}
