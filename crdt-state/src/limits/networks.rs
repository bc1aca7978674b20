//! Limits of networks and addresses.

use super::{Bounded, MESSAGE_BYTES_MAX, NETWORKS_MAX, TASKS_MAX, Unfit, VNI_MAX, at_most, number};
use crate::network::{
    AddressRange, Attachments, Balancing, NetworkSpec, NodeNetworks, NodeTunnel, PICKED_PORTS_MAX,
    PickedPorts, SlotAddresses, TaskAddresses,
};

impl Bounded for NetworkSpec {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of ranges", self.ranges.len(), 2)?;
        number("the number of the network", u64::from(self.vni), u64::from(VNI_MAX))?;
        let fits = |range: &AddressRange| {
            range.subnet.addr() == range.subnet.network()
                && range.subnet.contains(&range.gateway)
                && range.range.is_none_or(|part| range.subnet.contains(&part))
        };
        let are_fit = self.ranges.iter().all(fits);
        are_fit.then_some(()).ok_or(Unfit::NoSuch("the subnet"))
    }
}

impl Bounded for Attachments {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of networks", self.len(), NETWORKS_MAX)
    }
}

impl Bounded for Balancing {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of virtual addresses", self.virtual_addresses.len(), NETWORKS_MAX)
    }
}

impl Bounded for NodeNetworks {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the length of a message", self.refusal.len(), MESSAGE_BYTES_MAX)?;
        at_most("the number of routes", self.routes.len(), NETWORKS_MAX)?;
        at_most("the number of networks", self.blocks.len(), NETWORKS_MAX)
    }
}

impl Bounded for NodeTunnel {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the length of a message", self.refusal.len(), MESSAGE_BYTES_MAX)
    }
}

impl Bounded for SlotAddresses {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of tasks", self.tasks.len(), TASKS_MAX)?;
        let networks = |task: &TaskAddresses| {
            at_most("the number of networks", task.networks.len(), NETWORKS_MAX)
        };
        self.tasks.iter().try_for_each(networks)
    }
}

impl Bounded for PickedPorts {
    fn check(&self) -> Result<(), Unfit> {
        at_most("the number of ports", self.values().map(Vec::len).sum(), PICKED_PORTS_MAX)
    }
}
