//! What becomes of tasks in a partition, in words. What goes together is checked where every edit
//! is.

use std::collections::BTreeSet;

use crdt_state::NodeId;
use crdt_state::partition::{Partition, PartitionPolicy};
use node_core::edit::partition::policy_word;

use super::super::BadSpec;
use super::{bad_value, bad_word};
use crate::task_spec;

/// The time after which tasks without a majority of anchors are stopped, unless it is given: a
/// restart of the agent and a link that is plugged in again take less.
const FENCE_AFTER_MS: u64 = 10_000;

/// Reads it. `held` is the policy of the service: Docker's clients lose this field.
pub(super) fn accept(
    sent: Option<task_spec::Partition>,
    held: Partition,
) -> Result<Partition, BadSpec> {
    let Some(sent) = sent else { return Ok(held) };
    let policies =
        [PartitionPolicy::RunEverywhere, PartitionPolicy::Stay, PartitionPolicy::AtMostOne];
    let named = policies.into_iter().find(|policy| policy_word(*policy) == sent.policy);
    let policy = match (named, sent.policy.as_str()) {
        (Some(policy), _) => policy,
        (None, "") => PartitionPolicy::RunEverywhere,
        (None, word) => {
            let allowed = "run-everywhere, stay, at-most-one";
            return Err(bad_word("Placement.Partition.Policy", word, allowed));
        }
    };
    let default_ms = if policy == PartitionPolicy::AtMostOne { FENCE_AFTER_MS } else { 0 };
    let anchors = sent.anchors.iter().map(|text| {
        let hint = "an anchor is the id of a node; `edgectl node ls` lists them";
        text.parse::<NodeId>().map_err(|_| bad_value("Placement.Partition.Anchors", text, hint))
    });
    Ok(Partition {
        policy,
        fence_after_ms: sent.fence_after.map_or(default_ms, |time| time.to_ms()),
        anchors: anchors.collect::<Result<BTreeSet<NodeId>, BadSpec>>()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::state::{BadSpec, accept, read_spec, show};
    use node_core::ServiceSpec;

    fn sent(partition: Value, current: Option<&ServiceSpec>) -> Result<ServiceSpec, BadSpec> {
        let mut spec = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "a"}}});
        spec["TaskTemplate"]["Placement"]["Partition"] = partition;
        accept(read_spec(spec.to_string().as_bytes())?, current)
    }

    #[test]
    fn a_policy_that_dockers_client_loses_is_kept() {
        let node = crdt_state::NodeId([7; 16]).to_string();
        let typed = json!({"Policy": "at-most-one", "Anchors": [node]});
        let held = sent(typed, None).expect("accepted");
        assert_eq!(held.partition.fence_after_ms, 10_000);
        assert_eq!(accept(show(&held), None).as_ref(), Ok(&held));
        let mut lost = show(&held);
        lost.task_template.placement.as_mut().expect("shown").partition = None;
        assert_eq!(accept(lost, Some(&held)).as_ref(), Ok(&held));
        let other = sent(json!({"Policy": "run-everywhere"}), Some(&held)).expect("accepted");
        assert_eq!(other.partition, Default::default());
    }

    #[test]
    fn a_word_that_is_none_is_refused_with_what_to_write() {
        let anchor = json!({"Policy": "at-most-one", "Anchors": ["n1"]});
        for (typed, words) in [
            (json!({"Policy": "once"}), "none of run-everywhere, stay, at-most-one"),
            (anchor, "`edgectl node ls` lists them"),
            (json!({"Policy": "stay", "Witnesses": ["n1"]}), "Witnesses"),
            (json!({"Policy": "stay", "FenceAfter": -5}), "is negative"),
        ] {
            let error = sent(typed.clone(), None).expect_err("refused").to_string();
            assert!(error.contains(words), "{typed}: {error}");
        }
    }
}
