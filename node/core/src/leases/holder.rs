//! The holder: the leases that this node asks for, and how long they last.

use std::collections::{BTreeMap, VecDeque};

use crdt_state::partition::Partition;
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId};
use gossip::Now;

use super::{LeaseKey, LeaseVerdict, Wanted};

/// Questions whose answers still count: two full lives of a lease.
const ASKED_MAX: usize = 8;

/// A node without a majority asks at least this often, in milliseconds.
const ASK_AGAIN_MS: u64 = 1_000;

/// Where no run is left and the service cannot be read, leases are of no use: nothing starts with
/// them. They are asked for this often, in milliseconds, because a run may be left after all.
const ASK_UNREAD_MS: u64 = 30_000;

/// A node that let another one go first does not ask for so long: four tries of the other one.
const YIELD_MS: u64 = 4 * ASK_AGAIN_MS;

/// When a slot's task is to be stopped, and when killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub fence_at: Now,
    pub kill_at: Now,
}

impl Ends {
    const NEVER: Ends = Ends { fence_at: Now::NEVER, kill_at: Now::NEVER };
    const START: Ends = Ends { fence_at: Now::START, kill_at: Now::START };
}

/// One question to all anchors.
#[derive(Debug)]
pub struct Asked {
    pub number: u64,
    pub lease_ms: u64,
    pub partition: Partition,
    /// The slot's task lived here when the first of these questions was asked.
    pub is_live: bool,
}

#[derive(Debug)]
struct Asking {
    partition: Partition,
    grace_ms: u64,
    next_ask: Now,
    /// Number of the question, and how long its leases last.
    asked: VecDeque<(u64, Ends)>,
    granted: BTreeMap<NodeId, Ends>,
    refused: BTreeMap<NodeId, (NodeId, Now)>,
    kept_until: Now,
    /// Did its task live when this was begun? Then it is known who has the slot.
    was_live: bool,
    /// Its task may live now.
    may_live: bool,
    /// The record of its service cannot be read here.
    is_unread: bool,
    /// The end that the runs of the slot were last told.
    told: Now,
}

#[derive(Debug)]
pub struct Holder {
    slots: BTreeMap<LeaseKey, Asking>,
    last_number: u64,
}

impl Holder {
    /// `boot` is the number of this start of the agent: no number is ever used twice.
    pub fn new(boot: u64) -> Holder {
        Holder { slots: BTreeMap::new(), last_number: boot << 32 }
    }

    /// Returns whether to ask at once.
    pub fn want(&mut self, now: Now, key: LeaseKey, want: &Wanted<'_>) -> bool {
        let after_ms = want.partition.fence_after_ms;
        let is_new = !self.slots.contains_key(&key);
        let asking = self.slots.entry(key).or_insert_with(|| Asking {
            partition: want.partition.clone(),
            grace_ms: want.grace_ms,
            next_ask: now,
            asked: VecDeque::new(),
            granted: BTreeMap::new(),
            refused: BTreeMap::new(),
            kept_until: if want.is_live { now.plus(after_ms) } else { Now::START },
            was_live: want.is_live,
            may_live: want.is_live,
            is_unread: false,
            told: Now::NEVER,
        });
        let was_unread = std::mem::take(&mut asking.is_unread);
        (asking.grace_ms, asking.may_live) = (want.grace_ms, want.is_live);
        if asking.partition != *want.partition {
            asking.partition = want.partition.clone();
            asking.granted.retain(|anchor, _| want.partition.anchors.contains(anchor));
            asking.refused.retain(|anchor, _| want.partition.anchors.contains(anchor));
            return true;
        }
        is_new || was_unread
    }

    /// The service of these slots cannot be read, until they are wanted again.
    pub fn on_unread(&mut self, service: ServiceId) {
        for slot in self.slots_of(service) {
            if let Some(asking) = self.slots.get_mut(&(service, slot)) {
                asking.is_unread = true;
            }
        }
    }

    /// The slot may start here: whatever its caller makes of that, its task may live from now on.
    pub fn on_let_start(&mut self, key: LeaseKey) {
        if let Some(asking) = self.slots.get_mut(&key) {
            asking.may_live = true;
        }
    }

    /// Two nodes that ask at a time may each get some of the anchors, and nobody a majority: the one
    /// with the higher id lets the other go first. Returns the number of its last question, and who
    /// was asked. Nobody gives way whose task may live.
    pub fn give_way(
        &mut self,
        now: Now,
        me: NodeId,
        (key, own): (LeaseKey, Option<NodeId>),
    ) -> Option<(u64, Vec<NodeId>)> {
        let asking = self.slots.get_mut(&key)?;
        let is_behind = asking.refused.values().any(|(by, until)| *by < me && *until > now);
        if asking.may_live || !is_behind || asking.ends(own).fence_at > now {
            return None;
        }
        let (number, _) = *asking.asked.back()?;
        asking.asked.clear();
        asking.granted.clear();
        asking.refused.clear();
        asking.next_ask = now.plus(YIELD_MS);
        Some((number, asking.partition.anchors.iter().copied().collect()))
    }

    /// Returns the number of the last question, and who was asked.
    pub fn release(&mut self, key: LeaseKey) -> Option<(u64, Vec<NodeId>)> {
        let asking = self.slots.remove(&key)?;
        let (number, _) = asking.asked.back()?;
        Some((*number, asking.partition.anchors.into_iter().collect()))
    }

