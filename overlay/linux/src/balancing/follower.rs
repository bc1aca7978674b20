//! Flows that lead to tasks which left, and how they are made to follow.
//!
//! A change of a table leads new flows only. Those that there are already are listed after it, beside
//! the thread that changes tables: on a busy machine a listing takes so long that the next change
//! must not wait for it.
//!
//! ```text
//! change ──▶ look ──UNANSWERED──▶ delete what is still unanswered ──▶ look again ──▶ done
//! ```
//! - What has no connection (UDP, ICMP) is deleted at once, and its next packet is led anew. The
//!   second look finds what was on its way during the change.
//! - A connection that nobody has answered was begun with a task that has died, or whose queue was
//!   full. The kernel would remember for two minutes where it led, and send the client's next
//!   attempts there, also a new connection from the same port. It is deleted if it is still
//!   unanswered after [`UNANSWERED`]: what is answered meanwhile is a connection with a task that is
//!   only about to stop, and its client would be reset. Else the client notices nothing: it repeats
//!   its first packet, which is led to another task.
//! - Connections that were answered stay with their task until it ends.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::{Duration, Instant};

use super::BalancingError;
use super::flows::{Flow, FlowKey, Flows, SCTP, TCP};
use super::spread::{Applied, Destination, Target};

/// From one look to the next.
const AGAIN: Duration = Duration::from_millis(200);
/// A first packet that is not lost is answered in less, except by way of a satellite. There the
/// client's next one, a second later, begins anew.
const UNANSWERED: Duration = Duration::from_millis(150);

/// Where a destination leads.
pub(super) struct Led {
    /// Its tasks.
    pub(super) targets: Vec<Target>,
    /// Flows that were not led by it are older than it.
    pub(super) is_new: bool,
}

/// The destinations that changed lately.
pub(super) struct Changes<K> {
    led: BTreeMap<K, Led>,
    /// Were there any since the last look?
    are_fresh: bool,
}

/// The destinations that changed lately, as a balancer and its follower share them.
pub(super) struct Watched<K>(Arc<Mutex<Changes<K>>>);

/// Does a flow lead elsewhere than its destination?
pub(super) type IsMisled<K> = fn(&BTreeMap<K, Led>, &Flow) -> bool;

impl<K: Ord + Copy + Send + 'static> Watched<K> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Changes { led: BTreeMap::new(), are_fresh: false })))
    }

    /// Destinations were changed, and now are these; `new` are those that were not there before. A
    /// change of one costs the same however many others changed lately.
    pub(super) fn note(
        &self,
        applied: &Applied<K>,
        new: &[K],
        destinations: Option<&BTreeMap<K, Destination>>,
    ) {
        let mut changes = lock(&self.0);
        changes.are_fresh |= !applied.misled.is_empty() || !new.is_empty();
        for key in applied.misled.iter().chain(new) {
            changes.led.entry(*key).or_insert(Led { targets: Vec::new(), is_new: false });
        }
        let update = |key: &K, led: &mut Led| {
            let now = destinations.and_then(|destinations| destinations.get(key));
            led.targets.clear();
            led.targets.extend(now.into_iter().flat_map(|now| &now.targets));
            led.is_new |= new.contains(key);
        };
        match &applied.moved {
            None => changes.led.iter_mut().for_each(|(key, led)| update(key, led)),
            Some(moved) => {
                for key in moved {
                    changes.led.get_mut(key).into_iter().for_each(|led| update(key, led));
                }
            }
        }
    }

    /// Opens the follower of this balancer.
    pub(super) fn follower(
        &self,
        namespace: BorrowedFd<'_>,
        is_misled: IsMisled<K>,
    ) -> Result<FlowFollower, BalancingError> {
        Ok(FlowFollower(Box::new(Follower {
            flows: Flows::open(namespace)?,
            changes: Arc::downgrade(&self.0),
            is_misled,
            unanswered: BTreeMap::new(),
            again_at: None,
        })))
    }
}

fn lock<K>(changes: &Mutex<Changes<K>>) -> MutexGuard<'_, Changes<K>> {
    changes.lock().expect("nothing panics while it holds this")
}

/// Makes the flows of one balancer follow its changes.
pub struct FlowFollower(Box<dyn Follow + Send>);

/// When to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextLook {
    /// Then, or after a change.
    At(Instant),
    /// After the next change.
    AfterChange,
    /// Never: the balancer has ended.
    Never,
}

impl FlowFollower {
    /// Looks if something changed, or if it is time to look again.
    pub fn follow(&mut self) -> Result<NextLook, BalancingError> {
        self.0.follow()
    }
}

