//! The slots of this node, with what each settling asks about all of them.
//!
//! A node of 5,000 tasks settles whenever a record of any node changes, and must not look at all of
//! its tasks then. So what is asked is noted when a slot changes: [`SlotMut`] is the only way to
//! change one, and takes its notes along. In a debug build every settling compares the notes with
//! the slots themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};

use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, TaskId};
use gossip::Now;

use super::local::{Local, Phase};
use crate::addressing::LiveTask;

pub(super) type SlotKey = (ServiceId, Slot);

/// All slots for which this node has a record.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: BTreeMap<SlotKey, Local>,
    notes: Notes,
    /// The services of which the live tasks changed since somebody asked.
    live_changed: BTreeSet<ServiceId>,
    /// The services of which no task starts now, and why.
    pub(super) held: BTreeMap<ServiceId, String>,
}

/// What is noted of the live tasks.
#[derive(Debug, Default, PartialEq, Eq)]
struct Notes {
    slots: BTreeMap<TaskId, SlotKey>,
    /// Those that wait for their start, by the time from which they may.
    waiting: BTreeSet<(Now, SlotKey, TaskId)>,
    /// Those that were told to stop, by the time at which they are told again.
    stopping: BTreeSet<(Now, SlotKey, TaskId)>,
    starting: usize,
}

impl Slots {
    pub(super) fn get(&self, key: SlotKey) -> Option<&Local> {
        self.slots.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: SlotKey) -> Option<SlotMut<'_>> {
        let local = self.slots.get_mut(&key)?;
        Some(SlotMut::new(key, local, &mut self.notes, &mut self.live_changed))
    }

    /// Changes a slot, if it is there.
    pub(super) fn change(&mut self, key: SlotKey, change: impl FnOnce(&mut Local)) {
        if let Some(mut local) = self.get_mut(key) {
            change(&mut local);
        }
    }

    /// The slot, made if there is none.
    pub(super) fn ensure(&mut self, me: NodeId, key: SlotKey) -> SlotMut<'_> {
        let local = self.slots.entry(key).or_insert_with(|| Local::empty(me, key));
        SlotMut::new(key, local, &mut self.notes, &mut self.live_changed)
    }

    /// Takes out a slot in which no task lives.
    pub(super) fn remove(&mut self, key: SlotKey) -> Option<Local> {
        let local = self.slots.remove(&key)?;
        assert!(local.live.is_empty(), "a slot that is removed has no live task");
        Some(local)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&SlotKey, &Local)> {
        self.slots.iter()
    }

    /// The slots of one service.
    pub(super) fn of(&self, service: ServiceId) -> impl Iterator<Item = (&SlotKey, &Local)> {
        let slots = self.slots.range((service, Slot::Number(0))..);
        slots.take_while(move |((of, _), _)| *of == service)
    }

    pub(super) fn phase(&self, key: SlotKey, task: TaskId) -> Option<&Phase> {
        self.slots.get(&key)?.live.get(&task).map(|live| &live.phase)
    }

    /// The slot of a live task.
    pub(super) fn slot_of(&self, task: TaskId) -> Option<SlotKey> {
        self.notes.slots.get(&task).copied()
    }

    pub(super) fn has_live(&self) -> bool {
        !self.notes.slots.is_empty()
    }

    /// How many tasks are starting.
    pub(super) fn starting(&self) -> usize {
        self.notes.starting
    }

    /// From when the first of the waiting tasks may start.
    pub(super) fn first_waiting(&self) -> Now {
        let mut free = self.notes.waiting.iter().filter(|(_, key, _)| self.is_free(*key));
        free.next().map_or(Now::NEVER, |(at, ..)| *at)
    }

    /// Is the service of a slot none of those of which no task starts?
    fn is_free(&self, (service, _): SlotKey) -> bool {
        !self.held.contains_key(&service)
    }

    /// The services with a task that would start now if nothing held it.
    pub(super) fn wanting(&self, now: Now) -> BTreeSet<ServiceId> {
        due(&self.notes.waiting, now).map(|((service, _), _)| service).collect()
    }

    /// The tasks that were told to stop.
    pub(super) fn stopping(&self) -> impl Iterator<Item = (SlotKey, TaskId)> {
        due(&self.notes.stopping, Now::NEVER)
    }

    /// When the first of the stopping tasks is told again.
    pub(super) fn first_stopping(&self) -> Now {
        self.notes.stopping.first().map_or(Now::NEVER, |(at, ..)| *at)
    }

    /// The waiting tasks that may start now.
    pub(super) fn due_to_start(&self, now: Now) -> impl Iterator<Item = (SlotKey, TaskId)> {
        due(&self.notes.waiting, now).filter(|(key, _)| self.is_free(*key))
    }

    /// The stopping tasks that are to be told again now.
    pub(super) fn due_to_stop(&self, now: Now) -> impl Iterator<Item = (SlotKey, TaskId)> {
        due(&self.notes.stopping, now)
    }

    /// The services of which the live tasks changed since the last call.
    pub(super) fn take_live_changed(&mut self) -> BTreeSet<ServiceId> {
        std::mem::take(&mut self.live_changed)
    }

    /// Panics if the notes are not what the slots say.
    pub(super) fn check(&self) {
        let mut naive = Notes::default();
        self.slots.iter().for_each(|(key, local)| naive.add(*key, local));
        assert_eq!(self.notes, naive, "the notes are what the slots say");
    }
}

