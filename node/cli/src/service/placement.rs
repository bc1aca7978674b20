//! Where tasks run: `create` sets the lists, `update` adds to them and removes from them.

use clap::Args;

use super::change::{change_list, change_words};
use super::relations::{NewRelations, RelationChanges};
use crate::value;
use node_core::constraint::Constraint;
use node_docker::task_spec::{
    DiscreteResource, GenericResource, Placement, PlacementPreference, SpreadOver, TaskSpec,
};

/// Where the tasks of a new service run.
#[derive(Debug, Default, Args)]
pub struct NewPlacement {
    /// Nodes that may run it: node.labels.zone==a, node.hostname!=pi-3
    #[arg(long, value_name = "CONSTRAINT", value_parser = value::constraint, help_heading = "Placement")]
    constraint: Vec<String>,
    /// Spread the tasks evenly over the values of a label: spread=node.labels.zone
    #[arg(long, value_name = "PREFERENCE", value_parser = value::preference, help_heading = "Placement")]
    placement_pref: Vec<String>,
    /// Generic resource set aside for a task when it is placed: gpu=2
    #[arg(long, value_name = "KIND=N", value_parser = value::generic_resource, help_heading = "Resources")]
    generic_resource: Vec<DiscreteResource>,
    #[command(flatten)]
    pub relations: NewRelations,
}

impl NewPlacement {
    /// Sets the lists.
    pub fn apply(&self, task: &mut TaskSpec) {
        self.relations.apply(task);
        if !self.generic_resource.is_empty() {
            *reserved(task) = self.generic_resource.iter().map(counted).collect();
        }
        if self.constraint.is_empty() && self.placement_pref.is_empty() {
            return;
        }
        let placement = task.placement.get_or_insert_with(Placement::default);
        placement.constraints.clone_from(&self.constraint);
        placement.preferences = self.placement_pref.iter().map(|text| sent(text)).collect();
    }
}

/// What changes in where tasks run.
#[derive(Debug, Default, Args)]
pub struct PlacementChanges {
    /// Add a constraint
    #[arg(long, value_name = "CONSTRAINT", value_parser = value::constraint, help_heading = "Placement")]
    constraint_add: Vec<String>,
    /// Remove a constraint
    #[arg(long, value_name = "CONSTRAINT", help_heading = "Placement")]
    constraint_rm: Vec<String>,
    /// Spread the tasks over a further label, within the groups of those before
    #[arg(long, value_name = "PREFERENCE", value_parser = value::preference, help_heading = "Placement")]
    placement_pref_add: Vec<String>,
    /// Spread them no longer over a label
    #[arg(long, value_name = "PREFERENCE", help_heading = "Placement")]
    placement_pref_rm: Vec<String>,
    /// Set a generic resource aside, or another number of it
    #[arg(long, value_name = "KIND=N", value_parser = value::generic_resource, help_heading = "Resources")]
    generic_resource_add: Vec<DiscreteResource>,
    /// Set a generic resource aside no longer
    #[arg(long, value_name = "KIND", help_heading = "Resources")]
    generic_resource_rm: Vec<String>,
    #[command(flatten)]
    pub relations: RelationChanges,
}

impl PlacementChanges {
    /// Makes the changes.
    pub fn apply(&self, task: &mut TaskSpec) {
        self.relations.apply(task);
        if !self.generic_resource_add.is_empty() || !self.generic_resource_rm.is_empty() {
            let add: Vec<GenericResource> = self.generic_resource_add.iter().map(counted).collect();
            change_list(reserved(task), &add, &self.generic_resource_rm, kind);
        }
        let is_given = [
            &self.constraint_add,
            &self.constraint_rm,
            &self.placement_pref_add,
            &self.placement_pref_rm,
        ];
        if is_given.iter().all(|list| list.is_empty()) {
            return;
        }
        let placement = task.placement.get_or_insert_default();
        let (add, remove) = (&self.constraint_add, &self.constraint_rm);
        let read = |text: &str| Constraint::parse(text).ok().map(|read| read.to_string());
        change_words(&mut placement.constraints, add, remove, read);
        let mut preferences: Vec<String> = placement.preferences.iter().map(written).collect();
        let (add, remove) = (&self.placement_pref_add, &self.placement_pref_rm);
        change_words(&mut preferences, add, remove, |text| value::preference(text).ok());
        placement.preferences = preferences.iter().map(|text| sent(text)).collect();
    }
}

fn reserved(task: &mut TaskSpec) -> &mut Vec<GenericResource> {
    let reservations = &mut task.resources.get_or_insert_default().reservations;
    &mut reservations.get_or_insert_default().generic_resources
}

fn counted(amount: &DiscreteResource) -> GenericResource {
    GenericResource { discrete_resource_spec: Some(amount.clone()), named_resource_spec: None }
}

fn kind(resource: &GenericResource) -> String {
    let amount = resource.discrete_resource_spec.as_ref().map(|amount| amount.kind.clone());
    amount.unwrap_or_default()
}

/// `2 gpu`, `camera back`, as people read them.
pub fn in_words(resources: &[GenericResource]) -> Vec<String> {
    let words = |resource: &GenericResource| {
        let counted = resource.discrete_resource_spec.as_ref();
        let counted = counted.map(|amount| format!("{} {}", amount.value, amount.kind));
        let named = resource.named_resource_spec.as_ref();
        counted.or_else(|| named.map(|named| format!("{} {}", named.kind, named.value)))
    };
    resources.iter().filter_map(words).collect()
}

fn sent(text: &str) -> PlacementPreference {
    let spread_descriptor = text.strip_prefix("spread=").unwrap_or(text).to_owned();
    PlacementPreference { spread: Some(SpreadOver { spread_descriptor }) }
}

