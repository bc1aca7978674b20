//! Limits of values: for an operator's edit and for a record that arrives.
//!
//! This is the one border between bytes and typed values. [`check`] decodes everything in a record
//! that this version reads, and compares every number, length and count with its limit. A record
//! that does not fit is [`Unfit`]: it stays in the replica, in the digest and on its way to others,
//! and nobody reads it. The result must depend on the record alone, so that every node reads equal
//! records alike. Every value that an edit accepts must fit, so a limit may be raised and never
//! lowered.

use serde::de::DeserializeOwned;

use crate::autoscale::{Autoscale, ScalingReports};
use crate::client::ClientRole;
use crate::condition::NodeConditions;
use crate::file::{FileClass, FilePart};
use crate::fleet::TaskHistory;
use crate::fleet_key::FleetKeyFact;
use crate::handover::Handovers;
use crate::image::ImageFact;
use crate::key::{Kind, RecordKey, task_subject};
use crate::network::{
    Attachments, Balancing, NetworkSpec, NodeNetworks, NodeTunnel, PickedPorts, SlotAddresses,
};
use crate::node::{Availability, NodeDescription};
use crate::partition::{Grants, Partition};
use crate::previous::Previous;
use crate::record::{OwnedRecord, Record, SharedRecord};
use crate::relation::{Affinities, DependsOn, SlotOrder};
use crate::resource::NamedResources;
use crate::rollout::{RollbackPolicy, RolloutReports, Steering, UpdateRules};
use crate::schedule::Scheduled;
use crate::spec::extension::{EarlierExtensions, Properties};
use crate::spec::{
    Container, Endpoint, Facet, HealthCheck, Labels, Life, MountSource, Placement, RestartPolicy,
    Scale, StoredTemplate, Template, UpdatePolicy,
};
use crate::stack::StackFile;
use crate::task::TaskRecord;
use crate::token::{JoinToken, TokenEnd, TokenUses};
use crate::volume::{GivenUp, NodeVolumes};
use crate::wire;

mod autoscale;
mod clients;
mod extensions;
mod files;
mod fleet;
mod jobs;
mod networks;
mod nodes;
mod partition;
mod placement;
mod relations;
mod rollouts;
mod stacks;
mod tasks;
mod tokens;

pub use autoscale::SCALED_SERVICES_MAX;
pub use clients::CLIENT_NAME_CHARS_MAX;
pub use extensions::EXTENSION_BYTES_MAX;
pub use files::{FILE_NAME_CHARS_MAX, FILES_MAX};
pub use placement::PREFERENCES_MAX;

/// The most replicas of one service, and the highest number of a slot: the planner's budget is
/// 100,000 tasks.
pub const REPLICAS_MAX: u32 = 100_000;

/// The longest duration, in milliseconds: Docker's 63 bits of nanoseconds, 292 years, rounded up.
pub const DURATION_MS_MAX: u64 = (i64::MAX as u64).div_ceil(1_000_000);

/// The largest amount of memory, processors, processes or countable things: Docker's 63 bits.
pub const AMOUNT_MAX: u64 = i64::MAX as u64;

/// Characters of a service's name: Docker's.
pub const NAME_CHARS_MAX: usize = 63;

/// Bytes of a node's host name, platform, version or address. A host name has at most 64, a DNS
/// name 253.
pub const WORD_BYTES_MAX: usize = 255;

/// Bytes of the name of an image: registry 255, repository 255, tag 128, the rest is reserve.
pub const IMAGE_NAME_BYTES_MAX: usize = 1_024;

/// Addresses of one node: an agent announces eight.
pub const ADDRESSES_MAX: usize = 64;

/// Tasks in the record of a slot: at most fifty past ones, and one for each template whose task is not
/// past yet.
pub const TASKS_MAX: usize = 64;

/// Past attempts of a task: a node keeps at most fifty in a slot.
pub const ATTEMPTS_MAX: usize = 64;

/// Bytes of the message of an attempt: 512, and the prefix that is put in front.
pub const MESSAGE_BYTES_MAX: usize = 1_024;

/// Networks of one service, and of one node with blocks; ranges, reserved addresses or routes of
/// one of them.
pub const NETWORKS_MAX: usize = 1_024;

/// The highest number of a network in VXLAN: 24 bits.
pub const VNI_MAX: u32 = (1 << 24) - 1;

