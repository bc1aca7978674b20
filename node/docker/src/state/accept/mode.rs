//! The mode of a service, and what a job has that others have not.

use crdt_state::spec::Scale;
use node_core::edit::BadJob;

use super::super::BadSpec;
use super::fit_u32;
use crate::service as docker;
use crate::task_spec::TaskSpec;

/// Reads the mode; none means that it is replicated, without a number with `first` replicas.
pub(super) fn accept(mode: docker::ServiceMode, first: u32) -> Result<Scale, BadSpec> {
    let docker::ServiceMode { replicated, global, replicated_job, global_job } = mode;
    let given = [replicated.is_some(), global.is_some()];
    let given = given.into_iter().chain([replicated_job.is_some(), global_job.is_some()]);
    if given.filter(|is_given| *is_given).count() > 1 {
        return Err(BadSpec::TwoModes);
    }
    if let Some(job) = replicated_job {
        return accept_job(job);
    }
    if global.is_some() {
        return Ok(Scale::Global);
    }
    if global_job.is_some() {
        return Ok(Scale::JobGlobal);
    }
    let replicas = replicated.and_then(|r| r.replicas).unwrap_or(u64::from(first));
    Ok(Scale::Replicated { replicas: fit_u32("Mode.Replicated.Replicas", replicas)? })
}

/// Docker's defaults: one at a time, and as many in all as run at a time.
fn accept_job(job: docker::ReplicatedJob) -> Result<Scale, BadSpec> {
    let most = job.max_concurrent.unwrap_or(1);
    let all = job.total_completions.unwrap_or(most);
    Ok(Scale::JobReplicated {
        completions: fit_u32("Mode.ReplicatedJob.TotalCompletions", all)?,
        max_concurrent: fit_u32("Mode.ReplicatedJob.MaxConcurrent", most)?,
    })
}

/// Refuses what only a rollout has.
pub(super) fn check_update(
    scale: Scale,
    config: Option<&docker::UpdateConfig>,
) -> Result<(), BadSpec> {
    if scale.is_job() && config.is_some() { Err(BadJob::UpdateConfig.into()) } else { Ok(()) }
}

/// A task of a job is started again only after a failure, unless the spec says something else.
pub(super) fn with_restart(scale: Scale, mut task: TaskSpec) -> TaskSpec {
    if scale.is_job() {
        let policy = task.restart_policy.get_or_insert_default();
        if policy.condition.is_empty() {
            "on-failure".clone_into(&mut policy.condition);
        }
    }
    task
}

#[cfg(test)]
mod tests {
    use crdt_state::spec::RestartCondition;

    use super::*;
    use crate::read;
    use crate::state::{accept, show};

    fn spec(rest: &str) -> docker::ServiceSpec {
        let container = r#""ContainerSpec": {"Image": "busybox"}"#;
        let json = format!(r#"{{"Name": "job", "TaskTemplate": {{{container}}}, {rest}}}"#);
        read(json.as_bytes()).expect("a spec")
    }

    fn refusal(rest: &str) -> String {
        match accept(spec(rest), None) {
            Ok(spec) => spec.check().expect_err("refused").to_string(),
            Err(bad) => bad.to_string(),
        }
    }

    #[test]
    fn a_job_is_shown_as_it_was_accepted_and_restarts_only_after_failures() {
        for (mode, scale) in [
            (
                r#"{"ReplicatedJob": {"TotalCompletions": 5, "MaxConcurrent": 2}}"#,
                Scale::JobReplicated { completions: 5, max_concurrent: 2 },
            ),
            (
                r#"{"ReplicatedJob": {}}"#,
                Scale::JobReplicated { completions: 1, max_concurrent: 1 },
            ),
            (
                r#"{"ReplicatedJob": {"MaxConcurrent": 3}}"#,
                Scale::JobReplicated { completions: 3, max_concurrent: 3 },
            ),
            (r#"{"GlobalJob": {}}"#, Scale::JobGlobal),
        ] {
            let accepted = accept(spec(&format!(r#""Mode": {mode}"#)), None).expect("accepted");
            assert_eq!(accepted.scale, scale);
            assert_eq!(accepted.template.restart.condition, RestartCondition::OnFailure);
            let shown = show(&accepted);
            assert!(shown.update_config.is_none(), "Docker's client sends back what it is shown");
            assert_eq!(accept(shown, None), Ok(accepted));
        }
    }

    #[test]
    fn what_no_job_has_is_refused() {
        let job = r#""Mode": {"GlobalJob": {}}"#;
        for (rest, words) in [
            (format!(r#"{job}, "UpdateConfig": {{"Order": "start-first"}}"#), "an update config"),
            (r#""Mode": {"Global": {}, "GlobalJob": {}}"#.to_owned(), "give one of"),
            (
                r#""Mode": {"ReplicatedJob": {"TotalCompletions": 3, "MaxConcurrent": 0}}"#
                    .to_owned(),
                "give 1 or more",
            ),
            (
                r#""Mode": {"ReplicatedJob": {"TotalCompletions": 200000, "MaxConcurrent": 1}}"#
                    .to_owned(),
                "at most 100000 is possible",
            ),
        ] {
            let said = refusal(&rest);
            assert!(said.contains(words), "{said}");
        }
        let mut always = spec(job);
        let policy = always.task_template.restart_policy.get_or_insert_default();
        "any".clone_into(&mut policy.condition);
        let refused = accept(always, None).expect("a spec").check().expect_err("refused");
        assert!(refused.to_string().contains("use on-failure or none"), "{refused}");
    }
}
