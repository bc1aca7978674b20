//! The name server that answers at 127.0.0.11 inside each container.
//!
//! It is authoritative for the fleet's names as that container may see them, which a [`Zone`]
//! knows, and forwards everything else to the [`Upstreams`]. It opens no socket on the container's
//! side: the agent opens them in the container's network namespace and hands them over. It holds
//! no cache and no timer of its own, and it never waits for the zone.
//!
//! ```text
//!  container ──UDP, TCP──▶ server ──▶ answer ──▶ Zone          (the fleet's names)
//!                            └──────▶ forward ──▶ Upstreams    (all others, as they came)
//! ```
//! Messages are encoded and decoded by `hickory-proto`. RFC 1035, 2308, 6891, 7766.

mod answer;
mod counters;
mod forward;
mod framing;
mod keeper;
mod reply;
mod request;
mod server;
mod service;
mod tcp;
mod udp;
mod upstream;
mod zone;

pub use counters::{Counters, Counts};
pub use keeper::{Keeper, KeptSockets, keeper_main};
pub use server::{NameServer, Sockets};
pub use upstream::{Dialer, HostDialer, Upstream, Upstreams};
pub use zone::{Addresses, AskedName, Reverse, Zone};

/// How long an answer about one of the fleet's names may be kept, in seconds. A query never leaves
/// the machine and costs some 20 microseconds, so keeping answers gains nothing, and every second
/// is a second of connections to a task that is gone. Not 0: clients differ about its meaning.
pub const TTL_SECONDS: u32 = 1;
