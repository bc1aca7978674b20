//! Feeds I13: the adversary's records, and how every machine treats them.

use crdt_state::{Record, RecordKey, Replica};

use super::Watch;
use crate::adversary::{Adversary, Poison};
use crate::check::poison::{self, Held};
use crate::machine::Machine;
use crate::sim_node::writes_of;
use crate::sometimes::Event;

impl Watch {
    /// A member signed something: for the checkers of writes it is a write like any other.
    pub fn poisoned(&mut self, at: u64, poison: &Poison) {
        self.unsettled(at);
        for ((write, value), saw) in &poison.writes {
            self.counters.stored(write.stamp.writer, write.stamp.lamport);
            let verdict = self.writes.written(*write, value, saw);
            self.report(verdict);
        }
    }

    /// Is each poison record read by nobody, and passed on by everybody as it was signed?
    pub fn judge_poison(&mut self, machines: &[Machine], adversary: &Adversary) {
        for machine in machines {
            let Some(agent) = &machine.agent else { continue };
            for service in agent.node.services() {
                self.report(poison::is_sound(machine.no, &service));
            }
            let replica = agent.node.replica();
            for (key, signed) in adversary.said() {
                let held = held(replica, adversary.replica(), &key);
                let is_unread = held.digest == Some(signed) && !held.is_read;
                self.sometimes.saw_times(Event::PoisonHeld, u64::from(is_unread));
                self.report(poison::is_passed_on(machine.no, signed, held));
            }
        }
    }
}

fn held(replica: &Replica, signed: &Replica, key: &RecordKey) -> Held {
    Held {
        digest: replica.record_digest(key),
        is_read: !replica.is_unfit(key),
        is_later: writes(replica, key) != writes(signed, key),
    }
}

/// The names of the writes in a record, or its version.
fn writes(replica: &Replica, key: &RecordKey) -> (Vec<crate::check::writes::WriteId>, u64) {
    let record = replica.record(key);
    let writes = record.map(|record| writes_of(*key, record)).unwrap_or_default();
    let version = record.and_then(Record::as_owned).map_or(0, |owned| owned.version);
    (writes.into_iter().map(|(write, _)| write).collect(), version)
}
