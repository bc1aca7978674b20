//! An attempt of a task, or a container that was made by hand, for requests.

use crdt_state::spec::{Standalone, Template};
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
    /// Which attempt of which task; attempt 0 of a container that was never started.
    pub run: Run,
    /// The task object of the attempt.
    pub task: Task,
    /// The template that it was made of, as far as it is known here.
    pub template: Template,
    /// Its service.
    pub service_id: ServiceId,
    /// The name of its service.
    pub service: String,
    /// The image's command for parts that the template leaves out, if the image is on this node.
    pub image_words: ImageWords,
    /// How its last attempt ended, if it waits for the next one.
    pub last_code: i32,
    /// Its processes stand still.
    pub paused: bool,
    /// What it is, if it was made by hand.
    pub standalone: Option<Standalone>,
}

/// The default command of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageWords {
    /// The part in front of the arguments.
    pub entrypoint: Vec<String>,
    /// The default arguments.
    pub cmd: Vec<String>,
}

impl Container {
    /// The name in Swarm's form: `web.1.<task id>`; the name that it was given, if it was made by
    /// hand.
    pub fn name(&self) -> String {
        if self.standalone.is_some() {
            return self.service.clone();
        }
        format!("{}.{}", self.task.edge.name, self.task.id)
    }
}
