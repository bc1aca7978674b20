//! Values that would be stored and fail only on the node that starts a task: refused before.

use std::collections::BTreeMap;

use crdt_state::spec::{Placement, Runtime, Scale, Template};
use runtime::logs::LogOptions;

use super::super::BadSpec;
use super::bad_value;

/// Checks what the parts of a spec say together.
pub(super) fn check(
    scale: Scale,
    placement: &Placement,
    template: &Template,
) -> Result<(), BadSpec> {
    let is_everywhere = matches!(scale, Scale::Global | Scale::JobGlobal);
    if is_everywhere && placement.max_per_node > 0 {
        let hint = "a global service has one task on every node; leave it out \
                    (--replicas-max-per-node), or say on which nodes with --constraint";
        return Err(bad_value("Placement.MaxReplicas", &placement.max_per_node.to_string(), hint));
    }
    check_signal(template.stop_signal.as_deref().unwrap_or_default())?;
    check_user(template.user.as_deref().unwrap_or_default())?;
    check_log(&template.log_options)?;
    match (template.runtime, template.dir.as_deref()) {
        (Runtime::Container, Some(dir)) if !dir.starts_with('/') => {
            let hint = "it is a path in the container, from its root; write it like /srv";
            Err(bad_value("Dir", dir, hint))
        }
        _ => Ok(()),
    }
}

fn check_signal(signal: &str) -> Result<(), BadSpec> {
    if signal.is_empty() || runtime::signal::parse(signal).is_ok() {
        return Ok(());
    }
    let hint = "no signal is called so; write a name like SIGTERM, or a number from 1 to 64";
    Err(bad_value("StopSignal", signal, hint))
}

fn check_user(user: &str) -> Result<(), BadSpec> {
    let mut parts = user.split(':');
    let is_whole = parts.clone().count() <= 2 && parts.all(|part| !part.is_empty());
    if user.is_empty() || is_whole {
        return Ok(());
    }
    Err(bad_value("User", user, "write it like app, 1000, app:app or 1000:1000"))
}

fn check_log(options: &BTreeMap<String, String>) -> Result<(), BadSpec> {
    for (name, value) in options {
        let one = BTreeMap::from([(name.clone(), value.clone())]);
        if LogOptions::parse(&one).is_err() {
            let hint = "write max-size like 500k, 10m or 1g, and max-file from 1 to 100";
            return Err(bad_value("LogDriver.Options", &format!("{name}={value}"), hint));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::state::{BadSpec, accept, read_spec};

    fn sent(path: &str, value: Value) -> Result<(), BadSpec> {
        let mut spec = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "a"}}});
        let mut place = &mut spec;
        for name in path.split('/') {
            place = &mut place[name];
        }
        *place = value;
        accept(read_spec(spec.to_string().as_bytes())?, None).map(|_| ())
    }

    const CONTAINER: &str = "TaskTemplate/ContainerSpec";

    #[test]
    fn a_value_that_no_node_could_use_is_refused_with_what_to_write() {
        let second = 1_000_000_000_i64;
        for (path, value, words) in [
            ("TaskTemplate/ContainerSpec/StopSignal", json!("SIGFOO"), "like SIGTERM"),
            ("TaskTemplate/ContainerSpec/User", json!("a:b:c"), "1000:1000"),
            ("TaskTemplate/ContainerSpec/User", json!(":20"), "1000:1000"),
            ("TaskTemplate/ContainerSpec/Dir", json!("srv"), "like /srv"),
            ("TaskTemplate/ContainerSpec/Hostname", json!("-till"), "like till-1"),
            ("TaskTemplate/LogDriver/Options", json!({"max-size": "x"}), "10m"),
            ("TaskTemplate/LogDriver/Options", json!({"max-file": "0"}), "1 to 100"),
            ("TaskTemplate/LogDriver/Options", json!({"tag": "x"}), "LogDriver.Options.tag"),
            ("TaskTemplate/RestartPolicy/Delay", json!(-second), "RestartPolicy.Delay: -1"),
            ("TaskTemplate/RestartPolicy/Window", json!(-1), "is negative; write 0 or more"),
            ("UpdateConfig/Delay", json!(-second), "UpdateConfig.Delay: -1"),
            ("UpdateConfig/Monitor", json!(-second), "is negative"),
            ("UpdateConfig/Parallelism", json!(-1), "UpdateConfig.Parallelism: -1"),
            ("UpdateConfig/Order", json!("both"), "stop-first, start-first, blue-green"),
            ("TaskTemplate/ContainerSpec/StopGracePeriod", json!(-second), "is negative"),
            ("TaskTemplate/ContainerSpec/Healthcheck", json!({"Retries": -1}), "Retries: -1"),
            ("TaskTemplate/Resources/Limits/NanoCPUs", json!(-second), "Limits.NanoCPUs: -1"),
            ("TaskTemplate/Resources/Limits/NanoCPUs", json!(9), "at least 0.001"),
            ("TaskTemplate/Resources/Limits/MemoryBytes", json!(1024), "at least 4m"),
            ("TaskTemplate/Resources/Limits/Pids", json!(-1), "Limits.Pids: -1 is negative"),
            ("TaskTemplate/Resources/Reservations/MemoryBytes", json!(-7), "is negative"),
            ("TaskTemplate/Placement/MaxReplicas", json!(-1), "Placement.MaxReplicas: -1"),
            ("Mode/Replicated/Replicas", json!(-1), "Mode.Replicated.Replicas: -1"),
            ("Mode/Replicated/Replicas", json!(5_000_000_000_u64), "is more than 4294967295"),
            ("Mode", json!({"Global": {}, "Replicated": {"Replicas": 1}}), "Mode: give one of"),
            ("TaskTemplate/RestartPolicy/Condition", json!("often"), "none, on-failure, any"),
            ("EndpointSpec/Mode", json!("x"), "vip, dnsrr"),
            ("EndpointSpec/Ports", json!([{"TargetPort": 0}]), "from 1 to 65535"),
            ("EndpointSpec/Ports", json!([{"TargetPort": 80, "Protocol": "icmp"}]), "tcp, udp"),
            ("EndpointSpec/Ports", json!([{"TargetPort": -80}]), "TargetPort: -80 is negative"),
        ] {
            let said = sent(path, value.clone()).expect_err(path).to_string();
            assert!(said.contains(words), "{path} {value}: {said}");
        }
    }

    #[test]
    fn what_may_be_negative_is_taken() {
        let limits = json!([{"Name": "core", "Hard": -1, "Soft": -1}]);
        assert_eq!(sent(&format!("{CONTAINER}/Ulimits"), limits), Ok(()));
        assert_eq!(sent(&format!("{CONTAINER}/OomScoreAdj"), json!(-500)), Ok(()));
        assert_eq!(sent("TaskTemplate/Placement/Priority", json!(-3)), Ok(()));
    }

    #[test]
    fn a_global_service_has_no_most_per_node() {
        let spec = json!({
            "Name": "web", "Mode": {"Global": {}},
            "TaskTemplate": {"ContainerSpec": {"Image": "a"}, "Placement": {"MaxReplicas": 2}},
        });
        let spec = read_spec(spec.to_string().as_bytes()).expect("it can be read");
        let said = accept(spec, None).expect_err("refused").to_string();
        assert!(said.contains("leave it out (--replicas-max-per-node)"), "{said}");
    }
}
