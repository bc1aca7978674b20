//! A service as operators write it.

use crdt_state::Previous;
use crdt_state::autoscale::Autoscale;
use crdt_state::network::Attachments;
use crdt_state::partition::Partition;
use crdt_state::relation::Relations;
use crdt_state::rollout::{RollbackPolicy, UpdateRules};
use crdt_state::schedule::Schedule;
use crdt_state::service::Service;
use crdt_state::spec::{Endpoint, Labels, Placement, Scale, Template, UpdatePolicy};
use serde::{Deserialize, Serialize};

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
    /// What it has to do with other services.
    pub relations: Relations,
    /// How an update proceeds.
    pub update_policy: UpdatePolicy,
    /// What an update tolerates, and what it waits for.
    pub update_rules: UpdateRules,
    /// How a rollback proceeds.
    pub rollback_policy: RollbackPolicy,
    /// What becomes of its tasks in a partition.
    pub partition: Partition,
    /// When it runs, if it is a job with a schedule.
    pub schedule: Option<Schedule>,
    /// Between which numbers, and by what, it is scaled.
    pub autoscale: Option<Autoscale>,
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
            scale: service.written_scale,
            placement: service.placement.clone(),
            relations: service.relations.clone(),
            update_policy: service.update_policy.clone(),
            update_rules: service.update_rules,
            rollback_policy: service.rollback_policy.clone(),
            partition: service.partition.clone(),
            schedule: service.schedule.as_ref().map(|written| written.schedule.clone()),
            autoscale: service.autoscale,
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
            // A count that follows the load is not gone back from.
            scale: if service.autoscale.is_some() { service.written_scale } else { scale },
            placement,
            relations: service.relations.clone(),
            update_policy,
            update_rules: service.update_rules,
            rollback_policy: service.rollback_policy.clone(),
            partition: service.partition.clone(),
            schedule: service.schedule.as_ref().map(|written| written.schedule.clone()),
            autoscale: service.autoscale,
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
