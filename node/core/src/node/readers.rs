//! What can be read of a node.

use std::net::SocketAddr;
use std::sync::Arc;

use crdt_state::node::NodeDescription;
use crdt_state::replica::Replica;
use crdt_state::service::Service;
use crdt_state::spec::{Facet, Life};
use crdt_state::{NodeId, RecordKey, ServiceId};
use gossip::{Gossip, Now};

use super::Node;
use crate::plan::Plan;
use crate::report::NodeReport;
use crate::view::View;

impl Node {
    /// This node.
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// The records.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The membership and its counters.
    pub fn gossip(&self) -> &Gossip {
        &self.gossip
    }

    /// The plan as this node sees it.
    pub fn plan(&self) -> &Plan {
        self.planner.plan()
    }

    /// The view that the plan was made from.
    pub fn view(&self) -> &View {
        self.planner.view()
    }

    /// How often the node settled since it started. A ping without news does not make it settle.
    pub fn settlings(&self) -> u64 {
        self.settlings
    }

    /// Living services, by id.
    pub fn services(&self) -> impl Iterator<Item = &Service> {
        self.shared_services().map(Arc::as_ref)
    }

    /// The same, to be kept without a copy.
    pub fn shared_services(&self) -> impl Iterator<Item = &Arc<Service>> {
        self.planner.catalog().services.values()
    }

    /// One living service.
    pub fn service(&self, id: ServiceId) -> Option<&Service> {
        self.planner.catalog().service(id)
    }

    /// What a node says of itself, if that is here.
    pub fn description(&self, id: NodeId) -> Option<&NodeDescription> {
        self.planner.catalog().nodes.get(&id)?.description.as_ref()
    }

    /// The host name of a node; empty if the node has not reported it.
    pub fn hostname(&self, id: NodeId) -> String {
        self.planner.catalog().hostname(id)
    }

    /// The node on which operators removed this node from the fleet, by host name or id; `None` if
    /// this node was not removed.
    pub fn removed_by(&self) -> Option<String> {
        let (stamp, life) = self.replica.facet(&RecordKey::eviction(self.me), Facet::LIFE)?;
        let by = stamp.writer.node;
        let name = Some(self.hostname(by)).filter(|name| !name.is_empty());
        matches!(life, Life::Present { .. }).then(|| name.unwrap_or_else(|| by.to_string()))
    }

    /// The answers to operators, with ages as of `now`.
    pub fn report(&self, now: Now) -> NodeReport<'_> {
        NodeReport {
            me: self.me,
            now,
            replica: &self.replica,
            gossip: &self.gossip,
            planner: &self.planner,
            schedules: &self.schedules,
            autoscaler: &self.autoscaler,
        }
    }

    /// The nodes whose key two machines have, as this node hears them, each with both addresses.
    pub fn copied(&self, now: Now) -> Vec<(NodeId, [SocketAddr; 2])> {
        self.copies.all(now)
    }

    /// Does any job have a schedule?
    pub fn has_schedules(&self) -> bool {
        self.schedules.is_any()
    }

    /// Of how many other nodes this one knows what their clocks show.
    pub fn clocks_known(&self) -> usize {
        self.schedules.clocks_known()
    }

    /// The node has left the fleet and does nothing more.
    pub fn has_departed(&self) -> bool {
        self.departure.is_over()
    }
}
