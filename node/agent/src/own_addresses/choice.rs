//! Which of a machine's addresses the other nodes are told: a function of what was seen and of what
//! was chosen before.
//!
//! An address that is told stays for as long as the machine has it: others send to it. Only better
//! evidence replaces it, which comes once: when the first member is known.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// An address of a link that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LinkAddress {
    /// The name of the link.
    pub(super) link: String,
    pub(super) ip: IpAddr,
}

/// What speaks for an address; the later the better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Evidence {
    /// A link has it.
    Link,
    /// Packets by the default route have it as their source.
    DefaultRoute,
    /// Packets to another member have it as their source.
    Member,
}

/// The address that was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) ip: IpAddr,
    pub(super) evidence: Evidence,
}

/// What was seen of the machine.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen {
    pub(super) links: Vec<LinkAddress>,
    /// For each member that there is a route to, the source address.
    pub(super) towards_members: Vec<IpAddr>,
    /// The source addresses of default routes, the preferred family first.
    pub(super) towards_anywhere: Vec<IpAddr>,
}

/// What a link is, as far as its name tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It leads to containers of this machine, or is one of the fleet's own: never told.
    Inner,
    /// One end of a pair: told if a route proves that others are behind it, as in a namespace.
    Pair,
    /// Anything else.
    Outer,
}

