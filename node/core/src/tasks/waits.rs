//! What keeps the waiting tasks of a service from starting: told in their records, and lifted when
//! it is over.

use std::collections::BTreeSet;

use crdt_state::ServiceId;
use crdt_state::task::Slot;
use gossip::Now;

use super::Tasks;
use super::local::{After, Phase};

/// Why a task is stopped whose room a service of higher priority takes.
pub(super) const MAKES_ROOM: &str = "a service of higher priority takes its room";

impl Tasks {
    /// The services with a task that would start now if nothing held it.
    pub fn wanting(&self, now: Now) -> BTreeSet<ServiceId> {
        self.slots.wanting(now)
    }

    /// The slots whose task is being stopped to make room.
    pub fn making_room(&self) -> impl Iterator<Item = (ServiceId, Slot)> {
        let is_meant = |key, task| match self.slots.phase(key, task) {
            Some(Phase::Stopping { after: After::Shutdown(why), .. }) => *why == MAKES_ROOM,
            _ => false,
        };
        self.slots.stopping().filter(move |(key, task)| is_meant(*key, *task)).map(|(key, _)| key)
    }

    /// Only tasks of these services are held: the others start.
    pub fn release_all_but(&mut self, held: &BTreeSet<ServiceId>) {
        let held_before: Vec<ServiceId> = self.slots.held.keys().copied().collect();
        for service in held_before.into_iter().filter(|service| !held.contains(service)) {
            let reason = self.slots.held.remove(&service).expect("it is held");
            self.tell(service, |message| {
                if *message == reason {
                    message.clear();
                }
            });
        }
    }

    /// Tasks of the service do not start, for this reason.
    pub fn hold(&mut self, service: ServiceId, reason: String) {
        self.tell(service, |message| message.clone_from(&reason));
        self.slots.held.insert(service, reason);
    }

    /// Changes the messages of the tasks of a service that wait for their start.
    fn tell(&mut self, service: ServiceId, change: impl Fn(&mut String)) {
        let keys: Vec<_> = self.slots.of(service).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(local) = self.slots.get(key) else { continue };
            let waits = |phase: &Phase| matches!(phase, Phase::Waiting { .. });
            let waiting = local.live.iter().filter(|(_, live)| waits(&live.phase));
            for task in waiting.map(|(task, _)| *task).collect::<Vec<_>>() {
                let Some(said) = self.slots.get(key).and_then(|local| local.status(task)) else {
                    continue;
                };
                let mut message = said.current.message.clone();
                change(&mut message);
                if message != said.current.message {
                    self.touched.insert(key);
                    self.slots.change(key, |local| {
                        if let Some(status) = local.status_mut(task) {
                            status.current.message = message;
                        }
                    });
                }
            }
        }
    }
}
