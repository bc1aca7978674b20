//! The operators: random edits at random machines.
//!
//! An operator knows only what the operator's machine shows. Edits may be refused; an acknowledged
//! edit must not be lost.

use crdt_state::node::Availability;
use crdt_state::relation::{Relations, SlotOrder};
use crdt_state::rollout::{FailureAction, FailurePolicy, RollbackPolicy, UpdateRules};
use crdt_state::service::Service;
use crdt_state::spec::{
    Endpoint, Labels, Placement, RestartCondition, RestartPolicy, Scale, Template, UpdateOrder,
    UpdatePolicy,
};
use crdt_state::{Conflict, NameConflict, NodeId, ServiceId};
use node_core::edit::{Edit, ServiceSpec, Steer};

use crate::dice::Dice;
use crate::profile::OperatorPace;
use crate::programs::{Reliability, of_service};

/// The most replicas that an operator asks for: three times the machines of a small world.
const REPLICAS_MAX: u64 = 9;

/// The names that operators choose from: few, so that two operators sometimes choose the same.
pub const NAMES: [&str; 7] = ["web", "db", "cam", "mqtt", "log", "till", "door"];

/// Zones, as a label of nodes.
const ZONES: [&str; 3] = ["a", "b", "c"];

/// What an operator sees of the fleet.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The living services.
    pub services: Vec<Service>,
    /// The nodes.
    pub nodes: Vec<NodeId>,
    /// Conflicts whose values may be picked.
    pub conflicts: Vec<Conflict>,
    /// The names that several services have.
    pub names: Vec<NameConflict>,
}

/// All operators of a world.
#[derive(Debug)]
pub struct Operator {
    dice: Dice,
    /// For picking the losers of conflicts.
    picks: Dice,
    /// For creating services of the same name, and resolving such conflicts.
    names: Dice,
    /// For rollouts: what they tolerate, and steering them.
    rollouts: Dice,
    pace: OperatorPace,
}

impl Operator {
    /// Operators of this pace.
    pub fn new(pace: OperatorPace, seed: u64) -> Operator {
        let draw = |what| Dice::new(seed, what);
        Operator {
            dice: draw("operator"),
            picks: draw("picks"),
            names: draw("names"),
            rollouts: draw("rollouts"),
            pace,
        }
    }

    /// How long until the next edit.
    pub fn pause_ms(&mut self) -> u64 {
        self.dice.between(50, self.pace.pause_ms_max)
    }

    /// The machine at which the operator works.
    pub fn seat(&mut self, machines: usize) -> usize {
        self.dice.index(machines)
    }

    /// If another operator changes the same service elsewhere at about the same time: how much
    /// later.
    pub fn has_twin(&mut self) -> Option<u64> {
        let twin = self.dice.happens(self.pace.twin_permille);
        let later = self.dice.between(0, 50);
        twin.then_some(later)
    }

    /// The next edit, by an operator who sees this.
    pub fn edit(&mut self, seen: &Seen) -> Edit {
        if !seen.conflicts.is_empty() && self.picks.happens(80) {
            return self.pick_conflict(seen);
        }
        if !seen.names.is_empty() && self.names.happens(150) {
            return self.settle_name(seen);
        }
        let Some(service) = self.any_service(seen) else { return self.create() };
        if self.rollouts.happens(60) {
            return self.rollouts_edit(&service);
        }
        match self.dice.below(100) {
            0..25 if seen.services.len() < self.pace.services_max => self.create(),
            0..15 => self.node_edit(seen),
            15..27 => Edit::RemoveService { id: service.id },
            _ => self.change(&service),
        }
    }

    /// A change of one service, if it exists.
    pub fn change_of(&mut self, seen: &Seen, id: ServiceId) -> Option<Edit> {
        let service = seen.services.iter().find(|service| service.id == id)?.clone();
        Some(match self.dice.below(10) {
            0 => Edit::RemoveService { id },
            _ => self.change(&service),
        })
    }

    /// What the operators do when the harm is over: they remove services that can never run.
    pub fn cleanup(seen: &Seen) -> Vec<Edit> {
        let unsound =
            seen.services.iter().filter(|service| of_service(service) == Reliability::Unsound);
        unsound.map(|service| Edit::RemoveService { id: service.id }).collect()
    }

    fn any_service(&mut self, seen: &Seen) -> Option<Service> {
        (!seen.services.is_empty()).then(|| self.dice.pick(&seen.services).clone())
    }

    fn create(&mut self) -> Edit {
        let scale = self.scale();
        let name = (*self.dice.pick(&NAMES)).to_owned();
        let (template, placement) = (self.template(), self.placement());
        let update_policy = self.update_policy();
        Edit::CreateService(Box::new(ServiceSpec {
            name,
            template,
            scale,
            placement,
            rollback_policy: as_quick(&update_policy),
            update_policy,
            relations: self.relations(scale),
            update_rules: Default::default(),
            partition: Default::default(),
            schedule: None,
            autoscale: None,
            endpoint: Endpoint::default(),
            networks: Vec::new(),
            by_name: false,
            labels: Labels::new(),
        }))
    }

