//! The difference between what a namespace must hold and what it holds, as requests in an order
//! that leaves no gap. Pure.

use std::collections::{BTreeMap, BTreeSet};

use netlink_packet_core::{NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};

use crate::item::{ANY_MAC, Item, Key, Scope};
use crate::message;
use crate::netlink::Request;

/// A request that makes or removes an item.
#[derive(Debug)]
pub struct Change<Owner> {
    /// Whom the item serves; `None`: nobody any more.
    pub owner: Option<Owner>,
    /// What is done, for messages.
    pub what: String,
    /// The request.
    pub request: Request,
}

/// What must be sent to the kernel, in order, so that it holds `wanted` and nothing else in `scope`.
pub fn difference<Owner: Clone>(
    wanted: &BTreeMap<Item, Owner>,
    held: &BTreeSet<Item>,
    scope: &Scope<'_>,
) -> Vec<Change<Owner>> {
    let ours: BTreeSet<Key> =
        held.iter().filter(|item| scope.covers(item)).map(Item::key).collect();
    let mut keys = BTreeSet::new();
    // Of two peers that claim one block the kernel can hold only one: always the same.
    let wanted: BTreeMap<&Item, &Owner> =
        wanted.iter().filter(|(item, _)| keys.insert(item.key())).collect();
    let add = wanted.iter().filter(|(item, _)| !held.contains(item)).map(|(item, owner)| Change {
        owner: Some((*owner).clone()),
        what: format!("set {}", item.describe()),
        request: Request { message: message::add(item), flags: flags(item, &ours, scope) },
    });
    let extra = |item: &&Item| {
        !wanted.contains_key(item) && scope.covers(item) && !keys.contains(&item.key())
    };
    let remove = |item: &Item| Change {
        owner: None,
        what: format!("remove {}", item.describe()),
        request: Request { message: message::remove(item), flags: 0 },
    };
    let is_forward = |item: &&Item| matches!(item, Item::Forward { .. });
    // A forwarding entry can hold several destinations and a replacement changes only the first, so
    // wrong ones go before. Everything else goes last, so that no packet meets a gap.
    let forwards = held.iter().filter(is_forward).filter(extra).map(remove);
    let rest = held.iter().rev().filter(|item| !is_forward(item)).filter(extra).map(remove);
    forwards.chain(add).chain(rest).collect()
}

/// A replacement takes away whoever's route is there: on a host that may be the way to its own
/// network.
fn flags(item: &Item, ours: &BTreeSet<Key>, scope: &Scope<'_>) -> u16 {
    match (scope, item) {
        (Scope::Shared(_), Item::Route(_)) if !ours.contains(&item.key()) => {
            NLM_F_CREATE | NLM_F_EXCL
        }
        // The kernel refuses to replace where groups go.
        (_, Item::Forward { mac: ANY_MAC, .. }) => NLM_F_CREATE | NLM_F_APPEND,
        _ => NLM_F_CREATE | NLM_F_REPLACE,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use overlay::plan::Mac;

    use super::*;
    use crate::item::{Route, Way};

    const MAC: Mac = [2, 0, 0, 0, 0, 1];

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn forward(underlay: &str) -> Item {
        Item::Forward { link: 2, mac: MAC, underlay: ip(underlay) }
    }

    fn neighbour(link: u32, mac: Mac) -> Item {
        Item::Neighbour { link, address: ip("10.0.0.1"), mac }
    }

    fn route(to: &str, link: u32) -> Item {
        let way = Way { link, via: None, source: None, mtu: None };
        Item::Route(Route { to: to.parse().unwrap(), way: Some(way) })
    }

    fn address(text: &str) -> Item {
        Item::Address { link: 2, address: text.parse().unwrap() }
    }

    /// What is done, with `links` in scope.
    fn changes(wanted: &[Item], held: &[Item], links: &[u32]) -> Vec<String> {
        let wanted = wanted.iter().cloned().map(|item| (item, ())).collect();
        let (held, links) = (held.iter().cloned().collect(), links.iter().copied().collect());
        let scope = Scope::Namespace(&links);
        difference(&wanted, &held, &scope).into_iter().map(|change| change.what).collect()
    }

    #[test]
    fn what_is_there_is_left_alone() {
        let all = [forward("192.0.2.1"), neighbour(2, MAC), route("10.0.0.0/8", 2)];
        assert!(changes(&all, &all, &[2]).is_empty());
    }

    #[test]
    fn an_address_comes_before_the_routes_that_prefer_it_and_goes_after_them() {
        let (old, new) =
            ([address("10.0.0.5/32"), route("10.1.0.0/16", 2)], address("10.0.0.6/32"));
        assert_eq!(
            changes(&[new, route("10.2.0.0/16", 2)], &old, &[2]),
            [
                "set address 10.0.0.6/32",
                "set route to 10.2.0.0/16",
                "remove route to 10.1.0.0/16",
                "remove address 10.0.0.5/32"
            ]
        );
    }

    #[test]
    fn a_wrong_value_is_replaced_without_a_gap_and_a_wrong_destination_of_frames_goes_first() {
        let held = [neighbour(2, [9; 6]), forward("192.0.2.9")];
        assert_eq!(
            changes(&[neighbour(2, MAC), forward("192.0.2.1")], &held, &[2]),
            [
                "remove forwarding entry to 192.0.2.9",
                "set neighbour 10.0.0.1",
                "set forwarding entry to 192.0.2.1"
            ]
        );
    }

    #[test]
    fn what_is_on_other_links_is_left_alone() {
        assert!(changes(&[], &[neighbour(7, MAC), route("10.0.0.0/8", 7)], &[2]).is_empty());
    }

    #[test]
    fn of_two_items_in_one_place_the_same_is_held_always() {
        let both = [route("10.0.0.0/8", 2), route("10.0.0.0/8", 3)];
        assert_eq!(changes(&both, &[], &[2, 3]), ["set route to 10.0.0.0/8"]);
        assert!(changes(&both, &both[..1], &[2, 3]).is_empty());
    }

    #[test]
    fn a_route_of_somebody_else_on_the_host_is_not_replaced() {
        let (own, other) = (route("10.0.0.0/8", 2), route("10.0.0.0/8", 3));
        let (links, wanted) = ([2].into(), [(own, ())].into());
        let scope = Scope::Shared(&links);
        let flags = |held: &[Item]| {
            difference(&wanted, &held.iter().cloned().collect(), &scope)[0].request.flags
        };
        assert_eq!(flags(&[other]), NLM_F_CREATE | NLM_F_EXCL);
        assert_eq!(flags(&[]), NLM_F_CREATE | NLM_F_EXCL);
        let way = Way { link: 2, via: None, source: None, mtu: Some(1400) };
        let wrong = Item::Route(Route { to: "10.0.0.0/8".parse().unwrap(), way: Some(way) });
        assert_eq!(flags(&[wrong]), NLM_F_CREATE | NLM_F_REPLACE);
    }
}