/// Why a record, or a value of it, is not read. The record itself is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The bytes were written by another version, or are no encoding at all.
    #[error("{0} cannot be read by this version")]
    Unreadable(&'static str),
    /// A number, a length or a count is above its limit.
    #[error("{what} is {value}, at most {most} is possible")]
    TooMuch {
        /// The name of the quantity.
        what: &'static str,
        /// The value in the record.
        value: u64,
        /// The limit.
        most: u64,
    },
    /// A word or a number that no edit writes.
    #[error("{0} is none that there is")]
    NoSuch(&'static str),
    /// The value names another node, service or slot than the record's key.
    #[error("it speaks of another node, service or slot than its key")]
    Misfiled,
    /// This node failed while it applied the record, and will try it again soon.
    #[error("this agent failed while it applied it, and begins with it anew")]
    HeldBack,
    /// This node failed twice while it applied the record.
    #[error("this agent failed twice while it applied it")]
    SetAside,
}

impl Unfit {
    /// The reason as the label of a counter.
    pub fn as_str(self) -> &'static str {
        match self {
            Unfit::Unreadable(_) => "unreadable",
            Unfit::TooMuch { .. } => "too_much",
            Unfit::NoSuch(_) => "no_such",
            Unfit::Misfiled => "misfiled",
            Unfit::HeldBack => "held_back",
            Unfit::SetAside => "set_aside",
        }
    }
}

/// A value that has limits.
pub trait Bounded {
    /// Is every part of the value within its limits?
    fn check(&self) -> Result<(), Unfit>;
}

/// Does everything in a record that this version reads decode, and is it within its limits? Of a
/// removed record only the life is read. Kinds and facets that this version does not know always
/// fit.
pub fn check(key: &RecordKey, record: &Record) -> Result<(), Unfit> {
    match record {
        Record::Shared(record) => check_shared(key.kind, record),
        Record::Owned(record) => check_owned(key.kind, record),
    }
}

fn check_shared(kind: Kind, record: &SharedRecord) -> Result<(), Unfit> {
    let winner = |facet| record.winner(facet).map(|write| write.value.as_slice());
    if let Some(value) = winner(Facet::LIFE) {
        check_facet(kind, Facet::LIFE, value)?;
        if matches!(wire::decode(value), Ok(Life::Removed { .. })) {
            return Ok(());
        }
    }
    let facets = record.facets().filter_map(|(facet, _)| Some((facet, winner(facet)?)));
    facets.into_iter().try_for_each(|(facet, value)| check_facet(kind, facet, value))
}

