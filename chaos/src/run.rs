//! One run: one seed from the first event to the last, and its result.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use crate::invariant::{Invariant, Violation};
use crate::profile::{Profile, RunOptions};
use crate::sometimes::Sometimes;
use crate::trace::{Echo, TraceHash};
use crate::world::World;

/// The result of a seed.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// The hash over everything that happened.
    pub hash: TraceHash,
    /// The hash over what the nodes did to their programs, and when.
    pub deeds: TraceHash,
    /// Events that happened.
    pub events: u64,
    /// Virtual time at the end.
    pub virtual_ms: u64,
    /// How long after the heal all agreed, if they did.
    pub agreed_after_ms: Option<u64>,
    /// Interesting states that were reached.
    pub sometimes: Sometimes,
    /// The first broken invariant.
    pub failure: Option<Failure>,
}

/// A broken invariant and the events that led to it.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The invariant and how it was broken.
    pub violation: Violation,
    /// The last events, oldest first.
    pub last_events: Vec<String>,
    /// The world it happened in.
    pub profile: String,
}

thread_local! {
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// A panic in a run is a finding: its message is kept instead of printed.
fn keep_panics() {
    HOOK.call_once(|| {
        panic::set_hook(Box::new(|info| {
            PANIC.with(|kept| *kept.borrow_mut() = Some(info.to_string()));
        }));
    });
}

/// The result of `body`, or a violation with the message of its panic.
pub fn without_panic<T>(body: impl FnOnce() -> T) -> Result<T, Violation> {
    keep_panics();
    panic::catch_unwind(AssertUnwindSafe(body)).map_err(|_| {
        let message = PANIC.with(|kept| kept.borrow_mut().take()).unwrap_or_default();
        Violation::new(Invariant::Panic, message)
    })
}

/// Runs one seed until its end or `until`.
pub fn run(seed: u64, options: &RunOptions, until: u64, echo: Echo) -> Outcome {
    let profile = Profile::of(seed, options);
    let mut world = World::new(seed, profile, echo);
    let verdict = without_panic(|| world.run(until)).unwrap_or_else(Err);
    let failure = verdict.err().map(|violation| Failure {
        violation,
        last_events: world.trace.last().map(str::to_owned).collect(),
        profile: format!("{:?}", world.profile),
    });
    Outcome {
        seed,
        hash: world.trace.hash(),
        deeds: world.trace.deeds(),
        events: world.trace.events(),
        virtual_ms: world.at,
        agreed_after_ms: world.watch.agreed_after_ms(),
        sometimes: world.watch.sometimes.clone(),
        failure,
    }
}
