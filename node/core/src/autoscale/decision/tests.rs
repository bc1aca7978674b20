//! Laws of autoscaling: what holds for every load, and that a steady load leaves the count alone.

use proptest::prelude::*;

use super::*;

const STEP_MS: u64 = 10_000;

/// A new task has a figure after so many steps.
const START_STEPS: usize = 5;

fn range() -> impl Strategy<Value = Autoscale> {
    (1u32..20, 0u32..40, 5u32..=90).prop_map(|(min, more, target)| Autoscale {
        min,
        max: min + more,
        cpu: Some(target),
        memory: None,
    })
}

/// A service whose tasks share work evenly, and of which each does at most 100 percent.
struct World {
    asked: Autoscale,
    damping: Damping,
    count: u32,
    /// When each task started, in steps.
    started: Vec<usize>,
    step: usize,
}

impl World {
    fn new(asked: Autoscale) -> World {
        let count = asked.min;
        let started = vec![0; count as usize];
        World { asked, damping: Damping::new(count), count, started, step: 0 }
    }

    fn figures(&self, work: u64) -> Figures {
        let count = u64::from(self.count);
        let each = (work / count).min(100);
        let old = |started: &&usize| self.step - **started >= START_STEPS;
        let known = self.started.iter().filter(old).count();
        let target = u64::from(self.asked.cpu.expect("given"));
        let used = Used { metric: Metric::Cpu, percent: each * known as u64, target };
        Figures { count: self.count, known: u32::try_from(known).expect("few"), used: vec![used] }
    }

    /// Lets one step pass with so much work. Returns whether the count changed.
    fn go_on(&mut self, work: u64) -> bool {
        self.step += 1;
        let now = Now(self.step as u64 * STEP_MS);
        let figures = self.figures(work);
        let Some((due, next)) = self.damping.note(now, &figures, self.asked, None) else {
            return false;
        };
        if due > now {
            return false;
        }
        self.count = next;
        self.started.resize(next as usize, self.step);
        true
    }
}

fn figures() -> impl Strategy<Value = Figures> {
    let used = (0u64..20_000, 1u64..=200).prop_map(|(percent, target)| Used {
        metric: Metric::Cpu,
        percent,
        target,
    });
    let all = proptest::collection::vec(used, 1..=2);
    (1u32..60, 0u32..80, all).prop_map(|(count, known, used)| Figures { count, known, used })
}

proptest! {
    #[test]
    fn the_next_count_is_within_its_range_and_near_the_present_one(
        asked in range(),
        history in proptest::collection::vec((figures(), any::<bool>()), 1..60),
    ) {
        let mut damping = Damping::new(asked.min);
        for (step, (mut figures, is_held)) in (0u64..).zip(history) {
            figures.count = figures.count.clamp(asked.min, asked.max);
            let count = figures.count;
            let now = Now(step * 20_000);
            let hold = is_held.then_some(Hold::Updating);
            if let Some((due, next)) = damping.note(now, &figures, asked, hold) {
                prop_assert!((asked.min..=asked.max).contains(&next));
                prop_assert!(next <= count * 2 && next >= count.div_ceil(2) && next != count);
                prop_assert!(next > count || !is_held);
                prop_assert!(due.0 + DOWN_MS >= now.0);
            }
        }
    }

    #[test]
    fn a_steady_load_settles_and_then_changes_nothing(asked in range(), work in 0u64..6_000) {
        let mut world = World::new(asked);
        (0..500).for_each(|_| _ = world.go_on(work));
        prop_assert!((0..2_000).all(|_| !world.go_on(work)), "it flaps at {}", world.count);
        let each = (work / u64::from(world.count)).min(100) * 100;
        let target = u64::from(asked.cpu.expect("given"));
        prop_assert!(each <= target * 110 || world.count == asked.max);
    }

    #[test]
    fn a_load_that_trembles_changes_little(
        asked in range(),
        work in 100u64..6_000,
        noise in proptest::collection::vec(96u64..=104, 1_000),
    ) {
        let mut world = World::new(asked);
        (0..500).for_each(|_| _ = world.go_on(work));
        let changes = noise.iter().filter(|noise| world.go_on(work * **noise / 100)).count();
        prop_assert!(changes <= 3, "{changes} changes in three hours");
    }

    #[test]
    fn tasks_without_figures_are_never_a_reason_for_fewer(
        asked in range(),
        count in 1u32..60,
        metric in prop_oneof![Just(Metric::Cpu), Just(Metric::Memory)],
    ) {
        let used = vec![Used { metric, percent: 0, target: u64::from(asked.cpu.expect("given")) }];
        let figures = Figures { count, known: 0, used };
        prop_assert_eq!(figures.wanted(), Wanted::Same);
    }
}

#[test]
fn the_metric_that_wants_most_tasks_counts() {
    let used = |metric, percent| Used { metric, percent, target: 50 };
    let of = |cpu, memory| Figures {
        count: 4,
        known: 4,
        used: vec![used(Metric::Cpu, cpu), used(Metric::Memory, memory)],
    };
    assert_eq!(of(20, 300).wanted(), Wanted::More(6));
    assert_eq!(of(400, 300).wanted(), Wanted::More(8));
    assert_eq!(of(20, 200).wanted(), Wanted::Same, "memory is as it is to be");
    assert_eq!(of(20, 120).wanted(), Wanted::Fewer(3));
}

#[test]
fn a_use_within_the_tolerance_changes_nothing() {
    let of = |percent| Figures {
        count: 10,
        known: 10,
        used: vec![Used { metric: Metric::Cpu, percent, target: 60 }],
    };
    assert_eq!([of(660).wanted(), of(540).wanted()], [Wanted::Same; 2]);
    assert_eq!([of(661).wanted(), of(539).wanted()], [Wanted::More(12), Wanted::Fewer(9)]);
}
