//! The tunnel of a node: what encrypted networks send to other nodes goes through it.
//!
//! ```text
//! VXLAN device ─▶ TUN ─▶ engine ─▶ UDP socket ═══ WireGuard ═══ another node
//!                          ▲
//! agent ── whole state ────┘   by a unix socket; the process outlives the agent
//! ```
//! A process of its own holds the TUN device and the UDP socket, so that a restart of the agent
//! costs no packet. It speaks WireGuard, whose keys are exchanged anew every two minutes. It knows
//! no fleet: [`client::Tunnel`] tells it its peers, all of them each time. Addresses and routes of
//! the device are not its business. It must never write a key anywhere, and never send a packet of
//! the device unencrypted.

pub mod client;
pub mod control;
mod engine;
mod key;
mod merge;
mod peers;
mod process;
mod socket;
mod tun;

pub use key::{PublicKey, TunnelKey};
pub use process::tunnel_main;
pub use socket::is_free;
pub use tun::is_able;
