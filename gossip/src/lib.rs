//! Membership of the fleet, and the spread of changed records to all members.
//!
//! One machine, [`Gossip`]: membership (SWIM by foca, driven as a pure machine), rumours (small
//! deltas pushed at once, to save time) and anti-entropy (which must suffice alone). [`seal`]
//! encrypts and decrypts the datagrams. Pure: no clock, no socket, no randomness but a seed. It
//! must never decide which node runs which task, and never change a record because its owner is
//! silent.

mod anti_entropy;
pub mod config;
pub mod counters;
#[cfg(test)]
mod fleet;
pub mod gossip;
pub mod identity;
mod join;
pub mod lie;
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
