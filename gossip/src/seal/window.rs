//! The counters of a session that were already opened: the highest, and a bit for each counter just
//! below it.

/// Counters below the highest that may still arrive: a sender of 1,000 datagrams a second, and
/// reordering by up to a second.
const BITS: u64 = 1_024;

const WORDS: usize = (BITS / 64) as usize;

/// The window of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    highest: u64,
    /// Bit `c % BITS`: was counter `c` opened?
    seen: [u64; WORDS],
}

fn place(counter: u64) -> (usize, u64) {
    let bit = counter % BITS;
    ((bit / 64) as usize, 1 << (bit % 64))
}

impl Window {
    /// A window that starts at this counter. Older datagrams may have been opened before this agent
    /// started, and count as replayed.
    pub(super) fn beginning_at(counter: u64) -> Window {
        Window { highest: counter, seen: [u64::MAX; WORDS] }
    }

    /// May this counter be opened?
    pub(super) fn is_new(&self, counter: u64) -> bool {
        if counter > self.highest {
            return true;
        }
        let (word, bit) = place(counter);
        self.highest - counter < BITS && self.seen[word] & bit == 0
    }

    /// Marks this counter as opened.
    pub(super) fn mark(&mut self, counter: u64) {
        if counter > self.highest {
            let skipped = (counter - self.highest).min(BITS);
            for ahead in 1..=skipped {
                let (word, bit) = place(self.highest + ahead);
                self.seen[word] &= !bit;
            }
            self.highest = counter;
        }
        let (word, bit) = place(counter);
        self.seen[word] |= bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    #[test]
    fn a_counter_is_new_once_in_any_order() {
        let mut window = Window::beginning_at(10);
        for counter in [12, 11, 1_000, 13, 999] {
            assert!(window.is_new(counter), "{counter}");
            window.mark(counter);
            assert!(!window.is_new(counter), "{counter}");
        }
        assert!(!window.is_new(9), "older than the beginning");
        window.mark(5_000);
        assert!(!window.is_new(1_001), "too old to tell");
        assert!(window.is_new(4_999));
    }

    proptest! {
        #[test]
        fn no_counter_is_new_twice(counters in proptest::collection::vec(1u64..4_000, 1..300)) {
            let mut window = Window::beginning_at(1);
            let mut opened = BTreeSet::from([1]);
            for counter in counters {
                if window.is_new(counter) {
                    window.mark(counter);
                    prop_assert!(opened.insert(counter));
                } else {
                    let highest = *opened.last().expect("never empty");
                    prop_assert!(opened.contains(&counter) || counter + BITS <= highest);
                }
            }
        }
    }
}
