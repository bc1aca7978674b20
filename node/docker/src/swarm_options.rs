//! Options of `swarm init` and `swarm join` that would have no effect: refused, unless they ask for
//! what is so anyway. A setting that is silently dropped would be noticed too late.
//!
//! It must refuse no request that Docker's clients send without an option.

use serde_json::Value;

/// An option without an effect here.
pub struct SwarmOption {
    /// As it is typed.
    pub flag: &'static str,
    /// Where it is in a request: the beginning of a path.
    path: &'static str,
    /// Why it has no effect.
    pub why: &'static str,
    /// What to do instead.
    pub hint: &'static str,
}

/// Docker's own values, nanoseconds: who sends them asks for nothing. 90 days and 5 s.
const CERT_EXPIRY_NS: u64 = 7_776_000_000_000_000;
const HEARTBEAT_NS: u64 = 5_000_000_000;

const NO_RAFT: &str = "there is no Raft log: every node has the fleet's records";

/// All of them. Of two that fit, the first counts.
pub const NO_EFFECT: &[SwarmOption] = &[
    SwarmOption {
        flag: "--data-path-port",
        path: "DataPathPort",
        why: "containers' packets always travel by UDP 4789, or 7947 where that is closed",
        hint: "leave it out, and open these two between the nodes",
    },
    SwarmOption {
        flag: "--default-addr-pool-mask-length",
        path: "SubnetSize",
        why: "networks get a /16 of 100.64.0.0/10 or 10.128.0.0/9 that no node has a route to",
        hint: "leave it out, and choose per network: edgectl network create --subnet CIDR NAME",
    },
    SwarmOption {
        flag: "--default-addr-pool",
        path: "DefaultAddrPool",
        why: "networks get a /16 of 100.64.0.0/10 or 10.128.0.0/9 that no node has a route to",
        hint: "leave it out, and choose per network: edgectl network create --subnet CIDR NAME",
    },
    SwarmOption {
        flag: "--cert-expiry",
        path: "Spec.CAConfig.NodeCertExpiry",
        why: "there are no certificates: a node is its key, which does not expire",
        hint: "leave it out; edgectl node rm NODE takes a node out of the fleet",
    },
    SwarmOption {
        flag: "--external-ca",
        path: "Spec.CAConfig",
        why: "there are no certificates: a node is its key",
        hint: "leave it out",
    },
    SwarmOption {
        flag: "--dispatcher-heartbeat",
        path: "Spec.Dispatcher",
        why: "no node dispatches; how soon nodes notice that one is gone follows from their links",
        hint: "leave it out, or set link in edge.toml",
    },
    SwarmOption {
        flag: "--snapshot-interval",
        path: "Spec.Raft.SnapshotInterval",
        why: NO_RAFT,
        hint: "leave it out",
    },
    SwarmOption { flag: "--max-snapshots", path: "Spec.Raft", why: NO_RAFT, hint: "leave it out" },
];

/// Those that have an effect, or are answered where more is known.
const UNDERSTOOD: [&str; 12] = [
    "ListenAddr",
    "AdvertiseAddr",
    "DataPathAddr",
    "ForceNewCluster",
    "RemoteAddrs",
    "JoinToken",
    "Availability",
    "Spec.Name",
    FORCE_ROTATE,
    TASK_HISTORY_LIMIT,
    AUTOLOCK[0],
    AUTOLOCK[1],
];

/// Where a request says how much of a slot's past is to be kept.
const TASK_HISTORY_LIMIT: &str = "Spec.Orchestration.TaskHistoryRetentionLimit";

/// Where a request says that the root of trust is to be replaced.
const FORCE_ROTATE: &str = "Spec.CAConfig.ForceRotate";

/// Where a request says whether nodes are to seal what they keep: any, and one that begins a fleet.
const AUTOLOCK: [&str; 2] = ["Spec.EncryptionConfig.AutoLockManagers", "AutoLockManagers"];

/// Whether nodes are to seal what they keep; `None`: the request does not say.
pub fn autolock(request: &Value) -> Option<bool> {
    let said =
        |path: &&str| path.split('.').try_fold(request, |within, name| within.get(name))?.as_bool();
    AUTOLOCK.iter().filter_map(said).reduce(|one, other| one || other)
}

/// Does a request ask for another root of trust? It names a number that is not the present one.
pub fn asks_to_rotate(request: &Value, rotations: u64) -> bool {
    let asked = FORCE_ROTATE.split('.').try_fold(request, |within, name| within.get(name));
    asked.and_then(Value::as_u64).is_some_and(|asked| asked != 0 && asked != rotations)
}

/// How much of a slot's past a request asks to be kept; `None`: it does not say.
pub fn task_history_limit(request: &Value) -> Result<Option<i64>, String> {
    let mut path = TASK_HISTORY_LIMIT.split('.');
    match path.try_fold(request, |within, name| within.get(name)) {
        None | Some(Value::Null) => Ok(None),
        Some(asked) => asked.as_i64().map(Some).ok_or_else(|| {
            format!(
                "--task-history-limit {asked} is no number of tasks\ntry: --task-history-limit 5"
            )
        }),
    }
}

