//! Clients that send one HTTP request after the other, each over a connection of its own.
//!
//! Every failure is kept with the time at which its request began. A failure must never be tried
//! again: that would hide what the bench looks for.

use super::fetch::fetch;
use super::{NAME_SERVER, names, now_ms};
use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Failures that are kept.
const FAILURES_MAX: usize = 1_000;

/// Whom to ask, and how often.
#[derive(Args)]
pub struct PullArgs {
    /// A name, resolved before every request, or an address
    host: String,
    /// Its port
    port: u16,
    /// Clients at a time
    #[arg(long, default_value_t = 1)]
    clients: usize,
    /// From the beginning of a client's request to that of its next
    #[arg(long, default_value_t = 50)]
    pace_ms: u64,
}

/// What the clients saw.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Pulled {
    /// Requests in all.
    pub requests: usize,
    /// Requests that failed.
    pub failed: usize,
    /// The first of them.
    pub failures: Vec<Failure>,
}

/// A request that failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    /// When it began, on the machine's clock.
    pub at_ms: f64,
    /// How long it took to fail.
    pub took_ms: f64,
    /// Why.
    pub why: String,
}

/// Asks until stdin ends.
pub fn pull(args: &PullArgs) -> Pulled {
    let (done, seen) = (AtomicBool::new(false), Mutex::new(Pulled::default()));
    let pace = Duration::from_millis(args.pace_ms);
    thread::scope(|scope| {
        for client in 0..args.clients {
            let (done, seen) = (&done, &seen);
            scope.spawn(move || {
                // The clients do not all ask at once.
                thread::sleep(pace * client as u32 / args.clients as u32);
                while !done.load(Ordering::Relaxed) {
                    let begun = Instant::now();
                    note(seen, now_ms(), begun, request(args));
                    thread::sleep(pace.saturating_sub(begun.elapsed()));
                }
            });
        }
        super::until_stdin_ends();
        done.store(true, Ordering::Relaxed);
    });
    seen.into_inner().unwrap_or_default()
}

fn note(seen: &Mutex<Pulled>, at_ms: f64, begun: Instant, result: Result<()>) {
    let Ok(mut seen) = seen.lock() else { return };
    seen.requests += 1;
    if let Err(error) = result {
        seen.failed += 1;
        if seen.failures.len() < FAILURES_MAX {
            let took_ms = begun.elapsed().as_secs_f64() * 1000.0;
            seen.failures.push(Failure { at_ms, took_ms, why: format!("{error:#}") });
        }
    }
}

fn request(args: &PullArgs) -> Result<()> {
    let address: IpAddr = match args.host.parse() {
        Ok(address) => address,
        Err(_) => {
            let socket = names::socket(NAME_SERVER)?;
            let found = names::resolve(&socket, &args.host);
            let found = found.map_err(|error| anyhow::anyhow!("the name server: {error}"))?;
            found.map(IpAddr::from).ok_or_else(|| anyhow::anyhow!("the name has no address"))?
        }
    };
    fetch(SocketAddr::new(address, args.port))
}
