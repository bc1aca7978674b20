//! Why an agent cannot listen, with what to type.

use std::net::SocketAddr;

/// Why the agent cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error(
        "UDP {addr} is taken\n  another agent may run here (edgectl status), or give this one \
         another port with --listen {}:PORT", addr.ip()
    )]
    Taken {
        /// Where.
        addr: SocketAddr,
    },
    /// The address does not belong to this machine.
    #[error(
        "{} is not an address of this machine\n  see `ip address`, or listen on all with --listen \
         0.0.0.0:{}", addr.ip(), addr.port()
    )]
    NotMine {
        /// Where.
        addr: SocketAddr,
    },
    /// The system refuses for another reason.
    #[error("cannot listen on UDP {addr}: {error}\n  name another address with --listen IP:PORT")]
    Refused {
        /// Where.
        addr: SocketAddr,
        /// The system's message.
        error: std::io::Error,
    },
}
