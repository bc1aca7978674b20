//! The editor: an operator's edit becomes changed records, or is refused with nothing changed.
//!
//! Every check looks at the state of this node only; no peer is ever asked.

use crdt_state::limits::Bounded;
use crdt_state::read;
use crdt_state::relation::Relations;
use crdt_state::replica::Replica;
use crdt_state::service::{self, Service};
use crdt_state::spec::{Facet, Life};
use crdt_state::{FleetImage, ImageFact, Kind, NodeId, RecordKey, ServiceId, Stamp};
use gossip::{Gossip, Now};

use crate::catalog::Catalog;
use crate::edit::autoscale::check_replicas;
use crate::edit::{Edit, Edited, Refusal, ServiceSpec, Steer, check_size, job};
use crate::expand::{self, Names};
use crate::planner::Planner;
use crate::tasks::is_healthy;

mod autoscale;
mod clients;
mod files;
mod fleet;
mod fleet_keys;
mod ids;
mod names;
mod networks;
mod nodes;
mod partition;
mod ports;
mod relations;
mod rollouts;
mod schedules;
mod secrets;
mod stacks;
mod templates;
mod tokens;

pub(crate) use secrets::add_keys;

/// One edit of one node's records.
pub struct Editor<'a> {
    /// This node.
    pub me: NodeId,
    /// The monotonic time.
    pub now: Now,
    /// The time of day that the changed records carry, milliseconds since 1970.
    pub wall_ms: u64,
    /// What is edited.
    pub replica: &'a mut Replica,
    /// The records as they are before the edit.
    pub planner: &'a Planner,
    /// The members, and which of them are reachable.
    pub gossip: &'a Gossip,
    /// What the ids of new objects follow from, if they are of a file that every node has.
    pub origin: Option<[u8; 16]>,
}

