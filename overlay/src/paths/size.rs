//! The largest packet of one path, found by a few sizes at a time.
//!
//! ```text
//! largest possible ── passes ──▶ found (the usual case: one probe)
//!        │ lost three times, small ones pass
//!        ▼
//! four sizes between what passes and what does not ──▶ … ──▶ found, to the byte
//! ```
//! It sends nothing and reads no clock: [`super::path::Path`] does.

use super::SMALL_BYTES;

/// Sizes that are tried at the same time.
const SIZES_MAX: u32 = 4;

/// A size counts as too large after so many probes in a row without an answer.
const TRIES_MAX: u8 = 3;

/// A search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizeSearch {
    /// Passes.
    low: u32,
    /// Does not pass; above `max` nothing was tried yet.
    high: u32,
    max: u32,
    /// What is tried, the smallest first.
    sizes: Vec<u32>,
    /// Those of them that are still to be sent.
    unsent: Vec<u32>,
    tries: u8,
}

/// Where a search stands when the answers of a try did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something is to be sent.
    Send,
    /// The largest packet.
    Found(u32),
}

impl SizeSearch {
    /// Begins. `last` was the largest packet until now; [`SMALL_BYTES`] pass.
    pub fn new(last: Option<u32>, max: u32) -> SizeSearch {
        let sizes = match last {
            // One byte more shows whether the path has grown.
            Some(last) if last < max => vec![last, last + 1],
            _ => vec![max],
        };
        let unsent = sizes.clone();
        SizeSearch { low: SMALL_BYTES, high: max + 1, max, sizes, unsent, tries: 1 }
    }

    /// The next size to send of this try.
    pub fn next_size(&mut self) -> Option<u32> {
        (!self.unsent.is_empty()).then(|| self.unsent.remove(0))
    }

    /// Is something to be sent?
    pub fn has_unsent(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// A probe of this size was answered.
    pub fn on_answer(&mut self, bytes: u32) -> Option<Step> {
        if bytes > self.max || bytes <= self.low {
            return None;
        }
        self.low = bytes;
        self.sizes.retain(|size| *size > bytes);
        self.unsent.retain(|size| *size > bytes);
        // The next larger one has all its tries before it.
        self.tries = 1;
        // A late answer to a size that was given up.
        self.high = if self.high <= bytes { self.max + 1 } else { self.high };
        self.sizes.is_empty().then(|| self.next_round())
    }

    /// The time of a try is over, and smaller probes were answered in it.
    pub fn on_lost(&mut self) -> Step {
        let Some(smallest) = self.sizes.first().copied() else { return self.next_round() };
        if self.tries < TRIES_MAX {
            self.tries += 1;
            self.unsent = vec![smallest];
            return Step::Send;
        }
        self.high = smallest;
        self.next_round()
    }

    fn next_round(&mut self) -> Step {
        if self.high - self.low <= 1 {
            return Step::Found(self.low);
        }
        self.tries = 1;
        self.sizes = match self.high > self.max {
            true => vec![self.max],
            false => {
                let gap = self.high - self.low;
                let between = (1..=SIZES_MAX).map(|part| self.low + gap * part / (SIZES_MAX + 1));
                let mut sizes: Vec<u32> = between.filter(|size| *size > self.low).collect();
                sizes.dedup();
                sizes
            }
        };
        self.unsent = self.sizes.clone();
        Step::Send
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches on a path that passes `limit` bytes; returns what was found, and the probes.
    fn search(last: Option<u32>, max: u32, limit: u32) -> (u32, usize) {
        let (mut search, mut probes) = (SizeSearch::new(last, max), 0);
        loop {
            let mut step = None;
            while let Some(size) = search.next_size() {
                probes += 1;
                if size <= limit {
                    step = search.on_answer(size).or(step);
                }
            }
            match step.unwrap_or_else(|| search.on_lost()) {
                Step::Found(bytes) => return (bytes, probes),
                Step::Send => {}
            }
        }
    }

    #[test]
    fn a_path_as_large_as_its_ends_costs_one_probe() {
        assert_eq!(search(None, 1450, 9000), (1450, 1));
        assert_eq!(search(Some(1450), 1450, 9000), (1450, 1));
    }

    #[test]
    fn every_size_is_found_to_the_byte_by_a_few_probes() {
        for limit in 64..=1450 {
            let (found, probes) = search(None, 1450, limit);
            assert_eq!(found, limit);
            assert!(probes <= 40, "{probes} probes for {limit}");
        }
    }

    #[test]
    fn a_size_that_is_known_is_confirmed_and_growth_is_found() {
        assert_eq!(search(Some(1230), 1450, 1230), (1230, 4), "it, and three times one byte more");
        assert_eq!(search(Some(1230), 1450, 1450).0, 1450);
        assert_eq!(search(Some(1230), 1450, 1350).0, 1350);
        assert_eq!(search(Some(1230), 1450, 1150).0, 1150);
    }

    #[test]
    fn answers_to_what_was_never_asked_change_nothing() {
        let mut search = SizeSearch::new(None, 1450);
        assert_eq!(search.on_answer(1451), None);
        assert_eq!(search.on_answer(64), None);
        assert_eq!(search, SizeSearch::new(None, 1450));
    }
}
