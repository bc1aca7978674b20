//! Datagrams that no member sent, thrown at an agent: random bytes, QUIC's first packets without sense,
//! and sealed datagrams in the name of a member that the agent knows, which have to be computed with.

use super::process::{Counters, rss_mib};
use anyhow::{Context, Result};
use std::net::{SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Datagrams per second.
pub const RATE: u32 = 20_000;
const BYTES: usize = 200;
const FLOOD: Duration = Duration::from_secs(5);
/// Datagrams that are thrown at once.
const BATCH: u32 = 50;

/// What the flood cost.
pub struct Cost {
    /// Of one core.
    pub cpu_percent: f64,
    /// More memory than before.
    pub rss_mib: f64,
    /// Datagrams per second that were thrown.
    pub rate: f64,
}

/// Throws them for a while. `member`: a node that the agent knows, as the API shows it.
pub fn throw(agent: u32, at: SocketAddr, member: &str) -> Result<Cost> {
    let socket = UdpSocket::bind((at.ip(), 0)).context("no socket for the flood")?;
    let shapes = shapes(member)?;
    let (before, rss) = (Counters::read(agent)?, rss_mib(agent)?);
    let (begun, mut thrown) = (Instant::now(), 0_u32);
    while begun.elapsed() < FLOOD {
        for _ in 0..BATCH {
            let mut bytes = shapes[thrown as usize % shapes.len()];
            // No two alike: neither agent nor kernel may remember one.
            bytes[BYTES - 4..].copy_from_slice(&thrown.to_be_bytes());
            // A full buffer of the agent's is a lost datagram, as in a network.
            let _ = socket.send_to(&bytes, at);
            thrown += 1;
        }
        let due = Duration::from_secs_f64(f64::from(thrown) / f64::from(RATE));
        sleep(due.saturating_sub(begun.elapsed()));
    }
    let seconds = begun.elapsed().as_secs_f64();
    let after = Counters::read(agent)?;
    Ok(Cost {
        cpu_percent: 100.0 * (after.cpu_s - before.cpu_s) / seconds,
        rss_mib: rss_mib(agent)? - rss,
        rate: f64::from(thrown) / seconds,
    })
}

fn shapes(member: &str) -> Result<[[u8; BYTES]; 3]> {
    let id = u128::from_str_radix(member, 36).context("the id of a node")?.to_be_bytes();
    let mut random = [0x2d; BYTES];
    random.iter_mut().enumerate().for_each(|(at, byte)| *byte ^= (at as u8).wrapping_mul(97));
    let (mut sealed, mut quic) = (random, random);
    // The version of the seal, and what a datagram shows of its sender.
    sealed[0] = 2;
    sealed[1..4].copy_from_slice(&id[..3]);
    random[0] &= !0x40;
    quic[0] = 0xc3;
    Ok([random, sealed, quic])
}
