//! `deploy`, `restart` and `scale`: how many tasks, where, and how they are replaced.

use node_docker::service::{
    Empty, EndpointSpec, Replicated, ReplicatedJob, ServiceMode, ServiceSpec, UpdateConfig,
};
use node_docker::task_spec::{Placement, PlacementPreference, RestartPolicy, SpreadOver};
use node_values as values;

use super::container::{labels, nanos};
use super::resources;
use crate::fields::{Fields, as_text, number};
use crate::tree::{Node, Place};

pub fn read(fields: &mut Fields<'_>, spec: &mut ServiceSpec) {
    let restart = restart(fields);
    let scale = fields.read("scale", number);
    let Some(mut deploy) = fields.fields("deploy") else {
        spec.mode = replicated(scale);
        spec.task_template.restart_policy = restart;
        return;
    };
    mode(&mut deploy, scale, spec);
    let own = labels(&mut deploy, "labels");
    spec.labels.extend(own);
    if let Some(mode) = deploy.string("endpoint_mode") {
        spec.endpoint_spec.get_or_insert_with(EndpointSpec::default).mode = mode;
    }
    spec.task_template.placement = placement(&mut deploy);
    spec.task_template.restart_policy = restart_policy(&mut deploy).or(restart);
    spec.update_config = update(&mut deploy, "update_config");
    spec.rollback_config = update(&mut deploy, "rollback_config");
    if let Some(found) = deploy.fields("resources") {
        resources::of_deploy(found, spec);
    }
    deploy.finish();
}

/// `"no"`, `always`, `unless-stopped`, `on-failure` and `on-failure:3`.
fn restart(fields: &mut Fields<'_>) -> Option<RestartPolicy> {
    let path = fields.path("restart");
    let text = fields.text("restart")?;
    let (word, most) = text.text.split_once(':').unwrap_or((&text.text, ""));
    let condition = match word {
        "no" | "false" => "none",
        "always" | "unless-stopped" => "any",
        "on-failure" => "on-failure",
        other => {
            let what = format!(
                "`{path}`: there are \"no\", always, unless-stopped and on-failure, not {other:?}"
            );
            fields.log().refuse(&text.place, what);
            return None;
        }
    };
    let most = (!most.is_empty()).then(|| number(most));
    let most = most.and_then(|most| fields.log().ok(&text.place, most));
    Some(RestartPolicy {
        condition: condition.to_owned(),
        max_attempts: most,
        ..RestartPolicy::default()
    })
}

fn restart_policy(deploy: &mut Fields<'_>) -> Option<RestartPolicy> {
    let mut policy = deploy.fields("restart_policy")?;
    let found = RestartPolicy {
        condition: policy.string("condition").unwrap_or_default(),
        delay: policy.read("delay", nanos),
        max_attempts: policy.read("max_attempts", number),
        window: policy.read("window", nanos),
    };
    policy.finish();
    Some(found)
}

fn replicated(replicas: Option<u64>) -> ServiceMode {
    let replicas = Some(replicas.unwrap_or(1));
    ServiceMode { replicated: Some(Replicated { replicas }), ..ServiceMode::default() }
}

fn mode(deploy: &mut Fields<'_>, scale: Option<u64>, spec: &mut ServiceSpec) {
    let word = deploy.text("mode");
    let replicas = deploy.text("replicas");
    let count = replicas.as_ref().and_then(|text| {
        let path = deploy.path("replicas");
        deploy.log().ok(&text.place, number(&text.text).map_err(|bad| format!("`{path}`: {bad}")))
    });
    let count = count.or(scale);
    match word.as_ref().map_or("replicated", |word| word.text.as_str()) {
        "replicated" => spec.mode = replicated(count),
        "replicated-job" => {
            let count = Some(count.unwrap_or(1));
            let job = ReplicatedJob { max_concurrent: count, total_completions: count };
            spec.mode.replicated_job = Some(job);
        }
        "global" => spec.mode.global = Some(Empty {}),
        "global-job" => spec.mode.global_job = Some(Empty {}),
        other => {
            let place = word.as_ref().map_or(&deploy.place, |word| &word.place);
            let what = format!(
                "`{}`: there are replicated, global, replicated-job and global-job, not {other:?}",
                deploy.path("mode")
            );
            deploy.log().refuse(place, what);
        }
    }
    let is_global = spec.mode.global.is_some() || spec.mode.global_job.is_some();
    if let Some(replicas) = replicas.filter(|_| is_global) {
        let what = format!("`{}`: one task runs on every node that fits", deploy.path("replicas"));
        deploy.log().refuse(&replicas.place, what);
    }
}

fn placement(deploy: &mut Fields<'_>) -> Option<Placement> {
    let mut found = deploy.fields("placement")?;
    let mut placement = Placement {
        constraints: found.read_all("constraints", values::constraint),
        max_replicas: found
            .read("max_replicas_per_node", |text| {
                text.parse().map_err(|_| format!("{text:?} is no number"))
            })
            .unwrap_or_default(),
        ..Placement::default()
    };
    let path = found.path("preferences");
    for item in found.items("preferences").unwrap_or_default() {
        placement.preferences.extend(preference(item, &path, &found));
    }
    found.finish();
    Some(placement)
}

fn preference(item: Node, path: &str, fields: &Fields<'_>) -> Option<PlacementPreference> {
    let mut one = Fields::of(item, path.to_owned(), fields.log())?;
    let Some(spread) = one.take("spread") else {
        one.log().refuse(&one.place, format!("`{path}`: `spread` is missing"));
        return None;
    };
    one.finish();
    let spread = as_text(spread, path, fields.log())?;
    let read = values::preference(&format!("spread={}", spread.text));
    fields.log().ok(&spread.place, read.map_err(|bad| format!("`{path}`: {bad}")))?;
    let spread = SpreadOver { spread_descriptor: spread.text };
    Some(PlacementPreference { spread: Some(spread) })
}

fn update(deploy: &mut Fields<'_>, key: &'static str) -> Option<UpdateConfig> {
    let mut found = deploy.fields(key)?;
    let place: Place = found.place.clone();
    let config = UpdateConfig {
        parallelism: found.read("parallelism", number).unwrap_or(1),
        delay: found.read("delay", nanos).unwrap_or_default(),
        failure_action: found.string("failure_action").unwrap_or_default(),
        monitor: found.read("monitor", nanos).unwrap_or_default(),
        max_failure_ratio: found.read("max_failure_ratio", values::ratio).unwrap_or_default(),
        order: found.string("order").unwrap_or_default(),
        canary: None,
    };
    let path = found.path("order");
    found.finish();
    let orders = ["", "start-first", "stop-first", "blue-green"];
    if !orders.contains(&config.order.as_str()) {
        let what = format!("`{path}`: there are start-first, stop-first and blue-green");
        deploy.log().refuse(&place, what);
    }
    Some(config)
}
