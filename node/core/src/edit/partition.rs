//! What is refused of partition policies.

use std::collections::BTreeSet;

use crdt_state::NodeId;
use crdt_state::partition::{
    ANCHORS_MAX, FENCE_AFTER_MS_MAX, FENCE_AFTER_MS_MIN, Partition, PartitionPolicy,
};
use crdt_state::spec::{Scale, UpdateOrder};

use super::ServiceSpec;

/// Why a partition policy, or a change of one, was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPartition {
    /// Nobody could grant a lease.
    #[error(
        "--partition at-most-one needs the nodes that say which side of a partition goes on; name \
         one, or a small odd number of them: --anchor NODE"
    )]
    NoAnchor,
    /// Two halves would each have as many.
    #[error(
        "{0} anchors are an even number, and one more would not tolerate less; name an odd number \
         of them: --anchor N1,N2,N3"
    )]
    Even(usize),
    /// Every lease is asked of all of them.
    #[error(
        "{0} anchors are more than {ANCHORS_MAX}; name 1, 3, 5 or {ANCHORS_MAX} nodes: --anchor N1,N2,N3"
    )]
    TooMany(usize),
    /// The nodes are not in this fleet.
    #[error("anchor {0} is no node of this fleet; `edgectl node ls` lists them: --anchor NODE")]
    UnknownAnchor(NodeId),
    /// Anchors without their policy.
    #[error(
        "anchors belong to at-most-one alone; add --partition at-most-one, or leave out --anchor"
    )]
    AnchorsOfOther,
    /// A time without its policy.
    #[error(
        "only at-most-one stops tasks after a time; add --partition at-most-one --anchor NODE, or \
         leave out --fence-after"
    )]
    FenceOfOther,
    /// The time is out of its range.
    #[error(
        "--fence-after is {0} ms, and may be from {min}s to {max}h: a shorter time would stop tasks \
         for every lost packet",
        min = FENCE_AFTER_MS_MIN / 1_000,
        max = FENCE_AFTER_MS_MAX / 3_600_000
    )]
    FenceAfter(u64),
    /// Slots of other modes cannot change nodes, or end by themselves.
    #[error("--partition {policy} is for --mode replicated; {why}; leave it out")]
    Mode {
        /// The word of the policy.
        policy: &'static str,
        /// Why the mode has none.
        why: &'static str,
    },
    /// Two tasks of a slot would run at a time.
    #[error(
        "start-first and blue-green run two tasks of a slot at a time, and at-most-one never does; use \
         --update-order stop-first --rollback-order stop-first"
    )]
    TwoAtATime,
    /// Two sides could follow different anchors.
    #[error(
        "the anchors of an at-most-one service stay while it is one: two sides could each follow \
         other anchors; when all nodes are in view, type edgectl service update --partition \
         run-everywhere {0}, then --partition at-most-one with the new anchors; an anchor that will \
         never return: edgectl node rm --force NODE"
    )]
    AnchorsStay(String),
}

/// The word of a policy.
pub fn policy_word(policy: PartitionPolicy) -> &'static str {
    match policy {
        PartitionPolicy::RunEverywhere => "run-everywhere",
        PartitionPolicy::Stay => "stay",
        PartitionPolicy::AtMostOne => "at-most-one",
    }
}

/// Checks a policy by itself.
pub(super) fn check(spec: &ServiceSpec) -> Result<(), BadPartition> {
    let Partition { policy, fence_after_ms, anchors } = &spec.partition;
    let why = match spec.scale {
        Scale::Replicated { .. } => None,
        Scale::Global | Scale::JobGlobal => Some("the tasks of other modes belong to their nodes"),
        Scale::JobReplicated { .. } => Some("a task of a job that has begun goes to no other node"),
    };
    match (policy, why) {
        (PartitionPolicy::RunEverywhere, _) | (_, None) => {}
        (policy, Some(why)) => {
            return Err(BadPartition::Mode { policy: policy_word(*policy), why });
        }
    }
    if *policy != PartitionPolicy::AtMostOne {
        return match (anchors.is_empty(), *fence_after_ms) {
            (false, _) => Err(BadPartition::AnchorsOfOther),
            (true, 1..) => Err(BadPartition::FenceOfOther),
            (true, 0) => Ok(()),
        };
    }
    match anchors.len() {
        0 => return Err(BadPartition::NoAnchor),
        count if count % 2 == 0 => return Err(BadPartition::Even(count)),
        count if count > ANCHORS_MAX => return Err(BadPartition::TooMany(count)),
        _ => {}
    }
    if !(FENCE_AFTER_MS_MIN..=FENCE_AFTER_MS_MAX).contains(fence_after_ms) {
        return Err(BadPartition::FenceAfter(*fence_after_ms));
    }
    let orders = [spec.update_policy.order, spec.rollback_policy.pace.order];
    if orders.iter().any(|order| *order != UpdateOrder::StopFirst) {
        return Err(BadPartition::TwoAtATime);
    }
    Ok(())
}

/// Checks the anchors of a spec against the members of the fleet, and against the anchors that the
/// service has. A majority of anchors that operators removed binds nobody any more.
pub(crate) fn check_anchors(
    wanted: &Partition,
    held: &Partition,
    name: &str,
    members: &BTreeSet<NodeId>,
) -> Result<(), BadPartition> {
    if wanted.anchors == held.anchors {
        return Ok(());
    }
    let left = held.anchors.intersection(members).count();
    if wanted.is_at_most_one() && held.is_at_most_one() && left >= held.majority() {
        return Err(BadPartition::AnchorsStay(name.to_owned()));
    }
    match wanted.anchors.iter().find(|anchor| !members.contains(anchor)) {
        Some(unknown) => Err(BadPartition::UnknownAnchor(*unknown)),
        None => Ok(()),
    }
}
