//! The scenarios, each a world of its own from the same seed.

use gossip::MemberEvent;

use super::Figures;
use super::world::{DatagramLoss, World};

pub(super) const CALM: DatagramLoss = DatagramLoss { loss: 0 };

/// All figures.
pub(super) fn measure(seed: u64) -> Figures {
    let mut figures = Figures {
        join_200_s: join_200(seed),
        heal_200_s: heal_200(seed),
        false_verdicts_slow_1_of_100: false_verdicts_slow(seed),
        false_verdicts_loss_10_percent: false_verdicts_loss(seed),
        bytes_per_node_s_10: idle_bytes(10, seed),
        bytes_per_node_s_50: idle_bytes(50, seed),
        bytes_per_node_s_200: idle_bytes(200, seed),
        ..Figures::default()
    };
    (figures.detect_p50_s_10, figures.detect_p95_s_10) = detection(10, 80, seed);
    (figures.detect_p50_s_50, figures.detect_p95_s_50) = detection(50, 40, seed);
    (figures.detect_p50_s_200, figures.detect_p95_s_200) = detection(200, 20, seed);
    figures.detect_p50_s =
        figures.detect_p50_s_10.max(figures.detect_p50_s_50).max(figures.detect_p50_s_200);
    figures.detect_p95_s =
        figures.detect_p95_s_10.max(figures.detect_p95_s_50).max(figures.detect_p95_s_200);
    figures
}

/// A fleet whose members all know each other and are at rest.
pub(super) fn settled(count: usize, loss: DatagramLoss, seed: u64) -> World {
    let mut world = World::new(count, loss, seed);
    world.join_all();
    world.run_until_all_agree(300);
    world.run_for_s(30);
    world.sightings.clear();
    world
}

fn join_200(seed: u64) -> f64 {
    let mut world = World::new(200, CALM, seed);
    world.join_all();
    world.run_until_all_agree(300)
}

fn heal_200(seed: u64) -> f64 {
    let mut world = settled(200, CALM, seed);
    world.cut_at(100);
    world.run_for_s(60);
    world.heal();
    world.run_until_all_agree(600)
}

fn verdicts(world: &World) -> u64 {
    let is_verdict = |event: &MemberEvent| matches!(event, MemberEvent::Unreachable(_));
    world.sightings.iter().filter(|sighting| is_verdict(&sighting.event)).count() as u64
}

fn false_verdicts_slow(seed: u64) -> u64 {
    let mut world = settled(100, CALM, seed);
    world.slow_down(50, 600);
    world.run_for_s(300);
    verdicts(&world)
}

fn false_verdicts_loss(seed: u64) -> u64 {
    let mut world = settled(200, DatagramLoss { loss: 100 }, seed);
    world.run_for_s(300);
    verdicts(&world)
}

fn idle_bytes(count: usize, seed: u64) -> f64 {
    const SECONDS: u64 = 60;
    let mut world = settled(count, CALM, seed);
    let sent = |world: &World| -> u64 {
        world.nodes.iter().map(|node| node.gossip.counters().sent_bytes()).sum()
    };
    let before = sent(&world);
    world.run_for_s(SECONDS);
    (sent(&world) - before) as f64 / SECONDS as f64 / count as f64
}

/// Median and 95th percentile over the survivors of deaths that happen one after the other, each at
/// another moment of the probe round: 720 observations with 10 nodes, 1,960 with 50, 3,980 with
/// 200.
fn detection(count: usize, deaths: usize, seed: u64) -> (f64, f64) {
    let mut world = settled(count, DatagramLoss { loss: 20 }, seed);
    let mut delays = Vec::new();
    for death in 0..deaths {
        let victim = 1 + death % (count - 1);
        let id = world.nodes[victim].id;
        world.run_until(world.now_us + 137_000);
        world.kill(victim);
        world.sightings.clear();
        let died = world.now_us;
        world.run_for_s(8);
        let seen = world
            .sightings
            .iter()
            .filter(|sighting| sighting.event == MemberEvent::Unreachable(id))
            .map(|sighting| sighting.at_us - died);
        let before = delays.len();
        delays.extend(seen);
        // A survivor that has not noticed by now counts with the whole time.
        delays.resize((before + count - 1).max(delays.len()), 8_000_000);
        world.restart(victim, 0);
        world.run_until_all_agree(60);
        world.run_for_s(1);
    }
    delays.sort_unstable();
    let at = |percent: usize| delays[(delays.len() - 1) * percent / 100] as f64 / 1e6;
    (at(50), at(95))
}