trait Follow {
    fn follow(&mut self) -> Result<NextLook, BalancingError>;
}

struct Follower<K> {
    flows: Flows,
    changes: Weak<Mutex<Changes<K>>>,
    is_misled: IsMisled<K>,
    /// Connections that lead to tasks which left, and since when it is known.
    unanswered: BTreeMap<FlowKey, Instant>,
    again_at: Option<Instant>,
}

impl<K: Ord + Copy> Follow for Follower<K> {
    fn follow(&mut self) -> Result<NextLook, BalancingError> {
        let Some(changes) = self.changes.upgrade() else { return Ok(NextLook::Never) };
        let are_fresh = std::mem::take(&mut lock(&changes).are_fresh);
        let mut done = Ok(());
        if are_fresh || self.again_at.is_some_and(|at| at <= Instant::now()) {
            done = self.look(&changes);
            // What could not be done is tried again.
            let is_once_more = are_fresh || done.is_err();
            self.again_at = is_once_more.then(|| Instant::now() + AGAIN);
        }
        done = done.and_then(|()| self.delete_unanswered());
        let soonest = self.unanswered.values().map(|since| *since + UNANSWERED).min();
        let next = self.again_at.into_iter().chain(soonest).min();
        let mut changes = lock(&changes);
        if next.is_none() && !changes.are_fresh {
            changes.led.clear();
        }
        done.map(|()| next.map_or(NextLook::AfterChange, NextLook::At))
    }
}

impl<K: Ord + Copy> Follower<K> {
    fn look(&mut self, changes: &Mutex<Changes<K>>) -> Result<(), BalancingError> {
        let looked_at = Instant::now();
        let mut movable = Vec::new();
        self.flows.each_movable(|flow, key| {
            if !(self.is_misled)(&lock(changes).led, flow) {
                return;
            }
            match flow.protocol {
                TCP | SCTP => _ = self.unanswered.entry(key()).or_insert(looked_at),
                _ => movable.push(key()),
            }
        })?;
        movable.iter().try_for_each(|key| self.flows.delete_one(key))
    }

    /// Those that have been unanswered for long enough, and are so now.
    fn delete_unanswered(&mut self) -> Result<(), BalancingError> {
        let due = self.unanswered.extract_if(.., |_, since| since.elapsed() >= UNANSWERED);
        for (key, _) in due {
            if self.flows.is_unanswered(&key)? {
                self.flows.delete_one(&key)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::super::spread::Changed;
    use super::*;

    fn target(number: u8) -> Target {
        (IpAddr::from([10, 1, 0, number]), 0)
    }

    fn destination(tasks: &[u8]) -> Destination {
        let targets = tasks.iter().map(|number| target(*number)).collect();
        Destination { targets, slots: Vec::new() }
    }

    fn applied(misled: &[u8], moved: Option<&[u8]>) -> Applied<u8> {
        let moved = moved.map(|moved| moved.iter().copied().collect());
        Applied { changed: Changed::Elements(1), misled: misled.iter().copied().collect(), moved }
    }

    fn led(watched: &Watched<u8>) -> BTreeMap<u8, Vec<Target>> {
        let changes = lock(&watched.0);
        changes.led.iter().map(|(key, led)| (*key, led.targets.clone())).collect()
    }

    #[test]
    fn where_destinations_lead_that_changed_lately_follows_every_change() {
        let watched = Watched::new();
        let mut now = BTreeMap::from([(1, destination(&[1, 2])), (2, destination(&[3]))]);
        watched.note(&applied(&[1, 2], None), &[], Some(&now));
        assert_eq!(led(&watched)[&1], [target(1), target(2)]);

        // A task comes: no flow is misled by that, and those of the task that left may lead to it.
        now.insert(1, destination(&[2, 4]));
        watched.note(&applied(&[], Some(&[1])), &[], Some(&now));
        assert_eq!(led(&watched)[&1], [target(2), target(4)]);
        assert_eq!(led(&watched)[&2], [target(3)]);

        now.remove(&2);
        now.insert(3, destination(&[5]));
        watched.note(&applied(&[2], Some(&[2, 3])), &[], Some(&now));
        assert_eq!(led(&watched), BTreeMap::from([(1, vec![target(2), target(4)]), (2, vec![])]));

        now.insert(1, destination(&[]));
        watched.note(&applied(&[], None), &[], Some(&now));
        assert!(led(&watched)[&1].is_empty(), "what is not known to be the same is looked at");
    }
}
