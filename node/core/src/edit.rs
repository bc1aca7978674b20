//! Edits: what operators may change, and the refusals.
//!
//! Every check is local: an edit is never refused because a peer is silent. A refused edit has
//! changed nothing.

pub use crdt_state::limits::REPLICAS_MAX;

use crdt_state::limits::{self, Bounded, Unfit};
use crdt_state::node::Availability;
use crdt_state::service::Service;
use crdt_state::spec::{Endpoint, Facet, Labels, Placement, Scale, Template, UpdatePolicy};
use crdt_state::{ImageFact, NodeId, Previous, RecordKey, ServiceId, Stamp, wire};
use serde::{Deserialize, Serialize};

use crate::constraint::{BadConstraint, Constraint};
use crate::expand::NoSuchPlaceholder;

/// A service as an operator writes it: one value per facet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Unique among the living.
    pub name: String,
    /// What to run.
    pub template: Template,
    /// How often.
    pub scale: Scale,
    /// Where.
    pub placement: Placement,
    /// How to change it.
    pub update_policy: UpdatePolicy,
    /// Ports.
    pub endpoint: Endpoint,
    /// Labels.
    pub labels: Labels,
}

impl ServiceSpec {
    /// As operators wrote a service last.
    pub fn of(service: &Service) -> ServiceSpec {
        ServiceSpec {
            name: service.name.clone(),
            template: service.template.clone(),
            scale: service.scale,
            placement: service.placement.clone(),
            update_policy: service.update_policy.clone(),
            endpoint: service.endpoint.clone(),
            labels: service.labels.clone(),
        }
    }

    /// As it is kept beside what replaced it.
    pub fn into_previous(self) -> Previous {
        let ServiceSpec { name, template, scale, placement, update_policy, endpoint, labels } =
            self;
        Previous { name, template, scale, placement, update_policy, endpoint, labels }
    }
}

impl From<Previous> for ServiceSpec {
    fn from(previous: Previous) -> ServiceSpec {
        let Previous { name, template, scale, placement, update_policy, endpoint, labels } =
            previous;
        ServiceSpec { name, template, scale, placement, update_policy, endpoint, labels }
    }
}

/// When a node may be removed from the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Removal {
    /// Only if it has left or cannot be reached.
    IfGone,
    /// In any case.
    Force,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    /// A new service.
    CreateService(Box<ServiceSpec>),
    /// Writes the facets that differ.
    UpdateService {
        /// Which.
        id: ServiceId,
        /// Refuse unless this is its version; `None`: whatever it is.
        version: Option<u64>,
        /// As it shall be.
        spec: Box<ServiceSpec>,
    },
    /// Removes a service and stops its tasks.
    RemoveService {
        /// Which.
        id: ServiceId,
    },
    /// Availability and labels of a node.
    UpdateNode {
        /// Which.
        id: NodeId,
        /// Refuse unless this is its version; `None`: whatever it is.
        version: Option<u64>,
        /// Unchanged if absent.
        availability: Option<Availability>,
        /// Unchanged if absent.
        labels: Option<Labels>,
    },
    /// Evicts a node: its tasks are placed elsewhere for good.
    RemoveNode {
        /// Which.
        id: NodeId,
        /// When.
        removal: Removal,
    },
    /// Makes an image known to the fleet by a name, or gives the name another one.
    PutImage {
        /// Its full name with a tag: `docker.io/library/app:1`.
        name: String,
        /// What it stands for.
        fact: ImageFact,
    },
    /// Takes a name of an image from the fleet; who has the bytes keeps them.
    RemoveImage {
        /// Its full name with a tag.
        name: String,
    },
    /// Gives up a volume that a node holds: its tasks may begin anew elsewhere. Nothing is deleted.
    GiveUpVolume {
        /// Who holds it.
        node: NodeId,
        /// Its name.
        name: String,
    },
    /// Gives a name that several services have to this one; each of the others gets a free one.
    TakeName {
        /// Which.
        id: ServiceId,
    },
    /// Makes a value of a conflict over one label the one that counts.
    PickLabel {
        /// Of which record.
        key: RecordKey,
        /// The label.
        label: String,
        /// The value's stamp.
        stamp: Stamp,
    },
    /// Makes a value of a conflict the one that counts.
    PickConflict {
        /// Of which record.
        key: RecordKey,
        /// Of which facet.
        facet: Facet,
        /// The value's stamp.
        stamp: Stamp,
    },
}

/// What an edit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// It made this service.
    Service(ServiceId),
    /// It is done.
    Done,
}

