//! The data of configs and secrets for the runtime, which has a thread of its own: asked of the node
//! when a run is prepared, and held by nobody else. The node gives secrets sealed; they are opened
//! here, for a task that starts, and nowhere else. Those that are templates are filled in here too.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use crdt_state::secret::Plaintext;
use crdt_state::task::TaskStart;
use crdt_state::{FileId, SecretId};
use node_core::{Node, SealedSecret};
use runtime::{FileData, ReadFiles, Reading, RunFiles};
use tokio::sync::mpsc::WeakSender;
use tokio::sync::oneshot;

use super::command::{Command, Query};
use super::file_templates::{self, Known};
use super::identity::NodeKey;

/// Reads the data from the node's records.
#[derive(Debug, Clone)]
pub(super) struct FileReader {
    /// Weak: a driver that waits must not keep the agent from ending.
    commands: Arc<OnceLock<WeakSender<Command>>>,
    key: Arc<NodeKey>,
}

/// What the node's records have.
#[derive(Default)]
struct Stored {
    configs: Vec<(FileId, Vec<u8>)>,
    secrets: Vec<(SecretId, SealedSecret)>,
    /// Those that are templates, and what they may know; `None`: there is none.
    templates: Option<(BTreeSet<FileId>, Known)>,
}

impl Stored {
    fn of(node: &Node, start: &TaskStart) -> Stored {
        let mut stored = Stored::default();
        let ids: BTreeSet<FileId> =
            start.template.extension.files().map(|file| file.file).collect();
        let is_template = |id: &FileId| node.file_template(*id).is_some();
        let templates: BTreeSet<FileId> = ids.iter().copied().filter(is_template).collect();
        if !templates.is_empty() {
            stored.templates = Some((templates, Known::of(node, start)));
        }
        for id in ids {
            match id {
                FileId::Config(_) => {
                    stored.configs.extend(node.file_data(id).map(|data| (id, data)));
                }
                FileId::Secret(secret) => {
                    stored.secrets.extend(node.sealed_secret(secret).map(|one| (secret, one)));
                }
            }
        }
        stored
    }
}

impl FileReader {
    /// Reads for the node with this key.
    pub(super) fn new(key: NodeKey) -> FileReader {
        FileReader { commands: Arc::default(), key: Arc::new(key) }
    }

    /// From now on the node can be asked.
    pub(super) fn connect(&self, commands: WeakSender<Command>) {
        let first = self.commands.set(commands);
        assert!(first.is_ok(), "an agent has one node");
    }

    /// The key that opens what was wrapped for this node.
    pub(super) fn key(&self) -> &NodeKey {
        &self.key
    }

    /// Opens a secret; `None`: this node has no key that fits.
    pub(super) fn open(&self, secret: &SealedSecret) -> Option<Plaintext> {
        secret.spec.open(&secret.sealed, &secret.keys, &self.key.secret())
    }

    async fn stored(&self, start: &TaskStart) -> Stored {
        let (answer, answered) = oneshot::channel();
        let start = start.clone();
        let query: Query = Box::new(move |node, _| {
            // The run may have been given up.
            let _ = answer.send(Stored::of(node, &start));
        });
        let Some(commands) = self.commands.get().and_then(WeakSender::upgrade) else {
            return Stored::default();
        };
        match commands.send(Command::Read(query)).await {
            Ok(()) => answered.await.unwrap_or_default(),
            Err(_) => Stored::default(),
        }
    }
}

impl ReadFiles for FileReader {
    fn read<'a>(&'a self, start: &'a TaskStart) -> Reading<'a> {
        Box::pin(async move {
            let Stored { configs, secrets, templates } = self.stored(start).await;
            let mut data = FileData::new();
            data.extend(configs.into_iter().map(|(id, bytes)| (id, Plaintext(bytes))));
            for (id, secret) in secrets {
                match self.open(&secret) {
                    Some(opened) => {
                        data.insert(FileId::Secret(id), opened);
                    }
                    None => tracing::error!(
                        "the secret {id} cannot be opened: none of the {} keys that this node was \
                         given for it fits; give it anew with `edgectl secret rotate`",
                        secret.keys.len()
                    ),
                }
            }
            match templates {
                None => Ok(RunFiles { data, filled: Vec::new() }),
                Some((templates, known)) => {
                    file_templates::fill(start.clone(), data, templates, known).await
                }
            }
        })
    }
}
