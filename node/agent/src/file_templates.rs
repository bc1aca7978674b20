//! Configs and secrets that are templates, filled in for a task that starts on this node.
//!
//! What is filled in may hold a secret: it goes to the runtime with the secrets and never onto a disk,
//! and why it could not be filled in is told without a word of it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crdt_state::spec::Labels;
use crdt_state::task::{Slot, TaskStart};
use crdt_state::{FileId, NodeId};
use node_core::Node;
use node_core::expand::{self, Names};
use node_docker::template::facts::{Facts, KnownFile};
use node_docker::template::file;
use runtime::{FileData, RunFiles};

/// What templates know of the fleet, beyond the start of their task.
#[derive(Debug)]
pub(super) struct Known {
    node: NodeId,
    hostname: String,
    architecture: String,
    os: String,
    labels: Labels,
}

impl Known {
    /// What this node knows of itself and the service.
    pub(super) fn of(node: &Node, start: &TaskStart) -> Known {
        let me = node.replica().me();
        let described = node.description(me);
        Known {
            node: me,
            hostname: node.hostname(me),
            architecture: described.map(|one| one.arch.clone()).unwrap_or_default(),
            os: described.map(|one| one.os.clone()).unwrap_or_default(),
            labels: node.service(start.service).map(|one| one.labels.clone()).unwrap_or_default(),
        }
    }

    fn facts(self, start: &TaskStart, data: &FileData) -> Facts {
        let names = Names {
            service: start.service,
            service_name: &start.service_name,
            service_labels: &self.labels,
            node: self.node,
            hostname: &self.hostname,
            task: start.run.task,
            slot: start.slot,
        };
        let task_name = expand::task_run_name(&names);
        let slot = match start.slot {
            Slot::Number(number) => number.to_string(),
            Slot::Node(node) => node.to_string(),
        };
        let files = start.template.extension.files().filter_map(|used| {
            Some(KnownFile {
                class: used.file.class(),
                target: used.target.to_owned(),
                data: data.get(&used.file)?.clone(),
                path: used.path,
            })
        });
        Facts {
            fields: [
                ("Service.ID", start.service.to_string()),
                ("Service.Name", start.service_name.clone()),
                ("Node.ID", self.node.to_string()),
                ("Task.ID", start.run.task.to_string()),
                ("Task.Name", task_name),
                ("Task.Slot", slot),
                ("Node.Hostname", self.hostname),
                ("Node.Platform.Architecture", self.architecture),
                ("Node.Platform.OS", self.os),
            ]
            .into(),
            files: files.collect(),
            labels: self.labels,
            env: start.template.env.clone(),
        }
    }
}

/// Fills the templates in. Not on a thread of the agent's: a template may take a while.
///
/// # Errors
///
/// A sentence that names the file and the line of its template.
pub(super) async fn fill(
    start: TaskStart,
    data: FileData,
    templates: BTreeSet<FileId>,
    known: Known,
) -> Result<RunFiles, String> {
    let filled = tokio::task::spawn_blocking(move || all(&start, data, &templates, known));
    filled.await.unwrap_or_else(|_| Err("filling in its configs was given up".to_owned()))
}

fn all(
    start: &TaskStart,
    mut data: FileData,
    templates: &BTreeSet<FileId>,
    known: Known,
) -> Result<RunFiles, String> {
    let facts = Arc::new(known.facts(start, &data));
    let mut filled = Vec::new();
    for used in start.template.extension.files().filter(|used| templates.contains(&used.file)) {
        let (id, class, name) = (used.file, used.file.class(), used.name);
        // What is not here the runtime says.
        let Some(template) = facts.files.iter().find(|file| file.path == used.path) else {
            continue;
        };
        let made = file::fill(&template.data.0, &facts);
        let made = made.map_err(|bad| {
            format!("the template of the {class} {name} cannot be filled in: {}", bad.told(class))
        })?;
        data.insert(id, made);
        if let FileId::Config(id) = id {
            filled.push(id);
        }
    }
    Ok(RunFiles { data, filled })
}

#[cfg(test)]
mod tests {
    use crdt_state::file::{ConfigFile, SecretFile};
    use crdt_state::secret::Plaintext;
    use crdt_state::spec::{Template, TemplateVersion};
    use crdt_state::task::Run;
    use crdt_state::{ConfigId, SecretId, ServiceId, TaskId};

    use super::*;

    const CONFIG: ConfigId = ConfigId([1; 16]);
    const SECRET: SecretId = SecretId([2; 16]);

    fn start() -> TaskStart {
        let mut template = Template { env: vec!["LEVEL=7".into()], ..Template::default() };
        let (uid, gid, mode) = (0, 0, 0o444);
        let config = |target: &str| ConfigFile {
            id: CONFIG,
            name: "app.conf".into(),
            target: target.into(),
            uid,
            gid,
            mode,
        };
        template.extension.configs = vec![config("/one"), config("/two")];
        let (name, target) = ("key".to_owned(), "key".to_owned());
        template.extension.secrets = vec![SecretFile { id: SECRET, name, target, uid, gid, mode }];
        TaskStart {
            run: Run { task: TaskId([7; 16]), attempt: 1 },
            service: ServiceId([1; 16]),
            service_name: "web".to_owned(),
            slot: Slot::Number(3),
            template_version: TemplateVersion(1),
            template,
            interfaces: Vec::new(),
        }
    }

    fn filled(config: &str, templates: &[FileId]) -> Result<RunFiles, String> {
        let data = FileData::from([
            (CONFIG.into(), Plaintext(config.into())),
            (SECRET.into(), Plaintext(b"hunter2{{.Task.Slot}}".to_vec())),
        ]);
        let known = Known {
            node: NodeId([9; 16]),
            hostname: "pi-1".to_owned(),
            architecture: "aarch64".to_owned(),
            os: "linux".to_owned(),
            labels: [("tier".to_owned(), "edge".to_owned())].into(),
        };
        all(&start(), data, &templates.iter().copied().collect(), known)
    }

    #[test]
    fn only_templates_are_filled_in_and_configs_among_them_are_named() {
        let text = "{{.Task.Slot}} {{.Task.Name}} {{.Node.Hostname}} {{env \"LEVEL\"}} \
                    {{index .Service.Labels \"tier\"}} {{secret \"key\"}}";
        let run = filled(text, &[CONFIG.into()]).expect("it can be");
        let name = format!("web.3.{}", TaskId([7; 16]));
        let says = format!("3 {name} pi-1 7 edge hunter2{{{{.Task.Slot}}}}");
        assert_eq!(run.data[&CONFIG.into()].0, says.as_bytes());
        assert_eq!(run.data[&SECRET.into()].0, b"hunter2{{.Task.Slot}}", "it is no template");
        assert_eq!(run.filled, [CONFIG, CONFIG]);

        let run = filled(text, &[SECRET.into()]).expect("it can be");
        assert_eq!(run.data[&CONFIG.into()].0, text.as_bytes());
        assert_eq!(run.data[&SECRET.into()].0, b"hunter23");
        assert_eq!(run.filled, []);
    }

    #[test]
    fn what_cannot_be_filled_in_is_told_with_its_name_and_line() {
        let told = filled("a\n{{.Service.Labels.none}}", &[CONFIG.into()]).expect_err("no label");
        let head = "the template of the config app.conf cannot be filled in: line 2: ";
        assert!(told.starts_with(head) && told.contains(".none"), "{told}");
    }
}