/// The same check for one value of a facet, the winning one or another.
pub fn check_facet(kind: Kind, facet: Facet, value: &[u8]) -> Result<(), Unfit> {
    match (kind, facet) {
        (Kind::SERVICE, Facet::LIFE) => check_service_name(&read("the life", value)?),
        (Kind::NETWORK, Facet::LIFE) => check_service_name(&read("the life", value)?),
        (Kind::CONFIG | Kind::SECRET, Facet::LIFE) => files::check_name(&read("the life", value)?),
        (Kind::CONFIG, Facet::FILE) => files::check_spec(FileClass::Config, value),
        (Kind::SECRET, Facet::FILE) => files::check_spec(FileClass::Secret, value),
        (Kind::CONFIG, Facet::TEMPLATE_FILE) => files::check_template(FileClass::Config, value),
        (Kind::SECRET, Facet::TEMPLATE_FILE) => files::check_template(FileClass::Secret, value),
        (Kind::CONFIG_PART | Kind::SECRET_PART, Facet::FILE_PART) => {
            fit::<FilePart>("a part of the data", value)
        }
        (Kind::NETWORK, Facet::NETWORK) => fit::<NetworkSpec>("the network", value),
        (Kind::SERVICE, Facet::NETWORKS | Facet::PREVIOUS_NETWORKS) => {
            fit::<Attachments>("the networks", value)
        }
        (Kind::SERVICE, Facet::BALANCING) => fit::<Balancing>("the balancing", value),
        (Kind::IMAGE | Kind::EVICTION, Facet::LIFE) => check_life(&read("the life", value)?),
        (Kind::SERVICE, Facet::TEMPLATE) => fit::<StoredTemplate>("the template", value),
        (Kind::SERVICE, Facet::LAST_GOOD) => fit::<StoredTemplate>("the last good template", value),
        (Kind::SERVICE, Facet::TEMPLATE_EXTENSION) => {
            fit::<Properties>("what tasks have beyond the template", value)
        }
        (Kind::SERVICE, Facet::EARLIER_EXTENSIONS) => {
            fit::<EarlierExtensions>("what tasks had beyond earlier templates", value)
        }
        (Kind::SERVICE, Facet::PREVIOUS) => fit::<Option<Previous>>("the previous spec", value),
        (Kind::SERVICE, Facet::SCALE) => fit::<Scale>("the scale", value),
        (Kind::SERVICE, Facet::PLACEMENT) => fit::<Placement>("the placement", value),
        (Kind::SERVICE, Facet::UPDATE_POLICY) => fit::<UpdatePolicy>("the update policy", value),
        (Kind::SERVICE, Facet::UPDATE_RULES) => fit::<UpdateRules>("the update rules", value),
        (Kind::SERVICE, Facet::ROLLBACK_POLICY) => {
            fit::<RollbackPolicy>("the rollback policy", value)
        }
        (Kind::SERVICE, Facet::PARTITION) => fit::<Partition>("the partition policy", value),
        (Kind::SERVICE, Facet::STEERING) => {
            read::<Steering>("what is said of a rollout", value).map(|_| ())
        }
        (Kind::SERVICE, Facet::SCHEDULE) => fit::<Option<Scheduled>>("the schedule", value),
        (Kind::SERVICE, Facet::AUTOSCALE) => fit::<Option<Autoscale>>("the autoscaling", value),
        (Kind::SERVICE, Facet::AFFINITY) => fit::<Affinities>("the affinities", value),
        (Kind::SERVICE, Facet::DEPENDS_ON) => fit::<DependsOn>("what it depends on", value),
        (Kind::SERVICE, Facet::SLOT_ORDER) => {
            read::<SlotOrder>("the order of its slots", value).map(|_| ())
        }
        (Kind::SERVICE, Facet::ENDPOINT) => fit::<Endpoint>("the endpoint", value),
        (
            Kind::SERVICE | Kind::NETWORK | Kind::CONFIG | Kind::SECRET | Kind::NODE_SETTINGS,
            Facet::LABELS,
        ) => read::<Labels>("the labels", value).map(|_| ()),
        (Kind::NODE_SETTINGS, Facet::AVAILABILITY) => {
            read::<Availability>("the availability", value).map(|_| ())
        }
        (Kind::NODE_SETTINGS, Facet::VOLUMES_GIVEN_UP) => {
            read::<GivenUp>("the volumes given up", value).map(|_| ())
        }
        (Kind::FLEET_SETTINGS, Facet::TASK_HISTORY) => fit::<TaskHistory>("the history", value),
        (Kind::STACK, Facet::STACK) => fit::<StackFile>("the version of a stack", value),
        (Kind::TOKEN, Facet::TOKEN) => fit::<JoinToken>("the join token", value),
        (Kind::TOKEN, Facet::TOKEN_END) => {
            read::<TokenEnd>("the end of a token", value).map(|_| ())
        }
        (Kind::CLIENT, Facet::LIFE) => clients::check_name(&read("the life", value)?),
        (Kind::CLIENT, Facet::CLIENT_ROLE) => read::<ClientRole>("the role", value).map(|_| ()),
        (Kind::FLEET_KEY | Kind::UNLOCK_KEY, Facet::FLEET_KEY) => {
            read::<FleetKeyFact>("which key of the fleet it is", value).map(|_| ())
        }
        (Kind::IMAGE, Facet::IMAGE) => fit::<ImageFact>("the image", value),
        _ => Ok(()),
    }
}

fn check_owned(kind: Kind, record: &OwnedRecord) -> Result<(), Unfit> {
    let Some(value) = &record.value else { return Ok(()) };
    match kind {
        Kind::NODE
        | Kind::VOLUMES
        | Kind::HANDOVERS
        | Kind::CONDITIONS
        | Kind::NODE_NETWORKS
        | Kind::TUNNEL
        | Kind::PICKED_PORTS
        | Kind::ROLLOUTS
        | Kind::NAMED_RESOURCES
        | Kind::GRANTS
        | Kind::SCALING
        | Kind::TOKEN_USES
            if !record.subject.is_empty() =>
        {
            Err(Unfit::Misfiled)
        }
        Kind::NODE => fit::<NodeDescription>("the description of a node", value),
        Kind::VOLUMES => read::<NodeVolumes>("the volumes", value)?
            .keys()
            .try_for_each(|name| at_most("the name of a volume", name.len(), WORD_BYTES_MAX)),
        Kind::CONDITIONS => read::<NodeConditions>("the conditions", value).map(|_| ()),
        Kind::NODE_NETWORKS => fit::<NodeNetworks>("what a node says of networks", value),
        Kind::TUNNEL => fit::<NodeTunnel>("what a node says of its tunnel", value),
        Kind::PICKED_PORTS => fit::<PickedPorts>("the ports that a node picked", value),
        Kind::ROLLOUTS => fit::<RolloutReports>("what a node says of rollouts", value),
        Kind::NAMED_RESOURCES => fit::<NamedResources>("the names of resources", value),
        Kind::GRANTS => fit::<Grants>("the leases that a node gave out", value),
        Kind::SCALING => fit::<ScalingReports>("what a node says of its load", value),
        Kind::TOKEN_USES => fit::<TokenUses>("the tokens that a node took", value),
        Kind::ADDRESSES => {
            let said: SlotAddresses = read("the addresses of a slot", value)?;
            let is_its_own = said.node == record.owner()
                && record.subject == task_subject(said.service, said.slot);
            if is_its_own { said.check() } else { Err(Unfit::Misfiled) }
        }
        Kind::HANDOVERS => read::<Handovers>("the handovers", value).map(|_| ()),
        Kind::TASK => {
            let said: TaskRecord = read("what a node says of a slot", value)?;
            let is_its_own = said.node == record.owner()
                && record.subject == task_subject(said.service, said.slot);
            if is_its_own { said.check() } else { Err(Unfit::Misfiled) }
        }
        Kind::COMPLETIONS => jobs::check(record, value),
        Kind::SCHEDULED_RUNS => jobs::check_runs(record, value),
        Kind::SECRET_KEYS => files::check_keys(record, value),
        _ => Ok(()),
    }
}

