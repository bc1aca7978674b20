//! What becomes of tasks in a partition: the flags, and the line of `inspect --pretty`.

use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::client::Client;
use crate::failure::Failure;
use crate::resolve;
use crate::value::{self, show_duration};
use node_docker::Nanos;
use node_docker::node::Node;
use node_docker::service::ServiceSpec;
use node_docker::task_spec::Partition;

/// What becomes of tasks when nodes do not hear each other.
#[derive(Debug, Default, Args)]
pub struct PartitionFlags {
    /// Tasks that are cut off run on each side, stay with their node, or run on one side at most
    /// [default: run-everywhere]
    #[arg(long, value_name = "POLICY", help_heading = "Partitions",
        value_parser = PossibleValuesParser::new(["run-everywhere", "stay", "at-most-one"]))]
    pub partition: Option<String>,
    /// With at-most-one: stop a task when no majority of the anchors answers for this long
    /// [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = value::duration,
        help_heading = "Partitions")]
    pub fence_after: Option<Duration>,
    /// With at-most-one: the node, or the odd number of nodes, whose side goes on
    #[arg(long, value_name = "NODE", value_delimiter = ',', help_heading = "Partitions")]
    pub anchor: Vec<String>,
}

impl PartitionFlags {
    /// Sets what is given. Another policy brings no setting of the one before.
    pub fn apply(&self, spec: &mut ServiceSpec) {
        if self.partition.is_none() && self.fence_after.is_none() && self.anchor.is_empty() {
            return;
        }
        let placement = spec.task_template.placement.get_or_insert_default();
        let partition = placement.partition.get_or_insert_with(|| Partition {
            policy: "run-everywhere".to_owned(),
            ..Partition::default()
        });
        if let Some(policy) = self.partition.as_ref().filter(|policy| **policy != partition.policy)
        {
            *partition = Partition { policy: policy.clone(), ..Partition::default() };
        }
        if let Some(after) = self.fence_after {
            let nanos = i64::try_from(after.as_nanos()).unwrap_or(i64::MAX);
            partition.fence_after = Some(Nanos(nanos));
        }
        if !self.anchor.is_empty() {
            partition.anchors.clone_from(&self.anchor);
        }
    }

    /// Turns the names of anchors into ids. Asks nothing if none are given.
    pub async fn look_up(
        &self,
        client: &mut Client,
        spec: &mut ServiceSpec,
    ) -> Result<(), Failure> {
        match self.anchor.is_empty() {
            true => Ok(()),
            false => resolve_anchors(client, spec).await,
        }
    }
}

/// Turns the names of a spec's anchors into ids. Asks nothing if there are none.
pub async fn resolve_anchors(client: &mut Client, spec: &mut ServiceSpec) -> Result<(), Failure> {
    let placement = spec.task_template.placement.as_mut();
    let partition = placement.and_then(|placement| placement.partition.as_mut());
    let Some(partition) = partition.filter(|partition| !partition.anchors.is_empty()) else {
        return Ok(());
    };
    let nodes: Vec<Node> = client.get("/nodes").await?;
    for anchor in &mut partition.anchors {
        let is_me = |node: &&Node| *anchor == "self" && node.edge.is_me;
        let found = match nodes.iter().find(is_me) {
            Some(me) => me.clone(),
            None => resolve::one(anchor, nodes.clone())
                .map_err(|failure| failure.hint("--anchor NODE; edgectl node ls"))?,
        };
        anchor.clone_from(&found.id);
    }
    Ok(())
}

/// `at-most-one, anchors n1, stopped after 10s without them`. `shown` turns an id into a name.
pub fn text(partition: &Partition, shown: impl Fn(&str) -> String) -> String {
    let mut parts = vec![partition.policy.clone()];
    let anchors: Vec<String> = partition.anchors.iter().map(|anchor| shown(anchor)).collect();
    match anchors.as_slice() {
        [] => {}
        [one] => parts.push(format!("anchor {one}")),
        several => parts.push(format!("anchors {}", several.join(" "))),
    }
    if let Some(after) = partition.fence_after {
        let after = show_duration(Duration::from_millis(after.to_ms()));
        parts.push(format!("stopped after {after} without them"));
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(policy: Option<&str>, after: Option<u64>, anchors: &[&str]) -> PartitionFlags {
        PartitionFlags {
            partition: policy.map(str::to_owned),
            fence_after: after.map(Duration::from_secs),
            anchor: anchors.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    fn held(spec: &ServiceSpec) -> String {
        let placement = spec.task_template.placement.clone().expect("set");
        text(&placement.partition.expect("set"), str::to_owned)
    }

    #[test]
    fn what_is_not_given_stays_and_another_policy_begins_anew() {
        let mut spec = ServiceSpec::default();
        flags(None, None, &[]).apply(&mut spec);
        assert_eq!(spec, ServiceSpec::default());
        flags(Some("at-most-one"), None, &["n1", "n2", "n3"]).apply(&mut spec);
        assert_eq!(held(&spec), "at-most-one, anchors n1 n2 n3");
        flags(None, Some(5), &[]).apply(&mut spec);
        let all = "at-most-one, anchors n1 n2 n3, stopped after 5s without them";
        assert_eq!(held(&spec), all);
        flags(Some("at-most-one"), None, &[]).apply(&mut spec);
        assert_eq!(held(&spec), all, "the same policy");
        flags(Some("stay"), None, &[]).apply(&mut spec);
        assert_eq!(held(&spec), "stay");
    }
}
