//! From flags to the spec for the API, and back to the form of the flags.

use std::time::Duration;

use super::container;
use super::flags::{
    HealthFlags, ResourceFlags, RestartFlags, RollbackFlags, SharedFlags, TaskFlags, UpdateFlags,
};
use crate::failure::Failure;
use node_docker::Nanos;
use node_docker::container_spec::{ContainerSpec, HealthConfig};
use node_docker::service::{Replicated, ServiceMode, ServiceSpec, UpdateConfig};
use node_docker::task_spec::{
    LogDriver, PROCESS_SCHEME, Placement, ResourceRequirements, Resources, RestartPolicy,
};

/// Applies the flags that `create` and `update` share.
pub fn apply(flags: &SharedFlags, spec: &mut ServiceSpec) -> Result<(), Failure> {
    let task = &mut spec.task_template;
    let inner = task.container_spec.get_or_insert_default();
    apply_task(&flags.task, inner);
    container::apply(&flags.container, inner);
    flags.pre_start.apply(&mut task.pre_start);
    apply_health(&flags.health, inner)?;
    if let Some(driver) = &flags.task.log_driver {
        task.log_driver.get_or_insert_with(LogDriver::default).name.clone_from(driver);
    }
    if !flags.task.log_opt.is_empty() {
        let options = &mut task.log_driver.get_or_insert_with(LogDriver::default).options;
        for pair in &flags.task.log_opt {
            options.insert(pair.name.clone(), pair.value.clone());
        }
    }
    apply_resources(&flags.resources, &mut task.resources);
    apply_restart(&flags.restart, &mut task.restart_policy);
    if let Some(max) = flags.scale.replicas_max_per_node {
        task.placement.get_or_insert_with(Placement::default).max_replicas = max;
    }
    apply_update(&flags.update, &mut spec.update_config);
    apply_rollback(&flags.rollback, &mut spec.rollback_config);
    flags.partition.apply(spec);
    flags.schedule.apply(spec);
    flags.autoscale.apply(spec);
    flags.endpoint.apply(&mut spec.endpoint_spec);
    if let Some(replicas) = flags.scale.replicas {
        set_replicas(spec, replicas)?;
    }
    match flags.scale.max_concurrent {
        Some(most) => set_max_concurrent(spec, most),
        None => Ok(()),
    }
}

fn set_max_concurrent(spec: &mut ServiceSpec, most: u32) -> Result<(), Failure> {
    let Some(job) = &mut spec.mode.replicated_job else {
        return Err(Failure::new("max-concurrent can only be used with replicated-job mode")
            .why(format!("the mode is {}", spec.mode.word()))
            .hint("--mode replicated-job along with it, when the service is created"));
    };
    job.max_concurrent = Some(u64::from(most));
    Ok(())
}

/// Sets the number of tasks, if the mode has one.
pub fn set_replicas(spec: &mut ServiceSpec, replicas: u32) -> Result<(), Failure> {
    if spec.mode.global.is_some() {
        return Err(Failure::new("a global service has no number of replicas")
            .why("it runs one task on every node that fits")
            .hint("--constraint, to say on which nodes"));
    }
    let replicas = Some(u64::from(replicas));
    if spec.mode.global_job.is_some() {
        return Err(Failure::new("a global job has no number of replicas")
            .why("it runs one task on every node that fits, to its end")
            .hint("--constraint, to say on which nodes, or --mode replicated-job"));
    }
    if let Some(job) = &mut spec.mode.replicated_job {
        job.total_completions = replicas;
        job.max_concurrent = job.max_concurrent.or(replicas);
        return Ok(());
    }
    spec.mode = ServiceMode { replicated: Some(Replicated { replicas }), ..Default::default() };
    Ok(())
}

/// Sets the program and its arguments, as an image and its arguments. The program may be written as
/// `process:PROGRAM`, as other clients of the API have to.
pub fn set_program(container: &mut ContainerSpec, program: &[String]) {
    if let Some((program, args)) = program.split_first() {
        let program = program.strip_prefix(PROCESS_SCHEME).unwrap_or(program);
        container.image = format!("{PROCESS_SCHEME}{program}");
        container.command = Vec::new();
        container.args = args.to_vec();
    }
}

fn apply_task(flags: &TaskFlags, container: &mut ContainerSpec) {
    set(&mut container.user, flags.user.clone());
    set(&mut container.dir, flags.workdir.clone());
    set(&mut container.stop_signal, flags.stop_signal.clone());
    if let Some(grace) = flags.stop_grace_period {
        container.stop_grace_period = Some(nanos(grace));
    }
}

