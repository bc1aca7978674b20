//! The habit of services that do not run everywhere: operators create some that stay and some that
//! run at most once, and change them. Draws from a stream of its own.
//!
//! No operator changes the policy or the anchors of such a service: from its creation on it runs at
//! most once, and I6 watches that.

use std::collections::BTreeSet;

use crdt_state::partition::{Partition, PartitionPolicy};
use crdt_state::service::Service;
use crdt_state::spec::{RestartCondition, RestartPolicy, Scale, Template, UpdatePolicy};
use node_core::edit::{Edit, ServiceSpec};

use crate::dice::Dice;
use crate::operator::Seen;

/// The most of them in one world.
const SERVICES_MAX: usize = 3;

/// Does the service belong to this habit? No other operator changes it.
pub fn is_anchored(service: &Service) -> bool {
    service.partition.policy != PartitionPolicy::RunEverywhere
}

/// Creates and changes them.
#[derive(Debug)]
pub struct AnchorHabit(Dice);

impl AnchorHabit {
    /// The habit of a seed.
    pub fn new(seed: u64) -> AnchorHabit {
        AnchorHabit(Dice::new(seed, "anchors"))
    }

    /// What an operator with this habit does, if anything.
    pub fn edit(&mut self, seen: &Seen) -> Option<Edit> {
        let mine: Vec<&Service> = seen.services.iter().filter(|s| is_anchored(s)).collect();
        match self.0.below(6) {
            0..=2 if mine.len() < SERVICES_MAX && !seen.nodes.is_empty() => Some(self.create(seen)),
            3 if !mine.is_empty() => {
                let service = *self.0.pick(&mine);
                let mut spec = ServiceSpec::of(service);
                match self.0.below(3) {
                    0 => spec.template.force_update += 1,
                    1 => spec.scale = self.scale(),
                    _ if spec.partition.is_at_most_one() => {
                        spec.partition.fence_after_ms = self.fence_after_ms();
                    }
                    _ => spec.template.force_update += 1,
                }
                Some(Edit::UpdateService { id: service.id, version: None, spec: Box::new(spec) })
            }
            4 if self.0.below(4) == 0 && !mine.is_empty() => {
                Some(Edit::RemoveService { id: self.0.pick(&mine).id })
            }
            _ => None,
        }
    }

    fn create(&mut self, seen: &Seen) -> Edit {
        let is_once = self.0.below(3) > 0;
        let mut anchors = BTreeSet::new();
        if is_once {
            let wanted = if seen.nodes.len() >= 3 && self.0.happens(600) { 3 } else { 1 };
            while anchors.len() < wanted {
                anchors.insert(*self.0.pick(&seen.nodes));
            }
        }
        let partition = Partition {
            policy: if is_once { PartitionPolicy::AtMostOne } else { PartitionPolicy::Stay },
            fence_after_ms: if is_once { self.fence_after_ms() } else { 0 },
            anchors,
        };
        let restart = RestartPolicy {
            condition: RestartCondition::Any,
            delay_ms: 100,
            max_attempts: None,
            window_ms: 0,
        };
        let command = vec![(*self.0.pick(&["steady", "steady", "stubborn"])).to_owned()];
        let word = if is_once { "once" } else { "stay" };
        Edit::CreateService(Box::new(ServiceSpec {
            name: format!("{word}-{}", self.0.below(1_000)),
            template: Template { command, stop_grace_ms: 1_000, restart, ..Template::default() },
            scale: self.scale(),
            placement: Default::default(),
            update_policy: UpdatePolicy { monitor_ms: 0, ..UpdatePolicy::default() },
            update_rules: Default::default(),
            rollback_policy: Default::default(),
            partition,
            schedule: Default::default(),
            autoscale: Default::default(),
            relations: Default::default(),
            endpoint: Default::default(),
            networks: Vec::new(),
            by_name: false,
            labels: Default::default(),
        }))
    }

    fn scale(&mut self) -> Scale {
        Scale::Replicated { replicas: self.0.between(1, 2) as u32 }
    }

    fn fence_after_ms(&mut self) -> u64 {
        *self.0.pick(&[2_000, 4_000, 8_000])
    }
}
