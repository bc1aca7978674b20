//! A connection whose other end proves the key of this very node: this process itself, or another machine
//! with a copy of its disk. Nobody else can prove that, so both ends may believe what the other one says.
//!
//! ```text
//! dialler ── number of its process (8), how long it has run in ms (8), end ──▶
//!         ◀── the same of the other end ──
//! ```

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use quinn::Connection;
use tokio::time::timeout;

use super::Shared;
use super::tls::Close;

const SAID_BYTES: usize = 16;

/// How long the other end may take to say it.
const DEADLINE: Duration = Duration::from_secs(5);

/// Which of two machines with one key began later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    /// This one.
    Me,
    /// The other one.
    Other,
}

/// Another machine that has proved this node's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundCopy {
    /// Where it was met.
    pub addr: SocketAddr,
    /// Which of the two is the copy, as far as anybody can tell.
    pub later: Later,
}

/// What tells one process of a node from another.
pub(super) struct Process {
    number: u64,
    began: Instant,
}

/// What one end says: order is age, the younger first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    up_ms: u64,
    number: u64,
}

impl Process {
    pub(super) fn begin() -> Process {
        let mut bytes = [0; 8];
        // Without random bytes there would be no key.
        getrandom::fill(&mut bytes).expect("random bytes made the key");
        Process { number: u64::from_be_bytes(bytes), began: Instant::now() }
    }

    fn say(&self) -> Said {
        let up_ms = self.began.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        Said { up_ms, number: self.number }
    }
}

impl Said {
    fn to_bytes(self) -> [u8; SAID_BYTES] {
        let mut bytes = [0; SAID_BYTES];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8..].copy_from_slice(&self.up_ms.to_be_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Said> {
        let bytes: [u8; SAID_BYTES] = bytes.try_into().ok()?;
        let (number, up_ms) = bytes.split_first_chunk()?;
        let up_ms = u64::from_be_bytes(up_ms.try_into().ok()?);
        Some(Said { up_ms, number: u64::from_be_bytes(*number) })
    }

    /// `None`: it is the same process.
    fn against(self, other: Said) -> Option<Later> {
        let is_other = self.number != other.number;
        is_other.then_some(if self < other { Later::Me } else { Later::Other })
    }
}

/// The dialling end. `None`: it is this process.
pub(super) async fn ask(shared: &Shared, connection: &Connection) -> Option<FoundCopy> {
    let mine = shared.process.say();
    let asking = async {
        let (mut send, mut receive) = connection.open_bi().await.ok()?;
        send.write_all(&mine.to_bytes()).await.ok()?;
        send.finish().ok()?;
        Said::from_bytes(&receive.read_to_end(SAID_BYTES).await.ok()?)
    };
    let theirs = timeout(DEADLINE, asking).await.ok().flatten();
    connection.close(Close::Myself.code(), b"myself");
    let later = theirs.and_then(|theirs| mine.against(theirs));
    report(shared, connection, later)
}

/// The accepting end.
pub(super) async fn answer(shared: &Shared, connection: &Connection) {
    let mine = shared.process.say();
    let hearing = async {
        let (mut send, mut receive) = connection.accept_bi().await.ok()?;
        let theirs = Said::from_bytes(&receive.read_to_end(SAID_BYTES).await.ok()?);
        send.write_all(&mine.to_bytes()).await.ok()?;
        send.finish().ok()?;
        // The dialler closes when it has heard it.
        connection.closed().await;
        theirs
    };
    let theirs = timeout(DEADLINE, hearing).await.ok().flatten();
    connection.close(Close::Myself.code(), b"myself");
    report(shared, connection, theirs.and_then(|theirs| mine.against(theirs)));
}

fn report(shared: &Shared, connection: &Connection, later: Option<Later>) -> Option<FoundCopy> {
    let found = FoundCopy { addr: connection.remote_address(), later: later? };
    if let Some(service) = shared.service.get() {
        service.copy_found(found);
    }
    Some(found)
}

#[cfg(test)]
mod tests;
