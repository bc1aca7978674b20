//! The data of configs for the runtime, which has a thread of its own: asked of the node when a run
//! is prepared, and held by nobody else.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use crdt_state::ConfigId;
use runtime::{ConfigData, ReadConfigs};
use tokio::sync::mpsc::WeakSender;
use tokio::sync::oneshot;

use super::command::{Command, Query};

/// Reads the data from the node's records.
#[derive(Debug, Clone, Default)]
pub(super) struct ConfigReader {
    /// Weak: a driver that waits must not keep the agent from ending.
    commands: Arc<OnceLock<WeakSender<Command>>>,
}

impl ConfigReader {
    /// From now on the node can be asked.
    pub(super) fn connect(&self, commands: WeakSender<Command>) {
        let first = self.commands.set(commands);
        assert!(first.is_ok(), "an agent has one node");
    }
}

impl ReadConfigs for ConfigReader {
    fn read<'a>(
        &'a self,
        ids: Vec<ConfigId>,
    ) -> Pin<Box<dyn Future<Output = ConfigData> + Send + 'a>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let query: Query = Box::new(move |node, _| {
                let data = ids.into_iter().filter_map(|id| Some((id, node.config_data(id)?)));
                // The run may have been given up.
                let _ = answer.send(data.collect());
            });
            let Some(commands) = self.commands.get().and_then(WeakSender::upgrade) else {
                return ConfigData::new();
            };
            match commands.send(Command::Read(query)).await {
                Ok(()) => answered.await.unwrap_or_default(),
                Err(_) => ConfigData::new(),
            }
        })
    }
}
