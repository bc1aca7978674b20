//! Habits: extra things that the operators of some worlds do besides the usual edits.
//!
//! They were added later, and draw from a stream of their own, so that a world without habits is
//! the same as before. They must never influence what the other operators do.

use crdt_state::network::Attachment;
use crdt_state::spec::{
    Endpoint, Labels, NetworkMode, Placement, RestartCondition, RestartPolicy, Runtime, Scale,
    Template, UpdateOrder, UpdatePolicy,
};
use crdt_state::{NetworkId, ServiceId};
use node_core::edit::{Edit, ServiceSpec};

use crate::dice::Dice;
use crate::network::MachineNo;
use crate::operator::{NAMES, Seen, as_quick};

/// The most services in one world that are created only to reuse a name.
const REUSES_MAX: u32 = 6;

/// The service with more tasks than a node may start at once. No other operator changes it.
pub const CROWD: &str = "crowd";

/// Draws the edits of operators with habits.
#[derive(Debug)]
pub struct Habits {
    dice: Dice,
    reuses: u32,
}

impl Habits {
    /// The habits of a seed.
    pub fn new(seed: u64) -> Habits {
        Habits { dice: Dice::new(seed, "habits"), reuses: 0 }
    }

    /// Gives one of the services another name, which may be taken already.
    pub fn rename(&mut self, seen: &Seen) -> Option<Edit> {
        if seen.services.is_empty() || !self.dice.happens(250) {
            return None;
        }
        let service = self.dice.pick(&seen.services);
        let mut spec = ServiceSpec::of(service);
        spec.name = match self.dice.below(3) {
            0 => format!("{}-{}", spec.name, self.dice.below(10)),
            _ => (*self.dice.pick(&NAMES)).to_owned(),
        };
        Some(Edit::UpdateService { id: service.id, version: None, spec: Box::new(spec) })
    }

    /// Somebody creates a service with the name that another one is about to lose. Returns where,
    /// how much later, and the edit.
    pub fn after_removal(
        &mut self,
        seen: &Seen,
        id: ServiceId,
        machines: usize,
    ) -> Option<(MachineNo, u64, Edit)> {
        let service = seen.services.iter().find(|service| service.id == id)?;
        self.may_reuse()?;
        let (seat, later_ms) = (self.dice.index(machines), self.dice.between(0, 4_000));
        Some((seat, later_ms, self.create(&service.name)))
    }

    /// On each side of a cut somebody creates a service of the same name. Returns for each where,
    /// how much later, and the edit.
    pub fn across(
        &mut self,
        links: &[(MachineNo, MachineNo)],
    ) -> Option<[(MachineNo, u64, Edit); 2]> {
        if links.is_empty() {
            return None;
        }
        self.may_reuse()?;
        let (one, other) = *self.dice.pick(links);
        let name = *self.dice.pick(&NAMES);
        Some([one, other].map(|no| (no, self.dice.between(200, 4_000), self.create(name))))
    }

    fn may_reuse(&mut self) -> Option<()> {
        self.reuses += 1;
        (self.reuses <= REUSES_MAX).then_some(())
    }

    fn create(&mut self, name: &str) -> Edit {
        let replicas = self.dice.between(1, 3) as u32;
        Edit::CreateService(Box::new(ServiceSpec {
            name: name.to_owned(),
            template: steady(vec![format!("N={}", self.dice.below(3))]),
            scale: Scale::Replicated { replicas },
            placement: Placement::default(),
            update_policy: all_at_once(),
            relations: Default::default(),
            update_rules: Default::default(),
            rollback_policy: as_quick(&all_at_once()),
            partition: Default::default(),
            schedule: None,
            autoscale: None,
            endpoint: Endpoint::default(),
            networks: Vec::new(),
            by_name: false,
            labels: Labels::new(),
        }))
    }

    /// A service with too many tasks for one machine, placed on that machine.
    pub fn crowd(&mut self, no: MachineNo) -> Edit {
        let replicas = self.dice.between(18, 24) as u32;
        let placement = Placement {
            constraints: vec![format!("node.hostname==n{no}")],
            ..Placement::default()
        };
        Edit::CreateService(Box::new(ServiceSpec {
            name: CROWD.to_owned(),
            template: steady(Vec::new()),
            scale: Scale::Replicated { replicas },
            placement,
            update_policy: all_at_once(),
            relations: Default::default(),
            update_rules: Default::default(),
            rollback_policy: as_quick(&all_at_once()),
            partition: Default::default(),
            schedule: None,
            autoscale: None,
            endpoint: Endpoint::default(),
            networks: Vec::new(),
            by_name: false,
            labels: Labels::new(),
        }))
    }

