//! What a node of the world is charged: its work takes as long as it takes this machine. A hash stands in for
//! signatures, which are counted: each takes the time that a real one takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crdt_state::{HashSigner, HashVerifier, PublicKey, Signature, Signer, Verifier};

/// What a node computes for each signature, in microseconds of its one core.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SigningCost {
    pub(super) sign_us: f64,
    pub(super) verify_us: f64,
}

/// The signatures of a world so far, and what a node is charged for its work.
#[derive(Default)]
pub(super) struct Signatures {
    cost: Option<SigningCost>,
    made: Arc<AtomicU64>,
    verified: Arc<AtomicU64>,
}

/// Runs while a node works.
pub(super) struct Meter {
    begun: Option<Instant>,
    made: u64,
    verified: u64,
}

impl Signatures {
    pub(super) fn counted(&self, signer: HashSigner) -> (Box<dyn Signer>, Arc<dyn Verifier>) {
        let signer = Counted { with: signer, count: Arc::clone(&self.made) };
        let verifier = Counted { with: HashVerifier, count: Arc::clone(&self.verified) };
        (Box::new(signer), Arc::new(verifier))
    }

    pub(super) fn charge(&mut self, cost: SigningCost) {
        self.cost = Some(cost);
    }

    #[allow(clippy::disallowed_methods, reason = "a node is charged the time of the machine")]
    pub(super) fn meter(&self) -> Meter {
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let begun = self.cost.map(|_| Instant::now());
        Meter { begun, made: now(&self.made), verified: now(&self.verified) }
    }

    /// What a node has to pay, in microseconds: what it computed, and its signatures.
    #[allow(clippy::disallowed_methods, reason = "a node is charged the time of the machine")]
    pub(super) fn spent_us(&self, since: &Meter) -> u64 {
        let (Some(cost), Some(begun)) = (self.cost, since.begun) else { return 0 };
        let count = |count: &AtomicU64, before| (count.load(Ordering::Relaxed) - before) as f64;
        let signatures = count(&self.made, since.made) * cost.sign_us
            + count(&self.verified, since.verified) * cost.verify_us;
        begun.elapsed().as_micros() as u64 + signatures as u64
    }
}

struct Counted<T> {
    with: T,
    count: Arc<AtomicU64>,
}

impl Signer for Counted<HashSigner> {
    fn public_key(&self) -> PublicKey {
        self.with.public_key()
    }

    fn sign(&self, message: &[u8]) -> Signature {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.with.sign(message)
    }
}

impl Verifier for Counted<HashVerifier> {
    fn verify(&self, key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.with.verify(key, message, signature)
    }
}
