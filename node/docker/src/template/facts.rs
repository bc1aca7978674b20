//! What the template of a config or a secret may know of its task, and nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use crdt_state::FileClass;
use crdt_state::secret::Plaintext;
use gotmpl::Value;

/// What a template may know of its task.
#[derive(Debug, Default)]
pub struct Facts {
    /// The values of `.Service.ID` and so on, but for the labels.
    pub fields: BTreeMap<&'static str, String>,
    /// `.Service.Labels`
    pub labels: BTreeMap<String, String>,
    /// The environment of the task, as its program gets it from its service: `NAME=value`.
    pub env: Vec<String>,
    /// The configs and secrets that the task gets.
    pub files: Vec<KnownFile>,
}

/// A file that a template may read.
#[derive(Debug, Clone)]
pub struct KnownFile {
    /// A config, or a secret.
    pub class: FileClass,
    /// Its target, as the service has it.
    pub target: String,
    /// Where it is in the container.
    pub path: String,
    /// What is in it.
    pub data: Plaintext,
}

impl Facts {
    /// The value of a variable; empty if there is none, as with Swarm.
    pub(super) fn variable(&self, name: &str) -> &str {
        let mut pairs = self.env.iter().filter_map(|entry| entry.split_once('='));
        pairs.find(|(own, _)| *own == name).map_or("", |(_, value)| value)
    }

    pub(super) fn value(&self) -> Value {
        let text = |text: &str| Value::String(text.into());
        let field = |name: &str| text(self.fields.get(name).map_or("", String::as_str));
        let labels = self.labels.iter().map(|(name, value)| (name.as_str().into(), text(value)));
        let platform = Value::from_entries([
            ("Architecture".to_owned(), field("Node.Platform.Architecture")),
            ("OS".to_owned(), field("Node.Platform.OS")),
        ]);
        let service = Value::from_entries([
            ("ID".to_owned(), field("Service.ID")),
            ("Name".to_owned(), field("Service.Name")),
            ("Labels".to_owned(), Value::Map(Arc::new(labels.collect()))),
        ]);
        let node = Value::from_entries([
            ("ID".to_owned(), field("Node.ID")),
            ("Hostname".to_owned(), field("Node.Hostname")),
            ("Platform".to_owned(), platform),
        ]);
        let task = Value::from_entries(
            ["ID", "Name", "Slot"].map(|name| (name.to_owned(), field(&format!("Task.{name}")))),
        );
        Value::from_entries([
            ("Service".to_owned(), service),
            ("Node".to_owned(), node),
            ("Task".to_owned(), task),
        ])
    }
}
