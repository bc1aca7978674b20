//! Whose logs are requested, and which of the fleet's runs these are.

use crdt_state::task::Run;

use crate::failure::Failure;
use crate::snapshot::Snapshot;
use crate::task_object::TaskObject;
use crate::{container_object, tasks};

/// The subject of a request for logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Every task of a service, by its id.
    Service(String),
    /// Every task that ran under a name: `web.1`.
    Slot {
        /// The service's id.
        service: String,
        /// The name.
        name: String,
    },
    /// Every run of a task, by its id.
    Task(String),
    /// One run: its log ends with it.
    Run(Run),
}

impl Scope {
    /// The tasks of this name; if two services have the name, those of the service that owns it.
    pub fn of_name(snapshot: &Snapshot, name: &str) -> Option<Scope> {
        let owner = name.rsplit_once('.').and_then(|(service, _)| snapshot.service(service).ok());
        let owner = owner.map(|service| service.id.to_string());
        let called = || tasks::objects(snapshot).filter(|object| object.task.edge.name == name);
        let is_owned = |object: &TaskObject| Some(&object.task.service_id) == owner.as_ref();
        let found = called().find(is_owned).or_else(|| called().next())?;
        Some(Scope::Slot { service: found.task.service_id, name: name.to_owned() })
    }

    /// For a name all its tasks, for the id of a task all its runs, for the id of a past attempt
    /// that one.
    pub fn of_task(snapshot: &Snapshot, wanted: &str) -> Result<Scope, Failure> {
        if let Some(scope) = Scope::of_name(snapshot, wanted) {
            return Ok(scope);
        }
        let TaskObject { task, run } = tasks::find(snapshot, wanted)?;
        Ok(match run {
            Some((_, run)) if task.id != task.edge.task_id => Scope::Run(run),
            _ => Scope::Task(task.edge.task_id),
        })
    }

    /// Its tasks and their runs, as far as they are known here.
    pub fn objects<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = TaskObject> + 'a {
        tasks::objects(snapshot).filter(move |object| match self {
            Scope::Service(id) => object.task.service_id == *id,
            Scope::Slot { service, name } => {
                object.task.service_id == *service && object.task.edge.name == *name
            }
            Scope::Task(id) => object.task.edge.task_id == *id,
            Scope::Run(run) => object.run.is_some_and(|(_, found)| found == *run),
        })
    }

    /// Can no further run come? For a service this means that it is removed, not that it has no
    /// task.
    pub fn is_over(&self, snapshot: &Snapshot) -> bool {
        match self {
            Scope::Service(id) => {
                !snapshot.services.iter().any(|service| service.id.to_string() == *id)
            }
            Scope::Slot { .. } => self.objects(snapshot).next().is_none(),
            Scope::Task(_) => {
                let is_live = |object: TaskObject| object.task.is_wanted();
                !self.objects(snapshot).any(is_live)
            }
            Scope::Run(_) => true,
        }
    }

    /// Does it print to a terminal?
    pub fn is_terminal(&self, snapshot: &Snapshot) -> bool {
        let of = |id: &str| {
            let service = snapshot.services.iter().find(|service| service.id.to_string() == id);
            service.is_some_and(|service| container_object::is_terminal(&service.template))
        };
        match self {
            Scope::Service(id) | Scope::Slot { service: id, .. } => of(id),
            Scope::Task(_) | Scope::Run(_) => {
                self.objects(snapshot).next().is_some_and(|object| of(&object.task.service_id))
            }
        }
    }
}
