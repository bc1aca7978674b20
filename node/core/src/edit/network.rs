//! A network as an operator asks for it, and what is refused without looking at the fleet.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crdt_state::limits::{NAME_CHARS_MAX, VNI_MAX};
use crdt_state::network::DEFAULT_NETWORK;
use crdt_state::spec::Labels;
use ipnet::IpNet;
use overlay::plan::{PATH_VNI, VXLAN_PORT};
use overlay::tunnel::{DETOUR_PORT, TUNNEL_PORT};
use serde::{Deserialize, Serialize};

/// Where packets of networks arrive, by UDP: VXLAN and the tunnel.
pub const OWN_PORTS: [u16; 3] = [VXLAN_PORT, TUNNEL_PORT, DETOUR_PORT];

/// The smallest number in VXLAN that an operator may choose.
const VNI_MIN: u32 = PATH_VNI + 1;

/// Names that are no network of operators.
pub const PREDEFINED: [&str; 5] = ["host", "none", "bridge", "ingress", DEFAULT_NETWORK];

/// A network as an operator asks for it. What is left open is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct NetworkRequest {
    /// Its name, unique among living networks.
    pub name: String,
    /// It has IPv4 addresses.
    pub ipv4: bool,
    /// It has IPv6 addresses.
    pub ipv6: bool,
    /// Ranges, at most one of each family.
    pub ranges: Vec<RangeRequest>,
    /// Its number in VXLAN.
    pub vni: Option<u32>,
    /// Without a way out.
    pub internal: bool,
    /// Containers that belong to no service may use it.
    pub attachable: bool,
    /// What travels between nodes is encrypted.
    pub encrypted: bool,
    /// The largest packet of the network below, in bytes.
    pub mtu: Option<u32>,
    /// The options of the driver as they were given.
    pub options: BTreeMap<String, String>,
    /// Labels.
    pub labels: Labels,
}

/// A range of addresses as an operator asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeRequest {
    /// All addresses of the network, of one family.
    pub subnet: IpNet,
    /// The gateway; absent: the first address.
    pub gateway: Option<IpAddr>,
    /// Automatic addresses are taken from this part.
    pub range: Option<IpNet>,
    /// Addresses that are never given out, by name.
    pub reserved: BTreeMap<String, IpAddr>,
}

/// Why a network was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadNetwork {
    /// The text is not a valid name.
    #[error(
        "`{0}` is not a network name: 1 to 63 letters, digits, `-`, `_` and `.`, beginning with a letter or digit"
    )]
    Name(String),
    /// The name is one of the fleet's own.
    #[error("the network {0} is predefined: it can be neither created nor removed")]
    Predefined(String),
    /// A living network has the name.
    #[error(
        "network with name {0} already exists; choose another name, or look at it: edgectl network inspect {0}"
    )]
    NameTaken(String),
    /// There are addresses of no family.
    #[error(
        "a network needs addresses of one family at least: leave --ipv4=false out, or add --ipv6"
    )]
    NoFamily,
    /// Two ranges of one family.
    #[error(
        "{0} and {1} are subnets of one family; a network has at most one of each: leave one out"
    )]
    TwoRanges(IpNet, IpNet),
    /// A subnet whose address has bits set behind its prefix.
    #[error("{asked} is no subnet: {} is the address of one host in it; write {}", asked.addr(), asked.trunc())]
    HostBits {
        /// As it was given.
        asked: IpNet,
    },
    /// A subnet that cannot hold tasks.
    #[error(
        "the subnet {0} has no room for tasks: a network address, a gateway and a broadcast address are taken from it; give at least a /29, or /125 for IPv6"
    )]
    TooSmall(IpNet),
    /// A subnet of addresses with a meaning of their own.
    #[error(
        "the subnet {0} is set aside for other purposes (loopback, multicast, link-local or unspecified addresses); take one of 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 100.64.0.0/10 or fd00::/8"
    )]
    Special(IpNet),
    /// An address or a range that lies outside its subnet.
    #[error("{what} {value} is not in the subnet {subnet}; choose one inside it, or leave it out")]
    Outside {
        /// What it is.
        what: &'static str,
        /// As it was given.
        value: String,
        /// The subnet.
        subnet: IpNet,
    },
    /// The subnet meets that of another network.
    #[error(
        "the subnet {subnet} overlaps {other} of the network {name}; leave --subnet out to have a free one chosen"
    )]
    Overlap {
        /// As it was given.
        subnet: IpNet,
        /// The subnet of the other network.
        other: IpNet,
        /// The other network.
        name: String,
    },
    /// The subnet meets a route of a node's site.
    #[error(
        "the subnet {subnet} overlaps {route}, which the node {node} reaches by its own site: containers could not reach that site; leave --subnet out to have a free one chosen"
    )]
    SiteRoute {
        /// As it was given.
        subnet: IpNet,
        /// The route.
        route: IpNet,
        /// The node's host name.
        node: String,
    },
    /// Every subnet of the pools is taken.
    #[error(
        "no free subnet is left: all of {pools} meets networks of the fleet or routes of its sites; give one with --subnet"
    )]
    PoolExhausted {
        /// What was looked through.
        pools: String,
    },
    /// The number in VXLAN is out of range.
    #[error(
        "{0} is no VXLAN network identifier for a network: they go from {VNI_MIN} to {VNI_MAX}, those below are for probes between nodes"
    )]
    Vni(u32),
    /// The number in VXLAN is taken.
    #[error(
        "the VXLAN network identifier {vni} is that of the network {name}; leave vxlanid_list out to have a free one chosen"
    )]
    VniTaken {
        /// As it was given.
        vni: u32,
        /// The other network.
        name: String,
    },
    /// A size of packets that no network below has.
    #[error(
        "an MTU of {0} cannot be: com.docker.network.driver.mtu is the size of packets outside, 1280 to 65535 bytes, from which 50 to 70 are taken for VXLAN, or 130 to 150 if it is encrypted; 0 has it found"
    )]
    Mtu(u32),
    /// Services use the network.
    #[error(
        "network {name} is in use by service {services}; take it off each of them first: edgectl service update --network-rm {name} SERVICE"
    )]
    InUse {
        /// Its name.
        name: String,
        /// The services, in one line.
        services: String,
    },
    /// Tasks of removed services have not ended yet.
    #[error(
        "network {name} is in use by tasks that are still stopping; repeat it when they have ended"
    )]
    HasTasks {
        /// Its name.
        name: String,
    },
    /// An alias that is the name of another service there.
    #[error(
        "the alias {alias} is the name of the service {service} on the network {network}, whose clients would reach both; choose another alias"
    )]
    AliasTaken {
        /// As it was given.
        alias: String,
        /// The other service.
        service: String,
        /// The network.
        network: String,
    },
    /// A name that another service carries as an alias there.
    #[error(
        "the name {name} is an alias of the service {service} on the network {network}, whose clients would reach both; choose another name, or take the alias off first"
    )]
    NameIsAlias {
        /// As it was given.
        name: String,
        /// The other service.
        service: String,
        /// The network.
        network: String,
    },
    /// A port between nodes cannot be published.
    #[error(
        "port {0}/udp carries the networks between nodes and cannot be published; choose another number, or leave it out to have one chosen"
    )]
    OwnPort(u16),
    /// No such network.
    #[error("network {0} not found; `edgectl network ls` lists them")]
    Missing(String),
}

