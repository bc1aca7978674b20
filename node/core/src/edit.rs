//! Edits: what operators may change, and the refusals.
//!
//! Every check is local: an edit is never refused because a peer is silent. A refused edit has
//! changed nothing.

pub use crdt_state::limits::REPLICAS_MAX;

use crdt_state::limits::{Bounded, Unfit};
use crdt_state::network::Attachments;
use crdt_state::node::Availability;
use crdt_state::service::Service;
use crdt_state::spec::{Endpoint, Facet, Labels, Placement, Scale, Template, UpdatePolicy};
use crdt_state::{ImageFact, NetworkId, NodeId, Previous, RecordKey, ServiceId, Stamp, wire};
use serde::{Deserialize, Serialize};

pub(crate) mod job;
mod name;
pub mod network;

pub use job::BadJob;
use name::is_name;
use network::{BadNetwork, NetworkRequest};

use crate::constraint::{BadConstraint, Constraint};
use crate::expand::NoSuchPlaceholder;
use crate::preference::{BadPreference, Preference};

/// A service as an operator writes it: one value per facet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// Its name, unique among living services.
    pub name: String,
    /// What to run.
    pub template: Template,
    /// How many tasks.
    pub scale: Scale,
    /// Where to run them.
    pub placement: Placement,
    /// How an update proceeds.
    pub update_policy: UpdatePolicy,
    /// Ports.
    pub endpoint: Endpoint,
    /// Networks; none: that of the template.
    pub networks: Attachments,
    /// Names lead to the tasks, without a virtual address.
    pub by_name: bool,
    /// Labels.
    pub labels: Labels,
}

impl ServiceSpec {
    /// The specification of a service, as operators wrote it last.
    pub fn of(service: &Service) -> ServiceSpec {
        ServiceSpec {
            name: service.name.clone(),
            template: service.template.clone(),
            scale: service.scale,
            placement: service.placement.clone(),
            update_policy: service.update_policy.clone(),
            endpoint: service.endpoint.clone(),
            networks: service.networks.clone(),
            by_name: service.balancing.by_name,
            labels: service.labels.clone(),
        }
    }

    /// The specification of a service before its last edit, if it was edited and that is known.
    pub fn before(service: &Service) -> Option<ServiceSpec> {
        let Previous { name, template, scale, placement, update_policy, endpoint, labels } =
            service.previous.as_deref()?.clone();
        let (networks, by_name) = (service.previous_networks.clone(), service.balancing.by_name);
        Some(ServiceSpec {
            name,
            template,
            scale,
            placement,
            update_policy,
            endpoint,
            networks,
            by_name,
            labels,
        })
    }

