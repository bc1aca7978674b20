//! Shares: how many slots of one service each node gets.
//!
//! All nodes have one level: nodes that can take less than the level take what they can, the others
//! take the level or one more. So eligible nodes differ by at most one task, unless their capacity
//! forbids it.

/// The result of sharing slots out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares {
    /// Per node, in the order given: at least this many.
    pub base: Vec<u32>,
    /// Per node: may it take one more than its base?
    pub may_take_extra: Vec<bool>,
    /// So many nodes take one more.
    pub extras: u32,
    /// Slots that fit nowhere.
    pub unplaced: u32,
}

/// Shares `slots` out among nodes with these capacities.
pub fn share(slots: u32, capacities: &[u32]) -> Shares {
    let fits = |level: u32| -> u64 {
        capacities.iter().map(|capacity| u64::from(*capacity.min(&level))).sum()
    };
    let total = u64::from(slots);
    // The highest level that does not need more slots than there are.
    let (mut low, mut high) = (0, slots);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) <= total {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    let base: Vec<u32> = capacities.iter().map(|capacity| *capacity.min(&low)).collect();
    let may_take_extra: Vec<bool> = capacities.iter().map(|capacity| *capacity > low).collect();
    let rest = total - fits(low);
    let room = may_take_extra.iter().filter(|may| **may).count() as u64;
    let extras = rest.min(room);
    let as_count = |n: u64| u32::try_from(n).expect("at most as many as there are slots");
    Shares { base, may_take_extra, extras: as_count(extras), unplaced: as_count(rest - extras) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_differ_by_at_most_one() {
        let shares = share(50, &[u32::MAX; 4]);
        assert_eq!((shares.base, shares.extras, shares.unplaced), (vec![12; 4], 2, 0));
    }

    #[test]
    fn a_small_node_takes_what_it_can_and_the_others_the_rest() {
        let shares = share(10, &[1, u32::MAX, u32::MAX]);
        assert_eq!((shares.base, shares.extras, shares.unplaced), (vec![1, 4, 4], 1, 0));
    }

    #[test]
    fn what_fits_nowhere_is_counted() {
        let shares = share(10, &[1, 3]);
        assert_eq!((shares.base, shares.extras, shares.unplaced), (vec![1, 3], 0, 6));
        assert_eq!(share(3, &[]).unplaced, 3);
        assert_eq!(share(0, &[5]).base, vec![0]);
    }
}
