//! Edits: an operator's change becomes records, or is refused with nothing changed.
//!
//! Every check looks at this node's own state only; no peer is asked, ever.

use crdt_state::limits::Bounded;
use crdt_state::node::Availability;
use crdt_state::service::{self, Service};
use crdt_state::spec::{Facet, Labels, Life};
use crdt_state::{FleetImage, ImageFact, NodeId, Previous, Record, RecordKey, ServiceId, Stamp};
use gossip::MemberState;

use super::{Departure, Node};
use crate::edit::{Edit, Edited, Refusal, Removal, ServiceSpec, check_size};
use crate::expand::{self, Names};
use crate::tasks::is_healthy;

impl Node {
    pub(super) fn edit(&mut self, wall_ms: u64, edit: Edit) -> Result<Edited, Refusal> {
        if self.departure != Departure::None {
            return Err(Refusal::HasLeft);
        }
        match edit {
            Edit::CreateService(spec) => self.create_service(wall_ms, &spec),
            Edit::UpdateService { id, version, spec } => {
                self.update_service(wall_ms, id, version, &spec)
            }
            Edit::RemoveService { id } => self.remove_service(wall_ms, id),
            Edit::UpdateNode { id, version, availability, labels } => {
                self.check_node_version(id, version)?;
                check_size("the labels", &labels)?;
                self.update_node(wall_ms, id, availability, labels);
                Ok(Edited::Done)
            }
            Edit::RemoveNode { id, removal } => self.remove_node(wall_ms, id, removal),
            Edit::PutImage { name, fact } => self.put_image(wall_ms, &name, &fact),
            Edit::RemoveImage { name } => self.remove_image(wall_ms, &name),
            Edit::GiveUpVolume { node, name } => self.give_up_volume(wall_ms, node, &name),
            Edit::TakeName { id } => self.take_name(wall_ms, id),
            Edit::PickConflict { key, facet, stamp } => {
                self.pick_conflict(wall_ms, key, facet, stamp)
            }
            Edit::PickLabel { key, label, stamp } => self
                .replica
                .pick_label(key, &label, stamp, wall_ms)
                .map(|_| Edited::Done)
                .map_err(|_| Refusal::NoSuchConflict),
        }
    }

    fn create_service(&mut self, wall_ms: u64, spec: &ServiceSpec) -> Result<Edited, Refusal> {
        spec.check()?;
        if let Some(id) = service::name_owner(&self.replica, &spec.name) {
            return Err(Refusal::NameTaken { name: spec.name.clone(), id });
        }
        let created = self.replica.next_stamp();
        let id = new_service_id(created, &spec.name);
        self.check_placeholders(id, spec)?;
        let key = RecordKey::service(id);
        let life = Life::Present { name: spec.name.clone(), created };
        self.replica.edit(key, Facet::LIFE, &life, wall_ms);
        self.replica.edit(key, Facet::TEMPLATE, &spec.template, wall_ms);
        self.replica.edit(key, Facet::SCALE, &spec.scale, wall_ms);
        // Facets that say nothing are not written: defaults are applied when reading.
        if spec.placement != Default::default() {
            self.replica.edit(key, Facet::PLACEMENT, &spec.placement, wall_ms);
        }
        if spec.update_policy != Default::default() {
            self.replica.edit(key, Facet::UPDATE_POLICY, &spec.update_policy, wall_ms);
        }
        if spec.endpoint != Default::default() {
            self.replica.edit(key, Facet::ENDPOINT, &spec.endpoint, wall_ms);
        }
        if !spec.labels.is_empty() {
            self.replica.edit_labels(key, &spec.labels, wall_ms);
        }
        Ok(Edited::Service(id))
    }

    fn update_service(
        &mut self,
        wall_ms: u64,
        id: ServiceId,
        version: Option<u64>,
        spec: &ServiceSpec,
    ) -> Result<Edited, Refusal> {
        let held = self.living(id)?;
        check_version(version, held.version)?;
        spec.check_change(&held.name)?;
        self.check_placeholders(id, spec)?;
        let owner = service::name_owner(&self.replica, &spec.name);
        if let Some(id) = owner.filter(|_| spec.name != held.name) {
            return Err(Refusal::NameTaken { name: spec.name.clone(), id });
        }
        let key = RecordKey::service(id);
        if *spec != ServiceSpec::of(&held) {
            let previous: Option<Previous> = ServiceSpec::of(&held).into_previous().fitting();
            self.replica.edit(key, Facet::PREVIOUS, &previous, wall_ms);
        }
        if spec.name != held.name {
            let life = Life::Present { name: spec.name.clone(), created: held.created };
            self.replica.edit(key, Facet::LIFE, &life, wall_ms);
        }
        if spec.template != held.template {
            if self.is_proven(&held) {
                self.replica.edit(key, Facet::LAST_GOOD, &held.template, wall_ms);
            }
            self.replica.edit(key, Facet::TEMPLATE, &spec.template, wall_ms);
        }
        if spec.scale != held.scale {
            self.replica.edit(key, Facet::SCALE, &spec.scale, wall_ms);
        }
        if spec.placement != held.placement {
            self.replica.edit(key, Facet::PLACEMENT, &spec.placement, wall_ms);
        }
        if spec.update_policy != held.update_policy {
            self.replica.edit(key, Facet::UPDATE_POLICY, &spec.update_policy, wall_ms);
        }
        if spec.endpoint != held.endpoint {
            self.replica.edit(key, Facet::ENDPOINT, &spec.endpoint, wall_ms);
        }
        if spec.labels != held.labels {
            self.replica.edit_labels(key, &spec.labels, wall_ms);
        }
        Ok(Edited::Service(id))
    }

