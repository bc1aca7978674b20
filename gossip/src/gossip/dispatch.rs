//! The exchange of differences between two nodes: member lists and records.
//!
//! One small datagram compares both at once. It goes to a random peer each interval, and at once to
//! a member that is new or back. While comparisons bring changes, the next one follows soon. A
//! comparison without changes doubles the pause, up to the profile's interval. So a record that can
//! never be merged costs no more than an idle fleet.

use std::net::SocketAddr;

use crdt_state::node::NodeDescription;
use crdt_state::{Delta, NodeId, RecordKey, Replica};

use super::Gossip;
use crate::anti_entropy;
use crate::message::{Answer, Message};
use crate::rumour::Vantage;
use crate::{JunkReason, Now, Output};

/// Members per list message: 4,096 × 51 bytes is 209 KB.
const ENTRIES_MAX: usize = 4_096;

impl Gossip {
    pub(super) fn on_message(
        &mut self,
        now: Now,
        (peer, addr): (NodeId, Option<SocketAddr>),
        message: Message,
        replica: &mut Replica,
    ) {
        // A sender speaks for itself alone: it has proved who it is, and may not name another one.
        let is_own = message.from().is_none_or(|named| named == peer);
        match (&message, addr) {
            _ if peer == self.membership.me().node => self.drop_junk(JunkReason::FromMyself),
            (Message::Swim { packet, addrs }, Some(addr)) => {
                let handled = self.membership.handle_swim(now, (peer, addr), packet, addrs);
                if let Err(reason) = handled {
                    self.drop_junk(reason);
                }
            }
            (Message::Swim { .. }, None) => self.drop_junk(JunkReason::Swim),
            _ if !is_own => self.drop_junk(JunkReason::WrongSender),
            _ => {
                self.membership.on_heard(now, peer, addr);
                self.dispatch(now, peer, message, replica);
            }
        }
        self.greet_appeared(now, replica);
    }

    fn dispatch(&mut self, now: Now, peer: NodeId, message: Message, replica: &mut Replica) {
        let me = self.membership.me().node;
        match message {
            Message::Swim { .. } => {}
            Message::Leaving { who, .. } if who.node == peer || has_left(replica, who.node) => {
                self.membership.handle_leaving(now, who);
            }
            Message::Leaving { who, .. } => self.membership.doubt(now, who),
            Message::Compare { view, root, .. } => {
                if view != self.membership.digest() {
                    self.send_members(now, peer, Answer::Wanted);
                }
                self.send_all(peer, anti_entropy::on_root(me, replica, root));
            }
            Message::Tree { levels, .. } => {
                self.send_all(peer, anti_entropy::on_levels(me, replica, &levels));
            }
            Message::Leaves { leaves, .. } => {
                self.send_all(peer, anti_entropy::on_leaves(me, replica, &leaves));
            }
            Message::LeafPart { range, records, .. } => {
                self.send_all(peer, anti_entropy::on_part(me, replica, range, &records));
            }
            Message::Records { delta, wanted, .. } => {
                self.on_records(now, peer, (&delta, &wanted), replica);
            }
            Message::Rumour { delta, .. } => {
                let is_news = self.merge(&delta, replica);
                // A peer that is left out may have no other node from which it could hear the
                // rumour.
                if is_news && self.membership.vantage(now) == Vantage::Between {
                    self.on_progress(now);
                }
            }
            Message::Members { entries, answer, .. } => {
                let left = |node| has_left(replica, node);
                let changed = self.membership.merge_entries(now, &entries, &left);
                // Outputs keep their order: the changes from the list are reported before the
                // answer is sent.
                self.collect();
                if answer == Answer::Wanted {
                    self.list_members(now, peer, Answer::NotWanted);
                }
                if changed {
                    self.on_progress(now);
                }
            }
        }
    }

    fn send_all(&mut self, to: NodeId, messages: impl IntoIterator<Item = Message>) {
        for message in messages {
            self.send(to, &message);
        }
    }

