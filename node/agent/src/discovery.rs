//! Members found on the machine's own networks, by multicast DNS (RFC 6762): what makes a join token enough
//! to join.
//!
//! ```text
//! machine with a token ── who knows token 5f3a…? ──▶ everybody on the link
//!                      ◀── it listens at 10.0.0.1:7946 ── members of its fleet, a few of them
//! ```
//! Nobody announces anything: a member only answers who names a token of its fleet, and then tells
//! nothing but the address from which it answers. A machine of another fleet stays silent. An answer proves
//! nothing; the exchange of the token does ([`crate::transport`]).

mod link;
mod message;
mod responder;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crdt_state::token::TokenId;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

use super::handle::{Handle, WeakHandle};
use crate::config::JoinAddr;
use crate::join_token::TokenText;
use link::Link;
use message::Discovery;

/// How long members are waited for: an answer takes up to [`responder::DELAY_MAX`], and a packet of a
/// wireless network may be lost.
const FIND_TIMEOUT: Duration = Duration::from_millis(3_500);

/// After the first answer, the wait for further ones.
const FURTHER_WAIT: Duration = Duration::from_millis(300);

/// When a query is sent again, from the start.
const QUERIES_AT: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(1_000), Duration::from_millis(2_500)];

/// Members that are asked at most: whoever is on the link can send as many answers as it likes.
const FOUND_MAX: usize = 8;

/// Between two looks at the links: one that comes up later is served then.
const LINKS_INTERVAL: Duration = Duration::from_secs(15);

/// Why no member was found.
#[derive(Debug, thiserror::Error)]
pub enum NotFound {
    /// The configuration says not to look.
    #[error("discover_members is false in the configuration of this node")]
    Off,
    /// The machine is on no network.
    #[error("this machine has no link with an IPv4 address, on which this agent listens")]
    NoLink,
    /// The system gives no socket.
    #[error("multicast DNS cannot be used here: {0}")]
    Socket(std::io::Error),
    /// Nobody answered.
    #[error("nobody on the networks of this machine answers for this token")]
    Silence,
}

impl Handle {
    /// Looks for members of the fleet of a token on the networks of this machine; at least one, who
    /// answered first comes first.
    pub async fn find_members(&self, token: &TokenText) -> Result<Vec<JoinAddr>, NotFound> {
        let found = find(self, token.id()).await?;
        let name = |addr: SocketAddr| JoinAddr { host: addr.ip().to_string(), port: addr.port() };
        Ok(found.into_iter().map(name).collect())
    }
}

async fn find(agent: &Handle, token: TokenId) -> Result<Vec<SocketAddr>, NotFound> {
    if !agent.config().discover_members {
        return Err(NotFound::Off);
    }
    let links = link::all(&agent.shared.own_addresses);
    let (answers, mut answered) = mpsc::channel(FOUND_MAX);
    let (mut asking, mut failed) = (JoinSet::new(), None);
    for link in &links {
        match link.open() {
            Ok(socket) => {
                asking.spawn(ask(socket, token, answers.clone()));
            }
            Err(error) => failed = Some(error),
        }
    }
    drop(answers);
    if asking.is_empty() {
        return Err(failed.map_or(NotFound::NoLink, NotFound::Socket));
    }
    let (mut found, mut deadline) = (Vec::new(), Instant::now() + FIND_TIMEOUT);
    while let Ok(Some(addr)) = timeout_at(deadline, answered.recv()).await {
        if found.is_empty() {
            deadline = deadline.min(Instant::now() + FURTHER_WAIT);
        }
        if !found.contains(&addr) && addr != agent.local_addr() {
            found.push(addr);
        }
        if found.len() == FOUND_MAX {
            break;
        }
    }
    if found.is_empty() { Err(NotFound::Silence) } else { Ok(found) }
}

/// Asks on one link, until the caller has heard enough.
async fn ask(socket: UdpSocket, token: TokenId, answers: mpsc::Sender<SocketAddr>) {
    let (begun, query) = (Instant::now(), message::query(token));
    for (at, query_at) in QUERIES_AT.iter().enumerate() {
        // A link that just went down is no error of the others.
        let _ = socket.send_to(&query, link::GROUP).await;
        let next = QUERIES_AT.get(at + 1).copied().unwrap_or(FIND_TIMEOUT.max(*query_at));
        let mut bytes = [0; message::BYTES_MAX];
        while let Ok(Ok(len)) = timeout_at(begun + next, socket.recv(&mut bytes)).await {
            if let Some(Discovery::Answer { token: of, addr }) = message::decode(&bytes[..len])
                && of == token
                && answers.send(addr).await.is_err()
            {
                return;
            }
        }
    }
}

/// Answers on all links for as long as the agent lives.
pub(super) async fn serve(agent: WeakHandle) {
    let mut serving: BTreeMap<Link, AbortHandle> = BTreeMap::new();
    let mut tasks = JoinSet::new();
    let mut is_told = false;
    loop {
        let Some(handle) = agent.upgrade() else { return };
        if !handle.config().discover_members {
            return;
        }
        let links = link::all(&handle.shared.own_addresses);
        drop(handle);
        serving.retain(|link, task| {
            let is_there = links.contains(link);
            if !is_there {
                task.abort();
            }
            is_there && !task.is_finished()
        });
        for link in links {
            if serving.contains_key(&link) {
                continue;
            }
            match link.open() {
                Ok(socket) => {
                    let task = tasks.spawn(responder::answer(socket, link.addr(), agent.clone()));
                    serving.insert(link, task);
                }
                Err(error) if !is_told => {
                    is_told = true;
                    tracing::info!(
                        "machines on {link} cannot find this node by a token alone: {error}"
                    );
                }
                Err(_) => {}
            }
        }
        tokio::time::sleep(LINKS_INTERVAL).await;
        while tasks.try_join_next().is_some() {}
    }
}
