//! Joining by a token in a file, without anybody who types: a machine from an image, with the addresses
//! of some members and `join_token_file` in its configuration.
//!
//! It is tried for as long as the node knows no other member, and told to whoever asks why it is alone.

use std::path::Path;
use std::time::Duration;

use crdt_state::read;

use super::handle::{Handle, WeakHandle};
use crate::config::{Config, JoinAddr};
use crate::join_token::{self, TokenText};
use crate::transport::JoinGrant;

const RETRY_MIN: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(60);

/// How long a node that got the key waits for a member until it shows the token again.
const KNOWN_WAIT: Duration = Duration::from_secs(10);

/// What is named where members are looked for, to who asks why the node is alone.
const ON_LINKS: &str = "the networks of this machine";

/// How often it looks meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Is a node of this configuration to join by a token? A key in the configuration outlives a join.
pub(super) fn is_wanted(config: &Config) -> bool {
    let has_someone_to_ask = !config.join.is_empty() || config.discover_members;
    config.fleet_key.is_none() && config.join_token_file.is_some() && has_someone_to_ask
}

/// Tries until the node has a member.
pub(super) async fn watch(handle: Handle) {
    let Some(path) = handle.config().join_token_file.clone() else { return };
    if !is_wanted(handle.config()) {
        tracing::warn!(
            "join_token_file has no effect beside fleet_key, or without both join and \
             discover_members"
        );
        return;
    }
    let handle = {
        // Whoever ends the agent need not wait for this.
        let weak = handle.downgrade();
        drop(handle);
        weak
    };
    let mut wait = RETRY_MIN;
    while let Some(pause) = attempt(&handle, &path, wait).await {
        tokio::time::sleep(pause).await;
        wait = (wait * 2).min(RETRY_MAX);
    }
}

/// One round through all addresses. Returns how long to wait for the next; `None`: there is none.
async fn attempt(handle: &WeakHandle, path: &Path, wait: Duration) -> Option<Duration> {
    let agent = handle.upgrade()?;
    if has_members(&agent).await? {
        return None;
    }
    let refused = &agent.shared.refused;
    let source = path.display().to_string();
    let token = match read_token(path) {
        Ok(token) => token,
        Err(why) => {
            refused.note(source, why);
            return Some(wait);
        }
    };
    refused.forget(source);
    if is_ours(&agent, token.clone()).await? {
        return None;
    }
    let names = match members(&agent, &token).await {
        Ok(names) => names,
        Err(why) => {
            refused.note(ON_LINKS, why);
            return Some(wait);
        }
    };
    refused.forget(ON_LINKS);
    for name in &names {
        match show(&agent, name, &token).await {
            Ok(grant) => {
                if let Err(error) = agent.take_over(grant.fleet_key).await {
                    refused.note(name, error);
                    return Some(wait);
                }
                tracing::info!("{name} let this node into the fleet {}", grant.fleet);
                names.iter().for_each(|name| refused.forget(name));
                agent.join(name.clone()).await.ok()?;
                drop(agent);
                return join_others(handle, names).await;
            }
            Err(why) => {
                if wait == RETRY_MIN {
                    tracing::warn!("cannot join through {name}: {why}\n  it is tried again");
                }
                refused.note(name, why);
            }
        }
    }
    Some(wait)
}

/// The nodes of the configuration; if it names none, the members that are found.
async fn members(agent: &Handle, token: &TokenText) -> Result<Vec<JoinAddr>, String> {
    let named = agent.config().join.clone();
    if !named.is_empty() {
        return Ok(named);
    }
    agent.find_members(token).await.map_err(|why| {
        format!(
            "{why}\n  it is tried again; where multicast DNS does not pass, name members: join in \
             edge.toml"
        )
    })
}

/// Asks all nodes of the list as soon as one member is known: it may be of another part of the fleet than
/// they are. Not before, because they may be about to join themselves. Returns a pause if there is no
/// member in time.
async fn join_others(handle: &WeakHandle, names: Vec<JoinAddr>) -> Option<Duration> {
    for _ in 0..KNOWN_WAIT.as_millis() / LOOK_EVERY.as_millis() {
        tokio::time::sleep(LOOK_EVERY).await;
        let agent = handle.upgrade()?;
        if has_members(&agent).await? {
            for name in names {
                agent.join(name).await.ok()?;
            }
            return None;
        }
    }
    Some(Duration::ZERO)
}

/// Members are remembered from one start to the next.
async fn has_members(agent: &Handle) -> Option<bool> {
    let found = agent.read(|node| {
        let all = read::nodes(node.replica());
        let is_there = |other: &read::NodeView| !other.evicted && other.id != node.me();
        all.iter().any(is_there) || node.gossip().members().next().is_some()
    });
    found.await.ok()
}

/// Is the token of the fleet of this node? All nodes may have one configuration, and the first of them
/// made the token.
async fn is_ours(agent: &Handle, token: TokenText) -> Option<bool> {
    let key = agent.fleet_key();
    let held = agent.read(move |node| {
        let held = read::token(node.replica(), token.id());
        held.is_some_and(|state| {
            join_token::is_of(&state, &key) && state.token.verifier == token.verifier()
        })
    });
    held.await.ok()
}

fn read_token(path: &Path) -> Result<TokenText, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("the token cannot be read: {error}\n  it is tried again"))?;
    let parsed = text.lines().next().unwrap_or_default().parse::<TokenText>();
    parsed.map_err(|bad| format!("{bad}\n  edgectl swarm join-token -q, on a member, prints one"))
}

/// Shows the token to every address of a name, until one takes it.
async fn show(agent: &Handle, name: &JoinAddr, token: &TokenText) -> Result<JoinGrant, String> {
    let addrs = agent.look_up(name).await.map_err(|why| why.to_string())?;
    let mut last = "it has no address".to_owned();
    for addr in addrs.into_iter().filter(|addr| *addr != agent.local_addr()) {
        match agent.join_by_token(addr, token).await {
            Ok((_, grant)) => return Ok(grant),
            Err(why) => last = why.to_string(),
        }
    }
    Err(last)
}
