//! The queue of future events, in virtual time.
//!
//! Events that are due in the same millisecond happen in the order in which they were put in, so
//! that the order depends on the seed alone.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Milliseconds since the world began.
pub type Instant = u64;

#[derive(Debug)]
struct Entry<T> {
    at: Instant,
    order: u64,
    what: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        (self.at, self.order) == (other.at, other.order)
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

/// Future events, earliest first.
#[derive(Debug)]
pub struct Queue<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    order: u64,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue { heap: BinaryHeap::new(), order: 0 }
    }
}

impl<T> Queue<T> {
    /// Schedules an event for a time, which may be now.
    pub fn put(&mut self, at: Instant, what: T) {
        self.order += 1;
        self.heap.push(Reverse(Entry { at, order: self.order, what }));
    }

    /// Takes the next event.
    pub fn take(&mut self) -> Option<(Instant, T)> {
        self.heap.pop().map(|Reverse(entry)| (entry.at, entry.what))
    }

    /// When the next event happens.
    pub fn next_at(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// The number of waiting events.
    pub fn len(&self) -> usize {
        self.heap.len()
    }

    /// Is it empty?
    pub fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_once_happens_in_the_order_it_was_put_in() {
        let mut queue = Queue::default();
        for (at, what) in [(5, "b"), (1, "a"), (5, "c"), (9, "e"), (5, "d")] {
            queue.put(at, what);
        }
        let order: Vec<&str> = std::iter::from_fn(|| queue.take().map(|(_, what)| what)).collect();
        assert_eq!(order, ["a", "b", "c", "d", "e"]);
    }
}