    /// The form in which a specification is kept after an edit has replaced it.
    pub fn into_previous(self) -> Previous {
        let ServiceSpec { name, template, scale, placement, update_policy, .. } = self;
        let (endpoint, labels) = (self.endpoint, self.labels);
        Previous { name, template, scale, placement, update_policy, endpoint, labels }
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
        /// Its id.
        id: ServiceId,
        /// Refuse the edit unless this is its version; `None`: accept any version.
        version: Option<u64>,
        /// The new specification.
        spec: Box<ServiceSpec>,
    },
    /// Removes a service and stops its tasks.
    RemoveService {
        /// Its id.
        id: ServiceId,
    },
    /// Changes availability and labels of a node.
    UpdateNode {
        /// Its id.
        id: NodeId,
        /// Refuse the edit unless this is its version; `None`: accept any version.
        version: Option<u64>,
        /// Unchanged if absent.
        availability: Option<Availability>,
        /// Unchanged if absent.
        labels: Option<Labels>,
    },
    /// Evicts a node: its tasks are placed elsewhere for good.
    RemoveNode {
        /// Its id.
        id: NodeId,
        /// Under which condition.
        removal: Removal,
    },
    /// Makes an image known to the fleet by a name, or gives the name to another image.
    PutImage {
        /// Its full name with a tag: `docker.io/library/app:1`.
        name: String,
        /// The image that the name stands for.
        fact: ImageFact,
    },
    /// Removes the name of an image from the fleet; nodes that have the bytes keep them.
    RemoveImage {
        /// Its full name with a tag.
        name: String,
    },
    /// Gives up a volume that a node holds: its tasks may start on an empty volume elsewhere.
    /// Nothing is deleted.
    GiveUpVolume {
        /// The node that holds it.
        node: NodeId,
        /// Its name.
        name: String,
    },
    /// Gives a name that several services have to this one; every other service gets a free name.
    TakeName {
        /// Its id.
        id: ServiceId,
    },
    /// A new network.
    CreateNetwork(Box<NetworkRequest>),
    /// Removes a network that no service uses.
    RemoveNetwork {
        /// Its id.
        id: NetworkId,
    },
    /// Resolves a conflict over one label: this value counts from now on.
    PickLabel {
        /// Of which record.
        key: RecordKey,
        /// The label.
        label: String,
        /// The value's stamp.
        stamp: Stamp,
    },
    /// Resolves a conflict over one facet: this value counts from now on.
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
    /// It created or changed this service.
    Service(ServiceId),
    /// It created this network.
    Network(NetworkId),
    /// It changed something else.
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
        /// The service that has the name.
        id: ServiceId,
    },
    /// The text is not a valid name.
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
    /// It was changed since the operator read it.
    #[error(
        "update out of sequence: it is at version {has}, not {expected}; read it again and repeat the change"
    )]
    OutOfSequence {
        /// The version that the edit expected.
        expected: u64,
        /// The current version.
        has: u64,
    },
    /// A network, or what it asks for.
    #[error(transparent)]
    Network(#[from] BadNetwork),
    /// A job, or a change of one.
    #[error(transparent)]
    Job(#[from] BadJob),
    /// Another service publishes the port.
    #[error(
        "port {port}/{protocol} is already published by the service {service}; choose another number, or leave it out to have one chosen"
    )]
    PortTaken {
        /// The number.
        port: u16,
        /// `tcp`, `udp` or `sctp`.
        protocol: String,
        /// The other service's name.
        service: String,
    },
    /// All numbers that may be chosen are published.
    #[error(
        "no number from 30000 to 32767 is left for port {target}/{protocol}; give one: --publish NUMBER:{target}"
    )]
    NoPortLeft {
        /// `tcp`, `udp` or `sctp`.
        protocol: String,
        /// The port of the task.
        target: u16,
    },
    /// A constraint that does not parse.
    #[error(transparent)]
    BadConstraint(#[from] BadConstraint),
    /// A placeholder that does not exist.
    #[error(transparent)]
    BadPlaceholder(#[from] NoSuchPlaceholder),
    /// A placement preference that does not parse.
    #[error(transparent)]
    BadPreference(#[from] BadPreference),
    /// There is nothing to run.
    #[error(
        "the service names no image to run; give one: edgectl service create --name web IMAGE [ARGS…]"
    )]
    NothingToRun,
    /// A slot number is 32 bits, and a mistyped number should not start a million processes.
    #[error("{0} replicas are more than {REPLICAS_MAX}, the most for one service")]
    TooManyReplicas(u32),
    /// A number is beyond the limit of a record: other nodes would not read such a record.
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
        /// The size of its encoding.
        bytes: usize,
    },
    /// The node is reachable.
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
    /// The conflict does not exist, or is resolved already.
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

    /// The same checks for an edit of a service whose name is `held`. A name that an older version
    /// allowed stays until somebody changes it.
    pub fn check_change(&self, held: &str) -> Result<(), Refusal> {
        if self.name != held && !is_name(&self.name) {
            return Err(Refusal::BadName(self.name.clone()));
        }
        for constraint in &self.placement.constraints {
            Constraint::parse(constraint)?;
        }
        for preference in &self.placement.preferences {
            Preference::parse(preference)?;
        }
        let template = &self.template;
        if template.command.is_empty() && template.args.is_empty() && template.image.is_empty() {
            return Err(Refusal::NothingToRun);
        }
        job::check(self)?;
        check_size("the task template", template)?;
        check_size("the placement", &self.placement)?;
        check_size("the endpoint", &self.endpoint)?;
        check_size("the networks", &self.networks)?;
        check_size("the labels", &self.labels)?;
        match self.scale {
            Scale::Replicated { replicas } if replicas > REPLICAS_MAX => {
                Err(Refusal::TooManyReplicas(replicas))
            }
            _ => self.check_limits(),
        }
    }

    /// Checks the limits that every arriving record is checked against.
    fn check_limits(&self) -> Result<(), Refusal> {
        self.template.check()?;
        self.scale.check()?;
        self.placement.check()?;
        self.update_policy.check()?;
        self.endpoint.check()?;
        self.networks.check()?;
        Ok(())
    }
}

/// Refuses a facet that is too large for a record: writing it would be a bug.
pub(crate) fn check_size<T: Serialize>(what: &'static str, value: &T) -> Result<(), Refusal> {
    let bytes = wire::encode(value).len();
    if bytes > wire::VALUE_BYTES_MAX {
        return Err(Refusal::TooLarge { what, bytes });
    }
    Ok(())
}
