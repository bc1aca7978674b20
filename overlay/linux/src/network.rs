//! One network on this node: its namespace, its VXLAN device, the pair that leads to the host and
//! the pairs that lead to tasks.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use crdt_state::NetworkId;
use crdt_state::interface::TaskInterface;
use crdt_state::task::Run;
use ipnet::IpNet;
use overlay::plan::{LocalNetwork, PATH_NETWORK, vxlan_overhead};

use crate::error::{Applied, Cause, Subject};
use crate::item::{LinkIndex, Scope};
use crate::kernel::Link;
use crate::message::Vxlan;
use crate::names::{self, DETOUR, HOST_END, NETWORK_END, UPLINK, VXLAN};
use crate::namespace::{self, Namespace};
use crate::space::{EndName, Space, is_pair, make_pair, make_vxlan};
use crate::sysctl;
use crate::wanted::{self, NetworkLinks, Wanted};
use crate::watch::Watch;
use overlay::plan::{UNDERLAY_MTU_DEFAULT, VXLAN_PORT};
use overlay::tunnel::{DETOUR_PORT, RELAY_OVERHEAD};

/// A network that the applied plan has.
pub struct Network {
    /// Its namespace.
    pub space: Space,
    /// Its largest packet.
    pub mtu: u32,
    /// Tells what somebody else changes in it; `None`: only comparisons find it.
    pub watch: Option<Watch>,
}

/// The host's namespace with its addresses.
pub struct Host<'a> {
    /// The namespace.
    pub space: &'a mut Space,
    /// The addresses of its links.
    pub addresses: BTreeSet<(LinkIndex, IpNet)>,
    /// Where the files of this agent are.
    pub directory: &'a Path,
}

/// Opens the namespace of a network, or makes it.
pub fn open(directory: &Path, id: NetworkId, applied: &mut Applied) -> Option<Space> {
    let (own, path) = (Subject::Network(id), names::network_file(directory, id));
    let found = applied.value(own, "open its namespace", Namespace::open(&path))?;
    let namespace = match found {
        Some(namespace) => namespace,
        None => {
            let made = Namespace::create(&path);
            let made = applied.value(own, "make its namespace", made)?;
            applied.changes += 1;
            made
        }
    };
    applied.value(own, "open its namespace", Space::open(namespace))
}

impl Host<'_> {
    /// The link that has an address. `Some(None)`: the address is on the loopback link, so packets
    /// may leave by any.
    fn underlay(&self, address: IpAddr) -> Option<Option<&Link>> {
        let has = |link: &&Link| {
            self.addresses.iter().any(|(at, net)| *at == link.index && net.addr() == address)
        };
        let found: Vec<&Link> = self.space.links.values().filter(has).collect();
        match found.iter().find(|link| !link.is_loopback) {
            Some(link) => Some(Some(*link)),
            None => (!found.is_empty()).then_some(None),
        }
    }
}

impl Network {
    /// Mounts the namespace again if somebody unmounted it: the next life of the agent would not
    /// find it.
    pub fn keep(&self, id: NetworkId, directory: &Path, applied: &mut Applied) {
        let kept = self.space.namespace.keep(&names::network_file(directory, id));
        applied.note(Subject::Network(id), "keep its namespace", kept.map(usize::from));
    }

    /// Repairs the settings and the links of the network itself.
    pub fn apply_links(
        &mut self,
        id: NetworkId,
        plan: &LocalNetwork,
        host: &mut Host<'_>,
        applied: &mut Applied,
    ) {
        let own = Subject::Network(id);
        let settings = self.space.namespace.enter(|| sysctl::apply(sysctl::OF_NETWORK));
        applied.note(own, "write the settings of its namespace", settings);
        let read = self.space.read_links();
        if applied.value(own, "read its links", read).is_none() {
            return;
        }
        let vxlan = self.apply_vxlan(id, plan, host);
        let is_taken = matches!(vxlan, Err(Cause::VniTaken(_)));
        applied.note(own, "make its VXLAN device", vxlan);
        // Another agent has this network here, and the host's routes to it.
        if is_taken {
            return;
        }
        if id != PATH_NETWORK {
            self.apply_uplink(id, host, applied);
        }
        let detour = self.apply_detour(plan, host, applied);
        let detour_mtu = applied.value(own, "make the VXLAN device of its detour", detour);
        applied.note(own, "read its links", self.space.read_links().map(|()| 0));
        for name in ["lo", VXLAN, UPLINK] {
            self.space.settle(name, self.mtu, own, applied);
        }
        self.space.settle(DETOUR, detour_mtu.unwrap_or(self.mtu), own, applied);
    }

