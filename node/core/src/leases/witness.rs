//! The witness: to whom this node granted which slot, and until when it grants it to nobody else.

use std::collections::BTreeMap;

use crdt_state::partition::{GRANTS_MAX, Grant, Grants, Partition};
use crdt_state::{NodeId, ServiceId, StoreId};
use gossip::Now;

use super::{LeaseKey, LeaseVerdict};

/// Beyond the longest life of a lease: for clocks that run apart by a 32nd part, and for the time
/// that a kill takes on a slow machine.
const KILL_MS: u64 = 1_000;

/// How long a witness grants a lease of this length to nobody else.
pub fn promised_ms(lease_ms: u64) -> u64 {
    lease_ms.saturating_add(lease_ms / 32).saturating_add(KILL_MS)
}

/// A question.
#[derive(Debug, Clone, Copy)]
pub struct Ask {
    /// Who asks.
    pub from: NodeId,
    /// For which slot.
    pub key: LeaseKey,
    /// Its number.
    pub number: u64,
    /// How long the run may live after it was asked.
    pub lease_ms: u64,
    /// Nobody else can have it: this node asks itself, it is the only anchor, and the task runs here.
    pub is_certain: bool,
}

/// When a lease was last asked for.
#[derive(Debug, Clone, Copy)]
struct Renewed {
    number: u64,
    until: Now,
}

#[derive(Debug)]
pub struct Witness {
    me: NodeId,
    said: Grants,
    /// By an earlier agent with this store, or by this one: then it says everything.
    has_written: bool,
    /// This agent began without a record of this store: what an earlier one granted, to whomever,
    /// may still be in force, however much this one has granted since.
    began_blank: bool,
    /// What it says now differs from what was written.
    is_unwritten: bool,
    /// Leases that were asked for since this agent began.
    renewed: BTreeMap<LeaseKey, Renewed>,
}

impl Witness {
    /// What this node granted before, if it wrote that with this store.
    pub fn restore(me: NodeId, store: StoreId, written: Option<Grants>) -> Witness {
        let mut witness = Witness {
            me,
            said: Grants::none(store),
            has_written: false,
            began_blank: true,
            is_unwritten: false,
            renewed: BTreeMap::new(),
        };
        match written {
            Some(written) if written.store == store => {
                (witness.said, witness.has_written) = (written, true);
                witness.began_blank = false;
            }
            Some(written) => witness.on_own_record(&written),
            None => {}
        }
        witness
    }

    /// The value of the record, if it changed since the last call.
    pub fn take_unwritten(&mut self) -> Option<&Grants> {
        std::mem::take(&mut self.is_unwritten).then_some(&self.said)
    }

    /// Did nothing change since the last call of `take_unwritten`?
    pub fn is_written(&self) -> bool {
        !self.is_unwritten
    }

    /// A record of this node came back. What an earlier store granted may still be in force.
    pub fn on_own_record(&mut self, written: &Grants) {
        if written.store == self.said.store || !self.began_blank {
            self.is_unwritten |= self.has_written && *written != self.said;
            return;
        }
        for (key, grant) in &written.given {
            if !self.said.given.contains_key(key) {
                self.said.given.insert(*key, *grant);
                self.is_unwritten |= self.has_written;
            }
        }
    }

    /// Does this node have the slot, as far as this witness grants it?
    pub fn has(&self, key: LeaseKey, node: NodeId) -> bool {
        self.said.given.get(&key).is_some_and(|grant| grant.node == node)
    }

