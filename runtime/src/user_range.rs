//! The user and group ids of containers that have ids of their own: which ranges of a node there are.
//!
//! ```text
//! in the container   0 ..= 65535
//! on the node        first ..= first + 65535     of no account, of no other task, of no other engine
//! ```
//! A range is free if no run that is not over has it, and nothing else on the machine. It must never
//! be given to two containers at a time: each could then read, signal and trace what is the other's.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Ids of one container: what images use is below, the number that means "nobody" included.
pub const IDS: u32 = 65_536;

/// The ranges begin at multiples of their length, above what systemd gives to containers (524288 to
/// 1879048191) and SSSD to the accounts of a domain (200000 to 2000200000).
const FIRST_NUMBER: u32 = 30_521;
/// systemd's ids of files from elsewhere begin at 2147352576, and some programs take ids from 2^31
/// on for negative.
const END_NUMBER: u32 = 32_766;

/// The ids of one container on its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserRange {
    /// That of its root.
    pub first: u32,
}

/// Some ids: the first one, and how many.
pub type Span = (u64, u64);

impl UserRange {
    fn numbered(number: u32) -> UserRange {
        UserRange { first: number * IDS }
    }

    /// What an id of the container is on the node; an id that the container does not have is none.
    pub fn on_node(self, id: u32) -> Option<u32> {
        (id < IDS).then(|| self.first + id)
    }

    /// Is it an id of this range?
    pub fn holds(self, id: u32) -> bool {
        id.checked_sub(self.first).is_some_and(|id| id < IDS)
    }

    fn overlaps(self, (first, count): Span) -> bool {
        let own = u64::from(self.first);
        own < first.saturating_add(count) && first < own + u64::from(IDS)
    }
}

/// The first range, from some place on, that nobody holds and no span overlaps.
pub fn choose(seed: u32, held: &BTreeSet<UserRange>, spans: &[Span]) -> Option<UserRange> {
    let count = END_NUMBER - FIRST_NUMBER;
    let numbers = (0..count).map(|step| FIRST_NUMBER + (seed % count + step) % count);
    let is_free = |range: &UserRange| {
        !held.contains(range) && !spans.iter().any(|span| range.overlaps(*span))
    };
    numbers.map(UserRange::numbered).find(is_free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_containers_have_a_range_and_the_last_one_is_refused() {
        let mut held = BTreeSet::new();
        for _ in FIRST_NUMBER..END_NUMBER {
            let range = choose(7, &held, &[]).expect("one is free");
            assert!(range.first > 524_288 && range.on_node(65_535).is_some());
            assert!(held.insert(range), "{range:?} is given twice");
        }
        assert_eq!(choose(7, &held, &[]), None);
    }

    #[test]
    fn what_somebody_else_has_is_left_out_also_if_it_overlaps_only() {
        let none = BTreeSet::new();
        let first = choose(0, &none, &[]).expect("one is free");
        assert_eq!(first.first, 2_000_224_256);
        let spans = [(u64::from(first.first + IDS - 1), 2)];
        assert_eq!(choose(0, &none, &spans), Some(UserRange { first: first.first + 2 * IDS }));
    }

    #[test]
    fn an_id_that_the_container_does_not_have_is_nobody_s_on_the_node() {
        let range = UserRange { first: 2_000_224_256 };
        assert_eq!(range.on_node(5), Some(2_000_224_261));
        assert_eq!(range.on_node(65_536), None);
        assert!(range.holds(range.first) && !range.holds(range.first - 1));
        assert!(!range.holds(range.first + IDS));
    }
}