    /// The machine, the time at which it gets the crowd, and the beginning and end of its power
    /// failure.
    pub fn crowded(&mut self, machines: usize, from: u64, until: u64) -> (MachineNo, [u64; 3]) {
        let no = self.dice.index(machines);
        let at = self.dice.between(from, until - 40_000);
        let begin = at + self.dice.between(10_000, 20_000);
        (no, [at, begin, begin + *self.dice.pick(&[1_000, 3_000, 15_000])])
    }
}

/// The most jobs of one world.
const JOBS_MAX: usize = 3;

/// Creates jobs and runs them again; draws from a stream of its own.
#[derive(Debug)]
pub struct JobHabit(Dice);

impl JobHabit {
    /// The habit of a seed.
    pub fn new(seed: u64) -> JobHabit {
        JobHabit(Dice::new(seed, "jobs"))
    }

    /// What an operator with this habit does, if anything.
    pub fn edit(&mut self, seen: &Seen) -> Option<Edit> {
        let jobs: Vec<_> = seen.services.iter().filter(|s| s.scale.is_job()).collect();
        match self.0.below(4) {
            0 | 1 if jobs.len() < JOBS_MAX => Some(self.create(jobs.len())),
            2 if !jobs.is_empty() => {
                let job = *self.0.pick(&jobs);
                let mut spec = ServiceSpec::of(job);
                match spec.scale {
                    Scale::JobReplicated { .. } if self.0.happens(500) => spec.scale = self.scale(),
                    _ => spec.template.force_update += 1,
                }
                Some(Edit::UpdateService { id: job.id, version: None, spec: Box::new(spec) })
            }
            _ => None,
        }
    }

    fn create(&mut self, number: usize) -> Edit {
        let condition = *self.0.pick(&[
            RestartCondition::OnFailure,
            RestartCondition::OnFailure,
            RestartCondition::None,
        ]);
        let command = vec!["work".to_owned(), self.0.below(3).to_string()];
        let restart = RestartPolicy { condition, ..steady(Vec::new()).restart };
        let scale = if self.0.below(4) == 0 { Scale::JobGlobal } else { self.scale() };
        Edit::CreateService(Box::new(ServiceSpec {
            name: format!("job-{number}-{}", self.0.below(100)),
            template: Template { command, restart, ..steady(Vec::new()) },
            scale,
            placement: Placement::default(),
            update_policy: UpdatePolicy::default(),
            relations: Default::default(),
            update_rules: Default::default(),
            rollback_policy: as_quick(&all_at_once()),
            partition: Default::default(),
            schedule: None,
            autoscale: None,
            endpoint: Endpoint::default(),
            networks: Vec::new(),
            by_name: false,
            labels: Labels::new(),
        }))
    }

    fn scale(&mut self) -> Scale {
        let completions = self.0.between(1, 8) as u32;
        Scale::JobReplicated { completions, max_concurrent: self.0.between(1, 3) as u32 }
    }
}

/// Puts services on networks; draws from a stream of its own.
#[derive(Debug)]
pub struct NetworkHabit(Dice);

impl NetworkHabit {
    /// The habit of a seed.
    pub fn new(seed: u64) -> NetworkHabit {
        NetworkHabit(Dice::new(seed, "networks"))
    }

    /// The spec as it is, or as a container on the default network.
    pub fn attach(&mut self, mut spec: ServiceSpec) -> ServiceSpec {
        if self.0.happens(500) {
            let network = NetworkId::default_network();
            let (aliases, options) = (Vec::new(), Default::default());
            spec.networks = vec![Attachment { network, aliases, options }];
            spec.template.runtime = Runtime::Container;
            spec.template.container.network = NetworkMode::None;
            spec.by_name = self.0.happens(300);
        }
        spec
    }
}

fn steady(env: Vec<String>) -> Template {
    let restart = RestartPolicy {
        condition: RestartCondition::Any,
        delay_ms: 100,
        max_attempts: None,
        window_ms: 0,
    };
    let command = vec!["steady".to_owned()];
    Template { command, env, stop_grace_ms: 1_000, restart, ..Template::default() }
}

fn all_at_once() -> UpdatePolicy {
    UpdatePolicy { parallelism: 0, delay_ms: 0, monitor_ms: 0, order: UpdateOrder::StopFirst }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_power_of_a_crowded_machine_is_back_before_the_harm_is_over() {
        for seed in 0..50 {
            let (no, [at, begin, end]) = Habits::new(seed).crowded(3, 5_000, 65_000);
            assert!(no < 3 && 5_000 <= at && at < begin && begin < end && end <= 65_000);
        }
    }

    #[test]
    fn both_sides_of_a_cut_choose_one_name() {
        let [one, other] = Habits::new(1).across(&[(0, 2)]).expect("there is a link");
        let name = |edit: &Edit| match edit {
            Edit::CreateService(spec) => spec.name.clone(),
            _ => unreachable!("it is made"),
        };
        assert_eq!((one.0, other.0), (0, 2));
        assert_eq!(name(&one.2), name(&other.2));
    }
}
