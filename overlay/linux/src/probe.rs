//! Can this machine hold networks at all? Found out by making everything once, in a namespace that
//! is removed at once: no list of versions and options tells as surely.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::path::Path;

use ipnet::IpNet;
use nix::errno::Errno;
use overlay::plan::{LocalNetwork, OverlayPlan};

use crate::balancing::{BalancingError, Changed, NetworkBalancer, PortBalancer};
use crate::error::Unsupported;
use crate::item::{Item, LinkIndex, Route, Way};
use crate::message::{self, End, Vxlan};
use crate::names::{self, HOST_END, NETWORK_END};
use crate::namespace::{self, Namespace};
use crate::netlink::{Refusal, Request};
use crate::space::Space;
use crate::wanted::link_local;
use overlay::plan::VXLAN_PORT;

/// No network has this number: theirs begin at 4096.
const PROBE_VNI: u32 = 1;

/// Checks everything that networks need.
pub fn check(directory: &Path, host: &mut Space) -> Result<(), Unsupported> {
    let path = names::probe(directory);
    // An agent that was killed while it probed has left one. A probe that cannot be removed is in
    // nobody's way, and the namespace ends with the machine.
    let _ = namespace::remove(&path);
    let result = check_in(&path, host);
    let _ = namespace::remove(&path);
    result
}

fn check_in(path: &Path, host: &mut Space) -> Result<(), Unsupported> {
    let namespace = Namespace::create(path).map_err(|error| match error.raw_os_error() {
        Some(nix::libc::EPERM) => unsupported(
            "the agent may not make network namespaces: start it as root, with CAP_SYS_ADMIN",
            &error,
        ),
        Some(nix::libc::EINVAL) => unsupported(
            "the kernel has no network namespaces: use one built with CONFIG_NET_NS",
            &error,
        ),
        _ => unsupported("no network namespace can be made", &error),
    })?;
    let mut space = Space::open(namespace)
        .map_err(|error| unsupported("no socket of route netlink can be opened", &error))?;
    let namespace = space.namespace.as_fd();
    let (near, far) = (
        End { name: "probe0", mac: NETWORK_END, namespace },
        End { name: "probe1", mac: HOST_END, namespace },
    );
    let made = host.netlink.request(message::new_veth(&near, &far, 1500));
    explain(made, "veth", "CONFIG_VETH")?;
    let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let vxlan = Vxlan {
        vni: PROBE_VNI,
        port: VXLAN_PORT,
        local,
        lower: 0,
        learning: false,
        is_whole: true,
        mac: NETWORK_END,
    };
    match host.netlink.request(message::new_vxlan("probe2", &vxlan, 1450, namespace)) {
        // Another agent is being started.
        Err(refusal) if refusal.code == nix::libc::EEXIST => {}
        made => explain(made, "vxlan", "CONFIG_VXLAN")?,
    }
    space.read_links().map_err(|error| unsupported("links cannot be read", &error))?;
    let Some(link) = space.index("probe0") else {
        return Err(Unsupported("the kernel made no veth pair where it was told to".into()));
    };
    check_next_hops(&mut space, link)?;
    check_balancing(&space)
}

/// IPv4 routes lead over IPv6 next hops.
fn check_next_hops(space: &mut Space, link: LinkIndex) -> Result<(), Unsupported> {
    let via = IpAddr::from(link_local(HOST_END));
    let to = IpNet::from(IpAddr::from(Ipv4Addr::new(198, 51, 100, 1)));
    let way = Way { link, via: Some(via), source: None, mtu: None };
    let items = [
        Item::Neighbour { link, address: via, mac: HOST_END },
        Item::Route(Route { to, way: Some(way) }),
    ];
    let add =
        |item| Request { message: message::add(item), flags: netlink_packet_core::NLM_F_CREATE };
    let mut requests = vec![message::no_automatic_address(link), message::up(link)];
    requests.extend(items.iter().map(add));
    for result in space.netlink.batch(requests) {
        result.map_err(|refusal| {
            unsupported(
                "the kernel has no IPv4 routes over IPv6: use Linux 5.2 or later, and do not \
                 start it with ipv6.disable=1",
                &refusal,
            )
        })?;
    }
    Ok(())
}

/// Virtual addresses and published ports: every kind of rule that they need.
fn check_balancing(space: &Space) -> Result<(), Unsupported> {
    let namespace = space.namespace.as_fd();
    let network = LocalNetwork {
        name: String::new(),
        vni: PROBE_VNI,
        underlay_mtu: None,
        internal: false,
        multicast: false,
        subnets: Vec::new(),
        gateways: Vec::new(),
        mac: NETWORK_END,
        underlay: IpAddr::V4(Ipv4Addr::LOCALHOST),
        tunnel: None,
        detour: None,
        node_addresses: Vec::new(),
        peers: BTreeMap::new(),
        tasks: BTreeMap::new(),
        virtual_addresses: BTreeMap::new(),
    };
    let of_network =
        NetworkBalancer::open(namespace).and_then(|mut balancer| balancer.apply(&network));
    explain_balancing(of_network)?;
    let plan = OverlayPlan::default();
    let of_host = PortBalancer::open(namespace, "probe").and_then(|mut ports| ports.apply(&plan));
    explain_balancing(of_host)
}

fn explain_balancing(made: Result<Changed, BalancingError>) -> Result<(), Unsupported> {
    let Err(error) = made else { return Ok(()) };
    let what = match error.code() {
        Some(Errno::EPERM) => {
            "the agent may not change rules of nf_tables: start it as root, with CAP_NET_ADMIN"
        }
        Some(Errno::EPROTONOSUPPORT | Errno::EOPNOTSUPP | Errno::ENOENT | Errno::EINVAL) => {
            "the kernel lacks nf_tables or a part of it: load the modules nf_tables, nf_conntrack, \
             nft_ct, nft_nat, nft_masq, nft_fib_inet, nft_numgen and nft_reject_inet, or use a \
             kernel that has them"
        }
        _ => "no table of nf_tables can be made",
    };
    Err(unsupported(what, &error))
}

fn explain(made: Result<(), Refusal>, module: &str, option: &str) -> Result<(), Unsupported> {
    made.map_err(|refusal| match refusal.code {
        nix::libc::EPERM => unsupported(
            "the agent may not change the network: start it as root, with CAP_NET_ADMIN",
            &refusal,
        ),
        nix::libc::EOPNOTSUPP => unsupported(
            &format!(
                "the kernel has no links of kind {module}: load the module ({module}) or use a \
                 kernel built with {option}"
            ),
            &refusal,
        ),
        _ => unsupported(&format!("no link of kind {module} can be made"), &refusal),
    })
}

fn unsupported(what: &str, cause: &dyn std::fmt::Display) -> Unsupported {
    Unsupported(format!("{what} ({cause})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a kernel without the kind of links says.
    #[test]
    fn a_kernel_without_a_kind_of_links_is_told_what_to_load() {
        let refusal =
            || Refusal { code: nix::libc::EOPNOTSUPP, text: "Unknown device type".to_owned() };
        for (module, option) in [("vxlan", "CONFIG_VXLAN"), ("veth", "CONFIG_VETH")] {
            let told = explain(Err(refusal()), module, option).expect_err("it was refused");
            let begin = format!(
                "the kernel has no links of kind {module}: load the module ({module}) or use a \
                 kernel built with {option} ("
            );
            assert!(told.0.starts_with(&begin), "{told}");
        }
    }
}