/// The outer packet sizes that can be asked for: IPv6 needs 1280, an IP packet has at most 65535.
const MTU: std::ops::RangeInclusive<u32> = 1_280..=65_535;

impl NetworkRequest {
    /// Checks everything that can be checked without looking at the fleet.
    pub fn check(&self) -> Result<(), BadNetwork> {
        if PREDEFINED.contains(&self.name.as_str()) {
            return Err(BadNetwork::Predefined(self.name.clone()));
        }
        if !is_network_name(&self.name) {
            return Err(BadNetwork::Name(self.name.clone()));
        }
        if !self.ipv4 && !self.ipv6 {
            return Err(BadNetwork::NoFamily);
        }
        let same = |one: &RangeRequest, other: &RangeRequest| {
            one.subnet.addr().is_ipv4() == other.subnet.addr().is_ipv4()
        };
        for (at, range) in self.ranges.iter().enumerate() {
            range.check()?;
            if let Some(twin) = self.ranges[..at].iter().find(|other| same(other, range)) {
                return Err(BadNetwork::TwoRanges(twin.subnet, range.subnet));
            }
        }
        if let Some(vni) = self.vni.filter(|vni| !(VNI_MIN..=VNI_MAX).contains(vni)) {
            return Err(BadNetwork::Vni(vni));
        }
        if let Some(mtu) = self.mtu.filter(|mtu| !MTU.contains(mtu)) {
            return Err(BadNetwork::Mtu(mtu));
        }
        Ok(())
    }
}

impl RangeRequest {
    fn check(&self) -> Result<(), BadNetwork> {
        let subnet = self.subnet;
        if subnet.trunc() != subnet {
            return Err(BadNetwork::HostBits { asked: subnet });
        }
        if subnet.max_prefix_len() - subnet.prefix_len() < 3 {
            return Err(BadNetwork::TooSmall(subnet));
        }
        if is_special(&subnet) {
            return Err(BadNetwork::Special(subnet));
        }
        let outside = |what, value: String| Err(BadNetwork::Outside { what, value, subnet });
        let ends = [subnet.network(), subnet.broadcast()];
        let is_host = |ip: &IpAddr| subnet.contains(ip) && !ends.contains(ip);
        if let Some(gateway) = self.gateway.filter(|ip| !is_host(ip)) {
            return outside("the gateway", gateway.to_string());
        }
        if let Some(range) = self.range.filter(|range| !subnet.contains(range)) {
            return outside("the range", range.to_string());
        }
        if let Some(range) = self.range.filter(|range| range.trunc() != *range) {
            return Err(BadNetwork::HostBits { asked: range });
        }
        match self.reserved.values().find(|ip| !subnet.contains(*ip)) {
            Some(ip) => outside("the auxiliary address", ip.to_string()),
            None => Ok(()),
        }
    }
}

