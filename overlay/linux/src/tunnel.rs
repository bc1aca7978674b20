//! The device of the tunnel in the host's namespace: its address, its size, and its routes.
//!
//! The device itself is made and removed by the process of the tunnel. It is never removed here, and
//! nothing else leads to the addresses of other nodes in the tunnel.

use std::net::IpAddr;

use overlay::tunnel::{TunnelPlan, tunnel_mtu};

use crate::error::{Applied, Subject};
use crate::item::Scope;
use crate::kernel;
use crate::links::Links;
use crate::names;
use crate::sysctl;
use crate::wanted;
use overlay::plan::UNDERLAY_MTU_DEFAULT;

impl Links {
    /// The name that the tunnel's device must have.
    pub fn tunnel_link(&self) -> String {
        names::tunnel_link(&self.directory)
    }

    pub(crate) fn apply_tunnel(&mut self, plan: Option<&TunnelPlan>, applied: &mut Applied) {
        let Some(plan) = plan else { return };
        let name = self.tunnel_link();
        let link = self.host.index(&name);
        if link.is_some() {
            let setting = format!("ipv6/conf/{name}/disable_ipv6");
            let allowed = self.host.namespace.enter(|| sysctl::set(&setting, "0"));
            applied.note(Subject::Host, "allow IPv6 on the tunnel", allowed.map(usize::from));
            let below = self.mtu_below(plan.outer, applied);
            self.host.settle(&name, tunnel_mtu(below, plan.outer), Subject::Host, applied);
            let explained = self.host.explain(&name, "edgectl tunnel of encrypted networks");
            applied.note(Subject::Host, "explain the tunnel", explained);
            // The networks take their size from it.
            let read = self.host.read_link(&name).map(|()| 0);
            applied.note(Subject::Host, "read the tunnel", read);
        }
        let wanted = wanted::tunnel(plan, link);
        let links = link.into_iter().collect();
        self.host.hold(&wanted, &Scope::Shared(&links), &[], Subject::Host, applied);
    }

    /// The largest packet of the link that the tunnel's packets leave by.
    fn mtu_below(&mut self, outer: IpAddr, applied: &mut Applied) -> u32 {
        let read = kernel::addresses(&mut self.host.netlink, None);
        let addresses = applied.value(Subject::Host, "read the addresses", read);
        let has = |index: u32| {
            let mut all = addresses.iter().flatten();
            all.any(|(at, net)| *at == index && net.addr() == outer)
        };
        let mut links = self.host.links.values();
        let link = links.find(|link| !link.is_loopback && has(link.index));
        link.map_or(UNDERLAY_MTU_DEFAULT, |link| link.mtu)
    }
}
