//! Paths that lose, swallow and shrink packets, on a clock of the test.

use super::*;

const PEER: NodeId = NodeId([7; 16]);
const MAX: u32 = 1450;

/// Paths with a network between: what passes is answered after `rtt_us`.
struct World {
    paths: Paths,
    now_us: u64,
    rtt_us: u64,
    /// The largest packet that passes, by node; absent: nothing passes.
    passes: BTreeMap<NodeId, u32>,
    /// Every so many probes one is lost; 0: none.
    lost_each: u64,
    answers: Vec<(u64, Probe)>,
    sent: Vec<(u64, Probe)>,
}

impl World {
    fn new(nodes: impl IntoIterator<Item = NodeId>) -> World {
        let nodes: Vec<NodeId> = nodes.into_iter().collect();
        let mut world = World {
            paths: Paths::default(),
            now_us: 1_000,
            rtt_us: 5_000,
            passes: nodes.iter().map(|node| (*node, 9_000)).collect(),
            lost_each: 0,
            answers: Vec::new(),
            sent: Vec::new(),
        };
        world.aim(&nodes, true);
        world
    }

    fn aim(&mut self, nodes: &[NodeId], is_used: bool) {
        let target = Target { bytes_max: MAX, is_used };
        let targets = nodes.iter().map(|node| (*node, target)).collect();
        self.paths.set_targets(self.now_us, &targets);
    }

    /// Goes on until a time, or until something holds. Returns the seconds that passed.
    fn run_until(&mut self, seconds: u64, holds: impl Fn(&Paths) -> bool) -> u64 {
        let (begun_us, end_us) = (self.now_us, self.now_us + seconds * SECOND_US);
        loop {
            while let Some(probe) = self.paths.poll_probe(self.now_us) {
                self.sent.push((self.now_us, probe));
                let count = self.sent.len() as u64;
                let is_lost = self.lost_each > 0 && count.is_multiple_of(self.lost_each);
                let limit = self.passes.get(&probe.to).copied().unwrap_or(0);
                if probe.bytes <= limit && !is_lost {
                    self.answers.push((self.now_us + self.rtt_us, probe));
                }
            }
            if holds(&self.paths) {
                return (self.now_us - begun_us) / SECOND_US;
            }
            let answer_us = self.answers.iter().map(|(at_us, _)| *at_us).min();
            let next_us = answer_us.into_iter().chain(self.paths.deadline_us()).min();
            let next_us = next_us.unwrap_or(end_us).max(self.now_us + 1);
            if next_us > end_us {
                self.now_us = end_us;
                return seconds;
            }
            self.now_us = next_us;
            let (due, later) = std::mem::take(&mut self.answers)
                .into_iter()
                .partition(|(at_us, _)| *at_us <= self.now_us);
            self.answers = later;
            for (_, probe) in due {
                self.paths.handle_answer(self.now_us, probe.to, probe.number, probe.bytes);
            }
        }
    }

    fn run(&mut self, seconds: u64) {
        self.run_until(seconds, |_| false);
    }

    fn verdict(&self) -> Verdict {
        self.paths.verdicts().next().expect("there is one").1
    }

    fn bytes_sent(&self) -> u64 {
        self.sent.iter().map(|(_, probe)| u64::from(probe.bytes) + 50).sum()
    }
}

fn node(number: u8) -> NodeId {
    NodeId([number; 16])
}

fn is_silent(paths: &Paths) -> bool {
    !paths.silent().is_empty()
}

#[test]
fn a_new_path_is_known_at_once_with_its_largest_packet() {
    let mut world = World::new([PEER]);
    world.run_until(1, |paths| paths.verdicts().all(|(_, verdict)| verdict.bytes.is_some()));
    let verdict = world.verdict();
    assert_eq!((verdict.reach, verdict.bytes), (PathState::Answers, Some(MAX)));
    assert_eq!((verdict.rtt_us, verdict.lost), (Some(5_000), 0));
    assert!(world.sent.len() <= 3, "{:?}", world.sent);
    assert!(world.paths.limits().is_empty());
}

#[test]
fn a_path_that_goes_silent_is_told_within_the_interval_and_a_few_seconds() {
    let mut world = World::new([PEER]);
    world.run(100);
    world.passes.clear();
    let seconds = world.run_until(60, is_silent);
    assert!(seconds <= 34, "{seconds}");
    let PathState::Silent(since_us) = world.verdict().reach else { panic!("it is silent") };
    assert!(
        world.now_us - since_us >= 3 * SECOND_US,
        "since the last answer, not since it is told"
    );
    world.passes.insert(PEER, 9_000);
    let seconds = world.run_until(60, |paths| !is_silent(paths));
    assert!(seconds <= 8, "{seconds}");
}

