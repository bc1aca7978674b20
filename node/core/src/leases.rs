//! Leases: how a slot of an `at-most-one` service runs on one node of the whole fleet at most.
//!
//! ```text
//! holder n2                    anchors n1, n4, n5
//!   ask, at its time t  ───────▶ nobody else has it: written down, then granted
//!   ◀─────── granted ───────────  by a majority: n2 runs the slot until t + fence-after
//!   asks again, a quarter of fence-after later, and so on
//!   no majority answers: at t + fence-after n2 stops the task, and after its grace kills it
//!                                nobody else is granted it before that time has passed here, and
//!                                a 32nd of it and a second more
//! ```
//! A holder counts from when it *asked*, a witness from when it was asked, which is later: so no
//! clock is compared with another one. All that is assumed is that two clocks run at the same speed,
//! to a 32nd part. A witness writes down to whom it granted, not when: one that starts again counts
//! from its start. A witness without its store grants nothing for that long. What is not certain is
//! refused: a lost, late or repeated message costs time, never a second task. Decision 0024.

use std::collections::{BTreeMap, VecDeque};

use crdt_state::partition::{Grants, Partition};
use crdt_state::service::Service;
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, StoreId};
use gossip::Now;

mod holder;
mod message;
mod witness;

use holder::Holder;
use witness::Witness;

pub use message::{LeaseMessage, LeaseVerdict};
pub use witness::promised_ms;

/// A slot of a service.
pub type LeaseKey = (ServiceId, Slot);

/// May a task of a slot start here, and may it go on?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// Its service needs no leases.
    NotNeeded,
    /// A majority of the anchors granted it to this node.
    Granted,
    /// It ran when this agent began: it goes on while leases are asked for. Its monitor knows when
    /// the earlier ones end.
    Kept,
    /// Neither.
    Missing,
}

impl Lease {
    /// May a task start?
    pub fn lets_start(self) -> bool {
        matches!(self, Lease::NotNeeded | Lease::Granted)
    }
}

/// A node's leases: those that it asks for, and those that it gives out.
#[derive(Debug)]
pub struct Leases {
    me: NodeId,
    holder: Holder,
    witness: Witness,
    outgoing: VecDeque<(NodeId, LeaseMessage)>,
    /// Until when the runs of a slot may live at the most, where that changed.
    extended: BTreeMap<LeaseKey, Now>,
}

impl Leases {
    /// What a node knows when its agent begins: `written` is its record.
    pub fn restore(me: NodeId, store: StoreId, boot: u64, written: Option<Grants>) -> Leases {
        Leases {
            me,
            holder: Holder::new(boot),
            witness: Witness::restore(me, store, written),
            outgoing: VecDeque::new(),
            extended: BTreeMap::new(),
        }
    }

    /// The value of this node's record, if it was not written yet.
    pub fn take_unwritten(&mut self) -> Option<&Grants> {
        self.witness.take_unwritten()
    }

    /// Is everything written that this node gave out?
    pub fn is_written(&self) -> bool {
        self.witness.is_written()
    }

    /// This node's record was read: one that an earlier store wrote, or one that somebody made up.
    pub fn on_own_record(&mut self, written: &Grants) {
        self.witness.on_own_record(written);
    }

    /// The slot is to run here, or still does. Returns what is known of its leases.
    pub fn want(&mut self, now: Now, key: LeaseKey, want: &Wanted<'_>) -> Lease {
        if self.holder.want(now, key, want) {
            self.ask(now, key);
        }
        self.note_extended(key);
        let state = self.state(now, key);
        if state == Lease::Granted {
            self.holder.on_let_start(key);
        }
        state
    }

    /// The record of a service cannot be read: nothing of it starts, and what runs goes on.
    pub fn on_unread(&mut self, service: ServiceId) {
        self.holder.on_unread(service);
    }

    /// The slot does not run here, and is not to.
    pub fn release(&mut self, key: LeaseKey) {
        if let Some((number, asked)) = self.holder.release(key) {
            self.extended.insert(key, Now::NEVER);
            self.give_back(key, number, asked);
        }
    }

    fn give_back(&mut self, key: LeaseKey, number: u64, asked: Vec<NodeId>) {
        for anchor in asked {
            if anchor == self.me {
                self.witness.on_release(self.me, key, number);
            } else {
                let release = LeaseMessage::Release { service: key.0, slot: key.1, number };
                self.outgoing.push_back((anchor, release));
            }
        }
    }

    /// What is known of the leases of a slot.
    pub fn state(&self, now: Now, key: LeaseKey) -> Lease {
        match self.holder.ends(key, self.is_own_witness(key)) {
            Some(ends) if ends.fence_at > now => Lease::Granted,
            Some(_) if self.holder.kept_until(key) > now => Lease::Kept,
            _ => Lease::Missing,
        }
    }

    /// When a slot's task is stopped unless leases are renewed.
    pub fn fence_at(&self, key: LeaseKey) -> Now {
        let ends = self.holder.ends(key, self.is_own_witness(key));
        ends.map_or(Now::START, |ends| ends.fence_at).max(self.holder.kept_until(key))
    }

