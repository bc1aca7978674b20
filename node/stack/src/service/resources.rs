//! Limits and reservations: those of `deploy.resources`, and those that version 2 of the format has on
//! the service itself.

use node_docker::service::ServiceSpec;
use node_docker::task_spec::{DiscreteResource, GenericResource, Resources};
use node_values as values;

use crate::fields::{Fields, number};

/// `deploy.resources`.
pub fn of_deploy(mut fields: Fields<'_>, spec: &mut ServiceSpec) {
    let mut resources = spec.task_template.resources.take().unwrap_or_default();
    if let Some(limits) = fields.fields("limits") {
        resources.limits = Some(amounts(limits));
    }
    if let Some(mut reserved) = fields.fields("reservations") {
        reserved.refuse(&[(
            "devices",
            "write `generic_resources` with the kind that the nodes offer (gpu, camera, serial)",
        )]);
        resources.reservations = Some(amounts(reserved));
    }
    fields.finish();
    spec.task_template.resources = Some(resources);
}

fn amounts(mut fields: Fields<'_>) -> Resources {
    let found = Resources {
        nano_cpus: fields.read("cpus", values::cpus).unwrap_or_default(),
        memory_bytes: fields.read("memory", values::bytes).unwrap_or_default(),
        pids: fields.read("pids", number).unwrap_or_default(),
        generic_resources: generic(&mut fields),
    };
    fields.finish();
    found
}

/// `- discrete_resource_spec: {kind: gpu, value: 2}`.
fn generic(fields: &mut Fields<'_>) -> Vec<GenericResource> {
    let path = fields.path("generic_resources");
    let mut all = Vec::new();
    for item in fields.items("generic_resources").unwrap_or_default() {
        let Some(mut one) = Fields::of(item, path.clone(), fields.log()) else { continue };
        if let Some(mut spec) = one.fields("discrete_resource_spec") {
            let kind = spec.string("kind").unwrap_or_default();
            let value = spec.read("value", number).unwrap_or_default();
            spec.finish();
            let discrete_resource_spec = Some(DiscreteResource { kind, value });
            all.push(GenericResource { discrete_resource_spec, named_resource_spec: None });
        }
        one.finish();
    }
    all
}

/// `mem_limit`, `cpus` and the like. What `deploy` says counts more.
pub fn read(fields: &mut Fields<'_>, spec: &mut ServiceSpec) {
    let memory = fields.read("mem_limit", values::bytes);
    let reserved = fields.read("mem_reservation", values::bytes);
    let cpus = fields.read("cpus", values::cpus);
    let pids = fields.read("pids_limit", pids);
    // With swap is the whole, as for Docker; the API wants the swap alone.
    let with_swap = fields.read("memswap_limit", values::swap);
    let swappiness = fields.read("mem_swappiness", values::swappiness);
    let is_given = memory.or(cpus).or(reserved).is_some()
        || pids.is_some()
        || with_swap.or(swappiness).is_some();
    if !is_given {
        return;
    }
    let resources = spec.task_template.resources.get_or_insert_default();
    let limits = resources.limits.get_or_insert_default();
    fill(&mut limits.memory_bytes, memory);
    fill(&mut limits.nano_cpus, cpus);
    fill(&mut limits.pids, pids);
    let limit = limits.memory_bytes;
    if reserved.is_some() {
        fill(&mut resources.reservations.get_or_insert_default().memory_bytes, reserved);
    }
    resources.memory_swappiness = swappiness.or(resources.memory_swappiness);
    if let Some(whole) = with_swap {
        let swap = match whole {
            -1 => -1,
            whole => whole.saturating_sub(i64::try_from(limit).unwrap_or(i64::MAX)).max(0),
        };
        resources.swap_bytes = Some(swap);
    }
}

fn fill(place: &mut u64, value: Option<u64>) {
    if *place == 0 {
        *place = value.unwrap_or_default();
    }
}

/// A number of processes; Docker writes no limit as -1 or 0.
fn pids(text: &str) -> Result<u64, String> {
    match text {
        "-1" => Ok(0),
        text => number(text),
    }
}
