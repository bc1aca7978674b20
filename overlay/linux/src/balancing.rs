//! Balancing of connections over tasks: virtual addresses and published ports, by nf_tables.
//!
//! [`NetworkBalancer`] serves the virtual addresses of one overlay network in the network's own
//! namespace, [`PortBalancer`] the published ports in the namespace of the host; [`TunnelGuard`] has
//! the rules that keep encrypted networks inside the tunnel, [`Multicast`] those that copy multicast. Chains and rules
//! are written once; afterwards only elements of maps change, in one transaction per change. Nothing
//! here blocks for longer than the kernel works; all of it is called from one thread.
//!
//! It must never add a rule for a task, and never change a table that is not its own.

mod chains;
mod element;
mod expression;
mod field;
mod flows;
mod follower;
mod forwarding;
mod guard;
mod layout;
mod loopback;
mod members;
mod message;
mod multicast;
mod name_server;
mod network;
mod ports;
mod reservations;
mod segments;
mod slots;
mod socket;
mod sources;
mod spread;
mod table;
mod typeof_data;

use std::io;

use nix::errno::Errno;

pub use follower::{FlowFollower, NextLook};
pub use forwarding::{ForwardingObstacle, find_forwarding_obstacles};
pub use guard::TunnelGuard;
pub use loopback::accept_loopback_clients;
pub use multicast::{Devices, Multicast};
pub(crate) use name_server::lead_to_name_server;
pub use name_server::{NAME_SERVER, NAME_SERVER_PORT};
pub use network::NetworkBalancer;
pub use ports::PortBalancer;
pub use reservations::TakenPort;
pub use spread::Changed;
pub use table::Intact;

/// Why the kernel does not do what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum BalancingError {
    /// Nothing was changed.
    #[error("cannot open a netfilter socket in the namespace: {0}")]
    Open(#[source] io::Error),
    /// Nothing was changed: a transaction is made as a whole or not at all.
    #[error("the kernel refuses `{what}` in table {table}: {source}")]
    Refused {
        /// The table.
        table: String,
        /// The element, as `nft` would write it, or the number of the message.
        what: String,
        /// Its reason.
        source: io::Error,
    },
    /// It is not known whether something was changed; the next `apply` writes everything.
    #[error("no answer from netfilter: {0}")]
    Unanswered(#[source] io::Error),
    /// A setting of the kernel could not be written; nothing was changed.
    #[error("cannot write {setting}: {source}")]
    Setting {
        /// The path below `/proc/sys`.
        setting: String,
        /// Why.
        source: io::Error,
    },
}

impl BalancingError {
    /// The number of the error that the kernel gave.
    pub(crate) fn code(&self) -> Option<Errno> {
        let (Self::Open(source)
        | Self::Unanswered(source)
        | Self::Refused { source, .. }
        | Self::Setting { source, .. }) = self;
        source.raw_os_error().map(Errno::from_raw)
    }

    /// Whether the kernel holds something else than what was written.
    fn is_stale(&self) -> bool {
        let Self::Refused { source, .. } = self else { return false };
        let code = source.raw_os_error().map(Errno::from_raw);
        matches!(code, Some(Errno::ENOENT | Errno::EEXIST))
    }
}
