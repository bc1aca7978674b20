//! What operators do with a rollout: roll back, pause, resume, promote.

use crdt_state::rollout::{Direction, Steering};
use crdt_state::service::Service;
use crdt_state::spec::Facet;
use crdt_state::{RecordKey, ServiceId, Stamp};

use super::{Editor, check_version};
use crate::edit::{Edited, Refusal, ServiceSpec, Steer};

impl Editor<'_> {
    /// Goes back to what the service was before its last update.
    pub(super) fn roll_back(
        &mut self,
        id: ServiceId,
        version: Option<u64>,
    ) -> Result<Edited, Refusal> {
        let held = self.living(id)?;
        check_version(version, held.version)?;
        let Some(earlier) = earlier(&held) else {
            let name = held.name.clone();
            let hint = match held.rollout.failed_update {
                None => "; it was never updated; `edgectl service update` changes it",
                Some(_) => "; its last update failed and was rolled back already",
            };
            return Err(Refusal::NothingToRollBack { name, hint });
        };
        if let Some(of) = self.change_service(&held, &earlier)? {
            let direction = Direction::Back;
            self.say(id, Steering { of, direction, is_held: false, is_promoted: false });
        }
        Ok(Edited::Service(id))
    }

    /// Says how the rollout of a service is to go on.
    pub(super) fn steer(&mut self, id: ServiceId, steer: Steer) -> Result<Edited, Refusal> {
        let held = self.living(id)?;
        let said = Steering {
            of: held.template_stamp,
            direction: held.rollout.direction,
            is_held: held.rollout.is_held,
            is_promoted: held.rollout.is_promoted,
        };
        let name = &held.name;
        let refuse = |why: String| Err(Refusal::NothingToSteer(why));
        match steer {
            Steer::Pause if held.is_halted() => {
                refuse(format!("the update of {name} is paused already"))
            }
            Steer::Pause if !self.is_under_way(&held) => {
                refuse(format!("no update of {name} is under way: there is nothing to pause"))
            }
            Steer::Pause => {
                // A rollback that began by itself goes on as one that an operator began.
                let is_by_itself = held.rollout.failed_update.is_some();
                let of = if is_by_itself { self.begin_anew(&held) } else { said.of };
                self.say(id, Steering { of, is_held: true, ..said });
                Ok(Edited::Service(id))
            }
            Steer::Resume if !held.is_halted() => {
                refuse(format!("no update of {name} is paused: there is nothing to resume"))
            }
            Steer::Resume if !held.is_stopped() => {
                self.say(id, Steering { is_held: false, ..said });
                Ok(Edited::Service(id))
            }
            Steer::Resume => {
                let of = self.begin_anew(&held);
                self.say(id, Steering { of, is_held: false, ..said });
                Ok(Edited::Service(id))
            }
            Steer::Promote if held.update_rules.canary == 0 => refuse(format!(
                "an update of {name} does not wait to be promoted; to make the next one wait: \
                 edgectl service update --update-canary 1 {name}"
            )),
            Steer::Promote if !self.is_under_way(&held) || said.direction == Direction::Back => {
                refuse(format!("no update of {name} waits to be promoted"))
            }
            Steer::Promote if said.is_promoted => {
                refuse(format!("the update of {name} was promoted already"))
            }
            Steer::Promote => {
                self.say(id, Steering { is_promoted: true, ..said });
                Ok(Edited::Service(id))
            }
        }
    }

    /// Writes the template again: what failed before does not count for this write.
    fn begin_anew(&mut self, held: &Service) -> Stamp {
        self.write_template(RecordKey::service(held.id), &held.template)
    }

    fn say(&mut self, id: ServiceId, said: Steering) {
        self.replica.edit(RecordKey::service(id), Facet::STEERING, &said, self.wall_ms);
    }

    fn is_under_way(&self, service: &Service) -> bool {
        let plan = self.planner.plan().services.get(&service.id);
        let is_over = self.planner.progress().is_reached(self.now, service, plan);
        service.is_template_updated() && !is_over
    }
}

/// What a service goes back to. If its last edit changed the template, all of that edit is undone;
/// the template is then the last one that ran healthy. If the template was changed before, only that
/// is undone: a scale or a label since then must not be what a rollback goes back from. Else the
/// last edit is undone.
fn earlier(held: &Service) -> Option<ServiceSpec> {
    let now = ServiceSpec::of(held);
    let before = ServiceSpec::before(held).map(|before| ServiceSpec {
        name: now.name.clone(),
        by_name: now.by_name,
        ..before
    });
    let good = held.last_good.as_ref().map(|(_, good)| good.clone());
    match (before, good) {
        (Some(before), good) if before.template != now.template => {
            let template = good.unwrap_or_else(|| before.template.clone());
            Some(ServiceSpec { template, ..before })
        }
        (_, Some(template)) => Some(ServiceSpec { template, ..now }),
        (before, None) => before.filter(|before| *before != now),
    }
}