/// A preference in the form of the flag: `spread=node.labels.zone`.
pub fn written(preference: &PlacementPreference) -> String {
    let over = preference.spread.as_ref().map(|over| over.spread_descriptor.as_str());
    format!("spread={}", over.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct New {
        #[command(flatten)]
        placement: NewPlacement,
    }

    #[derive(Parser)]
    struct Change {
        #[command(flatten)]
        placement: PlacementChanges,
    }

    fn placement(create: &[&str], update: &[&str]) -> Result<Placement, String> {
        let line = |words: &[&str]| -> Vec<String> {
            std::iter::once(&"x").chain(words).map(|word| (*word).to_owned()).collect()
        };
        let mut task = TaskSpec::default();
        New::try_parse_from(line(create)).map_err(|e| e.to_string())?.placement.apply(&mut task);
        let changes = Change::try_parse_from(line(update)).map_err(|e| e.to_string())?;
        changes.placement.apply(&mut task);
        Ok(task.placement.unwrap_or_default())
    }

    fn preferences(create: &[&str], update: &[&str]) -> Vec<String> {
        placement(create, update).expect("valid").preferences.iter().map(written).collect()
    }

    #[test]
    fn preferences_keep_their_order_and_are_removed_by_what_they_say() {
        let create = &[
            "--placement-pref",
            "spread=node.labels.zone",
            "--placement-pref",
            "spread=engine.labels.rack",
        ];
        assert_eq!(
            preferences(create, &[]),
            ["spread=node.labels.zone", "spread=engine.labels.rack"]
        );
        let update = &[
            "--placement-pref-rm",
            "spread=node.labels.zone",
            "--placement-pref-add",
            "spread=node.labels.row",
        ];
        assert_eq!(
            preferences(create, update),
            ["spread=engine.labels.rack", "spread=node.labels.row"]
        );
        let absent = &["--placement-pref-rm", "spread=node.labels.b"];
        assert_eq!(preferences(&create[..2], absent), ["spread=node.labels.zone"]);
    }

    #[test]
    fn generic_resources_are_numbers_of_a_kind() {
        let line = |words: &str| -> Vec<String> {
            std::iter::once("x").chain(words.split(' ')).map(str::to_owned).collect()
        };
        let mut task = TaskSpec::default();
        let new = New::try_parse_from(line("--generic-resource gpu=2 --generic-resource cam=1"));
        new.unwrap_or_else(|error| panic!("{error}")).placement.apply(&mut task);
        assert_eq!(in_words(reserved(&mut task)), ["2 gpu", "1 cam"]);
        let change = Change::try_parse_from(line(
            "--generic-resource-add gpu=1 --generic-resource-rm cam --generic-resource-add bus=1",
        ));
        change.unwrap_or_else(|error| panic!("{error}")).placement.apply(&mut task);
        assert_eq!(in_words(reserved(&mut task)), ["1 gpu", "1 bus"]);
    }

    #[test]
    fn a_constraint_is_removed_however_it_is_written() {
        let create = &["--constraint", "node.labels.zone in (a, b)", "--constraint", "node.id!=x"];
        let update =
            &["--constraint-rm", "Node.Labels.zone  IN (a,b)", "--constraint-add", "node.id != x"];
        let constraints = placement(create, update).expect("valid").constraints;
        assert_eq!(constraints, ["node.id!=x"]);
    }

    #[test]
    fn affinities_are_added_and_removed_however_they_are_written() {
        let create = &["--affinity", "service==db", "--affinity", "image!=redis"];
        let update = &["--affinity-rm", "Service == db", "--affinity-add", "service!=web"];
        let affinities = |update: &[&str]| placement(create, update).expect("valid").affinities;
        let texts = |texts: &[&str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
        assert_eq!(affinities(&[]), texts(&["service==db", "image!=redis"]));
        assert_eq!(affinities(update), texts(&["image!=redis", "service!=web"]));
        let all = &["--affinity-rm", "service==db", "--affinity-rm", "image!=redis"];
        assert_eq!(affinities(all), texts(&[]), "none is sent as none, absent would keep them");
    }

    #[test]
    fn a_priority_is_set_and_changed_and_stays_if_it_is_not_given() {
        let priority =
            |create: &[&str], update: &[&str]| placement(create, update).expect("valid").priority;
        assert_eq!(priority(&["--priority", "10"], &[]), Some(10));
        assert_eq!(priority(&["--priority", "10"], &["--priority", "-1"]), Some(-1));
        assert_eq!(priority(&["--priority=-5"], &["--priority", "0"]), Some(0));
        assert_eq!(priority(&[], &[]), None);
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write() {
        for (create, update, words) in [
            (&["--placement-pref", "zone"][..], &[][..], "write spread=node.labels.zone"),
            (&["--placement-pref", "spread=node.zone"], &[], "spread=engine.labels.NAME"),
            (&[], &["--placement-pref-add", "pack=a"], "the only one is to spread"),
            (&["--constraint", "zone=a"], &[], "neither"),
            (&["--affinity", "db"], &[], "write service==db"),
            (&[], &["--affinity-add", "node.labels.zone==a"], "as --constraint"),
            (&["--priority", "high"], &[], "write it like 10"),
            (&[], &["--priority", "3000000000"], "write it like 10"),
            (&["--generic-resource", "gpu"], &[], "write gpu=2"),
            (&["--generic-resource", "gpu=0"], &[], "at least 1"),
            (&["--generic-resource", "camera=front"], &[], "DOCKER_RESOURCE_CAMERA"),
        ] {
            let error = placement(create, update).expect_err("refused");
            assert!(error.contains(words), "{create:?} {update:?}: {error}");
        }
    }
}
