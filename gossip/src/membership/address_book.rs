//! The addresses of nodes: of every member whose address was reported, and of a bounded number of
//! strangers.
//!
//! A stranger is a node that is not a member, or not yet. Every joiner is one between its handshake
//! and its member list, and without an address it is sent no answer. Many strangers never become
//! members: machines that are re-imaged often have a new id each time. So a stranger that connects
//! replaces the one that has been silent for longest; a member never loses its address.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crdt_state::NodeId;

/// Strangers kept: 16 bytes of id and 32 of address, 16 and 8 of order, 72 KB in all, and as much
/// again for half-empty trees. A joiner is a stranger for a few round trips. To evict it before it
/// is a member takes as many handshakes as this number within that time.
pub const STRANGERS_MAX: usize = 1_024;

/// The addresses, by node.
#[derive(Debug, Default)]
pub(super) struct AddressBook {
    addrs: BTreeMap<NodeId, SocketAddr>,
    /// The nodes that are not members, each with the number of the call in which it was last heard.
    strangers: BTreeMap<NodeId, u64>,
    calls: u64,
}

impl AddressBook {
    pub(super) fn addr(&self, node: NodeId) -> Option<SocketAddr> {
        self.addrs.get(&node).copied()
    }

    /// Notes the address of a member. Returns its address before.
    pub(super) fn set_member(&mut self, node: NodeId, addr: SocketAddr) -> Option<SocketAddr> {
        self.addrs.insert(node, addr)
    }

    /// Notes the address of a stranger that was itself heard.
    pub(super) fn set_stranger(&mut self, node: NodeId, addr: SocketAddr) {
        if self.strangers.len() >= STRANGERS_MAX && !self.strangers.contains_key(&node) {
            let silent = self.strangers.iter().min_by_key(|(_, call)| **call);
            if let Some(silent) = silent.map(|(node, _)| *node) {
                self.remove(silent);
            }
        }
        self.calls += 1;
        self.strangers.insert(node, self.calls);
        self.addrs.insert(node, addr);
    }

    /// Notes the address of a stranger as a member reported it, as long as there is room. What is
    /// dropped here comes again with the next member list.
    pub(super) fn hint_stranger(&mut self, node: NodeId, addr: SocketAddr) {
        if self.strangers.len() < STRANGERS_MAX {
            self.set_stranger(node, addr);
        }
    }

    /// A stranger became a member.
    pub(super) fn admit(&mut self, node: NodeId) {
        self.strangers.remove(&node);
    }

    pub(super) fn remove(&mut self, node: NodeId) {
        self.strangers.remove(&node);
        self.addrs.remove(&node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: usize) -> NodeId {
        NodeId((n as u128).to_be_bytes())
    }

    fn addr(n: usize) -> SocketAddr {
        SocketAddr::from(([10, 1, (n >> 8) as u8, n as u8], 7946))
    }

    fn full() -> AddressBook {
        let mut book = AddressBook::default();
        for n in 0..STRANGERS_MAX {
            book.set_stranger(node(n), addr(n));
        }
        book
    }

    #[test]
    fn a_stranger_that_calls_takes_the_place_of_the_one_that_was_silent_for_longest() {
        let mut book = full();
        book.set_stranger(node(0), addr(0));
        book.set_stranger(node(5_000), addr(5_000));
        assert_eq!(book.addr(node(5_000)), Some(addr(5_000)));
        assert_eq!(book.addr(node(0)), Some(addr(0)), "it called again");
        assert_eq!(book.addr(node(1)), None);
        assert_eq!((book.addrs.len(), book.strangers.len()), (STRANGERS_MAX, STRANGERS_MAX));
    }

    #[test]
    fn what_others_say_of_strangers_pushes_nobody_out() {
        let mut book = full();
        book.hint_stranger(node(5_000), addr(5_000));
        assert_eq!(book.addr(node(5_000)), None);
        assert!((0..STRANGERS_MAX).all(|n| book.addr(node(n)) == Some(addr(n))));
    }

    #[test]
    fn a_member_keeps_its_address_however_many_strangers_call() {
        let mut book = full();
        book.set_member(node(0), addr(0));
        book.admit(node(0));
        for n in 2_000..5_000 {
            book.set_stranger(node(n), addr(n));
        }
        assert_eq!(book.addr(node(0)), Some(addr(0)));
        assert_eq!(book.addrs.len(), STRANGERS_MAX + 1);
    }
}