#[test]
fn a_node_that_appears_has_time_to_set_up_its_end() {
    let mut world = World::new([PEER]);
    world.passes.clear();
    world.run(10);
    assert!(!is_silent(&world.paths));
    world.passes.insert(PEER, 9_000);
    world.run(3);
    assert_eq!(world.verdict().reach, PathState::Answers);
    let mut never = World::new([PEER]);
    never.passes.clear();
    assert!(never.run_until(60, is_silent) <= 20);
}

#[test]
fn single_losses_make_no_path_silent_and_are_counted() {
    let mut world = World::new([PEER]);
    world.lost_each = 4;
    let seconds = world.run_until(24 * 3_600, is_silent);
    assert_eq!(seconds, 24 * 3_600);
    let verdict = world.verdict();
    assert!((4..=12).contains(&verdict.lost), "{verdict:?}");
    assert_eq!((verdict.sent, verdict.bytes), (32, Some(MAX)));
}

#[test]
fn a_path_that_swallows_large_packets_is_found_to_the_byte() {
    let mut world = World::new([PEER]);
    world.passes.insert(PEER, 1230);
    let seconds = world.run_until(60, |paths| !paths.limits().is_empty());
    assert!(seconds <= 8, "{seconds}");
    assert_eq!(world.paths.limits(), BTreeMap::from([(PEER, 1230)]));
    assert_eq!(world.verdict().reach, PathState::Answers, "small packets pass all the time");
    assert!(world.bytes_sent() < 60_000, "{}", world.bytes_sent());
}

#[test]
fn a_path_that_shrinks_and_grows_is_followed() {
    let mut world = World::new([PEER]);
    world.run(100);
    for limit in [1350, 1150, 1250, 9_000] {
        world.passes.insert(PEER, limit);
        world.run(16 * 60);
        assert_eq!(world.verdict().bytes, Some(limit.min(MAX)));
    }
    assert!(world.paths.limits().is_empty());
}

#[test]
fn a_path_that_is_silent_or_lossy_is_not_taken_for_a_small_one() {
    let mut world = World::new([PEER]);
    world.run(100);
    world.passes.clear();
    world.run(3_600);
    world.passes.insert(PEER, 9_000);
    world.lost_each = 5;
    world.run(3_600);
    assert_eq!(world.verdict().bytes, Some(MAX));
}

#[test]
fn a_path_that_comes_and_goes_is_told_rarely() {
    let mut world = World::new([PEER]);
    world.run(60);
    let mut told = 0;
    for _ in 0..600 {
        for is_up in [true, false] {
            world.passes = if is_up { [(PEER, 9_000)].into() } else { BTreeMap::new() };
            let before = is_silent(&world.paths);
            world.run(3);
            told += u32::from(before != is_silent(&world.paths));
        }
    }
    assert!(told <= 120, "told {told} times within an hour");
}

#[test]
fn an_hour_with_many_peers_stays_within_the_budget() {
    for (peers, bytes_max) in [(1, 22_000), (10, 220_000), (60, 750_000), (200, 750_000)] {
        let mut world = World::new((0..peers).map(node));
        world.run(600);
        world.sent.clear();
        world.run(3_600);
        assert!(world.bytes_sent() <= bytes_max, "{peers}: {}", world.bytes_sent());
        let spaced = world.sent.windows(2).all(|pair| pair[1].0 - pair[0].0 >= SPACING_US);
        assert!(spaced, "never more than 50 in a second");
        assert!(world.sent.len() >= 100);
        // Also when nobody answers.
        world.passes.clear();
        world.run(600);
        world.sent.clear();
        world.run(3_600);
        assert!(world.bytes_sent() <= bytes_max, "{peers}: {}", world.bytes_sent());
        assert!(world.sent.len() >= 100);
    }
}

#[test]
fn a_path_that_nobody_uses_is_probed_only_when_somebody_asks() {
    let mut world = World::new([]);
    world.passes.insert(PEER, 1300);
    world.aim(&[PEER, node(8)], false);
    world.run(3_600);
    assert!(world.sent.is_empty() && !world.paths.is_checking());
    world.paths.check(world.now_us);
    let seconds = world.run_until(60, |paths| !paths.is_checking());
    assert!(seconds <= 8, "{seconds}");
    let verdicts: BTreeMap<NodeId, Verdict> = world.paths.verdicts().collect();
    assert_eq!((verdicts[&PEER].reach, verdicts[&PEER].bytes), (PathState::Answers, Some(1300)));
    assert!(verdicts[&node(8)].reach.is_silent(), "who asks is told");
    assert!(world.paths.silent().is_empty(), "nobody else is");
    world.run(60);
    let sent = world.sent.len();
    world.run(3_600);
    assert_eq!(world.sent.len(), sent);
}