    fn relations(&mut self, scale: Scale) -> Relations {
        let is_ordered = matches!(scale, Scale::Replicated { .. }) && self.rollouts.happens(250);
        let slot_order = if is_ordered { SlotOrder::Ascending } else { SlotOrder::Any };
        Relations { slot_order, ..Relations::default() }
    }

    fn change(&mut self, service: &Service) -> Edit {
        let mut spec = ServiceSpec::of(service);
        match self.dice.below(100) {
            0..45 => spec.scale = self.rescale(service.scale),
            45..65 => spec.template = self.template(),
            65..75 => spec.template.env = vec![format!("N={}", self.dice.below(3))],
            75..85 => spec.placement = self.placement(),
            85..90 => spec.update_policy = self.update_policy(),
            _ => {
                let value = self.dice.below(100).to_string();
                let label = *self.names.pick(&["note", "note", "tier", "owner"]);
                match self.names.below(6) {
                    0 => drop(spec.labels.remove(label)),
                    _ => drop(spec.labels.insert(label.to_owned(), value)),
                }
            }
        }
        self.break_rollout(&mut spec);
        let version = self.dice.happens(300).then_some(service.version);
        Edit::UpdateService { id: service.id, version, spec: Box::new(spec) }
    }

    /// Sometimes the new template fails at once, and sometimes other rules hold.
    fn break_rollout(&mut self, spec: &mut ServiceSpec) {
        spec.rollback_policy = as_quick(&spec.update_policy);
        if self.rollouts.happens(150) {
            spec.template.command = vec!["bad".to_owned()];
        }
        if self.rollouts.happens(200) {
            let action = *self.rollouts.pick(&[
                FailureAction::Pause,
                FailureAction::Rollback,
                FailureAction::Rollback,
                FailureAction::Continue,
            ]);
            let max_ratio = *self.rollouts.pick(&[0, 0, 300_000]);
            let canary = *self.rollouts.pick(&[0, 0, 0, 1]);
            let failure = FailurePolicy { action, max_ratio };
            spec.update_rules = UpdateRules { failure, canary };
        }
    }

    /// Rolls a service back, or steers its rollout.
    fn rollouts_edit(&mut self, service: &Service) -> Edit {
        let id = service.id;
        match self.rollouts.below(5) {
            0 => Edit::SteerRollout { id, steer: Steer::Pause },
            1 => Edit::SteerRollout { id, steer: Steer::Resume },
            2 => Edit::SteerRollout { id, steer: Steer::Promote },
            _ => Edit::RollBackService { id, version: None },
        }
    }

    fn node_edit(&mut self, seen: &Seen) -> Edit {
        let id = *self.dice.pick(&seen.nodes);
        let zone = *self.dice.pick(&ZONES);
        let labels = Labels::from([("zone".to_owned(), zone.to_owned())]);
        let availability = *self.dice.pick(&[
            Availability::Active,
            Availability::Active,
            Availability::Active,
            Availability::Drain,
            Availability::Pause,
        ]);
        let (labels, availability) = match self.dice.below(2) {
            0 => (Some(labels), None),
            _ => (None, Some(availability)),
        };
        Edit::UpdateNode { id, version: None, availability, labels }
    }

    fn pick_conflict(&mut self, seen: &Seen) -> Edit {
        let conflict = self.picks.pick(&seen.conflicts);
        let loser = self.picks.pick(&conflict.losers);
        let chosen = if self.names.happens(300) { &conflict.winner } else { loser };
        let (key, facet, stamp) = (conflict.key, chosen.facet, chosen.stamp);
        match conflict.label.clone() {
            Some(label) => Edit::PickLabel { key, label, stamp },
            None => Edit::PickConflict { key, facet, stamp },
        }
    }

    /// Gives a name to one of the services that share it, or renames one of them.
    fn settle_name(&mut self, seen: &Seen) -> Edit {
        let shared = self.names.pick(&seen.names);
        let ids: Vec<ServiceId> = shared.others.iter().copied().chain([shared.owner]).collect();
        let id = *self.names.pick(&ids);
        let service = seen.services.iter().find(|service| service.id == id);
        match service.filter(|_| self.names.happens(500)) {
            Some(service) => {
                let mut spec = ServiceSpec::of(service);
                spec.name = format!("{}-{}", spec.name, self.names.below(100));
                Edit::UpdateService { id, version: None, spec: Box::new(spec) }
            }
            None => Edit::TakeName { id },
        }
    }

    /// Two machines at which operators set the same label of one service at the same moment.
    pub fn conflicting_seats(&mut self, machines: usize) -> Option<(usize, usize)> {
        let seats = (self.names.index(machines), self.names.index(machines));
        (self.names.happens(250) && seats.0 != seats.1).then_some(seats)
    }

