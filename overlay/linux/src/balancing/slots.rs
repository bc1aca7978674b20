//! Which task stands in which slot of a destination.
//!
//! A new connection draws a slot at random, so a destination with as many slots as tasks gives each
//! task the same share. Above 32 tasks the slots are more than the tasks, so that few chains serve
//! all numbers: a task has `slots / tasks` of them, rounded down or up. A task that stays keeps its
//! slots: one task that leaves changes at most two elements of a destination of up to 32 tasks.

use std::collections::BTreeMap;

/// Up to this number of tasks there is one slot for each.
pub(super) const EXACT_MAX: usize = 32;
/// The numbers of slots above: at least 8 for each task up to 512 tasks, so that no task gets more
/// than 9/8 of another's connections.
const COARSE: [usize; 4] = [512, 1024, 2048, 4096];
/// More tasks than slots cannot be served: the rest gets no new connections by this destination.
pub(super) const TASKS_MAX: usize = 4096;

/// All numbers of slots that a destination can have.
pub(super) fn counts() -> impl Iterator<Item = usize> {
    (1..=EXACT_MAX).chain(COARSE)
}

/// How many slots `tasks` tasks have.
fn count(tasks: usize) -> usize {
    if tasks <= EXACT_MAX {
        return tasks;
    }
    COARSE.into_iter().find(|slots| tasks * 8 <= *slots).unwrap_or(TASKS_MAX)
}

/// Fills the slots with `tasks`, which are all different, changing as few of `old` as possible.
pub(super) fn fill<T: Copy + Ord>(old: &[T], tasks: &[T]) -> Vec<T> {
    let tasks = &tasks[..tasks.len().min(TASKS_MAX)];
    let slots = count(tasks.len());
    if slots == 0 {
        return Vec::new();
    }
    // The first `slots % tasks` tasks may have one slot more.
    let floor = slots / tasks.len();
    let mut spare = slots % tasks.len();
    let mut held: BTreeMap<T, usize> = tasks.iter().map(|task| (*task, 0)).collect();
    let mut filled: Vec<Option<T>> = vec![None; slots];
    for (slot, task) in filled.iter_mut().zip(old) {
        let Some(held) = held.get_mut(task) else { continue };
        if *held >= floor {
            if *held > floor || spare == 0 {
                continue;
            }
            spare -= 1;
        }
        *held += 1;
        *slot = Some(*task);
    }
    let mut missing = Vec::new();
    for task in tasks {
        let held = held[task];
        missing.extend(std::iter::repeat_n(*task, floor.saturating_sub(held)));
        if held <= floor && spare > 0 && missing.len() < slots {
            spare -= 1;
            missing.push(*task);
        }
    }
    let mut missing = missing.into_iter();
    filled
        .into_iter()
        .map(|slot| slot.or_else(|| missing.next()).expect("as many tasks are missing as slots"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(slots: &[usize]) -> (usize, usize) {
        let mut held = BTreeMap::new();
        for task in slots {
            *held.entry(*task).or_insert(0) += 1;
        }
        let held = || held.values().copied();
        (held().min().unwrap_or(0), held().max().unwrap_or(0))
    }

    #[test]
    fn every_task_gets_its_share_for_every_number_of_tasks() {
        let mut old = Vec::new();
        for tasks in (0..=70).chain([120, 129, 700, 1100, 500, 129, 128]).chain((0..=65).rev()) {
            let wanted: Vec<usize> = (0..tasks).collect();
            let slots = fill(&old, &wanted);
            let (least, most) = shares(&slots);
            assert!(most - least <= 1, "{tasks} tasks: {least} to {most} slots");
            assert_eq!(slots.iter().max().map_or(0, |task| task + 1), tasks);
            assert!(counts().any(|count| count == slots.len()) || tasks == 0);
            old = slots;
        }
    }

    #[test]
    fn a_task_that_leaves_changes_two_slots() {
        let old = fill(&[], &[1, 2, 3, 4, 5]);
        let new = fill(&old, &[1, 3, 4, 5]);
        assert_eq!(new, [1, 5, 3, 4]);
    }

    #[test]
    fn a_task_that_is_replaced_changes_its_slots_only() {
        let tasks: Vec<usize> = (0..100).collect();
        let old = fill(&[], &tasks);
        let mut wanted = tasks;
        wanted[40] = 500;
        let new = fill(&old, &wanted);
        let changed = old.iter().zip(&new).filter(|(old, new)| old != new).count();
        assert!(changed <= 11, "{changed} of 1024 slots changed");
    }

    #[test]
    fn more_tasks_than_slots_are_cut_off() {
        let tasks: Vec<usize> = (0..5000).collect();
        assert_eq!(fill(&[], &tasks).len(), TASKS_MAX);
    }
}
