//! The thread that makes flows follow the changes of balancing. It lists what the kernel remembers,
//! which takes so long on a busy machine that no change of a table must wait for it.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use overlay_linux::balancing::{FlowFollower, NextLook};

/// After a look that failed.
const AFTER_FAILURE: Duration = Duration::from_secs(1);

enum Order {
    /// Of one more balancer.
    Follow(FlowFollower),
    /// Something changed.
    Look,
}

/// The thread; it ends when this is dropped.
pub(super) struct FlowThread(Sender<Order>);

impl FlowThread {
    pub(super) fn start() -> FlowThread {
        let (orders, inbox) = mpsc::channel();
        let thread = std::thread::Builder::new().name("flows".to_owned()).stack_size(256 * 1024);
        if let Err(error) = thread.spawn(move || run(&inbox)) {
            tracing::warn!("networks: no thread for flows, which lead to tasks that end: {error}");
        }
        FlowThread(orders)
    }

    /// From now on the flows of one more balancer follow its changes.
    pub(super) fn follow(&self, follower: FlowFollower) {
        let _ = self.0.send(Order::Follow(follower));
    }

    /// Balancers were changed, or have ended.
    pub(super) fn look(&self) {
        let _ = self.0.send(Order::Look);
    }
}

fn run(inbox: &Receiver<Order>) {
    let mut followers: Vec<FlowFollower> = Vec::new();
    let mut next = None;
    let mut is_failing = false;
    while let Some(orders) = wait(inbox, next) {
        followers.extend(orders.into_iter().filter_map(|order| match order {
            Order::Follow(follower) => Some(follower),
            Order::Look => None,
        }));
        let begun = Instant::now();
        next = None;
        let (mut failure, mut soonest) = (None, |at| next = next.into_iter().chain([at]).min());
        followers.retain_mut(|follower| {
            match follower.follow() {
                Ok(NextLook::At(at)) => soonest(at),
                Ok(NextLook::AfterChange) => {}
                Ok(NextLook::Never) => return false,
                Err(error) => {
                    failure = Some(error);
                    soonest(begun + AFTER_FAILURE);
                }
            }
            true
        });
        if let Some(error) = failure.as_ref().filter(|_| !is_failing) {
            tracing::warn!("networks: flows that lead to tasks which left: {error}");
        }
        is_failing = failure.is_some();
        // At most half of the time is spent on this, however much changes.
        std::thread::sleep(begun.elapsed());
    }
}

/// The orders that came, at the latest at this time without any. `None`: the end.
fn wait(inbox: &Receiver<Order>, until: Option<Instant>) -> Option<Vec<Order>> {
    let first = match until {
        None => Some(inbox.recv().ok()?),
        Some(at) => match inbox.recv_timeout(at.saturating_duration_since(Instant::now())) {
            Ok(order) => Some(order),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return None,
        },
    };
    Some(first.into_iter().chain(inbox.try_iter()).collect())
}