/// Why an edit was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A living service has the name.
    #[error(
        "name conflicts with an existing object: service {name} already exists ({id}); choose another name, or change it with `edgectl service update {name}`"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        id: ServiceId,
    },
    /// Not a name.
    #[error(
        "`{0}` is not a service name: 1 to 63 letters, digits, `-` and `_`, beginning and ending with a letter or digit, and no dot: `web.1` is a task of `web`; write it like web-1"
    )]
    BadName(String),
    /// No such service.
    #[error("service {0} not found; `edgectl service ls` lists them")]
    NoSuchService(ServiceId),
    /// No such node.
    #[error("node {0} not found; `edgectl node ls` lists them")]
    NoSuchNode(NodeId),
    /// No such volume.
    #[error("node {node} holds no volume {name}; `edgectl volume ls` lists them")]
    NoSuchVolume {
        /// Its host name.
        node: String,
        /// The name.
        name: String,
    },
    /// Somebody changed it meanwhile.
    #[error(
        "update out of sequence: it is at version {has}, not {expected}; read it again and repeat the change"
    )]
    OutOfSequence {
        /// As asked for.
        expected: u64,
        /// As it is.
        has: u64,
    },
    /// A constraint that does not parse.
    #[error(transparent)]
    BadConstraint(#[from] BadConstraint),
    /// A placeholder that does not exist.
    #[error(transparent)]
    BadPlaceholder(#[from] NoSuchPlaceholder),
    /// Not yet.
    #[error("{0} is not supported yet; leave it out")]
    NotYet(&'static str),
    /// There is nothing to run.
    #[error(
        "the service names no image to run; give one: edgectl service create --name web IMAGE [ARGS…]"
    )]
    NothingToRun,
    /// A slot number is 32 bits, and a mistyped number should not start a million processes.
    #[error("{0} replicas are more than {REPLICAS_MAX}, the most for one service")]
    TooManyReplicas(u32),
    /// A number beyond what a record may say: whoever got it would not read it.
    #[error("{0}; give less")]
    BeyondLimit(#[from] Unfit),
    /// A facet is larger than what the fleet passes on.
    #[error(
        "{what} takes {bytes} bytes, at most {} are possible; keep large files outside and name them",
        wire::VALUE_BYTES_MAX
    )]
    TooLarge {
        /// Which part of the specification.
        what: &'static str,
        /// Encoded.
        bytes: usize,
    },
    /// The node is alive.
    #[error(
        "node {name} is reachable; drain it and let it leave first (on it: edgectl swarm leave), or repeat with --force"
    )]
    NodeReachable {
        /// Its host name.
        name: String,
    },
    /// No such image.
    #[error("the fleet has no image {0} of its own; `edgectl image ls` lists what is there")]
    NoSuchImage(String),
    /// The conflict is gone.
    #[error("there is no such value in conflict; `edgectl conflicts` lists what there is")]
    NoSuchConflict,
    /// The node has left the fleet.
    #[error("this node has left the fleet; join one first: edgectl swarm join ADDRESS")]
    HasLeft,
}

impl ServiceSpec {
    /// Checks everything that can be checked without looking at the fleet.
    pub fn check(&self) -> Result<(), Refusal> {
        if !is_name(&self.name) {
            return Err(Refusal::BadName(self.name.clone()));
        }
        self.check_change(&self.name)
    }

    /// The same for a change of a service that has this name already: one that an older version let
    /// through stays until somebody changes it.
    pub fn check_change(&self, held: &str) -> Result<(), Refusal> {
        if self.name != held && !is_name(&self.name) {
            return Err(Refusal::BadName(self.name.clone()));
        }
        for constraint in &self.placement.constraints {
            Constraint::parse(constraint)?;
        }
        if !self.placement.preferences.is_empty() {
            return Err(Refusal::NotYet("a placement preference"));
        }
        let template = &self.template;
        if template.command.is_empty() && template.args.is_empty() && template.image.is_empty() {
            return Err(Refusal::NothingToRun);
        }
        check_size("the task template", template)?;
        check_size("the placement", &self.placement)?;
        check_size("the endpoint", &self.endpoint)?;
        check_size("the labels", &self.labels)?;
        match self.scale {
            Scale::Replicated { replicas } if replicas > REPLICAS_MAX => {
                Err(Refusal::TooManyReplicas(replicas))
            }
            _ => self.check_limits(),
        }
    }

    /// The limits that are asked of every record that arrives.
    fn check_limits(&self) -> Result<(), Refusal> {
        self.template.check()?;
        self.scale.check()?;
        self.placement.check()?;
        self.update_policy.check()?;
        self.endpoint.check()?;
        Ok(())
    }
}

/// Refuses a facet that no record may hold: writing it would be a bug.
pub(crate) fn check_size<T: Serialize>(what: &'static str, value: &T) -> Result<(), Refusal> {
    let bytes = wire::encode(value).len();
    if bytes > wire::VALUE_BYTES_MAX {
        return Err(Refusal::TooLarge { what, bytes });
    }
    Ok(())
}

/// Docker's rule for names of services: without dots, they are one label of a DNS name.
fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    (1..=limits::NAME_CHARS_MAX).contains(&name.len())
        && name.chars().all(inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_label_of_a_dns_name() {
        let longest = "a".repeat(63);
        for name in ["web", "a", "7", "web-1", "a_b", "WEB--_2", longest.as_str()] {
            assert!(is_name(name), "{name}");
        }
        let too_long = "a".repeat(64);
        for name in ["", "web.1", "a.b", "-web", "web-", "_a", "a b", "ü", too_long.as_str()] {
            assert!(!is_name(name), "{name}");
        }
    }
}
