//! Routes of members' sites that appear after a network was made.

use crdt_state::RecordKey;
use node_core::{Input, NetworkFacts, Subject};

use crate::host::networks;
use crate::networks::{network, on};
use crate::pair::Pair;

fn facts(routes: &[&str]) -> NetworkFacts {
    let routes = routes.iter().map(|route| route.parse().expect("a subnet")).collect();
    NetworkFacts { routes, ..networks() }
}

#[test]
fn a_route_that_appears_in_a_network_is_told_on_every_node_until_it_is_gone() {
    let mut pair = Pair::joined();
    let back = network(&mut pair.hosts[0], "back", "");
    pair.hosts[0].create(on(back, "web", 2));
    pair.wait(20_000);
    let subnet = pair.hosts[0].node.network_rows()[0].settled.ranges[0].subnet;
    let inside = format!("{}/24", subnet.addr());
    pair.hosts.iter_mut().for_each(|host| drop(host.start_all()));
    let overlaps = |pair: &Pair, host: usize| {
        let events = pair.hosts[host].events.iter().filter(|event| event.action == "overlap");
        events.map(|event| event.subject.clone()).collect::<Vec<Subject>>()
    };

    pair.hosts[1].feed(Input::NetworksFound(facts(&["192.168.7.0/24", &inside])));
    pair.wait(2_000);
    for host in &pair.hosts {
        let [met] = &host.node.network_conflicts()[..] else {
            panic!("{:?}", host.node.network_conflicts())
        };
        assert_eq!((met.key, met.what), (RecordKey::network(back), "subnet"));
        let begins = format!("subnet {subnet} of the network back meets the route {inside} of");
        assert!(met.detail.starts_with(&format!("{begins} node pi-2: ")), "{}", met.detail);
        assert_eq!(host.node.met_routes(&[back]), std::slice::from_ref(&met.detail));
        assert!(host.started.is_empty() && host.stopped.is_empty(), "no task is touched");
        assert_eq!(host.node.network_rows()[0].settled.ranges[0].subnet, subnet);
    }
    assert_eq!(overlaps(&pair, 0), []);
    let second = Subject::Node { id: pair.hosts[1].node.me(), name: "pi-2".to_owned() };
    assert_eq!(overlaps(&pair, 1), std::slice::from_ref(&second));

    pair.hosts[1].feed(Input::NetworksFound(facts(&["192.168.7.0/24"])));
    pair.wait(2_000);
    for host in &pair.hosts {
        assert_eq!(
            (host.node.network_conflicts(), host.node.met_routes(&[back])),
            (vec![], vec![])
        );
    }
    pair.hosts[1].feed(Input::NetworksFound(facts(&[&inside])));
    pair.wait(2_000);
    assert_eq!(overlaps(&pair, 1).len(), 2, "it is told again, and only when it begins");
}
