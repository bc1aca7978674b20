//! Edits: what operators may change, and the refusals.
//!
//! Every check is local: an edit is never refused because a peer is silent. A refused edit has
//! changed nothing.

pub use crdt_state::limits::REPLICAS_MAX;

use crdt_state::client::ClientRole;
use crdt_state::fleet_key::FleetKeyFact;
use crdt_state::limits::Bounded;
use crdt_state::node::Availability;
use crdt_state::secret::Batch;
use crdt_state::spec::{Facet, Labels, Scale, StoredTemplate};
use crdt_state::stack::FileVersion;
use crdt_state::token::{JoinToken, TokenEnd, TokenId};
use crdt_state::{
    ClientId, ConfigId, ImageFact, NetworkId, NodeId, RecordKey, SecretId, ServiceId, Stamp, wire,
};
use serde::{Deserialize, Serialize};

pub(crate) mod autoscale;
pub mod client;
mod digest;
pub mod file;
pub(crate) mod fleet;
pub(crate) mod job;
mod name;
pub mod network;
pub mod partition;
mod refusal;
mod relation;
mod schedule;
mod service;
pub mod stack;
pub mod token;

pub use autoscale::BadAutoscale;
pub use digest::{BadDigest, PlanDigest};
pub use fleet::BadHistoryLimit;
pub use job::BadJob;
pub use partition::BadPartition;
pub use refusal::Refusal;
pub use relation::BadRelation;
pub use schedule::BadSchedule;
pub use service::ServiceSpec;

use file::{ConfigRequest, SecretRequest};
pub(crate) use name::is_name;
use network::NetworkRequest;
use stack::StackTurn;

use crate::affinity::Affinity;
use crate::constraint::Constraint;
use crate::preference::Preference;

/// How a rollout is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Steer {
    /// No further slot takes the new template.
    Pause,
    /// It goes on; slots that failed take the new template again.
    Resume,
    /// The slots after the first ones follow.
    Promote,
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
    /// Goes back to what a service was before its last update.
    RollBackService {
        /// Its id.
        id: ServiceId,
        /// Refuse the edit unless this is its version; `None`: accept any version.
        version: Option<u64>,
    },
    /// Says how the rollout of a service is to go on.
    SteerRollout {
        /// Of which service.
        id: ServiceId,
        /// How.
        steer: Steer,
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
    /// Evicts a node, and gives what operators set on it to another one.
    ReplaceNode {
        /// Its id.
        id: NodeId,
        /// The node in its place.
        by: NodeId,
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
    /// An edit that is refused unless a dry run of it has this digest.
    Expected {
        /// The digest.
        digest: PlanDigest,
        /// The edit.
        edit: Box<Edit>,
    },
    /// Changes settings of the whole fleet.
    UpdateFleet {
        /// Refuse the edit unless this is their version; `None`: accept any version.
        version: Option<u64>,
        /// How much of a slot's past is kept; unchanged if absent.
        task_history_limit: Option<i64>,
    },
    /// A new config.
    CreateConfig(Box<ConfigRequest>),
    /// Changes the labels of a config; its data never changes.
    UpdateConfig {
        /// Its id.
        id: ConfigId,
        /// Refuse the edit unless this is its version; `None`: accept any version.
        version: Option<u64>,
        /// All labels.
        labels: Labels,
    },
    /// Removes a config that no service uses.
    RemoveConfig {
        /// Its id.
        id: ConfigId,
    },
    /// Makes a client's certificate known to the fleet.
    AddClient {
        /// A hash of the certificate.
        id: ClientId,
        /// Whose it is.
        name: String,
        /// What it allows.
        role: ClientRole,
    },
    /// Puts another key of the fleet in the place of the one that counts. Standing tokens and clients'
    /// certificates, which follow from the key, end.
    RotateFleetKey {
        /// Which one it is.
        fact: FleetKeyFact,
        /// The key, wrapped for the members.
        keys: Batch,
    },
    /// Drops the keys of the fleet but for its first, and its unlock keys: it joins another fleet.
    EndFleetKeys,
    /// Every member seals what it keeps on its disk, by this key in the place of any other one: which
    /// one it is, and the key, wrapped for the members.
    SetUnlockKey(FleetKeyFact, Batch),
    /// Members keep everything unsealed again.
    EndUnlockKeys,
    /// Takes a client's certificate back.
    RevokeClient {
        /// A hash of the certificate.
        id: ClientId,
    },
    /// A node has this version of a stack's file, and asks what to do.
    TakeStack {
        /// The name of the stack.
        stack: String,
        /// The version.
        version: FileVersion,
        /// The version that it had when it asked last.
        before: Option<FileVersion>,
    },
    /// Everything is as this version of a stack's file says.
    StackMade {
        /// The name of the stack.
        stack: String,
        /// The version.
        version: FileVersion,
    },
    /// A new join token.
    CreateToken(Box<JoinToken>),
    /// A join token is not taken any more.
    EndToken {
        /// Its number.
        id: TokenId,
        /// Why.
        end: TokenEnd,
    },
    /// A machine has shown a join token to this node, and proved to know its secret.
    UseToken {
        /// Its number.
        id: TokenId,
        /// Who.
        joiner: NodeId,
    },
    /// Creates an object of a file that every node has: with the same id wherever that is done.
    FromFile {
        /// [`StackTurn::origin`].
        origin: [u8; 16],
        /// The edit that creates it.
        edit: Box<Edit>,
    },
    /// A new secret.
    CreateSecret(Box<SecretRequest>),
    /// Changes the labels of a secret; its data never changes.
    UpdateSecret {
        /// Its id.
        id: SecretId,
        /// Refuse the edit unless this is its version; `None`: accept any version.
        version: Option<u64>,
        /// All labels.
        labels: Labels,
    },
    /// Removes a secret that no service uses.
    RemoveSecret {
        /// Its id.
        id: SecretId,
    },
    /// A secret of the same name takes the place of one, also in every service that uses it.
    RotateSecret {
        /// The id of the old one, which is removed.
        id: SecretId,
        /// The new one; its name and labels, if it has none, are those of the old one.
        request: Box<SecretRequest>,
    },
}

/// What an edit did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edited {
    /// It created or changed this service.
    Service(ServiceId),
    /// It created this network.
    Network(NetworkId),
    /// It created or changed this config.
    Config(ConfigId),
    /// It created or changed this secret.
    Secret(SecretId),
    /// What a node is to do that has a version of a stack's file.
    Stack(StackTurn),
    /// It changed something else.
    Done,
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
        for rule in &self.relations.affinities.rules {
            Affinity::parse(rule)?;
        }
        let template = &self.template;
        if template.command.is_empty() && template.args.is_empty() && template.image.is_empty() {
            return Err(Refusal::NothingToRun);
        }
        file::check_files(template)?;
        job::check(self)?;
        partition::check(self)?;
        relation::check(self)?;
        schedule::check(self)?;
        autoscale::check(self)?;
        check_size("the task template", &StoredTemplate(template.clone()))?;
        check_size("what tasks have beyond the template", &template.extension.properties())?;
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
        self.relations.affinities.check()?;
        self.relations.depends_on.check()?;
        self.update_policy.check()?;
        self.update_rules.check()?;
        self.rollback_policy.check()?;
        self.partition.check()?;
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
