//! Seals what this node keeps on its disk as the fleet's records tell: by the newest unlock key, or not at
//! all.
//!
//! ```text
//! sealing:    the sealed keys are written ─▶ the files of the keys are removed; the store is rewritten
//! unsealing:  the store is rewritten ─▶ the files of the keys are written ─▶ the sealed ones are removed
//! ```
//! While the sealed keys are there, the node needs its unlock key to start. So whatever interrupts this,
//! everything can still be read, and the next start goes on with it.

use node_core::FleetKeyNews;

use super::identity::NodeKey;
use super::shared::Shared;
use crate::config::Config;
use crate::lock::{Keyring, UnlockKey};
use crate::rekey::kept_aside;
use crate::store::{Sealing, StoreWriter};

/// Does what the records tell.
pub(super) fn take(shared: &Shared, store: &StoreWriter, news: FleetKeyNews, node: &NodeKey) {
    let mut keyring = shared.keyring();
    let FleetKeyNews::Newest(offer) = news else {
        if keyring.begin_unsealing() {
            store.reseal(None);
        }
        return;
    };
    let Some(key) = offer.open(&node.secret()).map(UnlockKey::from) else {
        tracing::info!("the fleet has another unlock key, which this node has not got yet");
        return;
    };
    match keyring.seal(&key) {
        Ok(Some(store_key)) => {
            trust_file(&mut keyring, &shared.config);
            store.reseal(Some(store_key));
        }
        Ok(None) => {}
        Err(error) => tracing::error!("what this node keeps on its disk is not sealed: {error}"),
    }
}

/// The store was rewritten, or was not.
pub(super) fn resealed(shared: &Shared, done: Result<Sealing, String>) {
    match done {
        Ok(Sealing::Sealed) => {
            tracing::info!("what this node keeps on its disk is sealed");
            for path in kept_aside(&shared.config.data_dir) {
                let path = path.display();
                tracing::warn!(
                    "{path}, of an earlier key of this machine, is not sealed; to mend it: rm {path}"
                );
            }
        }
        Ok(Sealing::Open) => match shared.keyring().unseal() {
            Ok(()) => tracing::info!("the store of this node is not sealed any more"),
            Err(error) => tracing::error!("the keys of this node are still sealed: {error}"),
        },
        Err(why) => {
            tracing::error!("the store could not be rewritten ({why}); the next start tries again");
        }
    }
}

/// Lets the configured key file of this node open what is sealed.
pub(super) fn trust_file(keyring: &mut Keyring, config: &Config) {
    let Some(path) = config.unlock_key_file.as_ref().filter(|_| keyring.is_sealed()) else {
        return;
    };
    let trusted = UnlockKey::of_file(path).map_err(|error| error.to_string());
    let trusted = trusted.and_then(|key| keyring.trust_file(&key).map_err(|e| e.to_string()));
    if let Err(why) = trusted {
        tracing::warn!("{} does not open this node: {why}", path.display());
    }
}
