//! Why an edit is refused: what, why, and what to type.

use crdt_state::limits::{REPLICAS_MAX, Unfit};
use crdt_state::{NodeId, ServiceId, wire};

use super::autoscale::BadAutoscale;
use super::client::BadClient;
use super::digest::PlanDigest;
use super::file::BadFile;
use super::fleet::BadHistoryLimit;
use super::job::BadJob;
use super::network::BadNetwork;
use super::partition::BadPartition;
use super::relation::BadRelation;
use super::schedule::BadSchedule;
use super::token::BadToken;
use crate::affinity::BadAffinity;
use crate::constraint::BadConstraint;
use crate::expand::NoSuchPlaceholder;
use crate::preference::BadPreference;

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
    /// There is nothing to go back to.
    #[error("service {name} does not have a previous spec{hint}")]
    NothingToRollBack {
        /// Its name.
        name: String,
        /// Why, and what to do.
        hint: &'static str,
    },
    /// Nothing is rolled out that could be paused, resumed or promoted.
    #[error("{0}")]
    NothingToSteer(String),
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
    /// A join token.
    #[error(transparent)]
    Token(#[from] BadToken),
    /// Something about a client's certificate.
    #[error(transparent)]
    Client(#[from] BadClient),
    /// A config or a secret, or what a service does with one.
    #[error(transparent)]
    File(#[from] BadFile),
    /// A job, or a change of one.
    #[error(transparent)]
    Job(#[from] BadJob),
    /// A partition policy, or a change of one.
    #[error(transparent)]
    Partition(#[from] BadPartition),
    /// A schedule.
    #[error(transparent)]
    Schedule(#[from] BadSchedule),
    /// Autoscaling.
    #[error(transparent)]
    Autoscale(#[from] BadAutoscale),
    /// A setting of the fleet.
    #[error(transparent)]
    BadHistoryLimit(#[from] BadHistoryLimit),
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
    /// An affinity that does not parse.
    #[error(transparent)]
    BadAffinity(#[from] BadAffinity),
    /// What a service cannot have to do with another one.
    #[error(transparent)]
    BadRelation(#[from] BadRelation),
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
    /// A node cannot take its own place.
    #[error("node {0} cannot be replaced with itself; name the machine in its place: --with NODE")]
    SameNode(String),
    /// The node that is to take another one's place is not heard.
    #[error(
        "node {0} is not heard, and so it can take nobody's place; `edgectl node ls` lists who is"
    )]
    NodeSilent(String),
    /// No such image.
    #[error("the fleet has no image {0} of its own; `edgectl image ls` lists what is there")]
    NoSuchImage(String),
    /// The conflict does not exist, or is resolved already.
    #[error("there is no such value in conflict; `edgectl conflicts` lists what there is")]
    NoSuchConflict,
    /// Another edit than of a service or node.
    #[error("only changes of services and nodes have a dry run; leave out --dry-run and --expect")]
    NoDryRun,
    /// The edit would do something else than what the operator saw.
    #[error(
        "it would do something else than what --dry-run showed: the digest is {has} now; look again with --dry-run"
    )]
    Unexpected {
        /// The digest of what it would do.
        has: PlanDigest,
    },
    /// The node has left the fleet.
    #[error("this node has left the fleet; join one first: edgectl swarm join ADDRESS")]
    HasLeft,
}
