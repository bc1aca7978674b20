//! What is refused of jobs.

use crdt_state::service::Service;
use crdt_state::spec::{RestartCondition, Scale, Template, UpdatePolicy};

use super::ServiceSpec;

/// Why a job, or a change of one, was refused. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadJob {
    /// A job ends; a task that is always started again does not.
    #[error(
        "a job is over when its tasks have ended well, so restart condition `any` would never let \
         it end; use on-failure or none"
    )]
    RestartsAlways,
    /// A job has no rollout.
    #[error(
        "Jobs may not have an update config: an update of a job begins a new iteration at once; \
         leave out --update-parallelism, --update-delay, --update-monitor, --update-order and the \
         like"
    )]
    UpdateConfig,
    /// A service is a job from its creation on, or is none.
    #[error(
        "service mode change is not allowed: a job stays a job of its kind; remove the service and \
         create it with the other --mode"
    )]
    ModeChange,
    /// There are completions and no task may run.
    #[error("no task of the job may run: --max-concurrent is 0; give 1 or more")]
    NoneConcurrent,
}

/// Checks a job by itself.
pub(super) fn check(spec: &ServiceSpec) -> Result<(), BadJob> {
    if !spec.scale.is_job() {
        return Ok(());
    }
    if spec.template.restart.condition == RestartCondition::Any {
        return Err(BadJob::RestartsAlways);
    }
    if spec.update_policy != UpdatePolicy::default() {
        return Err(BadJob::UpdateConfig);
    }
    match spec.scale {
        Scale::JobReplicated { completions: 1.., max_concurrent: 0 } => Err(BadJob::NoneConcurrent),
        _ => Ok(()),
    }
}

/// Checks a change of the mode.
pub(crate) fn check_mode(held: Scale, wanted: Scale) -> Result<(), BadJob> {
    let is_same = std::mem::discriminant(&held) == std::mem::discriminant(&wanted);
    if is_same || !(held.is_job() || wanted.is_job()) { Ok(()) } else { Err(BadJob::ModeChange) }
}

/// The template that an edit writes. That of a job is a version that was not there before, also if
/// the operator goes back to an earlier one: what completed then says nothing about now.
pub(crate) fn template(spec: &ServiceSpec, held: &Service) -> Template {
    let mut template = spec.template.clone();
    if held.scale.is_job() && template != held.template {
        template.force_update = template.force_update.max(held.template.force_update + 1);
    }
    template
}
