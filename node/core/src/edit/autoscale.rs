//! What is refused of autoscaling.

use crdt_state::autoscale::{Autoscale, PERCENT_MAX};
use crdt_state::limits::REPLICAS_MAX;
use crdt_state::service::Service;
use crdt_state::spec::Scale;

use super::ServiceSpec;

/// Why autoscaling, or a change of a service that has it, was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAutoscale {
    /// Other modes have no number of replicas.
    #[error(
        "--autoscale changes the number of replicas, which only --mode replicated has; leave it out"
    )]
    Mode,
    /// There is no measure without a task.
    #[error(
        "--autoscale min=0 is not possible: without a task nothing is measured, and nothing would \
         start the first one; give min=1 or more"
    )]
    NoTask,
    /// An empty range.
    #[error("--autoscale min={min} is more than max={max}; give a max of at least min")]
    Range {
        /// At least.
        min: u32,
        /// At most.
        max: u32,
    },
    /// More than any service may have.
    #[error(
        "--autoscale max={0} is more than {REPLICAS_MAX}; give a max of at most {REPLICAS_MAX}"
    )]
    TooMany(u32),
    /// Nothing to go by.
    #[error(
        "--autoscale needs what it goes by: add cpu=60%, memory=80% or both, for example \
         --autoscale min=2,max=10,cpu=60%"
    )]
    NoTarget,
    /// A target that nothing can be compared with.
    #[error("--autoscale {metric}={percent}% is no target; give {metric}=1% to {metric}={most}%")]
    Target {
        /// `cpu` or `memory`.
        metric: &'static str,
        /// What was given.
        percent: u32,
        /// The highest that has an effect.
        most: u32,
    },
    /// Percents of nothing.
    #[error(
        "--autoscale memory= is in percent of the memory limit, and the service has none; add \
         --limit-memory 256m, or go by cpu= alone"
    )]
    NoMemoryLimit,
    /// The number to begin with.
    #[error(
        "--replicas {replicas} is outside of --autoscale min={min},max={max}; give a number within \
         it, or leave out --replicas"
    )]
    First {
        /// What was given.
        replicas: u32,
        /// At least.
        min: u32,
        /// At most.
        max: u32,
    },
    /// Scaled by hand.
    #[error(
        "the number of tasks of {name} follows its load, between {min} and {max}; change these: \
         edgectl service update --autoscale min=N,max=N,… {name}, or take it off first: \
         edgectl service update --autoscale off {name}"
    )]
    ByHand {
        /// The service.
        name: String,
        /// At least.
        min: u32,
        /// At most.
        max: u32,
    },
}

/// Checks autoscaling by itself.
pub(super) fn check(spec: &ServiceSpec) -> Result<(), BadAutoscale> {
    let Some(Autoscale { min, max, cpu, memory }) = spec.autoscale else { return Ok(()) };
    let limits = &spec.template.limits;
    let cpu_max = if limits.nano_cpus > 0 { 100 } else { PERCENT_MAX };
    let is_target =
        |percent: Option<u32>, most: u32| percent.is_none_or(|p| (1..=most).contains(&p));
    let target = |metric, percent: Option<u32>, most| {
        let percent = percent.unwrap_or_default();
        Err(BadAutoscale::Target { metric, percent, most })
    };
    match () {
        () if !matches!(spec.scale, Scale::Replicated { .. }) => Err(BadAutoscale::Mode),
        () if min == 0 => Err(BadAutoscale::NoTask),
        () if min > max => Err(BadAutoscale::Range { min, max }),
        () if max > REPLICAS_MAX => Err(BadAutoscale::TooMany(max)),
        () if cpu.is_none() && memory.is_none() => Err(BadAutoscale::NoTarget),
        () if !is_target(cpu, cpu_max) => target("cpu", cpu, cpu_max),
        () if !is_target(memory, 100) => target("memory", memory, 100),
        () if memory.is_some() && limits.memory_bytes == 0 => Err(BadAutoscale::NoMemoryLimit),
        () => Ok(()),
    }
}

/// Checks the number of replicas that an operator gives beside autoscaling.
pub(crate) fn check_replicas(
    spec: &ServiceSpec,
    held: Option<&Service>,
) -> Result<(), BadAutoscale> {
    let (Some(asked), Scale::Replicated { replicas }) = (spec.autoscale, spec.scale) else {
        return Ok(());
    };
    let Autoscale { min, max, .. } = asked;
    match held {
        Some(held) if spec.scale == held.written_scale => Ok(()),
        Some(held) if held.autoscale.is_some() => {
            Err(BadAutoscale::ByHand { name: held.name.clone(), min, max })
        }
        _ if !(min..=max).contains(&replicas) => Err(BadAutoscale::First { replicas, min, max }),
        _ => Ok(()),
    }
}