/// The first thing that a request asks for and would not get, as a sentence with what to do.
pub fn without_effect(request: &Value) -> Option<String> {
    let asked = first_asked("", request)?;
    let option = NO_EFFECT.iter().find(|option| is_within(&asked, option.path));
    Some(match option {
        Some(SwarmOption { flag, why, hint, .. }) => {
            format!("{flag} would have no effect\nwhy: {why}\ntry: {hint}")
        }
        None => format!("{asked} would have no effect\ntry: leave it out"),
    })
}

fn is_within(path: &str, beginning: &str) -> bool {
    let rest = path.strip_prefix(beginning);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The path of the first field that asks for something other than what is so anyway.
fn first_asked(path: &str, value: &Value) -> Option<String> {
    if UNDERSTOOD.contains(&path) {
        return None;
    }
    let is_so_anyway = match value {
        Value::Object(fields) => {
            return fields.iter().find_map(|(name, value)| {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                first_asked(&path, value)
            });
        }
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Number(number) => match path {
            // What Docker's clients send, and what there is.
            "DataPathPort" => [0, 4789].map(Some).contains(&number.as_u64()),
            "SubnetSize" => [0, 24].map(Some).contains(&number.as_u64()),
            // Docker's library for Python sends the first with every change.
            "Spec.CAConfig.NodeCertExpiry" => {
                [0, CERT_EXPIRY_NS].map(Some).contains(&number.as_u64())
            }
            "Spec.Dispatcher.HeartbeatPeriod" => {
                [0, HEARTBEAT_NS].map(Some).contains(&number.as_u64())
            }
            _ => number.as_f64() == Some(0.0),
        },
    };
    (!is_so_anyway).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_clients_send_without_an_option_is_taken() {
        let spec = json!({
            "Labels": null,
            "Orchestration": {}, "Raft": { "ElectionTick": 0, "HeartbeatTick": 0 },
            "Dispatcher": {}, "CAConfig": {}, "TaskDefaults": {},
            "EncryptionConfig": { "AutoLockManagers": false },
        });
        let init = json!({
            "ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "", "DataPathAddr": "",
            "DataPathPort": 0, "ForceNewCluster": false, "Spec": spec,
            "AutoLockManagers": false, "Availability": "active", "DefaultAddrPool": null,
            "SubnetSize": 24,
        });
        assert_eq!(without_effect(&init), None);
        let join = json!({
            "ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": "", "DataPathAddr": "",
            "RemoteAddrs": ["10.0.0.1:2377"], "JoinToken": "EDGE-1-5f", "Availability": "active",
        });
        assert_eq!(without_effect(&join), None);
    }

    #[test]
    fn a_task_history_limit_is_a_number_that_is_taken_as_it_is() {
        let spec = |limit: Value| json!({ "Spec": { "Orchestration": { "TaskHistoryRetentionLimit": limit } } });
        for (limit, read) in [(json!(0), Some(0)), (json!(-1), Some(-1)), (Value::Null, None)] {
            assert_eq!(without_effect(&spec(limit.clone())), None);
            assert_eq!(task_history_limit(&spec(limit)), Ok(read));
        }
        assert_eq!(task_history_limit(&json!({ "Spec": {} })), Ok(None));
        for limit in [json!("5"), json!(1.5), json!([5]), json!(u64::MAX)] {
            let said = task_history_limit(&spec(limit)).expect_err("no number of tasks");
            assert!(said.contains("try: --task-history-limit 5"), "{said}");
        }
    }

    #[test]
    fn autolock_is_asked_for_in_two_places() {
        let within =
            |on: bool| json!({ "Spec": { "EncryptionConfig": { "AutoLockManagers": on } } });
        assert_eq!(autolock(&within(true)), Some(true));
        assert_eq!(autolock(&within(false)), Some(false));
        assert_eq!(autolock(&json!({ "AutoLockManagers": true, "Spec": {} })), Some(true));
        assert_eq!(autolock(&json!({ "Spec": { "EncryptionConfig": {} } })), None);
        assert_eq!(without_effect(&within(true)), None);
    }

    #[test]
    fn an_option_without_an_effect_is_refused_by_its_name() {
        for (request, flag) in [
            (json!({ "DataPathPort": 5789 }), "--data-path-port"),
            (
                json!({ "DefaultAddrPool": ["10.20.0.0/16"], "SubnetSize": 24 }),
                "--default-addr-pool ",
            ),
            (json!({ "SubnetSize": 26 }), "--default-addr-pool-mask-length"),
            (json!({ "Spec": { "CAConfig": { "NodeCertExpiry": 3_600_000 } } }), "--cert-expiry"),
            (json!({ "Spec": { "CAConfig": { "ExternalCAs": [{}] } } }), "--external-ca"),
            (
                json!({ "Spec": { "Dispatcher": { "HeartbeatPeriod": 9 } } }),
                "--dispatcher-heartbeat",
            ),
            (json!({ "Spec": { "Raft": { "SnapshotInterval": 7 } } }), "--snapshot-interval"),
            (json!({ "Spec": { "Raft": { "KeepOldSnapshots": 7 } } }), "--max-snapshots"),
            (json!({ "Spec": { "Labels": { "a": "b" } } }), "Spec.Labels.a "),
        ] {
            let said = without_effect(&request).expect("it is refused");
            assert!(said.starts_with(flag) && said.contains("try: "), "{request}: {said}");
        }
    }
}
