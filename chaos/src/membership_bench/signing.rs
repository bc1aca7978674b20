//! What signatures add to the spreading of many changes in a fleet.

use std::hint::black_box;
use std::time::Instant;

use crdt_state::{Ed25519Signer, Ed25519Verifier, Signer, Verifier};
use serde::Serialize;

use super::Output;
use super::meter::SigningCost;
use super::scenarios::{CALM, settled};

/// Nodes, each of which makes as many changes at the same moment.
const NODES: usize = 50;
const CHANGES_EACH: u16 = 20;

/// Worlds of each kind, one seed each.
const WORLDS: u64 = 24;

/// Signatures for one measurement of their cost.
const MEASURED: u32 = 2_000;

/// A message as long as what is signed of a small record.
const MESSAGE_BYTES: usize = 400;

/// The figures. The names are part of the interface of `cargo xtask bench trust --json`.
#[derive(Debug, Clone, Serialize)]
pub struct Figures {
    /// One signature, on this machine.
    pub sign_us: f64,
    /// One verification, on this machine.
    pub verify_us: f64,
    /// 1,000 changes of 50 nodes at the same moment, until all have all, if signatures cost nothing:
    /// the mean of two dozen worlds, which differ by whole rounds of anti-entropy.
    pub spread_unsigned_s: f64,
    /// The same if each costs what it does.
    pub spread_signed_s: f64,
    /// What that adds.
    pub signing_adds_percent: f64,
}

/// Measures and prints the figures.
pub fn run(output: Output) {
    let cost = cost();
    let unsigned = spread_s(SigningCost::default());
    let signed = spread_s(cost);
    let figures = Figures {
        sign_us: cost.sign_us,
        verify_us: cost.verify_us,
        spread_unsigned_s: unsigned,
        spread_signed_s: signed,
        signing_adds_percent: (signed / unsigned - 1.0) * 100.0,
    };
    match output {
        Output::Json => {
            println!("{}", serde_json::to_string(&figures).expect("figures are numbers"));
        }
        Output::Table => println!("{figures:#?}"),
    }
}

/// The time until all nodes have all changes.
fn spread_s(cost: SigningCost) -> f64 {
    let one = |seed| {
        let mut world = settled(NODES, CALM, seed);
        world.charge(cost);
        let began = world.now_us;
        (0..NODES).for_each(|index| world.change(index, CHANGES_EACH));
        while !world.all_equal() {
            assert!(world.now_us < began + 300_000_000, "they do not become equal");
            world.run_until(world.now_us + 20_000);
        }
        (world.now_us - began) as f64 / 1e6
    };
    // Two threads, as the other sweeps of the simulator have.
    let half = |odd| (1..=WORLDS).filter(|seed| seed % 2 == odd).map(one).sum::<f64>();
    let all = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        half(0) + other.join().expect("a world")
    });
    all / WORLDS as f64
}

fn cost() -> SigningCost {
    let signer = Ed25519Signer::from_secret(&[7; 32]);
    let message = [5; MESSAGE_BYTES];
    let (key, signature) = (signer.public_key(), signer.sign(&message));
    SigningCost {
        sign_us: each_us(|| {
            black_box(signer.sign(black_box(&message)));
        }),
        verify_us: each_us(|| {
            assert!(Ed25519Verifier.verify(&key, black_box(&message), &signature));
        }),
    }
}

#[allow(clippy::disallowed_methods, reason = "this figure is a time of the machine")]
fn each_us(work: impl Fn()) -> f64 {
    let begun = Instant::now();
    (0..MEASURED).for_each(|_| work());
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(MEASURED)
}