fn due(
    all: &BTreeSet<(Now, SlotKey, TaskId)>,
    now: Now,
) -> impl Iterator<Item = (SlotKey, TaskId)> {
    all.iter().take_while(move |(at, ..)| *at <= now).map(|(_, key, task)| (*key, *task))
}

impl Notes {
    fn add(&mut self, key: SlotKey, local: &Local) {
        for (task, live) in &local.live {
            self.slots.insert(*task, key);
            match live.phase {
                Phase::Waiting { until } => {
                    self.waiting.insert((until, key, *task));
                }
                Phase::Stopping { again_at, .. } => {
                    self.stopping.insert((again_at, key, *task));
                }
                Phase::Starting { .. } => self.starting += 1,
                Phase::Running { .. } => {}
            }
        }
    }

    fn remove(&mut self, key: SlotKey, local: &Local) {
        for (task, live) in &local.live {
            self.slots.remove(task);
            match live.phase {
                Phase::Waiting { until } => {
                    self.waiting.remove(&(until, key, *task));
                }
                Phase::Stopping { again_at, .. } => {
                    self.stopping.remove(&(again_at, key, *task));
                }
                Phase::Starting { .. } => self.starting -= 1,
                Phase::Running { .. } => {}
            }
        }
    }
}

/// A slot that is being changed. When it is dropped, what it has become is noted.
pub(super) struct SlotMut<'a> {
    key: SlotKey,
    local: &'a mut Local,
    notes: &'a mut Notes,
    live_changed: &'a mut BTreeSet<ServiceId>,
    before: Vec<LiveTask>,
}

impl<'a> SlotMut<'a> {
    fn new(
        key: SlotKey,
        local: &'a mut Local,
        notes: &'a mut Notes,
        live_changed: &'a mut BTreeSet<ServiceId>,
    ) -> SlotMut<'a> {
        notes.remove(key, local);
        let before = local.live_tasks().collect();
        SlotMut { key, local, notes, live_changed, before }
    }
}

impl Drop for SlotMut<'_> {
    fn drop(&mut self) {
        self.notes.add(self.key, self.local);
        if !self.local.live_tasks().eq(self.before.drain(..)) {
            self.live_changed.insert(self.key.0);
        }
    }
}

impl Deref for SlotMut<'_> {
    type Target = Local;

    fn deref(&self) -> &Local {
        self.local
    }
}

impl DerefMut for SlotMut<'_> {
    fn deref_mut(&mut self) -> &mut Local {
        self.local
    }
}

#[cfg(test)]
mod tests {
    use super::super::local::{After, Live};
    use super::*;
    use crate::backoff::Restarts;

    const ME: NodeId = NodeId([1; 16]);
    const TASK: TaskId = TaskId([2; 16]);

    fn key(number: u32) -> SlotKey {
        (ServiceId([3; 16]), Slot::Number(number))
    }

    fn put(slots: &mut Slots, number: u32, task: TaskId, phase: Phase) {
        let (restarts, stop_signal) = (Restarts::default(), None);
        let live = Live { phase, restarts, stop_signal, stop_grace_ms: 0 };
        slots.ensure(ME, key(number)).live.insert(task, live);
        slots.check();
    }

    #[test]
    fn what_is_noted_follows_every_change_of_a_slot() {
        let mut slots = Slots::default();
        put(&mut slots, 1, TASK, Phase::Waiting { until: Now(5) });
        assert!(!slots.take_live_changed().is_empty() && slots.has_live());
        assert_eq!((slots.first_waiting(), slots.slot_of(TASK)), (Now(5), Some(key(1))));
        assert_eq!(slots.due_to_start(Now(4)).count(), 0);
        assert_eq!(slots.due_to_start(Now(5)).collect::<Vec<_>>(), [(key(1), TASK)]);

        put(&mut slots, 1, TASK, Phase::Starting { since: Now(5) });
        assert_eq!(slots.take_live_changed(), BTreeSet::from([key(1).0]), "it has begun");
        assert_eq!((slots.first_waiting(), slots.starting()), (Now::NEVER, 1));

        put(&mut slots, 1, TASK, Phase::Running { since: Now(6) });
        let after = After::Failed("unhealthy".into());
        put(&mut slots, 1, TASK, Phase::Stopping { again_at: Now(9), after });
        assert!(slots.take_live_changed().is_empty(), "whatever belongs to it stays");
        assert_eq!((slots.starting(), slots.first_stopping()), (0, Now(9)));
        assert_eq!(slots.due_to_stop(Now(9)).collect::<Vec<_>>(), [(key(1), TASK)]);

        slots.change(key(1), |local| local.live.clear());
        slots.check();
        assert!(!slots.take_live_changed().is_empty() && !slots.has_live());
        assert_eq!((slots.first_stopping(), slots.slot_of(TASK)), (Now::NEVER, None));
        assert!(slots.remove(key(1)).is_some() && slots.get(key(1)).is_none());
    }

    #[test]
    fn the_first_of_several_comes_first() {
        let mut slots = Slots::default();
        for (number, until) in [(1, 7), (2, 3), (3, 5)] {
            let task = TaskId([number as u8; 16]);
            put(&mut slots, number, task, Phase::Waiting { until: Now(until) });
        }
        assert_eq!(slots.first_waiting(), Now(3));
        let due: Vec<SlotKey> = slots.due_to_start(Now(5)).map(|(key, _)| key).collect();
        assert_eq!(due, [key(2), key(3)]);
    }
}
