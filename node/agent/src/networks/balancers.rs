//! The balancers of this node: one of each network, and one of published ports; and the rules that
//! copy multicast.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use crdt_state::NetworkId;
use overlay::plan::{LocalNetwork, OverlayPlan, PATH_NETWORK, PATH_VNI};
use overlay_linux::balancing::{
    BalancingError, Intact, NetworkBalancer, PortBalancer, accept_loopback_clients,
};
use overlay_linux::links::Links;

use super::concerned::Concerned;
use super::dropped::DroppedPackets;
use super::flow_thread::FlowThread;
use super::multicast::MulticastNetworks;

/// The balancers whose tables are in the kernel.
pub(super) struct Balancers {
    /// Two agents of one machine have different tables.
    tag: String,
    networks: BTreeMap<NetworkId, NetworkBalancer>,
    multicast: MulticastNetworks,
    /// There while this node takes part in any network.
    ports: Option<PortBalancer>,
    flows: FlowThread,
}

/// What a look at the tables found.
pub(super) enum Looked {
    Intact,
    /// A published port can be had that a program had before: the plan has to be applied.
    PortFree,
    /// Tables are gone: those of these networks, or that of the ports. The plan has to be applied.
    Lost(BTreeSet<NetworkId>),
}

impl Balancers {
    pub(super) fn new(tag: String) -> Balancers {
        Balancers {
            tag,
            networks: BTreeMap::new(),
            multicast: MulticastNetworks::default(),
            ports: None,
            flows: FlowThread::start(),
        }
    }

    /// Makes the kernel hold the plan. Returns what could not be done.
    pub(super) fn apply(&mut self, plan: &OverlayPlan, links: &Links) -> Vec<String> {
        self.networks.retain(|id, _| plan.networks.contains_key(id));
        let mut failed = Vec::new();
        for (id, network) in &plan.networks {
            if let Err(error) = self.apply_network(*id, network, links) {
                self.networks.remove(id);
                failed.push(format!("network {}: {error}", network.name));
            }
        }
        if let Err(error) = self.apply_ports(plan, links) {
            self.ports = None;
            failed.push(format!("published ports: {error}"));
        }
        failed.extend(self.multicast.apply(plan, links));
        self.flows.look();
        failed
    }

    /// Has everything that the plan needs a table? What failed has none.
    pub(super) fn are_complete(&self, plan: &OverlayPlan) -> bool {
        let has_ports = self.ports.is_some() || plan.networks.is_empty();
        has_ports && plan.networks.keys().all(|id| self.networks.contains_key(id))
    }

    /// As `apply`, where nothing changed but what these lead to. Returns whether that was done.
    pub(super) fn apply_some(&mut self, plan: &OverlayPlan, concerned: &Concerned) -> bool {
        let mut is_done = true;
        for (id, (addresses, tasks)) in &concerned.networks {
            let Some(network) = plan.networks.get(id) else { continue };
            let balancer = self.networks.get_mut(id);
            is_done &= balancer.is_some_and(|b| b.apply_some(network, addresses, tasks).is_ok());
        }
        if !concerned.ports.is_empty() {
            let ports = self.ports.as_mut();
            is_done &= ports.is_some_and(|p| p.apply_some(plan, &concerned.ports).is_ok());
        }
        self.flows.look();
        is_done
    }

    /// Links came or went. Whether the multicast of all of them is copied now.
    pub(super) fn follow_links(&mut self, plan: &OverlayPlan, links: &Links) -> bool {
        self.multicast.apply(plan, links).is_empty()
    }

    /// A member's packets are taken before any can be sent to it.
    pub(super) fn admit_members(&mut self, plan: &OverlayPlan, links: &Links) {
        if let Some(ports) = &mut self.ports
            && !plan.networks.is_empty()
        {
            ports.leave_alone(foreign_vnis(plan, links));
            // What fails is tried again behind the links, and told there.
            let _ = ports.apply(plan);
        }
    }

    /// The published ports that programs of this machine have, as sentences.
    pub(super) fn taken(&self) -> Vec<String> {
        let taken = self.ports.iter().flat_map(PortBalancer::taken);
        taken.map(ToString::to_string).collect()
    }

    /// Is everything still there, and does nobody free a port?
    pub(super) fn look(&mut self) -> Looked {
        let is_gone = |intact: Result<Intact, BalancingError>| !matches!(intact, Ok(Intact::Yes));
        let lost = self.networks.extract_if(.., |_, balancer| is_gone(balancer.is_intact()));
        let mut lost: BTreeSet<NetworkId> = lost.map(|(id, _)| id).collect();
        lost.append(&mut self.multicast.lost());
        let are_ports_lost = self.ports.as_mut().is_some_and(|ports| is_gone(ports.is_intact()));
        if are_ports_lost {
            self.ports = None;
        }
        match are_ports_lost || !lost.is_empty() {
            true => Looked::Lost(lost),
            false => match self.ports.as_mut().is_some_and(PortBalancer::look_for_free_ports) {
                true => Looked::PortFree,
                false => Looked::Intact,
            },
        }
    }

    /// The packets that were dropped because of where they came from.
    pub(super) fn dropped(&mut self) -> Result<DroppedPackets, BalancingError> {
        DroppedPackets::count(self.ports.as_mut(), self.networks.values_mut())
    }

    /// Removes the host's table; those of networks end with their namespaces.
    pub(super) fn remove(&mut self) -> Result<(), BalancingError> {
        self.networks.clear();
        self.multicast = MulticastNetworks::default();
        let removed = self.ports.take().map_or(Ok(()), |mut ports| ports.remove());
        self.flows.look();
        removed
    }

    fn apply_network(
        &mut self,
        id: NetworkId,
        network: &LocalNetwork,
        links: &Links,
    ) -> Result<(), BalancingError> {
        let Some(namespace) = links.namespace(id) else { return Ok(()) };
        let balancer = match self.networks.entry(id) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(free) => {
                let balancer = NetworkBalancer::open(namespace)?;
                self.flows.follow(balancer.follower()?);
                free.insert(balancer)
            }
        };
        balancer.apply(network).map(drop)
    }

    fn apply_ports(&mut self, plan: &OverlayPlan, links: &Links) -> Result<(), BalancingError> {
        if plan.networks.is_empty() {
            return self.remove();
        }
        let namespace = links.host_namespace();
        let ports = match &mut self.ports {
            Some(ports) => ports,
            closed => {
                if let Err(error) = links.allow_forwarding() {
                    tracing::warn!("networks: packets are not forwarded to the outside: {error}");
                }
                let ports = PortBalancer::open(namespace, &self.tag)?;
                self.flows.follow(ports.follower()?);
                closed.insert(ports)
            }
        };
        ports.leave_alone(foreign_vnis(plan, links));
        ports.apply(plan)?;
        for id in plan.networks.keys() {
            accept_loopback_clients(namespace, &links.host_link(*id))?;
        }
        Ok(())
    }
}

/// The numbers of networks whose device is not there: somebody else's may have them.
pub(super) fn foreign_vnis(plan: &OverlayPlan, links: &Links) -> BTreeSet<u32> {
    let others = plan.networks.iter().filter(|(id, _)| !links.has_vxlan(**id));
    let others = others.map(|(_, network)| network.vni);
    let probes = (!links.has_vxlan(PATH_NETWORK)).then_some(PATH_VNI);
    others.chain(probes).collect()
}