fn read<T: DeserializeOwned>(what: &'static str, value: &[u8]) -> Result<T, Unfit> {
    wire::decode(value).map_err(|_| Unfit::Unreadable(what))
}

fn fit<T: DeserializeOwned + Bounded>(what: &'static str, value: &[u8]) -> Result<(), Unfit> {
    read::<T>(what, value)?.check()
}

fn number(what: &'static str, value: u64, most: u64) -> Result<(), Unfit> {
    if value > most { Err(Unfit::TooMuch { what, value, most }) } else { Ok(()) }
}

fn at_most(what: &'static str, value: usize, most: usize) -> Result<(), Unfit> {
    let as_number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    number(what, as_number(value), as_number(most))
}

fn duration(what: &'static str, ms: u64) -> Result<(), Unfit> {
    number(what, ms, DURATION_MS_MAX)
}

/// Must not be stricter than the check of an edit in any version: letters, digits and three signs.
/// The name of a removed service is not checked.
fn check_service_name(life: &Life) -> Result<(), Unfit> {
    let Life::Present { name, .. } = life else { return Ok(()) };
    at_most("the length of the name", name.len(), NAME_CHARS_MAX)?;
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let is_name = !name.is_empty() && name.chars().all(is_inner);
    is_name.then_some(()).ok_or(Unfit::NoSuch("the name"))
}

fn check_life(life: &Life) -> Result<(), Unfit> {
    let Life::Present { name, .. } = life else { return Ok(()) };
    at_most("the length of the name", name.len(), IMAGE_NAME_BYTES_MAX)
}

impl Bounded for Template {
    fn check(&self) -> Result<(), Unfit> {
        duration("the stop grace period", self.stop_grace_ms)?;
        self.health.as_ref().map_or(Ok(()), HealthCheck::check)?;
        self.restart.check()?;
        self.limits.check()?;
        self.reservations.check()?;
        self.container.check()?;
        self.extension.check()
    }
}

impl Bounded for HealthCheck {
    fn check(&self) -> Result<(), Unfit> {
        duration("the health interval", self.interval_ms)?;
        duration("the health timeout", self.timeout_ms)?;
        duration("the health start period", self.start_period_ms)?;
        duration("the health start interval", self.start_interval_ms)
    }
}

impl Bounded for RestartPolicy {
    fn check(&self) -> Result<(), Unfit> {
        duration("the restart delay", self.delay_ms)?;
        duration("the restart window", self.window_ms)
    }
}

impl Bounded for Container {
    fn check(&self) -> Result<(), Unfit> {
        if !(-1_000..=1_000).contains(&self.oom_score_adj) {
            return Err(Unfit::NoSuch("the OOM score"));
        }
        if self.ulimits.iter().any(|limit| limit.soft < -1 || limit.hard < -1) {
            return Err(Unfit::NoSuch("a ulimit below -1"));
        }
        for mount in &self.mounts {
            if let MountSource::Tmpfs { size_bytes, mode } = &mount.source {
                number("the size of a tmpfs", *size_bytes, AMOUNT_MAX)?;
                number("the mode of a tmpfs", u64::from(*mode), 0o7777)?;
            }
        }
        Ok(())
    }
}

impl Bounded for Endpoint {
    fn check(&self) -> Result<(), Unfit> {
        let protocols = ["tcp", "udp", "sctp"];
        let is_known = |protocol: &str| protocols.contains(&protocol);
        let are_known = self.ports.iter().all(|port| is_known(&port.protocol));
        are_known.then_some(()).ok_or(Unfit::NoSuch("the protocol of a port"))
    }
}

impl Bounded for ImageFact {
    fn check(&self) -> Result<(), Unfit> {
        number("the size of the image", self.size_bytes, AMOUNT_MAX)?;
        at_most("the length of the digest", self.digest.len(), WORD_BYTES_MAX)
    }
}
