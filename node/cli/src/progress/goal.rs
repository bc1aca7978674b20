//! What a command waits for, and what became of the rollout that it began.

use crate::failure::Failure;
use node_docker::service::{Service, UpdateStatus};

use super::snapshot::Counts;

/// What a command waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Goal {
    /// A new service runs.
    Create,
    /// A service is as its spec says; with the state of its rollout before the change.
    Change(Option<UpdateStatus>),
    /// A service is what it was before.
    Rollback,
}

/// What became of the rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// There is none, or it is over, or it was paused before: only the tasks count.
    None,
    /// It is under way.
    Going,
    /// Its first tasks run well, and it waits for an operator, with this message.
    Waits(String),
}

impl Goal {
    /// The state of the rollout that the command began; `None`: it began none.
    fn begun<'a>(&self, service: &'a Service) -> Option<&'a UpdateStatus> {
        let status = service.update_status.as_ref()?;
        let Goal::Change(Some(before)) = self else { return Some(status) };
        let is_same = (&before.state, before.started_at) == (&status.state, status.started_at);
        (!is_same).then_some(status)
    }

    /// Which tasks count: while a rollout stays paused, those of both versions.
    pub fn counts(&self, service: &Service) -> Counts {
        let is_paused =
            |status: &UpdateStatus| matches!(status.state.as_str(), "paused" | "rollback_paused");
        match (&service.update_status, self.begun(service)) {
            (Some(status), None) if is_paused(status) => Counts::BothVersions,
            _ => Counts::CurrentVersion,
        }
    }

    /// What became of the rollout.
    ///
    /// # Errors
    /// It was paused, or rolled back, because tasks failed.
    pub fn outcome(&self, service: &Service) -> Result<Outcome, Failure> {
        let name = &service.spec.name;
        let Some(status) = self.begun(service) else { return Ok(Outcome::None) };
        let is_rollback = *self == Goal::Rollback;
        match status.state.as_str() {
            "updating" | "rollback_started" => Ok(Outcome::Going),
            "paused" if status.awaits_promotion => Ok(Outcome::Waits(status.message.clone())),
            "paused" | "rollback_paused" => {
                let failure = Failure::new(format!("service {name} does not converge"));
                Err(failure.why(&status.message).hint(format!("edgectl service logs {name}")))
            }
            "rollback_completed" if !is_rollback => {
                let failure = Failure::new(format!("service {name} was rolled back"));
                Err(failure
                    .why(&status.message)
                    .hint(format!("edgectl service ps --no-trunc {name}"))
                    .hint(format!("edgectl service logs {name}")))
            }
            _ => Ok(Outcome::None),
        }
    }
}

#[cfg(test)]
mod tests {
    use node_docker::Timestamp;

    use super::*;

    fn service(state: &str, started: u64) -> Service {
        let status = UpdateStatus {
            state: state.to_owned(),
            started_at: Some(Timestamp(started)),
            message: "why".to_owned(),
            ..UpdateStatus::default()
        };
        Service { update_status: Some(status), ..Service::default() }
    }

    #[test]
    fn a_rollout_that_was_paused_before_is_not_waited_for() {
        let paused = service("paused", 1);
        let scale = Goal::Change(paused.update_status.clone());
        assert_eq!(scale.outcome(&paused).expect("not its own"), Outcome::None);
        assert_eq!(scale.counts(&paused), Counts::BothVersions);
        assert!(scale.outcome(&service("paused", 2)).is_err(), "another one");
        assert!(Goal::Change(None).outcome(&paused).is_err());
    }

    #[test]
    fn a_rollback_is_what_was_asked_for_or_a_failure() {
        let back = service("rollback_completed", 1);
        assert_eq!(Goal::Rollback.outcome(&back).expect("as asked"), Outcome::None);
        let error = Goal::Change(None).outcome(&back).expect_err("it failed");
        assert!(format!("{error:?}").contains("why"), "{error:?}");
        let going = Goal::Change(None).outcome(&service("rollback_started", 1));
        assert_eq!(going.expect("under way"), Outcome::Going);
    }
}
