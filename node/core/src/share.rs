//! Shares: how many slots of one service each node, or each group of nodes, gets.
//!
//! All have one level: those that can take less than the level take what they can, the others take
//! the level or one more. So they differ by at most one task, unless their capacity forbids it.

/// What one node or group can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// At most so many of the slots.
    pub most: u32,
    /// So many tasks, which are none of the slots, it has already.
    pub load: u32,
}

/// The result of sharing slots out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares {
    /// In the order given: at least this many.
    pub base: Vec<u32>,
    /// In the order given: may it take one more than its base?
    pub may_take_extra: Vec<bool>,
    /// So many take one more.
    pub extras: u32,
}

/// Shares `slots` out. What fits nowhere is left out.
pub fn share(slots: u32, rooms: &[Room]) -> Shares {
    let up_to = |room: &Room, level: u32| room.most.min(level.saturating_sub(room.load));
    let fits = |level: u32| -> u64 { rooms.iter().map(|room| u64::from(up_to(room, level))).sum() };
    let total = u64::from(slots);
    // The highest level that does not need more slots than there are.
    let load_max = rooms.iter().map(|room| room.load).max().unwrap_or(0);
    let (mut low, mut high) = (0, slots.saturating_add(load_max));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if fits(middle) <= total {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    let base: Vec<u32> = rooms.iter().map(|room| up_to(room, low)).collect();
    let above = rooms.iter().zip(&base).map(|(room, base)| room.load <= low && room.most > *base);
    let may_take_extra: Vec<bool> = above.collect();
    let rest = total - fits(low);
    let room = may_take_extra.iter().filter(|may| **may).count() as u64;
    let extras = u32::try_from(rest.min(room)).expect("at most as many as there are slots");
    Shares { base, may_take_extra, extras }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rooms(most: &[u32]) -> Vec<Room> {
        most.iter().map(|most| Room { most: *most, load: 0 }).collect()
    }

    #[test]
    fn shares_differ_by_at_most_one() {
        let shares = share(50, &rooms(&[u32::MAX; 4]));
        assert_eq!((shares.base, shares.extras), (vec![12; 4], 2));
    }

    #[test]
    fn a_small_node_takes_what_it_can_and_the_others_the_rest() {
        let shares = share(10, &rooms(&[1, u32::MAX, u32::MAX]));
        assert_eq!((shares.base, shares.extras), (vec![1, 4, 4], 1));
    }

    #[test]
    fn what_fits_nowhere_is_left_out() {
        let shares = share(10, &rooms(&[1, 3]));
        assert_eq!((shares.base, shares.extras), (vec![1, 3], 0));
        assert_eq!(share(3, &[]).extras, 0);
        assert_eq!(share(0, &rooms(&[5])).base, vec![0]);
    }

    #[test]
    fn what_a_group_has_already_counts() {
        let loaded = [Room { most: 9, load: 3 }, Room { most: 9, load: 0 }];
        assert_eq!(share(2, &loaded).base, [0, 2]);
        let shares = share(4, &loaded);
        assert_eq!((shares.base, shares.may_take_extra), (vec![0, 3], vec![true, true]));
        assert_eq!(shares.extras, 1);
    }
}
