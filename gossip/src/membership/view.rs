//! The members as this node sees them, their addresses, and the digest that is compared with
//! others.
//!
//! The view mirrors foca's states after every call and turns changes into events. It must never
//! decide that a member is gone: foca and the suspicions decide that.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crdt_state::NodeId;

use super::address_book::AddressBook;
use crate::message::Entry;
use crate::{Evidence, Identity, Member, MemberEvent, MemberState, Now};

/// The address of a member whose address nobody has reported.
pub(crate) const NOWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

fn is_nowhere(addr: SocketAddr) -> bool {
    addr.ip().is_unspecified() || addr.port() == 0
}

/// A member, with the fields that only membership needs.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) member: Member,
    pub(crate) incarnation: u16,
    /// When it was last sent a claim about itself, or called.
    pub(crate) told: Now,
}

impl Known {
    pub(crate) fn identity(&self) -> Identity {
        Identity { node: self.member.id, generation: self.member.generation }
    }
}

/// The effect of a state update on a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Nothing to report.
    Same,
    /// An event to report.
    Told(MemberEvent),
    /// It is new, or was gone and is back.
    Appeared,
}

/// The members, by id.
#[derive(Debug, Default)]
pub(crate) struct View {
    known: BTreeMap<NodeId, Known>,
    book: AddressBook,
    /// The highest generation in which a node said good-bye.
    left: BTreeMap<NodeId, u64>,
    /// The highest generation of a node that was removed from the view. One entry per removal by an
    /// operator; deleted when the node comes back.
    forgotten: BTreeMap<NodeId, u64>,
    /// Active members to be removed from the view as soon as they are no longer active.
    condemned: BTreeSet<NodeId>,
}

impl View {
    pub(crate) fn get(&self, node: NodeId) -> Option<&Known> {
        self.known.get(&node)
    }