    /// Did the template of a service run healthy, and does no slot still run the one before it? What
    /// a node that is gone said last holds nothing up.
    fn is_proven(&self, service: &Service) -> bool {
        let records = self.catalog.tasks.get(&service.id).into_iter().flatten();
        let records = records.filter(|((_, node), _)| self.is_here(*node));
        let tasks = || records.clone().flat_map(|(_, record)| &record.tasks);
        let running =
            |version| tasks().any(|s| s.desired_running && s.template == version && is_healthy(s));
        let before = service.last_good.as_ref();
        running(service.template_version) && !before.is_some_and(|(good, _)| running(*good))
    }

    fn remove_service(&mut self, wall_ms: u64, id: ServiceId) -> Result<Edited, Refusal> {
        let key = RecordKey::service(id);
        // One that nobody can read can still be removed.
        let Some(Life::Present { .. }) = self.replica.life(&key) else {
            return Err(Refusal::NoSuchService(id));
        };
        self.replica.remove(key, wall_ms).expect("it exists");
        Ok(Edited::Done)
    }

    fn put_image(&mut self, wall_ms: u64, name: &str, fact: &ImageFact) -> Result<Edited, Refusal> {
        check_size("the image", fact)?;
        fact.check()?;
        let key = RecordKey::image(name);
        let held = FleetImage::named(&self.replica, name);
        if held.is_none() {
            let created = self.replica.next_stamp();
            let life = Life::Present { name: name.to_owned(), created };
            self.replica.edit(key, Facet::LIFE, &life, wall_ms);
        }
        if held.is_none_or(|held| held.fact != *fact) {
            self.replica.edit(key, Facet::IMAGE, fact, wall_ms);
        }
        Ok(Edited::Done)
    }

    fn remove_image(&mut self, wall_ms: u64, name: &str) -> Result<Edited, Refusal> {
        FleetImage::named(&self.replica, name)
            .ok_or_else(|| Refusal::NoSuchImage(name.to_owned()))?;
        self.replica.remove(RecordKey::image(name), wall_ms).expect("it was just read");
        Ok(Edited::Done)
    }

    pub(super) fn living(&self, id: ServiceId) -> Result<Service, Refusal> {
        Service::read(&self.replica, id).ok_or(Refusal::NoSuchService(id))
    }

    fn check_placeholders(&self, id: ServiceId, spec: &ServiceSpec) -> Result<(), Refusal> {
        let names = Names {
            service: id,
            service_name: &spec.name,
            service_labels: &spec.labels,
            node: self.me,
            hostname: "",
            task: crdt_state::TaskId([0; 16]),
            slot: crdt_state::task::Slot::Number(1),
        };
        expand::expand_template(&spec.template, &names)?;
        Ok(())
    }

    fn check_node_version(&self, id: NodeId, version: Option<u64>) -> Result<(), Refusal> {
        self.catalog.nodes.get(&id).filter(|node| !node.evicted).ok_or(Refusal::NoSuchNode(id))?;
        check_version(version, self.node_version(id))
    }

    /// The highest counter of what operators set on a node: Docker's `Version.Index`.
    pub fn node_version(&self, id: NodeId) -> u64 {
        let record = self.replica.record(&RecordKey::node_settings(id));
        let Some(record) = record.and_then(Record::as_shared) else { return 0 };
        let facets = [Facet::AVAILABILITY, Facet::LABELS, Facet::LABEL_CHANGES];
        let stamps = facets.into_iter().filter_map(|facet| record.winner(facet));
        stamps.map(|write| write.stamp.lamport).max().unwrap_or(0)
    }

    fn update_node(
        &mut self,
        wall_ms: u64,
        id: NodeId,
        availability: Option<Availability>,
        labels: Option<Labels>,
    ) {
        let key = RecordKey::node_settings(id);
        let held = self.catalog.nodes.get(&id).cloned().unwrap_or_default();
        if let Some(availability) = availability.filter(|wanted| *wanted != held.availability) {
            self.replica.edit(key, Facet::AVAILABILITY, &availability, wall_ms);
        }
        if let Some(labels) = labels.filter(|wanted| *wanted != held.labels) {
            self.replica.edit_labels(key, &labels, wall_ms);
        }
    }

    fn remove_node(
        &mut self,
        wall_ms: u64,
        id: NodeId,
        removal: Removal,
    ) -> Result<Edited, Refusal> {
        self.check_node_version(id, None)?;
        let gone = match self.gossip.member(id) {
            Some(member) => {
                matches!(member.state, MemberState::Unreachable | MemberState::Left)
            }
            None => id != self.me,
        };
        if !gone && removal == Removal::IfGone {
            return Err(Refusal::NodeReachable { name: self.hostname(id) });
        }
        let created = self.replica.next_stamp();
        let fact = Life::Present { name: self.hostname(id), created };
        self.replica.edit(RecordKey::eviction(id), Facet::LIFE, &fact, wall_ms);
        Ok(Edited::Done)
    }
}

fn check_version(expected: Option<u64>, has: u64) -> Result<(), Refusal> {
    match expected {
        Some(expected) if expected != has => Err(Refusal::OutOfSequence { expected, has }),
        _ => Ok(()),
    }
}

/// New for every creation: no writer has the same counter twice.
fn new_service_id(created: Stamp, name: &str) -> ServiceId {
    let mut hasher = blake3::Hasher::new_derive_key("edgectl service id 1");
    hasher.update(&created.lamport.to_be_bytes());
    hasher.update(&created.writer.node.0);
    hasher.update(&created.writer.store.0.to_be_bytes());
    hasher.update(name.as_bytes());
    ServiceId(crdt_state::id::first_16(&hasher.finalize()))
}
