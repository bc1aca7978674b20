//! Keeps a connection on which nothing is said: it would end by silence, like that of a shell that
//! nobody types into.

use std::time::Duration;

use quinn::Connection;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use super::Shared;
use super::opening::StreamOpening;

/// A third of the silence after which a connection ends.
const INTERVAL: Duration = Duration::from_secs(10);

/// Keeps a connection as long as it lives.
pub struct KeepAlive(AbortHandle);

impl Drop for KeepAlive {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Keeps a connection though nothing is said on it.
pub(super) fn keep(shared: &Shared, connection: Connection) -> KeepAlive {
    KeepAlive(shared.runtime.spawn(send_signs(connection)).abort_handle())
}

async fn send_signs(connection: Connection) {
    loop {
        sleep(INTERVAL).await;
        let Ok((mut send, mut receive)) = connection.open_bi().await else { return };
        let _ = send.write_all(&StreamOpening::KeepAlive.encode()).await;
        let _ = send.finish();
        // Whether anybody is there is found out by those who wait for something.
        let _ = timeout(INTERVAL, receive.read_to_end(1)).await;
    }
}
