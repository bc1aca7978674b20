//! Randomness: one seed, and for each purpose a stream of numbers of its own.
//!
//! Streams are independent of each other: a world without clock jumps draws the same partitions as
//! the same world with them. Nothing in this crate may take a random number from anywhere else.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// One stream of numbers.
#[derive(Debug)]
pub struct Dice {
    rng: StdRng,
}

impl Dice {
    /// The stream of `seed` for `purpose`; equal arguments give equal numbers.
    pub fn new(seed: u64, purpose: &str) -> Dice {
        let mut hasher = blake3::Hasher::new_derive_key("edgectl chaos dice 1");
        hasher.update(&seed.to_be_bytes());
        hasher.update(purpose.as_bytes());
        Dice { rng: StdRng::from_seed(*hasher.finalize().as_bytes()) }
    }

    /// A number less than `bound`, which must not be 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "nothing is below 0");
        self.rng.random_range(0..bound)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.rng.random_range(low..=high)
    }

    /// A random index into a collection of this length.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// True with a chance of `permille` in a thousand.
    pub fn happens(&mut self, permille: u32) -> bool {
        self.below(1000) < u64::from(permille)
    }

    /// One element; there must be at least one.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }

    /// Shuffles the elements.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.rng.random()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_and_purpose_alone() {
        let numbers = |seed, purpose| {
            let mut dice = Dice::new(seed, purpose);
            (0..8).map(|_| dice.any()).collect::<Vec<_>>()
        };
        assert_eq!(numbers(7, "network"), numbers(7, "network"));
        assert_ne!(numbers(7, "network"), numbers(8, "network"));
        assert_ne!(numbers(7, "network"), numbers(7, "operator"));
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..20).collect();
        Dice::new(1, "shuffle").shuffle(&mut items);
        assert_ne!(items, (0..20).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..20).collect::<Vec<_>>());
    }
}
