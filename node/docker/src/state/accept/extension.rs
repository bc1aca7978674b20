//! What a task has beyond the frozen fields of its template: swap on top of its limit of memory, and
//! commands before its start, and files that it gets from the fleet.

use crdt_state::file::{ConfigFile, SecretFile};
use crdt_state::spec::{self, Extension, Swap};

use super::super::BadSpec;
use super::bad_value;
use crate::task_spec::ResourceRequirements;

const SWAP: &str = "Resources.SwapBytes";
const PRE_START: &str = "PreStart";
const SWAPPINESS: &str = "Resources.MemorySwappiness";

/// Reads it. `kept` is what the service has now: clients of Docker before 29 lose these fields. 0
/// bytes of swap, and a swappiness of -1, take off what was written before. Profiles: `security`; ids: `users`.
pub(super) fn accept(
    sent: &ResourceRequirements,
    pre_start: Option<Vec<Vec<String>>>,
    (configs, secrets): (Vec<ConfigFile>, Vec<SecretFile>),
    kept: Option<&Extension>,
) -> Result<Extension, BadSpec> {
    let kept = kept.cloned().unwrap_or_default();
    let extension = Extension {
        swap: sent.swap_bytes.map_or(Ok(kept.swap), accept_swap)?,
        swappiness: sent.memory_swappiness.map_or(Ok(kept.swappiness), accept_swappiness)?,
        pre_start: pre_start.unwrap_or(kept.pre_start),
        configs,
        standalone: kept.standalone,
        secrets,
        seccomp: None,
        apparmor: None,
        users: None,
    };
    if extension.pre_start.iter().any(|words| words.first().is_none_or(String::is_empty)) {
        let hint = "a command has a program; write [[\"./migrate\", \"--all\"]], or [] for none";
        return Err(bad_value(PRE_START, "[]", hint));
    }
    let memory_bytes = sent.limits.as_ref().map_or(0, |limits| limits.memory_bytes);
    if extension.swap.is_some() && memory_bytes == 0 {
        let hint = "swap is counted on top of a limit of memory, and there is none; give one, or \
                    0 bytes of swap: --limit-memory 64m, or --memory-swap 0";
        return Err(bad_value(SWAP, &swap_bytes(&extension).unwrap_or(0).to_string(), hint));
    }
    Ok(extension)
}

fn accept_swap(bytes: i64) -> Result<Option<Swap>, BadSpec> {
    match u64::try_from(bytes) {
        Ok(0) => Ok(None),
        Ok(bytes) => Ok(Some(Swap::Bytes(bytes))),
        Err(_) if bytes == -1 => Ok(Some(Swap::Unlimited)),
        Err(_) => {
            let hint = "write bytes, 0 for no swap, or -1 for as much as the node has";
            Err(bad_value(SWAP, &bytes.to_string(), hint))
        }
    }
}

fn accept_swappiness(value: i64) -> Result<Option<u8>, BadSpec> {
    match u8::try_from(value) {
        Ok(swappiness @ 0..=100) => Ok(Some(swappiness)),
        _ if value == -1 => Ok(None),
        _ => {
            let hint = "write a number from 0 (only when there is no other way) to 100, or -1 for \
                        that of the node";
            Err(bad_value(SWAPPINESS, &value.to_string(), hint))
        }
    }
}

/// Docker's number for the limit of swap.
pub(in super::super) fn swap_bytes(extension: &Extension) -> Option<i64> {
    extension.swap.map(|swap| match swap {
        Swap::Bytes(bytes) => i64::try_from(bytes).unwrap_or(i64::MAX),
        Swap::Unlimited => -1,
    })
}

