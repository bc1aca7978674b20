//! What the overlay is measured against: two containers on two nodes, joined by a bridge and a VXLAN
//! device on each, set up with `ip` and static entries.

use crate::fleet::namespaces::{Namespaces, ip};
use crate::fleet::place::Place;
use crate::fleet::{Fleet, Node};
use anyhow::Result;
use std::net::IpAddr;

/// The two ends; nothing of them is left when this value is dropped.
pub struct ByHand {
    namespaces: Namespaces,
    /// The containers' namespaces.
    pub ends: [Place; 2],
    /// The address of the second one.
    pub address: IpAddr,
}

impl ByHand {
    /// Joins two nodes.
    pub fn join(fleet: &Fleet, nodes: [&Node; 2]) -> Result<ByHand> {
        // A name of the lab's: what an interrupted run leaves is removed together with the lab.
        let name =
            |node: &Node, what: &str| format!("edgelab-{}-{what}{}", fleet.name(), node.name);
        let ends = nodes.map(|node| name(node, "end"));
        let bridges = nodes.map(|node| name(node, "bridge"));
        let mut joined = ByHand {
            namespaces: Namespaces::default(),
            ends: ends.each_ref().map(|end| Place::named(end)),
            address: IpAddr::from([10, 7, 0, 2]),
        };
        for at in 0..2 {
            let (end, bridge) = (&ends[at], &bridges[at]);
            let (node, other) = (nodes[at], nodes[1 - at]);
            for namespace in [end, bridge] {
                joined.namespaces.add(namespace.clone())?;
            }
            ip(&format!("-n {bridge} link add br0 type bridge"))?;
            let vxlan = format!(
                "link add vx0 netns {bridge} mtu 1450 type vxlan id 7000 dstport 4789 local {} \
                 dev eth0 nolearning",
                node.address
            );
            let words: Vec<&str> = vxlan.split_whitespace().collect();
            Place::of_node(fleet, node).run(&[&["ip"], &words[..]].concat())?;
            let (mac, peer) =
                (format!("02:07:00:00:00:0{at}"), format!("02:07:00:00:00:0{}", 1 - at));
            let veth = format!("type veth peer name task mtu 1450 netns {bridge}");
            ip(&format!("-n {end} link add eth0 mtu 1450 address {mac} {veth}"))?;
            for port in ["vx0", "task"] {
                ip(&format!("-n {bridge} link set {port} master br0 up"))?;
            }
            ip(&format!("-n {bridge} link set br0 up"))?;
            ip(&format!("-n {end} link set eth0 up"))?;
            ip(&format!("-n {end} address add 10.7.0.{}/24 dev eth0", at + 1))?;
            ip(&format!("-n {end} neigh add 10.7.0.{} lladdr {peer} dev eth0", 2 - at))?;
            let entry = ["bridge", "fdb", "add", &peer, "dev", "vx0"];
            let within = Place::named(bridge);
            within.run(&[&entry[..], &["self", "dst", &other.address]].concat())?;
            within.run(&[&entry[..], &["master", "static"]].concat())?;
        }
        Ok(joined)
    }
}
