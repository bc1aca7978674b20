//! The part of secrets that needs what the pure node does not have: random bytes, and this node's
//! private key. What is opened here is overwritten when the function ends.

use crdt_state::file::FileSpec;
use crdt_state::secret::{Batch, ContentKey, Plaintext};
use crdt_state::{NodeId, PublicKey};
use node_core::KeyShare;
use node_core::edit::file::WrappedKeys;

use super::identity::NodeKey;

/// Seals the data of a new secret with a key that nobody else has, and wraps that key for this node,
/// which gives it to those who are to have it.
///
/// # Errors
///
/// If the system gives no random bytes. Nothing was written.
pub fn seal(data: &Plaintext, me: PublicKey) -> Result<(Vec<u8>, Batch), getrandom::Error> {
    let key = ContentKey::from_random(random()?);
    let sealed = key.seal(data);
    let keys = Batch::wrap(&key, &FileSpec::of(&sealed).hash, random()?, &[me]);
    Ok((sealed, keys))
}

/// Opens the key that was wrapped for this node, and wraps it for others.
pub(super) fn share(share: &KeyShare, node: &NodeKey) -> Option<WrappedKeys> {
    let secret = node.secret();
    let Some(key) = share.keys.iter().find_map(|key| key.open(&secret)) else {
        tracing::error!(
            "the key of the secret {} cannot be given to others: none of the keys that this node \
             was given for it fits",
            share.secret
        );
        return None;
    };
    let keys = Batch::wrap(&key, &share.data, random().ok()?, &share.nodes);
    let nodes: Vec<String> =
        keys.keys.iter().map(|(node, _): &(NodeId, _)| node.to_string()).collect();
    tracing::info!("the key of the secret {} goes to {}", share.secret, nodes.join(", "));
    Some(WrappedKeys { secret: share.secret, data: share.data, keys })
}

fn random() -> Result<[u8; 32], getrandom::Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}
