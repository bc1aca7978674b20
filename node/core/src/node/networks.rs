//! What plans and names of networks are made from.

use crdt_state::{Kind, NodeId, ServiceId};
use gossip::MemberEvent;

use super::Node;
use crate::addressing::{Addressing, LiveTask};
use crate::catalog::{Catalog, Touched};
use crate::network_news::NetworkNews;
use crate::rollout::SideBySide;

impl Node {
    /// Why this node takes part in no encrypted network; empty: it can.
    pub fn tunnel_refusal(&self) -> String {
        self.catalog().networks.no_tunnel(self.me()).unwrap_or_default().to_owned()
    }

    /// The records, decoded.
    pub(crate) fn catalog(&self) -> &Catalog {
        self.planner.catalog()
    }

    /// Is the node there, as far as placement knows?
    pub(crate) fn is_here(&self, node: NodeId) -> bool {
        self.planner.is_here(node)
    }

    /// To whom connections to a service go; `None`: to all its tasks.
    pub(crate) fn side_by_side(&self, service: ServiceId) -> Option<SideBySide> {
        self.planner.progress().side_by_side(service)
    }

    /// Did anything change on which the plan for networks, or a name, may depend?
    pub fn has_network_news(&self) -> bool {
        !self.network_news.is_empty() || self.addressing.has_changed()
    }

    /// What changed on which the plan for networks, or a name, may depend, since the last call.
    pub fn drain_network_news(&mut self) -> NetworkNews {
        let mut news = std::mem::take(&mut self.network_news);
        let leases = self.addressing.drain_changed();
        news.links |= self.addressing.take_links_changed();
        news.services.extend(leases);
        news
    }

    /// The addresses of this node's tasks.
    pub fn addressing(&self) -> &Addressing {
        &self.addressing
    }

    /// The tasks of this node that have not ended.
    pub fn live_tasks(&self) -> Vec<LiveTask> {
        self.reconciler.live_tasks().collect()
    }

    /// The tasks of one service on this node that have not ended.
    pub(crate) fn live_tasks_of(&self, service: ServiceId) -> Vec<LiveTask> {
        self.reconciler.live_tasks_of(service)
    }

    /// A record was read again: what of networks depends on it?
    pub(super) fn note_network_news(&mut self, kind: Kind, touched: &Touched) {
        let news = &mut self.network_news;
        // Who is a member, and which end of a tunnel it has.
        news.links |= touched.nodes;
        news.claims.extend(&touched.claims);
        match kind {
            // Names of nodes are parts of host names.
            Kind::NODE | Kind::NETWORK => news.everything = true,
            Kind::SERVICE | Kind::TASK | Kind::ADDRESSES => {
                news.services.extend(touched.services.union(&touched.named));
            }
            _ => {}
        }
    }

    /// A member came or went: what leads to its tasks changes.
    pub(super) fn note_member_news(&mut self, event: &MemberEvent) {
        let (MemberEvent::Up(node)
        | MemberEvent::Unreachable(node)
        | MemberEvent::Left(node)
        | MemberEvent::Moved(node, _)) = event
        else {
            return;
        };
        self.network_news.links = true;
        let addresses = &self.planner.catalog().networks.addresses;
        let concerned =
            addresses.iter().filter(|(_, records)| records.keys().any(|(_, at)| at == node));
        self.network_news.services.extend(concerned.map(|(service, _)| *service));
    }
}
