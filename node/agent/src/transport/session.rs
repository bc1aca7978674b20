//! Streams in both directions between two agents: a session in a task that runs over there.
//!
//! ```text
//! asker ── 0xff, task (16), attempt (u32) ─▶ answerer
//!       ◀──────── bytes of both, until one of them ends ────────▶
//! ```
//! A request begins with the version of its encoding, which is never [`SESSION`], [`KNOCK`]
//! or [`relay::RELAY`]. QUIC
//! holds back whoever sends more than the other reads. While a session is open, a knock every few
//! seconds keeps its connection, which would end by silence: a shell that nobody types into.

use std::sync::Arc;
use std::time::Duration;

use crdt_state::TaskId;
use crdt_state::task::Run;
use quinn::{Connection, RecvStream, SendStream};
use tokio::io::Join;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::relay::{self, Opened, Route};
use super::{DialFailure, Shared};

/// Begins a session.
pub(super) const SESSION: u8 = 0xff;

/// Begins and ends a knock: it is answered by its stream's end.
pub(super) const KNOCK: u8 = 0xfe;

/// A third of the silence after which a connection ends.
const KNOCK_INTERVAL: Duration = Duration::from_secs(10);

/// What names a run.
const RUN_BYTES: usize = 16 + 4;

/// Both directions of a stream.
pub type PeerStream = Join<RecvStream, SendStream>;

/// Keeps a connection as long as it lives.
pub struct Knocking(AbortHandle);

impl Drop for Knocking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens a session in a run of a peer.
pub(super) async fn open(
    shared: &Arc<Shared>,
    route: &Route,
    run: Run,
) -> Result<(PeerStream, Knocking), DialFailure> {
    let Opened { mut send, receive, connection } = relay::open(shared, route).await?;
    let mut head = vec![SESSION];
    head.extend_from_slice(&run.task.0);
    head.extend_from_slice(&run.attempt.to_be_bytes());
    send.write_all(&head).await.map_err(|_| DialFailure::NoAnswer)?;
    Ok((tokio::io::join(receive, send), keep(shared, connection)))
}

/// Keeps a connection though nothing is said on it.
pub(super) fn keep(shared: &Shared, connection: Connection) -> Knocking {
    Knocking(shared.runtime.spawn(knock(connection)).abort_handle())
}

async fn knock(connection: Connection) {
    loop {
        sleep(KNOCK_INTERVAL).await;
        let Ok((mut send, mut receive)) = connection.open_bi().await else { return };
        let _ = send.write_all(&[KNOCK]).await;
        let _ = send.finish();
        // Whether anybody is there is found out by those who wait for something.
        let _ = timeout(KNOCK_INTERVAL, receive.read_to_end(1)).await;
    }
}

/// Reads which run is meant.
pub(super) async fn read_run(receive: &mut RecvStream) -> Option<Run> {
    let mut bytes = [0; RUN_BYTES];
    receive.read_exact(&mut bytes).await.ok()?;
    let (task, attempt) = bytes.split_first_chunk::<16>()?;
    let attempt = u32::from_be_bytes(attempt.try_into().ok()?);
    Some(Run { task: TaskId(*task), attempt })
}
