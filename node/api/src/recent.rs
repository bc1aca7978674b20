//! The latest events, for `events --since`: a bounded window that this node keeps in memory.
//!
//! The oldest event is dropped first. Nothing depends on the window: the state contains everything
//! that events report.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{self, Receiver, Sender};

use node_agent::Handle;
use node_docker::event::Event;

use super::event_object::{event, happened_here};

/// Events kept: at 700 bytes each, 180 KB.
const EVENTS_MAX: usize = 256;

/// Events that a slow listener may be behind before it misses some.
const BEHIND_MAX: usize = 256;

/// The window, and the source of new events.
#[derive(Clone)]
pub struct Recent {
    window: Arc<Mutex<VecDeque<Event>>>,
    live: Sender<Event>,
}

impl Recent {
    /// An empty window.
    pub fn new() -> Recent {
        let (live, _) = broadcast::channel(BEHIND_MAX);
        Recent { window: Arc::new(Mutex::new(VecDeque::new())), live }
    }

    /// Collects events, until the agent ends.
    pub async fn collect(self, handle: Handle) {
        let mut events = handle.events();
        loop {
            match events.recv().await {
                Ok(fact) => self.add(event(fact)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// What a client did to this node alone, in Docker's words.
    pub fn tell(&self, kind: &str, action: &str, id: &str, attributes: &[(&str, &str)]) {
        self.add(happened_here(kind, action, id, attributes));
    }

    fn add(&self, event: Event) {
        let mut window = self.window.lock().expect("nothing panics while it holds the window");
        if window.len() == EVENTS_MAX {
            window.pop_front();
        }
        window.push_back(event.clone());
        // It is no error if nobody listens. Sent under the lock, so that a new listener gets each
        // event once.
        let _ = self.live.send(event);
    }

    /// Past events since a time of day (none without it), and all later events.
    pub fn listen(&self, since_ms: Option<u64>) -> (VecDeque<Event>, Receiver<Event>) {
        let window = self.window.lock().expect("nothing panics while it holds the window");
        let at_ms = |event: &Event| u64::try_from(event.time_nano / 1_000_000).unwrap_or(0);
        let is_wanted = |event: &&Event| since_ms.is_some_and(|since| at_ms(event) >= since);
        (window.iter().filter(is_wanted).cloned().collect(), self.live.subscribe())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(wall_ms: i64) -> Event {
        Event { time_nano: wall_ms * 1_000_000, ..Event::default() }
    }

    #[test]
    fn the_window_is_bounded_and_drops_the_oldest() {
        let recent = Recent::new();
        for wall_ms in 0..300 {
            recent.add(event(wall_ms));
        }
        let (past, _) = recent.listen(Some(0));
        assert_eq!(past.len(), EVENTS_MAX);
        assert_eq!(past[0], event(300 - EVENTS_MAX as i64));
        assert_eq!(recent.listen(Some(298)).0.len(), 2);
        assert!(recent.listen(None).0.is_empty());
    }

    #[test]
    fn a_listener_gets_each_event_once() {
        let recent = Recent::new();
        recent.add(event(1));
        let (past, mut live) = recent.listen(Some(0));
        recent.add(event(2));
        assert_eq!(past.len(), 1);
        assert_eq!(live.try_recv(), Ok(event(2)));
        assert!(live.try_recv().is_err());
    }
}
