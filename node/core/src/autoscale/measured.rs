//! What this node's own tasks use, as the mean over about a minute.
//!
//! A task has a figure once it was measured some times while it ran healthy. What was measured before
//! that, or too long ago, is forgotten and never counts as no load.

use std::collections::BTreeMap;

use crdt_state::autoscale::{Autoscale, PERCENT_MAX, ScalingReport};
use crdt_state::service::Service;
use crdt_state::spec::Template;
use crdt_state::task::{Run, TaskStatus};
use gossip::Now;

use super::{RunUse, counts, run_of};

/// Samples of which the mean is taken: agents take one every 10 s.
const SAMPLES_MAX: usize = 6;

/// A task with fewer samples has no figure: what a program does as it starts is not its load.
pub const SAMPLES_MIN: usize = 3;

/// Without a further sample the figures are forgotten after this time, in milliseconds.
pub const FRESH_MS: u64 = 35_000;

/// A load is published when it differs by this part of the target: five percent points of a target
/// of 60. The error is less than what is tolerated of the target.
pub const STEPS: u32 = 12;

/// One core, in billionths.
const CORE_NANO: u64 = 1_000_000_000;

#[derive(Default)]
pub(super) struct Measured {
    runs: BTreeMap<Run, Vec<RunUse>>,
    at: Option<Now>,
}

impl Measured {
    pub(super) fn note(&mut self, now: Now, found: &BTreeMap<Run, RunUse>) {
        self.runs.retain(|run, _| found.contains_key(run));
        for (run, used) in found {
            let samples = self.runs.entry(*run).or_default();
            if samples.len() == SAMPLES_MAX {
                samples.remove(0);
            }
            samples.push(*used);
        }
        self.at = Some(now);
    }

    /// Until when the figures count.
    pub(super) fn fresh_until(&self) -> Now {
        self.at.filter(|_| !self.runs.is_empty()).map_or(Now::NEVER, |at| at.plus(FRESH_MS))
    }

    pub(super) fn forget_old(&mut self, now: Now) {
        if self.fresh_until() <= now {
            self.runs.clear();
        }
    }

    /// What the tasks of a service use here.
    pub(super) fn load<'a>(
        &mut self,
        asked: Autoscale,
        service: &Service,
        tasks: impl Iterator<Item = &'a TaskStatus>,
    ) -> ScalingReport {
        let mut load = ScalingReport::default();
        for task in tasks {
            let run = run_of(task);
            if !counts(task) {
                self.runs.remove(&run);
                continue;
            }
            let samples = self.runs.get(&run).filter(|samples| samples.len() >= SAMPLES_MIN);
            let template = service.template_of(task.template);
            let used =
                samples.zip(template).and_then(|(all, template)| percents(all, template, asked));
            let Some((cpu, memory)) = used else { continue };
            load.tasks += 1;
            load.cpu = load.cpu.saturating_add(cpu);
            load.memory = load.memory.saturating_add(memory);
        }
        load
    }
}

/// CPU and memory of one task in percent; 0 for what is not asked. `None`: there is no whole to take
/// percents of.
fn percents(samples: &[RunUse], template: &Template, asked: Autoscale) -> Option<(u32, u32)> {
    let mean = |of: fn(&RunUse) -> u64| {
        let sum: u128 = samples.iter().map(|used| u128::from(of(used))).sum();
        sum / (samples.len().max(1) as u128)
    };
    let percent = |used: u128, whole: u64| {
        let percent = (used * 100 + u128::from(whole) / 2) / u128::from(whole);
        u32::try_from(percent).unwrap_or(u32::MAX).min(PERCENT_MAX)
    };
    let cpus = [template.limits.nano_cpus, template.reservations.nano_cpus, CORE_NANO];
    let cpus = cpus.into_iter().find(|cpus| *cpus > 0).unwrap_or(CORE_NANO);
    let memory = match (asked.memory, template.limits.memory_bytes) {
        (Some(_), 0) => return None,
        (Some(_), limit) => percent(mean(|used| used.memory_bytes), limit),
        (None, _) => 0,
    };
    let cpu = asked.cpu.map(|_| percent(mean(|used| used.millicores) * 1_000_000, cpus));
    Some((cpu.unwrap_or(0), memory))
}

/// Is it worth a write to say so?
pub(super) fn differs(asked: Autoscale, said: &ScalingReport, now: &ScalingReport) -> bool {
    let is_far = |said: u32, now_is: u32, target: Option<u32>| {
        let step = (target.unwrap_or(0) / STEPS).max(1).saturating_mul(now.tasks);
        now_is.abs_diff(said) >= step
    };
    said.tasks != now.tasks
        || now.tasks > 0
            && (is_far(said.cpu, now.cpu, asked.cpu)
                || is_far(said.memory, now.memory, asked.memory))
}