impl Editor<'_> {
    /// Makes the edit, or refuses it and changes nothing.
    pub fn apply(mut self, edit: Edit) -> Result<Edited, Refusal> {
        match edit {
            Edit::CreateService(spec) => self.create_service(&spec),
            Edit::UpdateService { id, version, spec } => self.update_service(id, version, &spec),
            Edit::RollBackService { id, version } => self.roll_back(id, version),
            Edit::SteerRollout { id, steer } => self.steer(id, steer),
            Edit::RemoveService { id } => self.remove_service(id),
            Edit::UpdateNode { id, version, availability, labels } => {
                self.check_node_version(id, version)?;
                check_size("the labels", &labels)?;
                self.update_node(id, availability, labels);
                Ok(Edited::Done)
            }
            Edit::RemoveNode { id, removal } => self.remove_node(id, removal),
            Edit::ReplaceNode { id, by, removal } => self.replace_node(id, by, removal),
            Edit::UpdateFleet { version, task_history_limit } => {
                self.update_fleet(version, task_history_limit)
            }
            Edit::PutImage { name, fact } => self.put_image(&name, &fact),
            Edit::RemoveImage { name } => self.remove_image(&name),
            Edit::GiveUpVolume { node, name } => self.give_up_volume(node, &name),
            Edit::CreateNetwork(request) => self.create_network(&request),
            Edit::RemoveNetwork { id } => self.remove_network(id),
            Edit::CreateConfig(request) => self.create_config(&request),
            Edit::AddClient { id, name, role } => self.add_client(id, name, role),
            Edit::RevokeClient { id } => self.revoke_client(id),
            Edit::RotateFleetKey { fact, keys } => self.rotate_fleet_key(fact, keys),
            Edit::EndFleetKeys => Ok(self.end_fleet_keys(&Kind::FOR_EVERY_MEMBER)),
            Edit::SetUnlockKey(fact, keys) => Ok(self.set_unlock_key(fact, keys)),
            Edit::EndUnlockKeys => Ok(self.end_fleet_keys(&[Kind::UNLOCK_KEY])),
            Edit::UpdateConfig { id, version, labels } => {
                self.update_file(id.into(), version, &labels)
            }
            Edit::RemoveConfig { id } => self.remove_file(id.into()),
            Edit::CreateSecret(request) => self.create_secret(&request),
            Edit::UpdateSecret { id, version, labels } => {
                self.update_file(id.into(), version, &labels)
            }
            Edit::RemoveSecret { id } => self.remove_file(id.into()),
            Edit::RotateSecret { id, request } => self.rotate_secret(id, *request),
            Edit::TakeName { id } => self.take_name(id),
            Edit::PickConflict { key, facet, stamp } => self.pick_conflict(key, facet, stamp),
            // What is expected of it was checked by the node.
            Edit::Expected { edit, .. } => self.apply(*edit),
            Edit::TakeStack { stack, version, before } => self.take_stack(&stack, version, before),
            Edit::StackMade { stack, version } => self.stack_made(&stack, version),
            Edit::CreateToken(token) => self.create_token(&token),
            Edit::EndToken { id, end } => self.end_token(id, end),
            Edit::UseToken { id, joiner } => self.use_token(id, joiner),
            Edit::FromFile { origin, edit } => {
                self.origin = Some(origin);
                self.apply(*edit)
            }
            Edit::PickLabel { key, label, stamp } => self
                .replica
                .pick_label(key, &label, stamp, self.wall_ms)
                .map(|_| Edited::Done)
                .map_err(|_| Refusal::NoSuchConflict),
        }
    }

    fn create_service(&mut self, spec: &ServiceSpec) -> Result<Edited, Refusal> {
        spec.check()?;
        if let Some(id) = service::name_owner(self.replica, &spec.name) {
            return Err(Refusal::NameTaken { name: spec.name.clone(), id });
        }
        let key = |id| RecordKey::service(ServiceId(id));
        let id = ServiceId(self.new_id("edgectl service id 1", &spec.name, key));
        self.check_placeholders(id, spec)?;
        let endpoint = self.endpoint(id, spec, None)?;
        let spec = &ServiceSpec { endpoint, ..spec.clone() };
        self.check_aliases(id, spec, None)?;
        self.check_files(&spec.template, None)?;
        self.check_networks(&spec.networks, &[])?;
        self.check_anchors(&spec.partition, None)?;
        self.check_relations(spec, None)?;
        check_replicas(spec, None)?;
        let balancing = self.balancing(id, spec, None);
        let key = RecordKey::service(id);
        let created = self.replica.next_stamp();
        let life = Life::Present { name: spec.name.clone(), created };
        self.replica.edit(key, Facet::LIFE, &life, self.wall_ms);
        self.write_template(key, &spec.template);
        self.replica.edit(key, Facet::SCALE, &spec.scale, self.wall_ms);
        // Facets with default values are not written: defaults are applied when reading.
        if spec.placement != Default::default() {
            self.replica.edit(key, Facet::PLACEMENT, &spec.placement, self.wall_ms);
        }
        self.write_relations(key, &spec.relations, &Relations::default());
        if spec.update_policy != Default::default() {
            self.replica.edit(key, Facet::UPDATE_POLICY, &spec.update_policy, self.wall_ms);
        }
        if spec.update_rules != Default::default() {
            self.replica.edit(key, Facet::UPDATE_RULES, &spec.update_rules, self.wall_ms);
        }
        if spec.rollback_policy != Default::default() {
            self.replica.edit(key, Facet::ROLLBACK_POLICY, &spec.rollback_policy, self.wall_ms);
        }
        if spec.partition != Default::default() {
            self.replica.edit(key, Facet::PARTITION, &spec.partition, self.wall_ms);
        }
        self.write_schedule(id, spec, None);
        self.write_autoscale(id, spec.autoscale);
        if spec.endpoint != Default::default() {
            self.replica.edit(key, Facet::ENDPOINT, &spec.endpoint, self.wall_ms);
        }
        if !spec.networks.is_empty() {
            self.replica.edit(key, Facet::NETWORKS, &spec.networks, self.wall_ms);
        }
        if balancing != Default::default() {
            self.replica.edit(key, Facet::BALANCING, &balancing, self.wall_ms);
        }
        if !spec.labels.is_empty() {
            self.replica.edit_labels(key, &spec.labels, self.wall_ms);
        }
        Ok(Edited::Service(id))
    }

    fn update_service(
        &mut self,
        id: ServiceId,
        version: Option<u64>,
        spec: &ServiceSpec,
    ) -> Result<Edited, Refusal> {
        let held = self.living(id)?;
        check_version(version, held.version)?;
        if *spec == ServiceSpec::of(&held) && held.is_halted() {
            // Docker has no other word for it.
            return self.steer(id, Steer::Resume);
        }
        self.change_service(&held, spec)?;
        self.declare_forced(spec, &held);
        Ok(Edited::Service(id))
    }

    /// Writes what differs. Returns the stamp of the template if that is written.
    fn change_service(
        &mut self,
        held: &Service,
        spec: &ServiceSpec,
    ) -> Result<Option<Stamp>, Refusal> {
        let id = held.id;
        spec.check_change(&held.name)?;
        job::check_mode(held.scale, spec.scale)?;
        self.check_placeholders(id, spec)?;
        let owner = service::name_owner(self.replica, &spec.name);
        if let Some(id) = owner.filter(|_| spec.name != held.name) {
            return Err(Refusal::NameTaken { name: spec.name.clone(), id });
        }
        let endpoint = self.endpoint(id, spec, Some(held))?;
        let spec = ServiceSpec { endpoint, ..on_its_networks(spec, held) };
        let spec = &ServiceSpec { template: job::template(&spec, held), ..spec };
        self.check_aliases(id, spec, Some(held))?;
        self.check_files(&spec.template, Some(held))?;
        self.check_networks(&spec.networks, &held.networks)?;
        self.check_anchors(&spec.partition, Some(held))?;
        self.check_relations(spec, Some(held))?;
        check_replicas(spec, Some(held))?;
        let balancing = self.balancing(id, spec, Some(held));
        let key = RecordKey::service(id);
        self.remember_previous(held, spec);
        if spec.name != held.name {
            let life = Life::Present { name: spec.name.clone(), created: held.created };
            self.replica.edit(key, Facet::LIFE, &life, self.wall_ms);
        }
        let template_stamp = self.write_changed_template(held, &spec.template);
        self.write_scale(spec, held);
        if spec.placement != held.placement {
            self.replica.edit(key, Facet::PLACEMENT, &spec.placement, self.wall_ms);
        }
        self.write_relations(key, &spec.relations, &held.relations);
        if spec.update_policy != held.update_policy {
            self.replica.edit(key, Facet::UPDATE_POLICY, &spec.update_policy, self.wall_ms);
        }
        if spec.update_rules != held.update_rules {
            self.replica.edit(key, Facet::UPDATE_RULES, &spec.update_rules, self.wall_ms);
        }
        if spec.rollback_policy != held.rollback_policy {
            self.replica.edit(key, Facet::ROLLBACK_POLICY, &spec.rollback_policy, self.wall_ms);
        }
        if spec.partition != held.partition {
            self.replica.edit(key, Facet::PARTITION, &spec.partition, self.wall_ms);
        }
        self.write_schedule(id, spec, Some(held));
        if spec.endpoint != held.endpoint {
            self.replica.edit(key, Facet::ENDPOINT, &spec.endpoint, self.wall_ms);
        }
        if spec.networks != held.networks {
            self.replica.edit(key, Facet::NETWORKS, &spec.networks, self.wall_ms);
        }
        if balancing != held.balancing {
            self.replica.edit(key, Facet::BALANCING, &balancing, self.wall_ms);
        }
        if spec.labels != held.labels {
            self.replica.edit_labels(key, &spec.labels, self.wall_ms);
        }
        Ok(template_stamp)
    }

    /// Does the template of a service run healthy, and does no slot run the last good template any
    /// more? Reports of nodes that are gone do not count.
    fn is_proven(&self, service: &Service) -> bool {
        let records = self.planner.catalog().tasks.get(&service.id).into_iter().flatten();
        let records = records.filter(|((_, node), _)| self.planner.is_here(*node));
        let tasks = || records.clone().flat_map(|(_, record)| &record.tasks);
        let running =
            |version| tasks().any(|s| s.desired_running && s.template == version && is_healthy(s));
        let before = service.last_good.as_ref();
        running(service.template_version) && !before.is_some_and(|(good, _)| running(*good))
    }

    fn remove_service(&mut self, id: ServiceId) -> Result<Edited, Refusal> {
        let key = RecordKey::service(id);
        // A service whose record cannot be read can still be removed.
        let Some(Life::Present { .. }) = self.replica.life(&key) else {
            return Err(Refusal::NoSuchService(id));
        };
        self.replica.remove(key, self.wall_ms).expect("it exists");
        Ok(Edited::Done)
    }

    fn put_image(&mut self, name: &str, fact: &ImageFact) -> Result<Edited, Refusal> {
        check_size("the image", fact)?;
        fact.check()?;
        let key = RecordKey::image(name);
        let held = FleetImage::named(self.replica, name);
        if held.is_none() {
            let created = self.replica.next_stamp();
            let life = Life::Present { name: name.to_owned(), created };
            self.replica.edit(key, Facet::LIFE, &life, self.wall_ms);
        }
        if held.is_none_or(|held| held.fact != *fact) {
            self.replica.edit(key, Facet::IMAGE, fact, self.wall_ms);
        }
        Ok(Edited::Done)
    }

    fn remove_image(&mut self, name: &str) -> Result<Edited, Refusal> {
        FleetImage::named(self.replica, name)
            .ok_or_else(|| Refusal::NoSuchImage(name.to_owned()))?;
        self.replica.remove(RecordKey::image(name), self.wall_ms).expect("it was just read");
        Ok(Edited::Done)
    }

    fn give_up_volume(&mut self, node: NodeId, name: &str) -> Result<Edited, Refusal> {
        let unknown = || Refusal::NoSuchVolume {
            node: self.planner.catalog().hostname(node),
            name: name.to_owned(),
        };
        let held = read::volumes_of(self.replica, node);
        let fact = held.get(name).ok_or_else(unknown)?;
        let mut given_up = read::given_up(self.replica, node);
        // Volumes that no longer exist need not be remembered.
        given_up.retain(|id| held.values().any(|fact| fact.id == *id));
        if given_up.insert(fact.id) {
            let key = RecordKey::node_settings(node);
            self.replica.edit(key, Facet::VOLUMES_GIVEN_UP, &given_up, self.wall_ms);
        }
        Ok(Edited::Done)
    }

    fn catalog(&self) -> &Catalog {
        self.planner.catalog()
    }

    fn living(&self, id: ServiceId) -> Result<Service, Refusal> {
        Service::read(self.replica, id).ok_or(Refusal::NoSuchService(id))
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
}

/// A task is made on the network of its node or on networks of its own, and cannot change from one
/// to the other: then it is made anew, as after `--force`.
fn on_its_networks(spec: &ServiceSpec, held: &Service) -> ServiceSpec {
    let mut spec = spec.clone();
    let changes = spec.networks.is_empty() != held.networks.is_empty();
    if changes && spec.template == held.template {
        spec.template.force_update += 1;
    }
    spec
}

fn check_version(expected: Option<u64>, has: u64) -> Result<(), Refusal> {
    match expected {
        Some(expected) if expected != has => Err(Refusal::OutOfSequence { expected, has }),
        _ => Ok(()),
    }
}