    /// Grants the slot, or says who has it.
    pub fn on_ask(&mut self, now: Now, ask: Ask, partition: &Partition) -> LeaseVerdict {
        let Ask { from, key, number, lease_ms, is_certain } = ask;
        let held = self.said.given.get(&key).copied();
        let other = held.filter(|grant| grant.node != from);
        let until = match (held, other) {
            (_, Some(_)) => self.until(key),
            (Some(_), None) => now,
            // A witness that lost its store, or just got one, does not know what it granted.
            (None, None) if !self.began_blank || is_certain => now,
            (None, None) => Now::START.plus(promised_ms(lease_ms.max(partition.fence_after_ms))),
        };
        let is_full = held.is_none() && self.said.given.len() >= GRANTS_MAX;
        if until > now || is_full {
            let by = other.map_or(from, |grant| grant.node);
            return LeaseVerdict::Taken { by, wait_ms: until.since(now) };
        }
        let longest = held.filter(|_| other.is_none()).map_or(0, |grant| grant.lease_ms);
        let grant = Grant { node: from, lease_ms: lease_ms.max(longest) };
        // What an earlier store granted is written again only when this one grants something else.
        self.has_written |= held.is_none_or(|held| held.node != from);
        self.is_unwritten |= self.has_written && held != Some(grant);
        self.said.given.insert(key, grant);
        // A holder that is a witness itself counts on its own vote until it gives it back, also if
        // its agent stood still: others that asked meanwhile are heard before it asks again.
        let is_own = from == self.me;
        let until = if is_own { Now::NEVER } else { now.plus(promised_ms(grant.lease_ms)) };
        // A question that arrives late is not the last one.
        let before = self.renewed.get(&key).filter(|_| held.is_some_and(|held| held.node == from));
        let number = before.map_or(number, |before| before.number.max(number));
        self.renewed.insert(key, Renewed { number, until });
        LeaseVerdict::Granted
    }

    /// The node does not run the slot any more. Only the last question can be taken back: after a
    /// later one, the node may run it again.
    pub fn on_release(&mut self, from: NodeId, key: LeaseKey, number: u64) {
        let is_last = self.renewed.get(&key).is_some_and(|renewed| renewed.number == number);
        if is_last && self.has(key, from) {
            self.forget(key);
        }
    }

    /// Forgets the leases of a service that are over. Returns when the next one is.
    pub fn collect(&mut self, now: Now, service: ServiceId) -> Now {
        let of = |key: &LeaseKey| key.0 == service;
        let keys: Vec<LeaseKey> = self.said.given.keys().copied().filter(of).collect();
        let mut next = Now::NEVER;
        for key in keys {
            let until = self.until(key);
            if until > now {
                next = next.min(until);
            } else {
                // Not a reason to write: it goes with the next change.
                self.said.given.remove(&key);
                self.renewed.remove(&key);
            }
        }
        next
    }

    fn forget(&mut self, key: LeaseKey) {
        self.said.given.remove(&key);
        self.renewed.remove(&key);
        self.is_unwritten |= self.has_written;
    }

    fn until(&self, key: LeaseKey) -> Now {
        match (self.renewed.get(&key), self.said.given.get(&key)) {
            (Some(renewed), _) => renewed.until,
            // Granted before this agent began: when it was asked for last is not known.
            (None, Some(grant)) => Now::START.plus(promised_ms(grant.lease_ms)),
            (None, None) => Now::START,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::task::Slot;

    const HOLDER: NodeId = NodeId([1; 16]);

    fn ask(service: u8, lease_ms: u64) -> Ask {
        let key = (ServiceId([service; 16]), Slot::Number(1));
        Ask { from: HOLDER, key, number: 1, lease_ms, is_certain: false }
    }

    #[test]
    fn a_question_and_its_release_that_arrive_late_take_nothing_back() {
        let mut witness = Witness::restore(NodeId([2; 16]), StoreId(2), None);
        let now = Now::START.plus(promised_ms(2_000));
        let asked = |number| Ask { number, ..ask(1, 2_000) };
        for number in [5, 3] {
            let granted = witness.on_ask(now, asked(number), &Partition::default());
            assert_eq!(granted, LeaseVerdict::Granted);
        }
        witness.on_release(HOLDER, ask(1, 0).key, 3);
        assert!(witness.has(ask(1, 0).key, HOLDER));
        witness.on_release(HOLDER, ask(1, 0).key, 5);
        assert!(!witness.has(ask(1, 0).key, HOLDER));
    }

    #[test]
    fn one_grant_of_a_witness_that_lost_its_store_says_nothing_of_the_others() {
        let mut witness = Witness::restore(NodeId([2; 16]), StoreId(2), None);
        let now = Now::START.plus(promised_ms(2_000));
        let granted = witness.on_ask(now, ask(1, 2_000), &Partition::default());
        assert_eq!(granted, LeaseVerdict::Granted);
        let other = witness.on_ask(now, ask(2, 600_000), &Partition::default());
        assert!(matches!(other, LeaseVerdict::Taken { .. }), "{other:?}");
        let now = Now::START.plus(promised_ms(600_000));
        let other = witness.on_ask(now, ask(2, 600_000), &Partition::default());
        assert_eq!(other, LeaseVerdict::Granted);
    }
}
