//! `x-edge`: what Compose has no words for.
//!
//! ```yaml
//! x-edge:
//!   priority: 10
//!   affinity: [service==db]
//!   slot_order: ascending
//!   canary: 1
//!   partition: {policy: at-most-one, anchors: [n1, n2, n3], fence_after: 10s}
//!   autoscale: {min: 2, max: 10, cpu: 60%}
//!   schedule: {cron: "0 3 * * *", time_zone: Europe/Berlin, overlap: skip, missed: run-once}
//!   max_concurrent: 2
//! ```

use node_docker::service::{AutoscaleSpec, ScheduleSpec, ServiceSpec, UpdateConfig};
use node_docker::task_spec::Partition;
use node_values as values;

use super::container::nanos;
use crate::fields::{Fields, number};

pub fn read(fields: &mut Fields<'_>, spec: &mut ServiceSpec) {
    platform(fields, spec);
    let Some(mut edge) = fields.fields("x-edge") else { return };
    let priority = edge.read("priority", values::priority);
    let affinities = edge.read_all("affinity", values::affinity);
    let partition = partition(&mut edge);
    if priority.is_some() || !affinities.is_empty() || partition.is_some() {
        let placement = spec.task_template.placement.get_or_insert_default();
        placement.priority = priority;
        placement.affinities = Some(affinities).filter(|list| !list.is_empty());
        placement.partition = partition;
    }
    spec.slot_order = edge.string("slot_order");
    if let Some(canary) = edge.read("canary", number) {
        let one = UpdateConfig { parallelism: 1, ..UpdateConfig::default() };
        spec.update_config.get_or_insert(one).canary = Some(canary);
    }
    spec.autoscale = autoscale(&mut edge);
    spec.schedule = schedule(&mut edge);
    if let Some(most) = edge.text("max_concurrent") {
        let path = edge.path("max_concurrent");
        let read = number(&most.text).and_then(|most| match &mut spec.mode.replicated_job {
            Some(job) => {
                job.max_concurrent = Some(most);
                Ok(())
            }
            None => Err("only a replicated-job has it".to_owned()),
        });
        edge.log().ok(&most.place, read.map_err(|bad| format!("`{path}`: {bad}")));
    }
    edge.finish();
}

/// `linux/arm64` as a constraint: the tasks run on nodes of that kind.
fn platform(fields: &mut Fields<'_>, spec: &mut ServiceSpec) {
    let Some(platform) = fields.text("platform") else { return };
    let mut parts = platform.text.split('/');
    let (os, arch) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if os != "linux" || arch.is_empty() {
        let what = format!(
            "`{}`: {:?} is no platform; write it like linux/arm64",
            fields.path("platform"),
            platform.text
        );
        fields.log().refuse(&platform.place, what);
        return;
    }
    let placement = spec.task_template.placement.get_or_insert_default();
    placement.constraints.push(format!("node.platform.arch=={arch}"));
}

fn partition(edge: &mut Fields<'_>) -> Option<Partition> {
    let mut found = edge.fields("partition")?;
    let anchors = found.texts("anchors").unwrap_or_default();
    let partition = Partition {
        policy: found.string("policy").unwrap_or_default(),
        fence_after: found.read("fence_after", nanos),
        anchors: anchors.into_iter().map(|anchor| anchor.text).collect(),
    };
    found.finish();
    Some(partition)
}

fn autoscale(edge: &mut Fields<'_>) -> Option<AutoscaleSpec> {
    let mut found = edge.fields("autoscale")?;
    let spec = AutoscaleSpec {
        min: found.read("min", number).unwrap_or_default(),
        max: found.read("max", number).unwrap_or_default(),
        cpu_percent: found.read("cpu", percent),
        memory_percent: found.read("memory", percent),
    };
    found.finish();
    Some(spec)
}

fn percent(text: &str) -> Result<u64, String> {
    let digits = text.strip_suffix('%').unwrap_or(text);
    digits.parse().map_err(|_| format!("{text:?} is no share; write it like 60%"))
}

fn schedule(edge: &mut Fields<'_>) -> Option<ScheduleSpec> {
    let mut found = edge.fields("schedule")?;
    let spec = ScheduleSpec {
        cron: found.string("cron").unwrap_or_default(),
        time_zone: found.string("time_zone").unwrap_or_default(),
        overlap: found.string("overlap").unwrap_or_default(),
        missed: found.string("missed").unwrap_or_default(),
    };
    found.finish();
    Some(spec)
}
