//! What this node says of conditions in which it cannot start tasks.

use std::collections::BTreeSet;

use crdt_state::RecordKey;
use crdt_state::condition::NodeConditions;
use crdt_state::read::conditions_of;
use gossip::Now;

use super::Node;
use crate::event::{Event, Subject};

impl Node {
    /// The machine was looked at.
    pub(super) fn on_conditions(&mut self, now: Now, wall_ms: u64, found: &NodeConditions) {
        self.conditions.observe(now, found);
        self.go_on_with_conditions(now, wall_ms);
    }

    /// Says what is due to be said by now.
    pub(super) fn go_on_with_conditions(&mut self, now: Now, wall_ms: u64) {
        self.conditions.handle_due(now);
        self.say_conditions(wall_ms);
    }

    /// Says what this node cannot do, if that differs from what it last said. A full disk is what
    /// it may have to say, so others hear it before the disk has it: of two records of one version
    /// all nodes keep the same one, and a node that starts says anew how it is.
    pub(super) fn say_conditions(&mut self, wall_ms: u64) {
        let said = self.conditions.said();
        let before = conditions_of(&self.replica, self.me);
        if said == before {
            return;
        }
        let key = RecordKey::conditions(self.me);
        self.replica.put_owned(key, &said, wall_ms);
        self.gossip.tell_now(&self.replica, &BTreeSet::from([key]));
        let began = said.iter().filter(|(word, _)| !before.contains_key(*word));
        let ended = before.iter().filter(|(word, _)| !said.contains_key(*word));
        let told = began.map(|(word, text)| (word, text.clone()));
        let told = told.chain(ended.map(|(word, _)| (word, "over".to_owned())));
        for (word, text) in told {
            let subject = Subject::Node { id: self.me, name: self.hostname(self.me) };
            let attributes = vec![("condition", word.clone()), ("message", text)];
            self.outbox.push(crate::Action::Event(Event {
                subject,
                action: "condition",
                attributes,
                wall_ms,
            }));
        }
    }
}