    pub(crate) fn get_mut(&mut self, node: NodeId) -> Option<&mut Known> {
        self.known.get_mut(&node)
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Member> {
        self.known.values().map(|known| &known.member)
    }

    pub(crate) fn active(&self) -> impl Iterator<Item = &Member> {
        self.members().filter(|member| member.state.is_active())
    }

    pub(crate) fn in_state(&self, state: MemberState) -> impl Iterator<Item = &Member> {
        self.members().filter(move |member| member.state == state)
    }

    pub(crate) fn addr(&self, node: NodeId) -> Option<SocketAddr> {
        self.book.addr(node)
    }

    /// Is there an active member that cannot be reached because its address is unknown?
    pub(crate) fn lacks_addresses(&self) -> bool {
        self.active().any(|member| member.addr == NOWHERE)
    }

    /// Notes the address of a node. Returns the event if a member moved.
    pub(crate) fn set_addr(&mut self, node: NodeId, addr: SocketAddr) -> Option<MemberEvent> {
        if is_nowhere(addr) {
            return None;
        }
        let Some(known) = self.known.get_mut(&node) else {
            self.book.set_stranger(node, addr);
            return None;
        };
        let before = self.book.set_member(node, addr);
        if before == Some(addr) {
            return None;
        }
        let member = &mut known.member;
        member.addr = addr;
        (before.is_some() && member.state.is_active()).then_some(MemberEvent::Moved(node, addr))
    }

    /// An address that another member reported. It is used if no address is known, or if the member
    /// is not alive, because it is then silent at the known address. An address from which the
    /// member itself was heard takes precedence.
    pub(crate) fn hint_addr(&mut self, node: NodeId, addr: SocketAddr) -> Option<MemberEvent> {
        let written = self.book.addr(node);
        let state = self.get(node).map(|known| known.member.state);
        let silent = state.is_some_and(|state| state != MemberState::Alive);
        if written == Some(addr) || written.is_some() && !silent || is_nowhere(addr) {
            return None;
        }
        if state.is_none() {
            self.book.hint_stranger(node, addr);
            return None;
        }
        self.set_addr(node, addr)
    }

    /// Was this identity removed from the view?
    pub(crate) fn is_forgotten(&self, identity: &Identity) -> bool {
        self.forgotten.get(&identity.node).is_some_and(|gone| identity.generation <= *gone)
    }

    /// Does the view hold a later identity of this node?
    pub(crate) fn is_superseded(&self, identity: &Identity) -> bool {
        self.get(identity.node).is_some_and(|k| k.member.generation > identity.generation)
    }

    /// Notes that this identity said good-bye. Returns false if that was known.
    pub(crate) fn set_left(&mut self, identity: &Identity) -> bool {
        let left = self.left.entry(identity.node).or_insert(0);
        let news = *left < identity.generation;
        *left = identity.generation.max(*left);
        news
    }

    /// Is the member to be removed, and no longer active?
    pub(crate) fn is_due_to_be_forgotten(&self, node: NodeId) -> bool {
        self.condemned.contains(&node)
            && self.get(node).is_some_and(|known| !known.member.state.is_active())
    }

    /// Drops a member that is unreachable or left, and returns its identity. An active member is
    /// dropped as soon as it is no longer active.
    pub(crate) fn forget(&mut self, node: NodeId) -> Option<Identity> {
        let known = self.get(node)?;
        let identity = known.identity();
        if known.member.state.is_active() {
            self.condemned.insert(node);
            return None;
        }
        self.condemned.remove(&node);
        self.known.remove(&node);
        self.book.remove(node);
        self.left.remove(&node);
        self.forgotten.insert(node, identity.generation);
        Some(identity)
    }

    /// What is known of a member that is not active was a lie.
    pub(crate) fn take_back(&mut self, node: NodeId) {
        self.known.remove(&node);
        self.left.remove(&node);
    }

    /// A node that is not in the view never comes back, in any generation.
    pub(crate) fn bar(&mut self, node: NodeId) {
        self.book.remove(node);
        self.forgotten.insert(node, u64::MAX);
    }

    /// A node that was barred may come back.
    pub(crate) fn readmit(&mut self, node: NodeId) {
        if self.forgotten.get(&node) == Some(&u64::MAX) {
            self.forgotten.remove(&node);
        }
    }

    /// Takes over foca's state of one member. `evidence`: why it counts as unreachable, if it does.
    pub(crate) fn on_state(
        &mut self,
        now: Now,
        update: &foca::Member<Identity>,
        evidence: Evidence,
    ) -> Change {
        let identity = *update.id();
        let left = self.left.get(&identity.node).is_some_and(|g| *g >= identity.generation);
        let state = match update.state() {
            foca::State::Alive => MemberState::Alive,
            foca::State::Suspect => MemberState::Suspect,
            foca::State::Down if left => MemberState::Left,
            foca::State::Down => MemberState::Unreachable,
        };
        let evidence = (state == MemberState::Unreachable).then_some(evidence);
        let Some(known) = self.known.get_mut(&identity.node) else {
            self.insert(now, update, (state, evidence));
            return if state.is_active() { Change::Appeared } else { Change::Same };
        };
        known.incarnation = update.incarnation();
        let member = &mut known.member;
        member.generation = identity.generation;
        let before = std::mem::replace(&mut member.state, state);
        if before == state {
            return Change::Same;
        }
        member.since = now;
        member.evidence = evidence;
        match state {
            MemberState::Alive | MemberState::Suspect if !before.is_active() => Change::Appeared,
            MemberState::Alive => Change::Told(MemberEvent::Up(identity.node)),
            MemberState::Suspect => Change::Told(MemberEvent::Suspected(identity.node)),
            MemberState::Unreachable => Change::Told(MemberEvent::Unreachable(identity.node)),
            MemberState::Left => Change::Told(MemberEvent::Left(identity.node)),
        }
    }

    fn insert(
        &mut self,
        now: Now,
        update: &foca::Member<Identity>,
        (state, evidence): (MemberState, Option<Evidence>),
    ) {
        let identity = *update.id();
        self.forgotten.remove(&identity.node);
        let member = Member {
            id: identity.node,
            addr: self.addr(identity.node).unwrap_or(NOWHERE),
            state,
            evidence,
            since: now,
            heard: Now::START,
            generation: identity.generation,
        };
        let known = Known { member, incarnation: update.incarnation(), told: Now::START };
        self.known.insert(identity.node, known);
        self.book.admit(identity.node);
    }

    /// The members as they are sent to others. A suspicion is not passed on this way: it belongs to
    /// the failure detector, which asks the suspect first.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry> {
        self.known.values().map(|known| Entry {
            identity: known.identity(),
            incarnation: known.incarnation,
            state: match known.member.state {
                MemberState::Suspect => MemberState::Alive,
                state => state,
            },
            addr: self.addr(known.member.id),
        })
    }

    /// A hash of what all members should agree on: which nodes are members, in which generation,
    /// and whether each is active. Addresses are left out, because they differ by the place from which
    /// a node is seen; and whether who is gone said good-bye, because that is not taken from everybody.
    pub(crate) fn digest(&self, me: Identity) -> u64 {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl membership view 1");
        let mut states: BTreeMap<Identity, u8> = self
            .known
            .values()
            .map(|known| match known.member.state {
                MemberState::Alive | MemberState::Suspect => (known.identity(), 0),
                MemberState::Unreachable | MemberState::Left => (known.identity(), 1),
            })
            .collect();
        states.insert(me, 0);
        for (identity, state) in states {
            hasher.update(&identity.node.0);
            hasher.update(&identity.generation.to_be_bytes());
            hasher.update(&[state]);
        }
        let hash = hasher.finalize();
        u64::from_be_bytes(hash.as_bytes()[..8].try_into().expect("a hash has 32 bytes"))
    }
}
