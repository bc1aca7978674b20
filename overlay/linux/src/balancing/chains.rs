//! The chains that both balancers have: one for each number of slots, and those that refuse.

use std::net::IpAddr;

use super::expression::{Register, Rule};
use super::layout::Chain;
use super::message::family;
use super::slots;

/// How a family of IP is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Family {
    /// The digit in the names of chains and maps.
    pub(super) digit: char,
    /// Its number.
    pub(super) number: u8,
    source: u32,
    destination: u32,
    bytes: u32,
}

/// IPv4.
pub(super) const IPV4: Family =
    Family { digit: '4', number: family::IPV4, source: 12, destination: 16, bytes: 4 };
/// IPv6.
pub(super) const IPV6: Family =
    Family { digit: '6', number: family::IPV6, source: 8, destination: 24, bytes: 16 };

impl Family {
    /// The family of an address.
    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { IPV4 } else { IPV6 }
    }

    /// How many registers an address takes.
    pub(super) fn registers(self) -> Register {
        self.bytes / 4
    }

    /// A rule for packets of this family.
    pub(super) fn rule(self) -> Rule {
        Rule::default().family(self.number)
    }

    /// Loads the source.
    pub(super) fn load_source(self, rule: Rule, to: Register) -> Rule {
        rule.network(self.source, self.bytes, to)
    }

    /// Loads the destination.
    pub(super) fn load_destination(self, rule: Rule, to: Register) -> Rule {
        rule.network(self.destination, self.bytes, to)
    }
}

/// The chain that refuses a packet.
pub(super) const REFUSE: &str = "refuse";

/// The name of the chain that draws one of `slots` slots.
pub(super) fn pick_chain(family: Family, slots: usize) -> String {
    if slots == 0 { REFUSE.into() } else { format!("pick{}-{slots}", family.digit) }
}

/// The chains of a family. `load` loads the destination into the registers from 0 on, `slot` is the
/// register after it, and `translate` looks both up and translates.
pub(super) fn pick_chains(
    family: Family,
    slot: Register,
    load: impl Fn(Rule) -> Rule,
    translate: impl Fn(Rule) -> Rule,
) -> Vec<Chain> {
    let last = format!("last{}", family.digit);
    // A packet may read the number of slots before a change and the slot itself after it. The first
    // slot exists as long as there is a task. A random number below 1 is how `nft` can show a 0 here.
    let first_slot = translate(load(family.rule()).random(1, slot));
    let refuse = Rule::default().goto(REFUSE);
    let mut chains = vec![Chain::inner(last.clone(), vec![first_slot, refuse])];
    for count in slots::counts() {
        let modulus = u32::try_from(count).expect("a few thousand slots");
        let draw = translate(load(family.rule()).random(modulus, slot));
        let rules = vec![draw, Rule::default().goto(&last)];
        chains.push(Chain::inner(pick_chain(family, count), rules));
    }
    chains
}

/// The chain that refuses: TCP with a reset, everything else with "port unreachable".
pub(super) fn refuse_chain() -> Chain {
    Chain::inner(REFUSE, vec![Rule::default().reject_tcp(), Rule::default().reject()])
}
