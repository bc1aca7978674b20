//! What this node writes about itself: its description, its volumes, its conditions.
//!
//! A record is written only if it differs from what the node wrote last. This code must never write
//! a record of another node.

use crdt_state::condition::NodeConditions;
use crdt_state::node::NodeDescription;
use crdt_state::read;
use crdt_state::replica::Replica;
use crdt_state::resource::NamedResources;
use crdt_state::spec::{Facet, Labels, Resources};
use crdt_state::volume::{self, NodeVolumes};
use crdt_state::{NodeId, RecordKey};
use gossip::Now;
use serde::{Deserialize, Serialize};

use crate::conditions::Conditions;
use crate::departure::Departure;
use crate::devices::FoundDevices;

/// What a node knows of itself when it starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NodeFacts {
    /// Host name.
    pub hostname: String,
    /// Operating system: `linux`.
    pub os: String,
    /// Architecture, in Docker's spelling: `x86_64`, `aarch64`, `armv7l`.
    pub arch: String,
    /// The resources of the machine.
    pub resources: Resources,
    /// The names of those generic resources that have names, also counted in `resources`.
    #[serde(default)]
    pub named_resources: NamedResources,
    /// The devices that were found, of the kinds that are looked for.
    #[serde(default)]
    pub devices: FoundDevices,
    /// Labels from the config file.
    pub engine_labels: Labels,
    /// Version of the agent.
    pub engine_version: String,
    /// The addresses where it listens, best first.
    pub addresses: Vec<String>,
}

/// What this node reports about itself.
pub struct OwnRecords {
    me: NodeId,
    facts: NodeFacts,
    /// The names of devices that it offers besides what its configuration declares.
    offered: NamedResources,
    /// The volumes on this node's disk, once the disk was read.
    volumes: Option<NodeVolumes>,
    conditions: Conditions,
}

impl OwnRecords {
    /// With `volumes: None`, the disk was not read yet: the node reports no volumes.
    pub fn new(me: NodeId, facts: NodeFacts, volumes: Option<NodeVolumes>) -> OwnRecords {
        OwnRecords {
            me,
            facts,
            offered: NamedResources::new(),
            volumes,
            conditions: Conditions::default(),
        }
    }

    /// Writes what this node is, and whether it leaves the fleet.
    pub fn write_description(&self, replica: &mut Replica, departure: &Departure, wall_ms: u64) {
        let key = RecordKey::node(self.me);
        let held = replica.owned::<NodeDescription>(&key).map(|(_, description)| description);
        let joined = held.map_or_else(|| replica.next_stamp(), |description| description.joined);
        let facts = self.facts.clone();
        let (mut resources, mut named) = (facts.resources, facts.named_resources);
        for (kind, names) in &self.offered {
            resources.generic.insert(kind.clone(), names.len() as u64);
            named.insert(kind.clone(), names.clone());
        }
        let description = NodeDescription {
            hostname: facts.hostname,
            os: facts.os,
            arch: facts.arch,
            resources,
            engine_labels: facts.engine_labels,
            engine_version: facts.engine_version,
            addresses: facts.addresses,
            joined,
            left: departure.has_begun(),
        };
        replica.put_owned(key, &description, wall_ms);
        if named != read::named_resources_of(replica, self.me) {
            replica.put_owned(RecordKey::named_resources(self.me), &named, wall_ms);
        }
    }

    /// The machine is reached by these addresses now, best first.
    pub fn on_addresses_found(&mut self, found: Vec<String>) {
        self.facts.addresses = found;
    }

    /// These devices are offered now.
    pub fn on_devices_offered(&mut self, offered: NamedResources) {
        self.offered = offered;
    }

    /// The disk was read: it has these volumes.
    pub fn on_volumes_found(&mut self, found: NodeVolumes) {
        self.volumes = Some(found);
    }

    /// Writes which volumes this node holds. A volume that it reported before and does not find is
    /// reported as missing: a disk that is not mounted must not look like an empty one.
    pub fn write_volumes(&self, replica: &mut Replica, wall_ms: u64) {
        let Some(found) = &self.volumes else { return };
        let reported = read::volumes_of(replica, self.me);
        let merged = volume::merge_found(&reported, found);
        if merged != reported {
            replica.put_owned(RecordKey::volumes(self.me), &merged, wall_ms);
        }
    }

    /// A volume was removed from the disk by an operator: it is not missing.
    pub fn on_volume_removed(&mut self, replica: &mut Replica, name: &str, wall_ms: u64) {
        if let Some(found) = &mut self.volumes {
            found.remove(name);
        }
        let mut reported = read::volumes_of(replica, self.me);
        let Some(fact) = reported.remove(name) else { return };
        replica.put_owned(RecordKey::volumes(self.me), &reported, wall_ms);
        let mut given_up = read::given_up(replica, self.me);
        if given_up.remove(&fact.id) {
            let key = RecordKey::node_settings(self.me);
            replica.edit(key, Facet::VOLUMES_GIVEN_UP, &given_up, wall_ms);
        }
    }

    /// The machine was checked: these are all conditions that it has now.
    pub fn on_conditions_found(&mut self, now: Now, found: &NodeConditions) {
        self.conditions.observe(now, found);
    }

    /// When a condition is due to be reported, or is over.
    pub fn conditions_deadline(&self) -> Now {
        self.conditions.deadline()
    }

    /// Advances the conditions to `now`.
    pub fn on_conditions_due(&mut self, now: Now) {
        self.conditions.handle_due(now);
    }

    /// Writes the conditions that keep this node from starting tasks. Returns the conditions that
    /// began or ended, each with a text; `None` if nothing changed.
    pub fn write_conditions(
        &self,
        replica: &mut Replica,
        wall_ms: u64,
    ) -> Option<Vec<(String, String)>> {
        let reported = self.conditions.said();
        let before = read::conditions_of(replica, self.me);
        if reported == before {
            return None;
        }
        replica.put_owned(RecordKey::conditions(self.me), &reported, wall_ms);
        let began = reported.iter().filter(|(word, _)| !before.contains_key(*word));
        let ended = before.iter().filter(|(word, _)| !reported.contains_key(*word));
        let changed = began.map(|(word, text)| (word.clone(), text.clone()));
        let changed = changed.chain(ended.map(|(word, _)| (word.clone(), "over".to_owned())));
        Some(changed.collect())
    }
}
