//! Waits for the key file of a locked node.

use std::path::Path;
use std::time::Duration;

use super::sealed_keys::{Locked, Unlocked};
use super::unlock_key::UnlockKey;

/// How often the file is looked for: on a stick that somebody plugs in.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Opens the keys as soon as the file is there and is the one of this node.
pub async fn opened_by_file(locked: &Locked, path: &Path) -> Unlocked {
    let mut said = None;
    loop {
        let opened = UnlockKey::of_file(path).map_err(|why| why.to_string());
        let opened = opened.and_then(|key| {
            locked.open(&key).ok_or_else(|| "it is not the file of this node".to_owned())
        });
        match opened {
            Ok(unlocked) => {
                tracing::info!("the node was unlocked by {}", path.display());
                return unlocked;
            }
            Err(why) if said.as_ref() != Some(&why) => {
                tracing::warn!("{} does not open this node: {why}", path.display());
                said = Some(why);
            }
            Err(_) => {}
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