fn kind(link: &str) -> Kind {
    let is_hex = |text: &str, len: usize| {
        text.len() == len && text.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let ours = link.strip_prefix("ec").map(|rest| rest.strip_prefix('t').unwrap_or(rest));
    // Docker names a bridge by twelve digits; `br-lan` is the site's own on many routers.
    let bridge = link.strip_prefix("br-");
    let is_inner = ours.is_some_and(|rest| is_hex(rest, 8))
        || bridge.is_some_and(|rest| is_hex(rest, 12))
        || ["docker", "vxlan"].iter().any(|prefix| link.starts_with(prefix));
    match is_inner {
        true => Kind::Inner,
        false if link.starts_with("veth") => Kind::Pair,
        false => Kind::Outer,
    }
}

impl LinkAddress {
    fn is_local(&self) -> bool {
        match self.ip {
            IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
            IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
        }
    }

    /// May others be told this address, if a route speaks for it?
    fn is_usable(&self) -> bool {
        !self.is_local() && kind(&self.link) != Kind::Inner
    }

    /// May others be told this address, with nothing that speaks for it?
    pub(super) fn is_listed(&self) -> bool {
        !self.is_local() && kind(&self.link) == Kind::Outer
    }
}

fn is_there(ip: IpAddr, links: &[LinkAddress]) -> bool {
    links.iter().any(|link| link.ip == ip && link.is_usable())
}

/// Can nothing that routes say change what is held?
pub(super) fn is_settled(held: Option<Held>, links: &[LinkAddress]) -> bool {
    held.is_some_and(|held| held.evidence == Evidence::Member && is_there(held.ip, links))
}

/// The address to tell; `None`: there is none.
pub(super) fn choose(seen: &Seen, held: Option<Held>) -> Option<Held> {
    let held = held.filter(|held| is_there(held.ip, &seen.links));
    let best = best(seen, held.map(|held| held.ip));
    match (held, best) {
        (Some(held), Some(best)) if best.evidence <= held.evidence => Some(held),
        (held, best) => best.or(held),
    }
}

fn best(seen: &Seen, held: Option<IpAddr>) -> Option<Held> {
    let usable = |ip: &&IpAddr| is_there(**ip, &seen.links);
    let mut members: BTreeMap<IpAddr, usize> = BTreeMap::new();
    for ip in seen.towards_members.iter().filter(usable) {
        *members.entry(*ip).or_default() += 1;
    }
    let anywhere: Vec<IpAddr> = seen.towards_anywhere.iter().filter(usable).copied().collect();
    // Of addresses by which as many members are reached: the default route's, else the lowest.
    let rank = |(ip, count): &(&IpAddr, &usize)| {
        (Some(**ip) == held, **count, anywhere.contains(ip), std::cmp::Reverse(**ip))
    };
    let by_member = members.iter().max_by_key(rank).map(|(ip, _)| *ip);
    let by_default = anywhere.iter().find(|ip| Some(**ip) == held).or(anywhere.first()).copied();
    let listed = seen.links.iter().filter(|link| link.is_listed()).map(|link| link.ip);
    let by_link = listed.min_by_key(|ip| (ip.is_ipv6(), *ip));
    let found = |ip: Option<IpAddr>, evidence| ip.map(|ip| Held { ip, evidence });
    found(by_member, Evidence::Member)
        .or(found(by_default, Evidence::DefaultRoute))
        .or(found(by_link, Evidence::Link))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    fn seen(links: &[(&str, &str)], members: &[&str], anywhere: &[&str]) -> Seen {
        let link =
            |(link, addr): &(&str, &str)| LinkAddress { link: (*link).to_owned(), ip: ip(addr) };
        Seen {
            links: links.iter().map(link).collect(),
            towards_members: members.iter().map(|text| ip(text)).collect(),
            towards_anywhere: anywhere.iter().map(|text| ip(text)).collect(),
        }
    }

    fn chosen(seen: &Seen, held: Option<Held>) -> Option<String> {
        choose(seen, held).map(|held| held.ip.to_string())
    }

    const LAN: (&str, &str) = ("eth0", "192.168.1.5");

    #[test]
    fn links_of_containers_and_of_our_networks_are_never_told() {
        let inner = [
            ("lo", "127.0.0.1"),
            ("docker0", "172.17.0.1"),
            ("docker_gwbridge", "172.18.0.1"),
            ("br-0123456789ab", "10.0.9.1"),
            ("ec01234567", "100.120.115.64"),
            ("ect01234567", "fd00::7"),
            ("vxlan0", "10.0.0.7"),
            ("eth1", "169.254.3.4"),
            ("eth1", "fe80::1"),
        ];
        let routes = inner.map(|(_, addr)| addr);
        assert_eq!(chosen(&seen(&inner, &routes, &routes), None), None);
        let with_lan = [&inner[..], &[LAN]].concat();
        assert_eq!(chosen(&seen(&with_lan, &[], &[]), None).as_deref(), Some(LAN.1));
        // As an earlier version told it.
        let held = Some(Held { ip: ip("100.120.115.64"), evidence: Evidence::Member });
        assert_eq!(chosen(&seen(&with_lan, &[], &[]), held).as_deref(), Some(LAN.1));
        let others = [("br-lan", "192.168.8.1"), ("eclipse", "10.1.1.1"), ("wg0", "10.2.2.2")];
        for (link, addr) in others {
            assert_eq!(chosen(&seen(&[(link, addr)], &[], &[]), None).as_deref(), Some(addr));
        }
    }

    #[test]
    fn a_pair_is_told_only_if_others_are_reached_by_it() {
        let links = [("veth12", "10.0.3.1"), LAN];
        assert_eq!(chosen(&seen(&links, &[], &[]), None).as_deref(), Some(LAN.1));
        assert_eq!(chosen(&seen(&links[..1], &[], &[]), None), None);
        let proven = seen(&links, &["10.0.3.1"], &[LAN.1]);
        assert_eq!(chosen(&proven, None).as_deref(), Some("10.0.3.1"));
    }

    #[test]
    fn the_way_to_members_comes_before_the_default_route_and_that_before_numbers() {
        let links = [("eth1", "10.0.0.9"), LAN, ("eth2", "192.168.7.1")];
        let lowest = seen(&links, &[], &[]);
        assert_eq!(chosen(&lowest, None).as_deref(), Some("10.0.0.9"));
        let default = seen(&links, &[], &[LAN.1]);
        assert_eq!(chosen(&default, None).as_deref(), Some(LAN.1));
        let most = ["10.0.0.9", "192.168.7.1", "192.168.7.1"];
        assert_eq!(chosen(&seen(&links, &most, &[LAN.1]), None).as_deref(), Some("192.168.7.1"));
        let equal = ["10.0.0.9", LAN.1];
        assert_eq!(chosen(&seen(&links, &equal, &[LAN.1]), None).as_deref(), Some(LAN.1));
    }

    #[test]
    fn an_address_stays_while_it_is_there_and_goes_when_it_is_gone() {
        let other = ("wlan0", "10.0.0.9");
        let held = choose(&seen(&[LAN], &[LAN.1], &[LAN.1]), None);
        assert!(is_settled(held, &seen(&[other, LAN], &[], &[]).links));
        let appeared = seen(&[other, LAN], &[other.1], &[other.1]);
        assert_eq!(choose(&appeared, held), held);
        let gone = seen(&[other], &[other.1], &[]);
        assert!(!is_settled(held, &gone.links));
        assert_eq!(chosen(&gone, held).as_deref(), Some(other.1));
        // The default route tells less than a member, and the first member is waited for.
        let guessed = choose(&seen(&[other, LAN], &[], &[LAN.1]), None);
        assert!(!is_settled(guessed, &appeared.links));
        assert_eq!(chosen(&appeared, guessed).as_deref(), Some(other.1));
    }

    #[test]
    fn after_a_restart_the_last_address_wins_among_those_that_members_are_reached_by() {
        let links = [("eth1", "10.0.0.9"), LAN];
        let held = |text| Some(Held { ip: ip(text), evidence: Evidence::Link });
        let both = seen(&links, &["10.0.0.9", "10.0.0.9", LAN.1], &[]);
        assert_eq!(chosen(&both, held(LAN.1)).as_deref(), Some(LAN.1));
        assert_eq!(chosen(&both, held("10.7.7.7")).as_deref(), Some("10.0.0.9"));
        let only = seen(&links, &[LAN.1], &["10.0.0.9"]);
        assert_eq!(chosen(&only, held("10.0.0.9")).as_deref(), Some(LAN.1));
    }
}
