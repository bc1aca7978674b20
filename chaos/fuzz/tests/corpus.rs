//! Every target on its corpus and on changed copies of it: bits flipped, cut short, two put together.

use std::path::Path;

use fuzz_targets::TARGETS;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Changed copies of each target's corpus.
const COPIES: usize = 2_000;

/// Of targets that write to the disk.
const COPIES_ON_DISK: usize = 100;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(&dir)
        .unwrap_or_else(|error| panic!("{}: {error}", dir.display()))
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let all: Vec<Vec<u8>> =
        paths.iter().map(|path| std::fs::read(path).expect("readable")).collect();
    assert!(!all.is_empty(), "{} is empty", dir.display());
    all
}

fn changed(corpus: &[Vec<u8>], rng: &mut StdRng) -> Vec<u8> {
    let any = |rng: &mut StdRng| corpus[rng.random_range(0..corpus.len())].clone();
    let mut bytes = any(rng);
    for _ in 0..rng.random_range(1..8) {
        let at = rng.random_range(0..=bytes.len());
        match rng.random_range(0..5) {
            0 => bytes.truncate(at),
            1 => bytes.extend(any(rng)),
            2 => bytes.insert(at, rng.random()),
            _ if at < bytes.len() => bytes[at] ^= 1 << rng.random_range(0..8),
            _ => {}
        }
    }
    bytes
}

#[test]
fn no_target_panics_on_its_corpus_or_on_a_changed_copy() {
    for (name, target) in TARGETS {
        let corpus = corpus(name);
        corpus.iter().for_each(|bytes| target(bytes));
        let mut rng = StdRng::seed_from_u64(7);
        let copies = if name.starts_with("image-") { COPIES_ON_DISK } else { COPIES };
        for _ in 0..copies {
            target(&changed(&corpus, &mut rng));
        }
    }
}