    /// Makes or removes the VXLAN device of the detour. Returns its largest packet.
    fn apply_detour(
        &mut self,
        plan: &LocalNetwork,
        host: &mut Host<'_>,
        applied: &mut Applied,
    ) -> Result<u32, Cause> {
        let Some(address) = plan.detour.map(IpAddr::from) else {
            applied.changes += self.space.remove_link(DETOUR)?;
            return Ok(self.mtu);
        };
        let tunnel = host.underlay(address).flatten().ok_or(Cause::NoDetour)?;
        let mtu = wanted::inner_mtu(tunnel.mtu.saturating_sub(RELAY_OVERHEAD), address);
        let vxlan = Vxlan { port: DETOUR_PORT, ..vxlan_at(plan, address) };
        applied.changes += self.hold_vxlan(DETOUR, &vxlan, mtu, host)?;
        Ok(mtu)
    }

    /// Makes a VXLAN device, also in place of one that differs. Returns the number of changes.
    fn hold_vxlan(
        &mut self,
        name: &str,
        vxlan: &Vxlan,
        mtu: u32,
        host: &mut Host<'_>,
    ) -> Result<usize, Cause> {
        if self.space.links.get(name).is_some_and(|link| link.vxlan.as_ref() == Some(vxlan)) {
            return Ok(0);
        }
        let removed = self.space.remove_link(name)?;
        Ok(removed + make_vxlan(host.space, &self.space, name, vxlan, mtu)?)
    }

    fn apply_vxlan(
        &mut self,
        id: NetworkId,
        plan: &LocalNetwork,
        host: &mut Host<'_>,
    ) -> Result<usize, Cause> {
        let Some(lower) = host.underlay(plan.underlay) else {
            // Tasks of this node go on reaching each other.
            let inner = wanted::inner_mtu(UNDERLAY_MTU_DEFAULT, plan.underlay);
            self.mtu = self.space.links.get(UPLINK).map_or(inner, |link| link.mtu);
            return Err(match plan.tunnel {
                Some(_) => Cause::NoTunnel,
                None => Cause::NoUnderlay(plan.underlay),
            });
        };
        let below = lower.map_or(UNDERLAY_MTU_DEFAULT, |link| link.mtu);
        let below = plan.underlay_mtu.map_or(below, |limit| limit.min(below));
        self.mtu = wanted::inner_mtu(below, plan.underlay);
        // A node whose link is itself a tunnel with an MTU of 1280: IPv4 splits packets below, if
        // the device is not bound to the link; IPv6 drops them in silence.
        let needs = self.mtu + vxlan_overhead(plan.underlay);
        if plan.underlay.is_ipv6() && below < needs {
            return Err(Cause::SmallUnderlay { has: below, needs });
        }
        // A device that is bound to the tunnel's would go with it when the tunnel is made anew.
        let fits = |link: &&Link| link.mtu >= needs && plan.tunnel.is_none();
        let lower = lower.filter(fits).map_or(0, |link| link.index);
        let vxlan = Vxlan { lower, is_whole: id == PATH_NETWORK, ..vxlan_at(plan, plan.underlay) };
        self.hold_vxlan(VXLAN, &vxlan, self.mtu, host)
    }

    fn apply_uplink(&mut self, id: NetworkId, host: &mut Host<'_>, applied: &mut Applied) {
        let own = Subject::Network(id);
        let name = names::host_link(host.directory, id);
        let near = EndName { name: UPLINK, mac: NETWORK_END };
        let far = EndName { name: &name, mac: HOST_END };
        if is_pair((&self.space, near), (host.space, far)) {
            return;
        }
        for removed in [self.space.remove_link(UPLINK), host.space.remove_link(&name)] {
            applied.note(own, "remove its old link to the host", removed);
        }
        let made = make_pair((&mut self.space, near), (host.space, far), self.mtu);
        applied.note(own, "make its link to the host", made);
    }