    /// The edit of one of them, if the service exists.
    pub fn set_note(&mut self, seen: &Seen, id: ServiceId) -> Option<Edit> {
        let service = seen.services.iter().find(|service| service.id == id)?;
        let mut spec = ServiceSpec::of(service);
        match self.names.below(6) {
            0 => drop(spec.labels.remove("note")),
            _ => drop(spec.labels.insert("note".to_owned(), self.names.below(100).to_string())),
        }
        Some(Edit::UpdateService { id, version: None, spec: Box::new(spec) })
    }

    /// Another operator's creation of a service with the same name, and the machine for it.
    pub fn namesake(&mut self, spec: &ServiceSpec, machines: usize) -> Option<(usize, Edit)> {
        let (thinks, seat) = (self.names.happens(400), self.names.index(machines));
        let mut spec = spec.clone();
        spec.template.env = vec![format!("N={}", self.names.below(3))];
        spec.scale = match spec.scale {
            Scale::Global | Scale::JobReplicated { .. } | Scale::JobGlobal => spec.scale,
            Scale::Replicated { .. } => {
                Scale::Replicated { replicas: self.names.between(0, REPLICAS_MAX) as u32 }
            }
        };
        thinks.then(|| (seat, Edit::CreateService(Box::new(spec))))
    }

    fn scale(&mut self) -> Scale {
        match self.dice.below(5) {
            0 => Scale::Global,
            _ => Scale::Replicated { replicas: self.dice.between(0, REPLICAS_MAX) as u32 },
        }
    }

    /// The mode of a service never changes.
    fn rescale(&mut self, scale: Scale) -> Scale {
        match scale {
            Scale::Global | Scale::JobReplicated { .. } | Scale::JobGlobal => scale,
            Scale::Replicated { .. } => {
                Scale::Replicated { replicas: self.dice.between(0, REPLICAS_MAX) as u32 }
            }
        }
    }

    fn template(&mut self) -> Template {
        let word = *self.dice.pick(&[
            "steady",
            "steady",
            "steady",
            "steady",
            "stubborn",
            "flaky 1",
            "flaky 3",
            "refused 2",
            "impossible",
            "oneshot",
            "broken",
        ]);
        let restart = RestartPolicy {
            condition: if word == "oneshot" {
                RestartCondition::OnFailure
            } else {
                RestartCondition::Any
            },
            delay_ms: *self.dice.pick(&[100, 1_000]),
            max_attempts: None,
            window_ms: 0,
        };
        Template {
            command: word.split(' ').map(str::to_owned).collect(),
            env: vec![format!("N={}", self.dice.below(3))],
            stop_grace_ms: *self.dice.pick(&[200, 1_000, 3_000]),
            restart,
            ..Template::default()
        }
    }

    fn placement(&mut self) -> Placement {
        let zone = *self.dice.pick(&ZONES);
        let kind = self.dice.below(8);
        let constraints = match kind {
            0 => vec![format!("node.labels.zone=={zone}")],
            1 => vec![format!("node.labels.zone!={zone}")],
            2 => vec!["engine.labels.site == even".to_owned()],
            _ => Vec::new(),
        };
        Placement {
            constraints,
            preferences: match kind {
                3 => vec!["spread=node.labels.zone".to_owned()],
                4 => vec![
                    "spread=engine.labels.site".to_owned(),
                    "spread=node.labels.zone".to_owned(),
                ],
                _ => Vec::new(),
            },
            max_per_node: *self.dice.pick(&[0, 0, 0, 1, 2]),
            priority: 0,
        }
    }

    fn update_policy(&mut self) -> UpdatePolicy {
        UpdatePolicy {
            parallelism: *self.dice.pick(&[0, 1, 1, 2]),
            delay_ms: *self.dice.pick(&[0, 0, 500]),
            monitor_ms: *self.dice.pick(&[0, 500, 2_000]),
            order: *self.dice.pick(&[
                UpdateOrder::StopFirst,
                UpdateOrder::StartFirst,
                UpdateOrder::BlueGreen,
            ]),
        }
    }
}

/// Rollbacks as quick as updates: with Docker's 5 s for each slot a fleet would change after it has
/// come to rest.
pub fn as_quick(pace: &UpdatePolicy) -> RollbackPolicy {
    RollbackPolicy { pace: pace.clone(), ..RollbackPolicy::default() }
}

/// An edit in a few words.
pub fn in_words(edit: &Edit) -> String {
    match edit {
        Edit::CreateService(spec) => format!("create {}", spec_in_words(spec)),
        Edit::UpdateService { id, version, spec } => {
            format!("update {id} at {version:?} to {}", spec_in_words(spec))
        }
        other => format!("{other:?}"),
    }
}

fn spec_in_words(spec: &ServiceSpec) -> String {
    let ServiceSpec { name, template, scale, placement, update_policy, labels, .. } = spec;
    let (command, env) = (template.command.join(" "), template.env.join(" "));
    let (on, most) = (placement.constraints.join(" "), placement.max_per_node);
    let UpdatePolicy { parallelism, order, .. } = update_policy;
    format!(
        "{name}: {scale:?} of `{command}` {env} on [{on}] at most {most} each, {parallelism} at a time {order:?}, {labels:?}"
    )
}
