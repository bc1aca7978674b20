//! The names of a spec's fields in Docker's spelling. Docker reads them in any case, and there are
//! clients that rely on it: its own library for Python writes `replicated`, and clients that are made
//! from its description of the API write `HealthCheck`.

use serde_json::{Map, Value};

/// Docker's names of the fields of a service's spec.
const NAMES: &str = "\
    Aliases Architecture Args BindOptions CapabilityAdd CapabilityDrop Command Condition ConfigID \
    ConfigName Configs Consistency Constraints ContainerSpec CreateMountpoint CredentialSpec \
    DNSConfig Delay Dir DiscreteResourceSpec DriverConfig DriverOpts EndpointSpec Env FailureAction \
    File ForceUpdate GID GenericResources Global GlobalJob Groups Hard Healthcheck Hostname Hosts \
    Image Init Interval Isolation Kind Labels Limits LogDriver MaxAttempts MaxConcurrent \
    MaxFailureRatio MaxReplicas MemoryBytes MemorySwappiness Mode Monitor Mounts Name \
    NamedResourceSpec Nameservers NanoCPUs Networks NoCopy NoNewPrivileges NonRecursive OS \
    OomScoreAdj OpenStdin Options Order Parallelism Pids Placement Platforms Ports Preferences \
    Privileges Propagation Protocol PublishMode PublishedPort ReadOnly Replicas Replicated \
    ReplicatedJob Reservations Resources RestartPolicy Retries RollbackConfig Runtime Search \
    Seccomp SecretID SecretName Secrets SizeBytes Soft Source Spread SpreadDescriptor StartInterval StartPeriod \
    StopGracePeriod StopSignal SwapBytes Sysctls TTY Target TargetPort TaskTemplate Test Timeout \
    TmpfsOptions TotalCompletions Type UID Ulimits UpdateConfig User Value Variant VolumeOptions \
    Window";

/// Below these the keys are the users' own.
const USERS_OWN: [&str; 4] = ["DriverOpts", "Labels", "Options", "Sysctls"];

/// Gives every field its name in Docker's spelling. Of a field that was sent in several, the one with
/// that spelling counts.
pub(super) fn correct(sent: &mut Value) {
    match sent {
        Value::Object(fields) => {
            for (name, value) in std::mem::take(fields) {
                put(fields, name, value);
            }
            let below = fields.iter_mut().filter(|(name, _)| !USERS_OWN.contains(&name.as_str()));
            below.for_each(|(_, value)| correct(value));
        }
        Value::Array(items) => items.iter_mut().for_each(correct),
        _ => {}
    }
}

fn put(fields: &mut Map<String, Value>, name: String, value: Value) {
    match NAMES.split_ascii_whitespace().find(|known| known.eq_ignore_ascii_case(&name)) {
        Some(known) if known != name => {
            fields.entry(known).or_insert(value);
        }
        _ => {
            fields.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::read_spec;
    use super::super::tests::CONTAINER;
    use super::*;
    use crate::tests::CREATE;

    /// What the other two do not have.
    const REST: &str = r#"{"Mode": {"ReplicatedJob": {"MaxConcurrent": 1, "TotalCompletions": 2}},
        "TaskTemplate": {"ContainerSpec": {"Configs": [{"ConfigID": "a", "ConfigName": "b",
            "File": {"Name": "/c", "UID": "1", "GID": "2", "Mode": 292}}]},
            "Resources": {"SwapBytes": 1, "MemorySwappiness": 2, "Reservations": {"GenericResources": [
                {"NamedResourceSpec": {"Kind": "gpu", "Value": "a"}},
                {"DiscreteResourceSpec": {"Kind": "cpu", "Value": 1}}]}},
            "Networks": [{"Target": "n", "Aliases": ["a"], "DriverOpts": {"k": "v"}}]}}"#;

    fn lowered(sent: &Value) -> Value {
        match sent {
            Value::Object(fields) => {
                let lower = fields.iter().map(|(name, value)| {
                    let is_own = USERS_OWN.contains(&name.as_str()) || name == "Edge";
                    let value = if is_own { value.clone() } else { lowered(value) };
                    let name = if is_own { name.clone() } else { name.to_lowercase() };
                    (name, value)
                });
                Value::Object(lower.collect())
            }
            Value::Array(items) => items.iter().map(lowered).collect(),
            other => other.clone(),
        }
    }

    #[test]
    fn names_of_fields_are_read_in_any_case() {
        for text in [CREATE, CONTAINER, REST] {
            let sent: Value = serde_json::from_str(text).expect("JSON");
            let mut corrected = lowered(&sent);
            correct(&mut corrected);
            assert_eq!(corrected, sent);
            read_spec(lowered(&sent).to_string().as_bytes()).expect("a spec");
        }
    }

    #[test]
    fn keys_of_users_stay_and_docker_s_spelling_counts() {
        let mut sent = json!({"labels": {"name": "a"}, "mode": {"global": {}}, "Mode": {}});
        correct(&mut sent);
        assert_eq!(sent, json!({"Labels": {"name": "a"}, "Mode": {}}));
    }
}
