//! The links between the nodes of a lab, and their addresses. The same name always gives the same
//! addresses, so that logs can be compared.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

/// How the nodes of a lab are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Links {
    /// A network namespace per node, and a bridge: links can be cut. Needs root.
    Namespaces,
    /// An address of 127.0.0.0/8 per node.
    Loopback,
}

/// The most nodes of one lab: the values of the last byte of an address, without 0, 255 and a
/// reserve.
pub(super) const NODES_MAX: u8 = 200;

/// The address of node number `number` (from 1) in the lab of this name.
pub(super) fn address(links: Links, lab: &str, number: u8) -> Ipv4Addr {
    // Two labs at the same time should not share addresses: on loopback they would collide.
    let site = 1 + (spread(lab) % 254) as u8;
    match links {
        Links::Namespaces => Ipv4Addr::new(10, 99, site, number),
        Links::Loopback => Ipv4Addr::new(127, 0, site, number),
    }
}

/// FNV-1a, 32 bits.
fn spread(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_of_one_lab_share_a_network_and_differ() {
        let first = address(Links::Namespaces, "shop", 1).octets();
        let second = address(Links::Namespaces, "shop", 2).octets();
        assert_eq!(first[..3], second[..3]);
        assert_ne!(first, second);
    }

    #[test]
    fn without_namespaces_every_address_is_loopback() {
        assert!(address(Links::Loopback, "shop", NODES_MAX).is_loopback());
    }
}