    /// Repairs the pairs that lead to these tasks and removes all others, but for those of tasks
    /// whose interfaces are not known yet.
    pub fn apply_pairs(
        &mut self,
        id: NetworkId,
        tasks: &mut BTreeMap<Run, Space>,
        interfaces: &[(Run, &TaskInterface)],
        unknown: &BTreeSet<Run>,
        applied: &mut Applied,
    ) {
        let runs = interfaces.iter().map(|(run, _)| run).chain(unknown);
        let names: BTreeSet<String> = runs.map(|run| names::task_link(*run, id)).collect();
        let unwanted: Vec<String> = self.space.links.keys().cloned().collect();
        for name in unwanted.iter().filter(|name| names::is_task_link(name)) {
            if !names.contains(name) {
                let removed = self.space.remove_link(name);
                applied.note(Subject::Network(id), "remove the link of a task", removed);
            }
        }
        self.make_pairs(tasks, interfaces, applied);
    }

    /// Repairs the pairs that lead to these tasks.
    pub fn make_pairs(
        &mut self,
        tasks: &mut BTreeMap<Run, Space>,
        interfaces: &[(Run, &TaskInterface)],
        applied: &mut Applied,
    ) {
        for (run, interface) in interfaces {
            let Some(task) = tasks.get_mut(run) else { continue };
            let own = Subject::Interface(interface.network, *run);
            let name = names::task_link(*run, interface.network);
            let near = EndName { name: &name, mac: NETWORK_END };
            let far = EndName { name: &interface.name, mac: interface.mac };
            if is_pair((&self.space, near), (task, far)) {
                continue;
            }
            for removed in [self.space.remove_link(&name), task.remove_link(&interface.name)] {
                applied.note(own, "remove its old interface", removed);
            }
            let made = make_pair((&mut self.space, near), (task, far), self.mtu);
            applied.note(own, "make its interface", made);
            for read in [task.read_link(&interface.name), self.space.read_link(&name)] {
                applied.note(own, "read its links", read.map(|()| 0));
            }
        }
        for (run, interface) in interfaces {
            let own = Subject::Interface(interface.network, *run);
            let name = names::task_link(*run, interface.network);
            self.space.settle(&name, self.mtu, own, applied);
            if let Some(task) = tasks.get_mut(run) {
                task.settle("lo", 0, own, applied);
                task.settle(&interface.name, self.mtu, own, applied);
            }
        }
    }

    /// Repairs addresses, neighbours, forwarding entries and routes of the whole network.
    pub fn apply_items(
        &mut self,
        id: NetworkId,
        plan: &LocalNetwork,
        interfaces: &[(Run, &TaskInterface)],
        applied: &mut Applied,
    ) {
        let index = |name: &str| self.space.index(name);
        let (vxlan, detour, uplink) = (index(VXLAN), index(DETOUR), index(UPLINK));
        let (lo, mtu) = (index("lo").unwrap_or(1), self.mtu);
        let mut wanted =
            wanted::network(id, plan, &NetworkLinks { lo, vxlan, detour, uplink, mtu });
        let devices: Vec<LinkIndex> = [vxlan, detour].into_iter().flatten().collect();
        let mut links: BTreeSet<LinkIndex> = devices.iter().copied().chain(uplink).collect();
        links.insert(lo);
        for (run, interface) in interfaces {
            if let Some(link) = self.space.index(&names::task_link(*run, id)) {
                links.insert(link);
                wanted.extend(self.items_of_task(*run, interface, link));
            }
        }
        let scope = Scope::Namespace(&links);
        self.space.hold(&wanted, &scope, &devices, Subject::Network(id), applied);
    }

    /// What the network's namespace holds for one task.
    pub fn items_of_task(&self, run: Run, interface: &TaskInterface, link: LinkIndex) -> Wanted {
        wanted::task_in_network(run, interface, link)
    }
}

/// The VXLAN device of a network that sends from this address.
fn vxlan_at(plan: &LocalNetwork, local: IpAddr) -> Vxlan {
    Vxlan {
        vni: plan.vni,
        port: VXLAN_PORT,
        local,
        lower: 0,
        learning: false,
        is_whole: false,
        mac: plan.mac,
    }
}

/// Removes a network's namespace. These links go first, because the kernel takes a namespace apart
/// later and all at once: until then it would hold the VNI and the name of the host's link.
pub fn remove(directory: &Path, id: NetworkId, applied: &mut Applied) {
    let (own, path) = (Subject::Network(id), names::network_file(directory, id));
    if let Ok(Some(namespace)) = Namespace::open(&path)
        && let Ok(mut space) = Space::open(namespace)
        && space.read_links().is_ok()
    {
        for name in [VXLAN, DETOUR, UPLINK] {
            applied.note(own, "remove its links", space.remove_link(name));
        }
    }
    applied.note(own, "remove its namespace", namespace::remove(&path).map(|()| 1));
}