/// Addresses that a packet on a network must not have.
fn is_special(subnet: &IpNet) -> bool {
    const SPECIAL: [&str; 8] = [
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/3",
        "::/128",
        "::1/128",
        "fe80::/10",
        "ff00::/8",
    ];
    let special = SPECIAL.iter().map(|text| text.parse::<IpNet>().expect("a subnet"));
    special.into_iter().any(|net| overlay::pool::overlap(&net, subnet))
}

/// Docker's rule for names of networks.
fn is_network_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=NAME_CHARS_MAX).contains(&name.len())
        && name.chars().all(inner)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(subnet: &str) -> NetworkRequest {
        let subnet = subnet.parse().expect("a subnet");
        let range = RangeRequest { subnet, gateway: None, range: None, reserved: BTreeMap::new() };
        let name = "shop_back.1".to_owned();
        NetworkRequest { name, ipv4: true, ranges: vec![range], ..NetworkRequest::default() }
    }

    #[test]
    fn a_subnet_that_can_hold_tasks_is_accepted() {
        for subnet in ["10.0.0.0/8", "192.168.7.0/29", "fd12::/64", "100.64.0.0/10"] {
            assert_eq!(request(subnet).check(), Ok(()), "{subnet}");
        }
    }

    #[test]
    fn a_subnet_that_cannot_is_refused_with_what_to_write() {
        let told = |subnet: &str| request(subnet).check().expect_err("no subnet").to_string();
        assert!(told("10.1.2.3/16").ends_with("write 10.1.0.0/16"));
        for small in ["10.0.0.0/30", "10.0.0.0/31", "10.0.0.0/32", "fd12::/126"] {
            assert!(told(small).contains("no room"), "{small}");
        }
        for special in ["127.0.0.0/8", "224.0.0.0/24", "169.254.0.0/16", "fe80::/64", "::/0"] {
            assert!(told(special).contains("set aside"), "{special}");
        }
    }

    #[test]
    fn addresses_must_lie_in_their_subnet() {
        let with = |change: fn(&mut RangeRequest)| {
            let mut request = request("10.1.0.0/16");
            change(&mut request.ranges[0]);
            request.check()
        };
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert!(with(|range| range.gateway = "10.1.0.9".parse().ok()).is_ok());
        for gateway in ["10.2.0.1", "10.1.0.0", "10.1.255.255", "fd12::1"] {
            let mut request = request("10.1.0.0/16");
            request.ranges[0].gateway = Some(ip(gateway));
            assert!(matches!(request.check(), Err(BadNetwork::Outside { .. })), "{gateway}");
        }
        assert!(with(|range| range.range = "10.2.0.0/24".parse().ok()).is_err());
        assert!(with(|range| range.range = "10.1.0.7/24".parse().ok()).is_err());
        let reserved = |range: &mut RangeRequest| {
            range.reserved.insert("printer".into(), "10.9.9.9".parse().expect("an address"));
        };
        assert!(with(reserved).is_err());
    }

    #[test]
    fn names_numbers_and_sizes_have_their_limits() {
        let with = |change: fn(&mut NetworkRequest)| {
            let mut request = request("10.1.0.0/16");
            change(&mut request);
            request.check()
        };
        for name in ["", "-a", "a b", "a/b"] {
            let request = NetworkRequest { name: name.into(), ..request("10.1.0.0/16") };
            assert!(matches!(request.check(), Err(BadNetwork::Name(_))), "{name}");
        }
        for name in PREDEFINED {
            let request = NetworkRequest { name: name.into(), ..request("10.1.0.0/16") };
            assert!(matches!(request.check(), Err(BadNetwork::Predefined(_))), "{name}");
        }
        assert_eq!(with(|request| request.vni = Some(0)), Err(BadNetwork::Vni(0)));
        let probes = with(|request| request.vni = Some(PATH_VNI));
        assert_eq!(probes, Err(BadNetwork::Vni(PATH_VNI)));
        assert_eq!(with(|request| request.mtu = Some(1_279)), Err(BadNetwork::Mtu(1_279)));
        assert_eq!(with(|request| request.ipv4 = false), Err(BadNetwork::NoFamily));
        assert_eq!(with(|request| request.encrypted = true), Ok(()));
        let twice = |request: &mut NetworkRequest| request.ranges.push(request.ranges[0].clone());
        assert!(matches!(with(twice), Err(BadNetwork::TwoRanges(..))));
    }
}
