//! Keeps a connection that carries no data: otherwise it would time out, for example under a shell
//! in which nobody types.

use std::time::Duration;

use quinn::Connection;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::Shared;
use super::opening::StreamOpening;

/// A third of the idle timeout of a connection.
const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps a connection until it is dropped.
pub struct KeepAlive(AbortHandle);

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts keeping a connection that carries no data.
pub(super) fn keep(shared: &Shared, connection: Connection) -> KeepAlive {
    KeepAlive(shared.runtime.spawn(send_signs(connection)).abort_handle())
}

async fn send_signs(connection: Connection) {
    loop {
        sleep(INTERVAL).await;
        let Ok((mut send, mut receive)) = connection.open_bi().await else { return };
        let _ = send.write_all(&StreamOpening::KeepAlive.encode()).await;
        let _ = send.finish();
        // Other tasks, which wait for an answer, find out whether the peer is still there.
        let _ = timeout(INTERVAL, receive.read_to_end(1)).await;
    }
}
