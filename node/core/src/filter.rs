//! Filters: which nodes may take a task of a service at all, before any counting.

use crdt_state::node::Availability;

use crate::platform;
use crate::reason::NodeReason;
use crate::view::{NodeView, Presence, ServiceView};
use crate::volumes;

/// Why the node may not take tasks of the service; `None`: it may. The caller decides whether a
/// paused node keeps the tasks that it has, and a node that cannot start tasks those that run.
pub fn exclusion(node: &NodeView, service: &ServiceView) -> Option<NodeReason> {
    if node.presence == Presence::Gone {
        return Some(NodeReason::Unreachable);
    }
    if node.availability == Availability::Drain {
        return Some(NodeReason::Drained);
    }
    if !platform::runs_one_of(node, &service.platforms) {
        let arch = platform::node_word(&node.arch);
        return Some(NodeReason::Platform(arch, platform::build_words(&service.platforms)));
    }
    for constraint in &service.constraints {
        match constraint {
            Ok(constraint) if constraint.fits(node) => {}
            Ok(constraint) => return Some(NodeReason::Constraint(constraint.to_string())),
            Err(text) => return Some(NodeReason::UnreadableConstraint(text.clone())),
        }
    }
    for affinity in &service.affinities {
        let obstacle = match affinity {
            Ok(affinity) => affinity.obstacle(node.id),
            Err(text) => {
                let why = "this version does not understand it".to_owned();
                Some(NodeReason::Affinity(text.clone(), why))
            }
        };
        if obstacle.is_some() {
            return obstacle;
        }
    }
    if service.has_networks
        && let Some(refusal) = &node.no_networks
    {
        return Some(NodeReason::NoNetworks(refusal.clone()));
    }
    if service.needs_tunnel
        && let Some(refusal) = &node.no_tunnel
    {
        return Some(NodeReason::NoTunnel(refusal.clone()));
    }
    if let Some(reason) = volumes::obstacle(node, &service.volumes) {
        return Some(reason);
    }
    if node.availability == Availability::Pause {
        return Some(NodeReason::Paused);
    }
    node.unable.clone().map(NodeReason::Unable)
}

/// Is the reason a resource that the node lacks, and not a decision of operators or the network?
pub fn is_lack(reason: &NodeReason) -> bool {
    matches!(
        reason,
        NodeReason::Memory(..)
            | NodeReason::Cpu(..)
            | NodeReason::Generic(..)
            | NodeReason::NoGeneric(_)
            | NodeReason::HostPort(_)
    )
}