/// Docker's number for memory and swap together, as containers show it; 0: no limit of memory.
pub fn memory_and_swap(template: &spec::Template) -> i64 {
    let memory = i64::try_from(template.limits.memory_bytes).unwrap_or(i64::MAX);
    match swap_bytes(&template.extension) {
        Some(-1) => -1,
        swap => memory.saturating_add(swap.unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use crdt_state::spec::{Extension, Swap};
    use node_core::ServiceSpec;
    use serde_json::{Value, json};

    use crate::state::{BadSpec, accept, read_spec, show};

    fn sent(resources: Value, current: Option<&ServiceSpec>) -> Result<ServiceSpec, BadSpec> {
        let task = json!({"ContainerSpec": {"Image": "a"}, "Resources": resources});
        let spec = json!({"Name": "web", "TaskTemplate": task});
        accept(read_spec(spec.to_string().as_bytes())?, current)
    }

    fn limited(mut resources: Value) -> Value {
        resources["Limits"] = json!({"MemoryBytes": 64 << 20});
        resources
    }

    #[test]
    fn swap_and_swappiness_are_read_as_docker_means_them() {
        let all = limited(json!({"SwapBytes": 1 << 20, "MemorySwappiness": 0}));
        let accepted = sent(all, None).expect("accepted");
        let swap = Some(Swap::Bytes(1 << 20));
        let expected = Extension { swap, swappiness: Some(0), ..Extension::default() };
        assert_eq!(accepted.template.extension, expected);
        assert_eq!(accept(show(&accepted), None).as_ref(), Ok(&accepted));
        let unlimited = sent(limited(json!({"SwapBytes": -1})), None).expect("accepted");
        assert_eq!(unlimited.template.extension.swap, Some(Swap::Unlimited));
        assert_eq!(accept(show(&unlimited), None).as_ref(), Ok(&unlimited));
        let shown = serde_json::to_value(show(&unlimited)).expect("shown");
        assert_eq!(shown["TaskTemplate"]["Resources"]["SwapBytes"], -1);
        let without = sent(limited(json!({})), None).expect("accepted");
        let shown = serde_json::to_value(show(&without)).expect("shown");
        assert!(shown["TaskTemplate"]["Resources"].get("SwapBytes").is_none(), "{shown}");
    }

    #[test]
    fn what_older_clients_of_docker_lose_is_kept_and_can_be_taken_off() {
        let all = limited(json!({"SwapBytes": 7, "MemorySwappiness": 9}));
        let held = sent(all, None).expect("accepted");
        let kept = sent(limited(json!({})), Some(&held)).expect("accepted");
        assert_eq!(kept.template.extension, held.template.extension);
        let off = limited(json!({"SwapBytes": 0, "MemorySwappiness": -1}));
        let off = sent(off, Some(&held)).expect("accepted");
        assert_eq!(off.template.extension, Extension::default());
    }

    #[test]
    fn numbers_that_mean_nothing_are_refused_with_what_to_write() {
        for (resources, words) in [
            (limited(json!({"SwapBytes": -2})), "-1 for as much as the node has"),
            (json!({"SwapBytes": 1}), "--limit-memory 64m"),
            (json!({"SwapBytes": -1}), "--limit-memory 64m"),
            (json!({"MemorySwappiness": 101}), "from 0 (only when there is no other way) to 100"),
            (json!({"MemorySwappiness": -2}), "-1 for that of the node"),
        ] {
            let said = sent(resources, None).expect_err("refused").to_string();
            assert!(said.contains(words), "{said}");
        }
        let held = sent(limited(json!({"SwapBytes": 7})), None).expect("accepted");
        let said =
            sent(json!({}), Some(&held)).expect_err("no limit of memory is left").to_string();
        assert!(said.contains("--memory-swap 0"), "{said}");
    }
    #[test]
    fn commands_before_the_start_are_kept_unless_they_are_sent() {
        let with = |commands: Value, current: Option<&ServiceSpec>| {
            let mut task = json!({"ContainerSpec": {"Image": "a"}});
            if !commands.is_null() {
                task["PreStart"] = commands;
            }
            let spec = json!({"Name": "web", "TaskTemplate": task});
            accept(read_spec(spec.to_string().as_bytes())?, current)
        };
        let held = with(json!([["migrate", "--all"], ["warm"]]), None).expect("accepted");
        assert_eq!(held.template.extension.pre_start.len(), 2);
        assert_eq!(accept(show(&held), None).as_ref(), Ok(&held));
        assert_eq!(with(Value::Null, Some(&held)).as_ref(), Ok(&held), "Docker's clients lose it");
        let off = with(json!([]), Some(&held)).expect("accepted");
        assert_eq!(off.template.extension, Extension::default());
        for bad in [json!([[]]), json!([[""]])] {
            let said = with(bad, None).expect_err("refused").to_string();
            assert!(said.contains("a command has a program"), "{said}");
        }
    }
}