#[test]
fn a_path_whose_node_is_gone_is_not_probed_and_not_silent() {
    let mut world = World::new([PEER]);
    world.run(60);
    world.passes.clear();
    world.run_until(60, is_silent);
    world.aim(&[PEER], false);
    assert!(!is_silent(&world.paths), "membership tells that");
    world.sent.clear();
    world.run(3_600);
    assert!(world.sent.is_empty());
}

#[test]
fn answers_that_nobody_asked_for_change_little_and_break_nothing() {
    let mut world = World::new([PEER]);
    world.run(10);
    for bytes in [0, 64, 1451, u32::MAX] {
        world.paths.handle_answer(world.now_us, PEER, u32::MAX, bytes);
        world.paths.handle_answer(world.now_us, node(99), 1, bytes);
    }
    world.run(100);
    assert_eq!(world.verdict().bytes, Some(MAX));
}

#[test]
fn a_silent_path_is_given_up_some_seconds_later_and_taken_back_after_answers_in_a_row() {
    let mut world = World::new([PEER]);
    world.run(100);
    world.passes.clear();
    world.run_until(60, is_silent);
    assert!(world.paths.given_up().is_empty(), "a node that is gone is silent too");
    let seconds = world.run_until(60, |paths| !paths.given_up().is_empty());
    assert!((3..=10).contains(&seconds), "{seconds}");
    // It is not heard for a while, and then again.
    world.aim(&[PEER], false);
    world.run(60);
    world.aim(&[PEER], true);
    assert_eq!(world.paths.given_up(), [PEER].into());
    world.passes.insert(PEER, 9_000);
    let seconds = world.run_until(60, |paths| paths.given_up().is_empty());
    assert!((1..=4).contains(&seconds), "{seconds}");
}

#[test]
fn a_silent_path_is_given_up_also_while_somebody_checks_it_again_and_again() {
    let mut world = World::new([PEER]);
    world.run(100);
    world.passes.clear();
    for _ in 0..5 {
        world.paths.check(world.now_us);
        world.run_until(60, |paths| !paths.is_checking());
    }
    assert_eq!(world.paths.given_up(), [PEER].into());
}

#[test]
fn a_path_that_was_given_up_in_an_earlier_life_stays_so_until_it_answers() {
    let mut world = World::new([]);
    world.paths.remember_given_up([PEER, node(1)].into());
    world.passes.clear();
    world.aim(&[PEER], true);
    assert_eq!(world.paths.given_up(), [PEER, node(1)].into(), "before any probe");
    world.run(40);
    world.aim(&[PEER, node(1)], true);
    assert_eq!(world.paths.given_up(), [PEER, node(1)].into(), "it is heard of later");
    world.run(300);
    world.aim(&[PEER], true);
    world.passes.insert(PEER, 9_000);
    world.run_until(60, |paths| paths.given_up().is_empty());
    assert!(world.paths.given_up().is_empty());
}

#[test]
fn a_path_that_loses_a_quarter_is_lossy_until_it_loses_nothing_any_more() {
    let mut world = World::new([PEER]);
    world.run(600);
    world.lost_each = 3;
    let seconds = world.run_until(1_800, |paths| !paths.lossy().is_empty());
    assert!((60..900).contains(&seconds), "{seconds}");
    assert!(world.paths.silent().is_empty());
    world.lost_each = 0;
    let seconds = world.run_until(1_800, |paths| paths.lossy().is_empty());
    assert!((300..600).contains(&seconds), "{seconds}");
    world.run(3_600);
    assert!(world.paths.lossy().is_empty() && world.verdict().lost == 0);
}

#[test]
fn what_was_lost_in_a_silence_or_before_the_other_end_was_there_is_no_loss_of_the_path() {
    let mut world = World::new([PEER]);
    world.passes.clear();
    world.run(10);
    for _ in 0..2 {
        world.passes.insert(PEER, 9_000);
        world.run_until(200, |paths| !paths.lossy().is_empty());
        assert!(world.paths.lossy().is_empty() && !is_silent(&world.paths));
        world.passes.clear();
        world.run(400);
        assert!(world.paths.lossy().is_empty() && is_silent(&world.paths));
    }
}