    /// When a slot's run is killed unless leases are renewed; [`Now::NEVER`]: never.
    pub fn kill_at(&self, key: LeaseKey) -> Now {
        let ends = self.holder.ends(key, self.is_own_witness(key));
        ends.map_or(Now::NEVER, |ends| ends.kill_at)
    }

    /// The slots of one service that leases are asked for.
    pub fn slots_of(&self, service: ServiceId) -> Vec<Slot> {
        self.holder.slots_of(service)
    }

    /// When leases are asked for again.
    pub fn deadline(&self) -> Now {
        self.holder.deadline()
    }

    /// Asks for what is due. Returns the services whose slots may start now.
    pub fn handle_due(&mut self, now: Now) -> Vec<ServiceId> {
        let mut news = Vec::new();
        for key in self.holder.due(now) {
            let before = self.state(now, key);
            self.ask(now, key);
            news.extend(self.news(now, key, before));
        }
        news
    }

    /// Another node asks, answers or gives a lease back. `policy` is that of the slot's service if
    /// this node is an anchor of it and the other one a member. Returns the service whose slots may
    /// start now, if there is one.
    pub fn handle(
        &mut self,
        now: Now,
        from: NodeId,
        message: LeaseMessage,
        policy: Option<&Partition>,
    ) -> Option<ServiceId> {
        match message {
            LeaseMessage::Ask { service, slot, number, lease_ms } => {
                let key = (service, slot);
                let is_certain = false;
                let ask = witness::Ask { from, key, number, lease_ms, is_certain };
                let verdict = match policy {
                    Some(partition) => self.witness.on_ask(now, ask, partition),
                    None => LeaseVerdict::NotAnchor,
                };
                let answer = LeaseMessage::Answer { service, slot, number, verdict };
                self.outgoing.push_back((from, answer));
                None
            }
            LeaseMessage::Release { service, slot, number } => {
                self.witness.on_release(from, (service, slot), number);
                None
            }
            LeaseMessage::Answer { service, slot, number, verdict } => {
                let key = (service, slot);
                let before = self.state(now, key);
                self.holder.on_answer(now, from, key, number, verdict);
                let own = self.is_own_witness(key);
                if let Some((number, asked)) = self.holder.give_way(now, self.me, (key, own)) {
                    self.give_back(key, number, asked);
                }
                self.news(now, key, before)
            }
        }
    }

    /// Forgets the leases of a service that this node is no anchor of any more. Returns when the
    /// next one is over.
    pub fn collect(&mut self, now: Now, id: ServiceId, service: Option<&Service>) -> Now {
        let partition = service.map(|service| &service.partition);
        let is_anchor =
            partition.is_some_and(|said| said.is_at_most_one() && said.anchors.contains(&self.me));
        if is_anchor { Now::NEVER } else { self.witness.collect(now, id) }
    }

    /// The next message.
    pub fn poll_message(&mut self) -> Option<(NodeId, LeaseMessage)> {
        self.outgoing.pop_front()
    }

    /// The slots whose runs may live longer, or must end earlier, than was said before.
    pub fn take_extended(&mut self) -> BTreeMap<LeaseKey, Now> {
        std::mem::take(&mut self.extended)
    }

    /// The node that an anchor named as the one that has the slot, and until when, at the latest.
    pub fn refused(&self, key: LeaseKey) -> Option<(NodeId, Now)> {
        self.holder.refused(key)
    }

    fn ask(&mut self, now: Now, key: LeaseKey) {
        let Some(asked) = self.holder.ask(now, key) else { return };
        let (number, lease_ms) = (asked.number, asked.lease_ms);
        let is_certain = asked.is_live && asked.partition.anchors.len() == 1;
        for anchor in &asked.partition.anchors {
            if *anchor == self.me {
                let from = self.me;
                let ask = witness::Ask { from, key, number, lease_ms, is_certain };
                self.witness.on_ask(now, ask, &asked.partition);
            } else {
                let (service, slot) = key;
                self.outgoing
                    .push_back((*anchor, LeaseMessage::Ask { service, slot, number, lease_ms }));
            }
        }
        self.note_extended(key);
    }

    fn news(&mut self, now: Now, key: LeaseKey, before: Lease) -> Option<ServiceId> {
        self.note_extended(key);
        let is_granted = self.state(now, key) == Lease::Granted && before != Lease::Granted;
        is_granted.then_some(key.0)
    }

    /// A witness that is the holder itself grants nobody else anything as long as it wants the slot.
    fn is_own_witness(&self, key: LeaseKey) -> Option<NodeId> {
        self.witness.has(key, self.me).then_some(self.me)
    }

    fn note_extended(&mut self, key: LeaseKey) {
        let own = self.is_own_witness(key);
        if let Some(kill_at) = self.holder.changed_end(key, own) {
            self.extended.insert(key, kill_at);
        }
    }
}

/// What a slot needs.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The policy of its service.
    pub partition: &'a Partition,
    /// How long its task may take to end.
    pub grace_ms: u64,
    /// Does a task of it live here?
    pub is_live: bool,
}
