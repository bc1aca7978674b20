//! An attempt of a task as a container, as requests find it.

use crdt_state::spec::Template;
use crdt_state::task::Run;
use crdt_state::{NodeId, ServiceId};
use node_docker::task::Task;

/// One attempt of a task that was started.
#[derive(Debug, Clone)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// The node that has it.
    pub node: NodeId,
    /// Which attempt of which task.
    pub run: Run,
    /// The task object of the attempt.
    pub task: Task,
    /// What it was made of, as far as it is known here.
    pub template: Template,
    /// Its service.
    pub service_id: ServiceId,
    /// The name of its service.
    pub service: String,
    /// What its image runs where the template does not say, if the image is on this node.
    pub image_words: ImageWords,
}

/// What an image runs unless it is told otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageWords {
    /// In front of the arguments.
    pub entrypoint: Vec<String>,
    /// The arguments, unless others are given.
    pub cmd: Vec<String>,
}

impl Container {
    /// As Swarm names containers: `web.1.<task id>`.
    pub fn name(&self) -> String {
        format!("{}.{}", self.task.edge.name, self.task.id)
    }
}
