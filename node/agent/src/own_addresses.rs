//! By which addresses other nodes reach this machine, best first: found again while the agent runs.
//!
//! The first is what others are told, what they remember for a restart, and where packets between
//! containers leave from. A machine has many addresses that no other machine reaches: ours of
//! networks, those of container bridges. The kernel's routes tell which one is meant: the source
//! that it takes towards the other members, else that of the default route. Nothing is sent for it.

mod choice;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};

use choice::{Evidence, Held, Seen};

use crate::config::Config;

/// Addresses that are published at most.
const ADDRESSES_MAX: usize = 8;

/// Members whose routes are asked for at most: of more, most are reached like these.
const MEMBERS_MAX: usize = 16;

/// Addresses of no machine (RFC 5737, RFC 3849): only a default route leads there.
const ANYWHERE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// The addresses of this machine; clones share what is known.
#[derive(Debug, Clone)]
pub(super) struct OwnAddresses {
    listen: SocketAddr,
    advertise: Option<SocketAddr>,
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    /// Where the agent listens.
    port: u16,
    members: Vec<SocketAddr>,
    held: Option<Held>,
}

impl OwnAddresses {
    pub(super) fn new(config: &Config) -> OwnAddresses {
        OwnAddresses {
            listen: config.listen,
            advertise: config.advertise,
            known: Arc::new(Mutex::new(Known { port: config.listen.port(), ..Known::default() })),
        }
    }

    /// The port that the agent got, if it asked for any.
    pub(super) fn listens_at(&self, port: u16) {
        self.known().port = port;
    }

    /// What was published last, before a restart: of equals it is chosen again.
    pub(super) fn remember(&self, published: Option<SocketAddr>) {
        let held = published.map(|addr| Held { ip: addr.ip(), evidence: Evidence::Link });
        self.known().held = held;
    }

    /// The other members, where they are heard; of none, the last ones stay.
    pub(super) fn know_members(&self, members: impl Iterator<Item = SocketAddr>) {
        let members: Vec<SocketAddr> = members.take(MEMBERS_MAX).collect();
        if !members.is_empty() {
            self.known().members = members;
        }
    }

    /// The address that packets between containers leave from; `None`: there is no address that
    /// another machine reaches.
    pub(super) fn data_address(&self) -> Option<IpAddr> {
        self.list().into_iter().map(|addr| addr.ip()).find(|ip| !ip.is_loopback())
    }

    /// [`OwnAddresses::list`] as it is published.
    pub(super) fn texts(&self) -> Vec<String> {
        self.list().iter().map(ToString::to_string).collect()
    }

    /// The advertised address first, then the addresses where the agent can be reached, best first.
    fn list(&self) -> Vec<SocketAddr> {
        let port = self.known().port;
        let mut listed: Vec<SocketAddr> = self.advertise.into_iter().collect();
        if self.listen.ip().is_unspecified() {
            listed.extend(self.found().into_iter().map(|ip| SocketAddr::new(ip, port)));
        } else {
            listed.push(SocketAddr::new(self.listen.ip(), port));
        }
        let mut seen = BTreeSet::new();
        listed.retain(|addr| seen.insert(*addr));
        listed.truncate(ADDRESSES_MAX);
        listed
    }

    /// The chosen address, then the others of links that a machine is reached by, IPv4 first.
    fn found(&self) -> Vec<IpAddr> {
        let links = self.links();
        let mut known = self.known();
        let seen = match choice::is_settled(known.held, &links) {
            true => Seen { links, ..Seen::default() },
            false => Seen {
                towards_members: sources_towards(&known.members, &links),
                towards_anywhere: ANYWHERE.into_iter().filter_map(source_towards).collect(),
                links,
            },
        };
        known.held = choice::choose(&seen, known.held);
        let mut others: Vec<IpAddr> =
            seen.links.iter().filter(|link| link.is_listed()).map(|link| link.ip).collect();
        others.sort_by_key(|ip| (ip.is_ipv6(), *ip));
        known.held.map(|held| held.ip).into_iter().chain(others).collect()
    }

    /// Where the agent is reached on each link that may lead to other machines, with the link's name.
    pub(super) fn on_links(&self) -> Vec<(String, SocketAddr)> {
        let (port, listen) = (self.known().port, self.listen.ip());
        let is_heard = |link: &choice::LinkAddress| listen.is_unspecified() || listen == link.ip;
        let links = self.links().into_iter().filter(|link| link.is_listed() && is_heard(link));
        links.map(|link| (link.link, SocketAddr::new(link.ip, port))).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().expect("nothing panics while it holds this")
    }

    /// Addresses of links that are up, of families that the agent listens on.
    fn links(&self) -> Vec<choice::LinkAddress> {
        let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
        interfaces
            .filter(|interface| interface.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP))
            .filter_map(|interface| {
                let address = interface.address?;
                let v4 = address.as_sockaddr_in().map(|found| IpAddr::V4(found.ip()));
                let ip =
                    v4.or_else(|| address.as_sockaddr_in6().map(|found| IpAddr::V6(found.ip())))?;
                Some(choice::LinkAddress { link: interface.interface_name, ip })
            })
            .filter(|found| found.ip.is_ipv4() || self.listen.is_ipv6())
            .collect()
    }
}

/// The source of the packets to each member. Another agent of this machine says nothing of the way
/// to other machines.
fn sources_towards(members: &[SocketAddr], links: &[choice::LinkAddress]) -> Vec<IpAddr> {
    let to = members.iter().map(|addr| addr.ip().to_canonical());
    let elsewhere = to.filter(|ip| !ip.is_loopback() && links.iter().all(|link| link.ip != *ip));
    elsewhere.filter_map(source_towards).collect()
}

/// The source address that the kernel takes for packets to `to`; `None`: it has no route. To connect
/// a socket of UDP sends nothing.
fn source_towards(to: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match to {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((to, 9)).ok()?;
    socket.local_addr().ok().map(|addr| addr.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigKey;

    #[test]
    fn the_advertised_address_comes_first_and_none_twice() {
        let flags = [
            (ConfigKey::Listen, "127.0.0.3:7000".to_owned()),
            (ConfigKey::Advertise, "192.0.2.1".to_owned()),
        ];
        let mut config = Config::from_sources(None, |_| None, &flags).expect("a configuration");
        let texts = |config: &Config| OwnAddresses::new(config).texts();
        assert_eq!(texts(&config), ["192.0.2.1:7000", "127.0.0.3:7000"]);
        config.advertise = Some(config.listen);
        assert_eq!(texts(&config), ["127.0.0.3:7000"]);
    }

    #[test]
    fn the_kernel_names_the_source_of_a_route() {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        assert_eq!(source_towards(loopback), Some(loopback));
    }
}