    pub fn slots_of(&self, service: ServiceId) -> Vec<Slot> {
        let slots = self.slots.range((service, Slot::Number(0))..);
        slots.map(|(key, _)| *key).take_while(|key| key.0 == service).map(|key| key.1).collect()
    }

    pub fn deadline(&self) -> Now {
        self.slots.values().map(|asking| asking.next_ask).fold(Now::NEVER, Now::min)
    }

    pub fn due(&self, now: Now) -> Vec<LeaseKey> {
        let due = self.slots.iter().filter(|(_, asking)| asking.next_ask <= now);
        due.map(|(key, _)| *key).collect()
    }

    /// Asks all anchors of a slot.
    pub fn ask(&mut self, now: Now, key: LeaseKey) -> Option<Asked> {
        let asking = self.slots.get_mut(&key)?;
        self.last_number += 1;
        let (number, after_ms) = (self.last_number, asking.partition.fence_after_ms);
        let lease_ms = after_ms.saturating_add(asking.grace_ms);
        let ends = Ends { fence_at: now.plus(after_ms), kill_at: now.plus(lease_ms) };
        asking.asked.push_back((number, ends));
        if asking.asked.len() > ASKED_MAX {
            asking.asked.pop_front();
        }
        let has_majority = asking.ends(None).fence_at > now;
        // A record from elsewhere may have any time: nobody asks all the time.
        let after_ms = after_ms.max(ASK_AGAIN_MS);
        let lasts_until = asking.ends(None).kill_at.max(asking.kept_until);
        let is_useless = asking.is_unread && lasts_until <= now;
        let pause_ms = match () {
            () if has_majority => after_ms / 4,
            () if is_useless => ASK_UNREAD_MS,
            () => (after_ms / 4).min(ASK_AGAIN_MS),
        };
        asking.next_ask = now.plus(pause_ms);
        let (partition, is_live) = (asking.partition.clone(), asking.was_live);
        Some(Asked { number, lease_ms, partition, is_live })
    }

    pub fn on_answer(
        &mut self,
        now: Now,
        from: NodeId,
        key: LeaseKey,
        number: u64,
        verdict: LeaseVerdict,
    ) {
        let Some(asking) = self.slots.get_mut(&key) else { return };
        let asked = asking.asked.iter().find(|(asked, _)| *asked == number);
        let Some((_, ends)) = asked.filter(|_| asking.partition.anchors.contains(&from)) else {
            return;
        };
        match verdict {
            LeaseVerdict::Granted => {
                let granted = asking.granted.entry(from).or_insert(*ends);
                if granted.fence_at <= ends.fence_at {
                    *granted = *ends;
                }
                asking.refused.remove(&from);
            }
            LeaseVerdict::Taken { by, wait_ms } => {
                asking.refused.insert(from, (by, now.plus(wait_ms)));
                asking.next_ask = asking.next_ask.min(now.plus(wait_ms.max(1)));
            }
            LeaseVerdict::NotAnchor => {}
        }
    }

    /// `None`: no leases are asked for. `own` is this node if it is an anchor and grants the slot to
    /// itself: it grants it to nobody else before this node gives it back.
    pub fn ends(&self, key: LeaseKey, own: Option<NodeId>) -> Option<Ends> {
        self.slots.get(&key).map(|asking| asking.ends(own))
    }

    pub fn kept_until(&self, key: LeaseKey) -> Now {
        self.slots.get(&key).map_or(Now::START, |asking| asking.kept_until)
    }

    pub fn refused(&self, key: LeaseKey) -> Option<(NodeId, Now)> {
        let refused = self.slots.get(&key)?.refused.values().copied();
        refused.max_by_key(|(by, until)| (*until, *by))
    }

    /// The end of the slot's runs, if they were not told of it yet.
    pub fn changed_end(&mut self, key: LeaseKey, own: Option<NodeId>) -> Option<Now> {
        let asking = self.slots.get_mut(&key)?;
        let Ends { kill_at, .. } = asking.ends(own);
        // Runs that this agent found keep the end that they know until there is a later one.
        let is_news = kill_at > Now::START && kill_at != asking.told;
        is_news.then(|| {
            asking.told = kill_at;
            kill_at
        })
    }
}

impl Asking {
    /// The end that a majority of the anchors agrees to.
    fn ends(&self, own: Option<NodeId>) -> Ends {
        let own = own.filter(|own| self.partition.anchors.contains(own));
        let others = self.granted.iter().filter(|(anchor, _)| Some(**anchor) != own);
        let mut ends: Vec<Ends> = others.map(|(_, ends)| *ends).collect();
        ends.extend(own.map(|_| Ends::NEVER));
        let Some(at) = ends.len().checked_sub(self.partition.majority()) else {
            return Ends::START;
        };
        // Each by itself: a lease that is asked for later may leave less time to end the task.
        let of_majority = |end: fn(&Ends) -> Now| {
            let mut all: Vec<Now> = ends.iter().map(end).collect();
            all.sort_unstable();
            all[at]
        };
        Ends {
            fence_at: of_majority(|ends| ends.fence_at),
            kill_at: of_majority(|ends| ends.kill_at),
        }
    }
}
