//! Removes a network once nothing is on it. The tasks of services that were just removed keep their
//! networks until they have ended, so that they can still finish what they do with others. Docker's
//! client removes the networks of a stack right after its services, and asks once.

use std::time::Duration;

use crdt_state::NetworkId;
use node_core::edit::network::BadNetwork;
use node_core::{Edit, Refusal};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::Api;
use crate::failure::Failure;

/// How long a removal waits for tasks: databases are given a minute or two to stop. After that the
/// client is told what it waited for.
const WAIT_MAX: Duration = Duration::from_secs(150);

/// Shortest time between two tries: a busy fleet changes more often.
const TRY_INTERVAL: Duration = Duration::from_millis(50);

/// Longest time between two tries.
const TRY_INTERVAL_MAX: Duration = Duration::from_secs(1);

/// Answers when it is removed, or what is in the way.
pub async fn remove(api: &Api, id: NetworkId) -> Result<(), Failure> {
    let deadline = Instant::now() + WAIT_MAX;
    let mut changes = api.handle.changes();
    loop {
        let tried = Instant::now();
        match api.handle.edit(Edit::RemoveNetwork { id }).await? {
            Ok(_) => return Ok(()),
            Err(Refusal::Network(BadNetwork::HasTasks { .. })) if tried < deadline => {}
            Err(refusal) => return Err(refusal.into()),
        }
        // Nothing may have changed for a while: then it is tried again all the same.
        if let Ok(changed) = timeout_at(tried + TRY_INTERVAL_MAX, changes.next()).await {
            changed?;
        }
        sleep_until(tried + TRY_INTERVAL).await;
    }
}
