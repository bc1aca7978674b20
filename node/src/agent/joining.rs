//! From names to addresses to ask first, with patience: a name server may come up later than this
//! node. What becomes of the addresses is gossip's business.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::config::JoinAddr;

const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// Sends every address of a name that a socket at `listening` can reach; ends when there was one.
pub(super) async fn resolve(
    name: JoinAddr,
    listening: SocketAddr,
    found: mpsc::Sender<SocketAddr>,
) {
    let mut wait = RETRY_MIN;
    loop {
        match tokio::net::lookup_host((name.host.as_str(), name.port)).await {
            Ok(addrs) => {
                let mut usable =
                    addrs.filter(|addr| addr.is_ipv4() || listening.is_ipv6()).peekable();
                if usable.peek().is_some() {
                    for addr in usable {
                        let _ = found.send(addr).await;
                    }
                    return;
                }
                tracing::warn!("{name} has no address that {listening} can reach");
            }
            Err(error) if wait == RETRY_MIN => {
                tracing::warn!("cannot find {name} to join: {error}; trying again");
            }
            Err(_) => {}
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}