fn apply_health(flags: &HealthFlags, container: &mut ContainerSpec) -> Result<(), Failure> {
    if flags.no_healthcheck {
        let test = vec!["NONE".to_owned()];
        container.healthcheck = Some(HealthConfig { test, ..HealthConfig::default() });
        return Ok(());
    }
    let has_times = [
        flags.health_interval,
        flags.health_timeout,
        flags.health_start_period,
        flags.health_start_interval,
    ]
    .iter()
    .any(Option::is_some);
    if !has_times && flags.health_retries.is_none() && flags.health_cmd.is_none() {
        return Ok(());
    }
    let health = container.healthcheck.get_or_insert_with(HealthConfig::default);
    if let Some(command) = &flags.health_cmd {
        health.test = vec!["CMD-SHELL".to_owned(), command.clone()];
    }
    if health.test.first().is_none_or(|kind| kind == "NONE") {
        return Err(Failure::new("there is no health check that these flags could change").hint(
            "--health-cmd 'COMMAND' along with them; that of an image cannot be changed in part",
        ));
    }
    set(&mut health.interval, flags.health_interval.map(nanos));
    set(&mut health.timeout, flags.health_timeout.map(nanos));
    set(&mut health.start_period, flags.health_start_period.map(nanos));
    set(&mut health.start_interval, flags.health_start_interval.map(nanos));
    set(&mut health.retries, flags.health_retries);
    Ok(())
}

fn apply_resources(flags: &ResourceFlags, resources: &mut Option<ResourceRequirements>) {
    let has_limits = flags.limit_cpu.or(flags.limit_memory).or(flags.limit_pids).is_some();
    if has_limits {
        let limits = resources.get_or_insert_default().limits.get_or_insert_default();
        set(&mut limits.nano_cpus, flags.limit_cpu);
        set(&mut limits.memory_bytes, flags.limit_memory);
        set(&mut limits.pids, flags.limit_pids);
    }
    if flags.reserve_cpu.or(flags.reserve_memory).is_some() {
        let reserved: &mut Resources =
            resources.get_or_insert_default().reservations.get_or_insert_default();
        set(&mut reserved.nano_cpus, flags.reserve_cpu);
        set(&mut reserved.memory_bytes, flags.reserve_memory);
    }
    flags.swap.apply(resources);
}

fn apply_restart(flags: &RestartFlags, policy: &mut Option<RestartPolicy>) {
    let is_given = flags.restart_condition.is_some()
        || flags.restart_delay.is_some()
        || flags.restart_max_attempts.is_some()
        || flags.restart_window.is_some();
    if !is_given {
        return;
    }
    let policy = policy.get_or_insert_default();
    set(&mut policy.condition, flags.restart_condition.clone());
    policy.delay = flags.restart_delay.map(nanos).or(policy.delay);
    policy.max_attempts = flags.restart_max_attempts.or(policy.max_attempts);
    policy.window = flags.restart_window.map(nanos).or(policy.window);
}

fn apply_update(flags: &UpdateFlags, config: &mut Option<UpdateConfig>) {
    let mut changed = or_defaults(config);
    let before = changed.clone();
    set(&mut changed.parallelism, flags.update_parallelism);
    set(&mut changed.delay, flags.update_delay.map(nanos));
    set(&mut changed.monitor, flags.update_monitor.map(nanos));
    set(&mut changed.order, flags.update_order.clone());
    set(&mut changed.failure_action, flags.update_failure_action.clone());
    set(&mut changed.max_failure_ratio, flags.update_max_failure_ratio);
    changed.canary = flags.update_canary.or(changed.canary);
    if changed != before {
        *config = Some(changed);
    }
}

fn apply_rollback(flags: &RollbackFlags, config: &mut Option<UpdateConfig>) {
    let mut changed = or_defaults(config);
    let before = changed.clone();
    set(&mut changed.parallelism, flags.rollback_parallelism);
    set(&mut changed.delay, flags.rollback_delay.map(nanos));
    set(&mut changed.monitor, flags.rollback_monitor.map(nanos));
    set(&mut changed.order, flags.rollback_order.clone());
    set(&mut changed.failure_action, flags.rollback_failure_action.clone());
    set(&mut changed.max_failure_ratio, flags.rollback_max_failure_ratio);
    if changed != before {
        *config = Some(changed);
    }
}

/// Absent fields are 0 for Docker, and 0 tasks at a time would be all of them.
fn or_defaults(config: &Option<UpdateConfig>) -> UpdateConfig {
    config.clone().unwrap_or_else(|| UpdateConfig { parallelism: 1, ..UpdateConfig::default() })
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

fn nanos(duration: Duration) -> Nanos {
    Nanos(i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
}
