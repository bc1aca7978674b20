//! The nodes that hold the volumes of a service, as the planner needs them.
//!
//! A node holds a volume if its record says so, whether the node is reachable or not. The planner
//! must never conclude from silence that a volume is absent: a database that is started on an empty
//! volume looks like one that lost its data.

use std::collections::BTreeSet;

use crdt_state::NodeId;
use crdt_state::service::Service;
use crdt_state::spec::MountSource;
use crdt_state::volume::Holding;

use crate::expand::{Piece, Placeholder, pieces};
use crate::reason::NodeReason;
use crate::view::{NodeView, SLOT, View};

/// The named volumes of a service's tasks. A name that differs on every node binds no task.
pub fn named_by(service: &Service) -> BTreeSet<String> {
    let mounts = service.template.container.mounts.iter();
    let names = mounts.filter_map(|mount| match &mount.source {
        MountSource::Volume { name, .. } if !name.is_empty() => Some(name),
        _ => None,
    });
    names.filter_map(|name| expanded(name, service)).collect()
}

fn expanded(name: &str, service: &Service) -> Option<String> {
    let piece = |piece: &Piece<'_>| {
        let known = match piece {
            Piece::Text(text) => (*text).to_owned(),
            Piece::Filled(Placeholder::TaskSlot) => return Some(SLOT.to_owned()),
            Piece::Filled(Placeholder::ServiceName) => service.name.clone(),
            Piece::Filled(Placeholder::ServiceId) => service.id.to_string(),
            Piece::Filled(Placeholder::ServiceLabel(label)) => {
                service.labels.get(*label).cloned().unwrap_or_default()
            }
            Piece::Filled(Placeholder::Literal(text)) => (*text).to_owned(),
            Piece::Filled(_) => return None,
        };
        // No volume has such a name, and it would look like the slot's.
        (!known.contains("{{")).then_some(known)
    };
    pieces(name).ok()?.iter().map(piece).collect()
}

/// Why a node cannot mount one of these volumes although it reports that it holds it.
pub fn obstacle(node: &NodeView, names: &BTreeSet<String>) -> Option<NodeReason> {
    names.iter().find_map(|name| match node.volumes.get(name)? {
        Holding::Here => None,
        Holding::Missing => Some(NodeReason::VolumeMissing(name.clone())),
        Holding::GivenUp => Some(NodeReason::VolumeGivenUp(name.clone())),
    })
}

/// The nodes that hold the volumes of a task.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holders {
    /// The nodes that hold every one of those volumes that any node holds.
    pub of_all: BTreeSet<NodeId>,
    /// The nodes that hold any of the volumes.
    pub of_any: BTreeSet<NodeId>,
    /// So many tasks must not start on an empty volume: the most nodes that hold one and the same
    /// volume.
    pub claims: usize,
}

impl Holders {
    /// Counts all nodes, silent ones too.
    pub fn of(view: &View, names: &BTreeSet<String>) -> Holders {
        let holds = |node: &NodeView, name: &String| {
            matches!(node.volumes.get(name), Some(Holding::Here | Holding::Missing))
        };
        let mut holders = Holders::default();
        for name in names {
            let here: BTreeSet<NodeId> =
                view.nodes.values().filter(|node| holds(node, name)).map(|node| node.id).collect();
            if here.is_empty() {
                continue;
            }
            holders.of_all = match holders.claims {
                0 => here.clone(),
                _ => holders.of_all.intersection(&here).copied().collect(),
            };
            holders.claims = holders.claims.max(here.len());
            holders.of_any.extend(here);
        }
        holders
    }
}
