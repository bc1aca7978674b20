//! One service of a Compose file as the spec of a service.

mod configs;
mod container;
mod deploy;
mod edge;
mod environment;
mod health;
mod mounts;
mod networks;
mod ports;
mod relations;
mod resources;

use std::collections::BTreeMap;

use node_docker::service::ServiceSpec;

pub use container::labels;
pub use networks::DEFAULT as DEFAULT_NETWORK;

use crate::context::Context;
use crate::fields::Fields;
use crate::tree::Entry;

/// The label that says to which stack something belongs, as Docker's client has it.
pub const STACK_LABEL: &str = "com.docker.stack.namespace";

/// The label with the image as it is written in the file.
pub const IMAGE_LABEL: &str = "com.docker.stack.image";

/// Reads one service; faults are in the context's log.
pub fn read(entry: &Entry, context: &Context<'_>) -> Option<ServiceSpec> {
    let path = format!("services.{}", entry.key);
    let mut fields = Fields::of(entry.node.clone(), path, context.log)?;
    let mut spec = ServiceSpec { name: context.full_name(&entry.key), ..ServiceSpec::default() };
    spec.labels = BTreeMap::from([(STACK_LABEL.to_owned(), context.stack.clone())]);
    container::read(&mut fields, &mut spec, context);
    environment::read(&mut fields, &mut spec, context);
    health::read(&mut fields, &mut spec);
    mounts::read(&mut fields, &mut spec, context);
    configs::read(&mut fields, &mut spec, context);
    networks::read(&mut fields, &entry.key, &mut spec, context);
    ports::read(&mut fields, &mut spec);
    deploy::read(&mut fields, &mut spec);
    resources::read(&mut fields, &mut spec);
    relations::read(&mut fields, &mut spec, context);
    edge::read(&mut fields, &mut spec);
    // It has been applied.
    fields.take("profiles");
    without_effect(&mut fields);
    refused(&mut fields);
    fields.finish();
    let container = spec.task_template.container_spec.get_or_insert_default();
    container.labels.insert(STACK_LABEL.to_owned(), context.stack.clone());
    spec.labels.insert(IMAGE_LABEL.to_owned(), container.image.clone());
    Some(spec)
}

/// What Compose means for one machine, or for a developer's.
fn without_effect(fields: &mut Fields<'_>) {
    fields.ignore(&[
        ("container_name", "a task is named after its service and number"),
        ("develop", "it is for developers' machines"),
        ("expose", "tasks of a network reach each other on every port"),
        ("annotations", "no runtime here reads them"),
        ("attach", "it is for `compose up`"),
        ("pull_policy", "an image is pulled where it is not there, by its digest"),
        ("pull_refresh_after", "an image is pulled where it is not there, by its digest"),
        ("runtime", "the runtime is a setting of the node"),
    ]);
}

fn refused(fields: &mut Fields<'_>) {
    const NOT_HERE: &str = "services have no such setting";
    fields.refuse(&[
        ("domainname", "write the whole name as `hostname`"),
        ("external_links", "attach both to one external network"),
        ("mac_address", "addresses belong to the fleet's plan"),
        ("volumes_from", "name the volume in both services"),
        ("shm_size", "write a volume of type tmpfs at /dev/shm, with `tmpfs.size`"),
        ("pid", NOT_HERE),
        ("ipc", NOT_HERE),
        ("uts", NOT_HERE),
        ("cgroup", NOT_HERE),
        ("cgroup_parent", NOT_HERE),
        ("blkio_config", NOT_HERE),
        ("storage_opt", NOT_HERE),
        ("device_cgroup_rules", "name the devices (`devices`)"),
        ("isolation", "it is a setting of Windows"),
        ("credential_spec", "it is a setting of Windows"),
        ("gpus", "reserve one: `deploy.resources.reservations.generic_resources`"),
        ("models", NOT_HERE),
        ("provider", NOT_HERE),
        ("use_api_socket", "mount the agent's socket as a volume"),
        ("post_start", "no command runs after a start; write `pre_start`, or a health check"),
        ("pre_stop", "a task is stopped by its `stop_signal` alone"),
        ("label_file", "write the labels as `labels`"),
        ("cpu_shares", "write `cpus`"),
        ("cpu_quota", "write `cpus`"),
        ("cpu_period", "write `cpus`"),
        ("cpu_rt_runtime", NOT_HERE),
        ("cpu_rt_period", NOT_HERE),
        ("cpu_count", "write `cpus`"),
        ("cpu_percent", "write `cpus`"),
        ("cpuset", NOT_HERE),
        ("oom_kill_disable", "write `oom_score_adj: -1000`"),
    ]);
}
