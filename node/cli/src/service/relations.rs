//! How a service stands to others: its priority, beside whom it runs, and after whom it starts.

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::change::{change_list, change_words};
use crate::value;
use node_core::affinity::Affinity;
use node_docker::service::ServiceSpec;
use node_docker::task_spec::{Placement, TaskSpec};

/// Of a new service, and of one that changes.
#[derive(Debug, Default, Args)]
pub struct PriorityFlag {
    /// Takes the room of services of lower priority if none is free [default: 0]
    #[arg(long, value_name = "N", value_parser = value::priority, help_heading = "Placement",
        allow_negative_numbers = true)]
    priority: Option<i32>,
}

/// Of a new service, and of one that changes.
#[derive(Debug, Default, Args)]
pub struct OrderFlag {
    /// Start tasks in the order of their numbers, each when those before it run healthy, and end and
    /// update them from the last to the first [default: any]
    #[arg(long, value_name = "ORDER", help_heading = "Placement",
        value_parser = PossibleValuesParser::new(["any", "ascending"]))]
    slot_order: Option<String>,
}

/// Of a new service.
#[derive(Debug, Default, Args)]
pub struct NewRelations {
    #[command(flatten)]
    priority: PriorityFlag,
    /// Run where tasks of another service are, or are not: service==db, service!=web, image!=redis
    #[arg(long, value_name = "AFFINITY", value_parser = value::affinity, help_heading = "Placement")]
    affinity: Vec<String>,
    /// Start tasks only when a task of this service runs healthy
    #[arg(long, value_name = "SERVICE", help_heading = "Placement")]
    depends_on: Vec<String>,
    #[command(flatten)]
    order: OrderFlag,
}

/// Of a service that changes.
#[derive(Debug, Default, Args)]
pub struct RelationChanges {
    #[command(flatten)]
    priority: PriorityFlag,
    /// Run where tasks of another service are, or are not
    #[arg(long, value_name = "AFFINITY", value_parser = value::affinity, help_heading = "Placement")]
    affinity_add: Vec<String>,
    /// Remove an affinity
    #[arg(long, value_name = "AFFINITY", help_heading = "Placement")]
    affinity_rm: Vec<String>,
    /// Start tasks only when a task of this service runs healthy
    #[arg(long, value_name = "SERVICE", help_heading = "Placement")]
    depends_on_add: Vec<String>,
    /// Start them without it
    #[arg(long, value_name = "SERVICE", help_heading = "Placement")]
    depends_on_rm: Vec<String>,
    #[command(flatten)]
    order: OrderFlag,
}

impl PriorityFlag {
    fn apply(&self, task: &mut TaskSpec) {
        if self.priority.is_some() {
            task.placement.get_or_insert_with(Placement::default).priority = self.priority;
        }
    }
}

impl OrderFlag {
    fn apply(&self, spec: &mut ServiceSpec) {
        if self.slot_order.is_some() {
            spec.slot_order.clone_from(&self.slot_order);
        }
    }
}

impl NewRelations {
    /// Sets what is given.
    pub fn apply(&self, task: &mut TaskSpec) {
        self.priority.apply(task);
        if !self.affinity.is_empty() {
            task.placement.get_or_insert_default().affinities = Some(self.affinity.clone());
        }
    }

    /// Sets what is given and no part of the tasks.
    pub fn apply_to_service(&self, spec: &mut ServiceSpec) {
        self.order.apply(spec);
        if !self.depends_on.is_empty() {
            spec.depends_on = Some(self.depends_on.clone());
        }
    }
}

impl RelationChanges {
    /// Makes the changes.
    pub fn apply(&self, task: &mut TaskSpec) {
        self.priority.apply(task);
        if self.affinity_add.is_empty() && self.affinity_rm.is_empty() {
            return;
        }
        let placement = task.placement.get_or_insert_default();
        let read = |text: &str| Affinity::parse(text).ok().map(|read| read.to_string());
        let rules = placement.affinities.get_or_insert_default();
        change_words(rules, &self.affinity_add, &self.affinity_rm, read);
    }

    /// Makes the changes in what is no part of the tasks.
    pub fn apply_to_service(&self, spec: &mut ServiceSpec) {
        self.order.apply(spec);
        if self.depends_on_add.is_empty() && self.depends_on_rm.is_empty() {
            return;
        }
        let names = spec.depends_on.get_or_insert_default();
        change_list(names, &self.depends_on_add, &self.depends_on_rm, String::clone);
    }
}