    fn on_records(
        &mut self,
        now: Now,
        peer: NodeId,
        (delta, wanted): (&Delta, &[RecordKey]),
        replica: &mut Replica,
    ) {
        let changed = self.merge(delta, replica);
        let me = self.membership.me().node;
        self.send_all(peer, anti_entropy::on_wanted(me, replica, wanted));
        if changed {
            self.on_progress(now);
            if wanted.is_empty() {
                self.compare_with(peer, replica);
            }
        }
    }

    /// Merges a delta and reports what changed; true if anything changed.
    fn merge(&mut self, delta: &Delta, replica: &mut Replica) -> bool {
        let merged = replica.merge(delta);
        for _ in &merged.junk {
            self.drop_junk(JunkReason::Record);
        }
        if merged.changed.is_empty() {
            return false;
        }
        self.rumours.on_merged(&merged.changed);
        self.outputs.push_back(Output::Merged(merged.changed));
        true
    }

    /// Sends the member list, at most once per peer within the shortest compare interval.
    pub(super) fn send_members(&mut self, now: Now, to: NodeId, answer: Answer) {
        let pause_ms = self.profile.compare_interval_min_ms;
        if self.listed_at.get(&to).is_none_or(|at| now.since(*at) >= pause_ms) {
            self.list_members(now, to, answer);
        }
    }

    fn list_members(&mut self, now: Now, to: NodeId, answer: Answer) {
        if self.membership.view().addr(to).is_none() {
            self.counters.unaddressed += 1;
            return;
        }
        // An entry older than the pause has no effect, and its peer may never connect again. So
        // entries are kept only for peers that were sent a list within the pause.
        let pause_ms = self.profile.compare_interval_min_ms;
        self.listed_at.retain(|_, at| now.since(*at) < pause_ms);
        self.listed_at.insert(to, now);
        let from = self.membership.me().node;
        let entries = self.membership.entries();
        for part in entries.chunks(ENTRIES_MAX) {
            self.send(to, &Message::Members { from, entries: part.to_vec(), answer });
        }
    }

    /// The pause is over: compare with a random peer.
    pub(super) fn on_compare_due(&mut self, now: Now, replica: &Replica) {
        if now < self.compare_at {
            return;
        }
        self.compare_at = now.plus(self.compare_interval_ms);
        self.compare_interval_ms =
            (self.compare_interval_ms * 2).min(self.profile.compare_interval_ms);
        // A comparison with a peer that only others can reach would be wasted.
        let peers = self.membership.heard_directly(now);
        if let Some(peer) = self.membership.choose(peers, 1).first() {
            self.compare_with(*peer, replica);
            if self.membership.view().lacks_addresses() {
                self.send_members(now, *peer, Answer::Wanted);
            }
        }
    }

    pub(super) fn compare_with(&mut self, to: NodeId, replica: &Replica) {
        let (from, view) = (self.membership.me().node, self.membership.digest());
        self.send(to, &Message::Compare { from, view, root: replica.digest() });
    }

    /// A comparison brought changes: the next one follows soon.
    pub(super) fn on_progress(&mut self, now: Now) {
        self.compare_interval_ms = self.profile.compare_interval_min_ms;
        self.compare_at = self.compare_at.min(now.plus(self.compare_interval_ms));
    }

    /// Compares at once with a member that appeared. If many appeared, this node compares with one
    /// of them; comparisons with others follow because of the progress.
    pub(super) fn greet_appeared(&mut self, now: Now, replica: &Replica) {
        self.collect();
        let Some(node) = self.appeared.take() else { return };
        self.on_progress(now);
        let pause_ms = self.profile.compare_interval_min_ms;
        if self.greeted_at.is_none_or(|at| now.since(at) >= pause_ms) {
            self.greeted_at = Some(now);
            self.compare_with(node, replica);
        }
    }
}

/// Has this node written of itself that it left? What others say of that is a hint.
fn has_left(replica: &Replica, node: NodeId) -> bool {
    let described = replica.owned::<NodeDescription>(&RecordKey::node(node));
    described.is_some_and(|(owner, description)| owner == node && description.left)
}
