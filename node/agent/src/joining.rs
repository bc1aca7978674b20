//! From names to addresses of nodes to ask first, retried because a name server may start later
//! than this node. What is done with the addresses is decided by gossip.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::shared::Shared;
use crate::config::JoinAddr;

const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Why a name gives no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The name is unknown.
    #[error("there is no address of this name: {0}")]
    Unknown(String),
    /// Its addresses are of another family than the listening socket.
    #[error("it has no address that {0} can reach")]
    Unreachable(SocketAddr),
}

/// The addresses of a name that a socket at `listening` can reach; at least one.
pub(super) async fn look_up(
    name: &JoinAddr,
    listening: SocketAddr,
) -> Result<Vec<SocketAddr>, Unresolved> {
    let found = tokio::net::lookup_host((name.host.as_str(), name.port)).await;
    let found = found.map_err(|error| Unresolved::Unknown(error.to_string()))?;
    let usable: Vec<_> = found.filter(|addr| addr.is_ipv4() || listening.is_ipv6()).collect();
    if usable.is_empty() { Err(Unresolved::Unreachable(listening)) } else { Ok(usable) }
}

/// Resolves a name until it has reachable addresses, and sends all of them.
pub(super) async fn resolve(name: JoinAddr, shared: Arc<Shared>, found: mpsc::Sender<SocketAddr>) {
    let mut wait = RETRY_MIN;
    loop {
        match look_up(&name, shared.transport.local_addr()).await {
            Ok(addrs) => {
                shared.refused.forget(&name);
                for addr in addrs {
                    let _ = found.send(addr).await;
                }
                return;
            }
            Err(why) => {
                if wait == RETRY_MIN {
                    tracing::warn!("cannot find {name} to join: {why}; trying again");
                }
                shared.refused.note(&name, why);
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}
