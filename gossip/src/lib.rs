//! Who is in the fleet, and how what changed reaches everybody.
//!
//! One machine, [`Gossip`]: membership (SWIM by foca, driven as a pure machine), rumours (small
//! deltas pushed at once, a hint that saves time) and anti-entropy (which must suffice alone).
//! [`seal`] closes and opens the datagrams. Pure: no clock, no socket, no randomness but a seed.
//! It must never decide who runs what, and never change a record because its owner is silent.

mod anti_entropy;
pub mod config;
pub mod counters;
#[cfg(test)]
mod fleet;
pub mod gossip;
pub mod identity;
mod join;
pub mod member;
mod membership;
mod message;
pub mod output;
mod rumour;
pub mod seal;
pub mod time;
pub mod timer;

pub use config::{GossipConfig, Profile, Rumours};
pub use counters::{Counters, Traffic};
pub use gossip::Gossip;
pub use identity::Identity;
pub use member::{Evidence, Member, MemberEvent, MemberState};
pub use membership::STRANGERS_MAX;
pub use message::encode_rumour;
pub use output::{JunkReason, Output};
pub use time::Now;
pub use timer::GossipTimer;
