//! The difference between what a namespace must hold and what it holds, as requests in an order
//! that leaves no gap. Pure.

use std::collections::{BTreeMap, BTreeSet};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_REPLACE};

use crate::item::{Item, Key, Scope};
use crate::message;
use crate::netlink::Request;

/// A request that makes or removes an item.
#[derive(Debug)]
pub struct Change<Owner> {
    /// Whom the item serves; `None`: nobody any more.
    pub owner: Option<Owner>,
    /// What is done, for messages.
    pub what: String,
    /// The request.
    pub request: Request,
}

/// What must be sent to the kernel, in order, so that it holds `wanted` and nothing else in `scope`.
pub fn difference<Owner: Clone>(
    wanted: &BTreeMap<Item, Owner>,
    held: &BTreeSet<Item>,
    scope: &Scope<'_>,
) -> Vec<Change<Owner>> {
    let keys: BTreeSet<Key> = wanted.keys().map(Item::key).collect();
    let add = wanted.iter().filter(|(item, _)| !held.contains(item)).map(|(item, owner)| Change {
        owner: Some(owner.clone()),
        what: format!("set {}", item.describe()),
        request: Request { message: message::add(item), flags: NLM_F_CREATE | NLM_F_REPLACE },
    });
    let extra = |item: &&Item| {
        !wanted.contains_key(item) && scope.covers(item) && !keys.contains(&item.key())
    };
    let remove = |item: &Item| Change {
        owner: None,
        what: format!("remove {}", item.describe()),
        request: Request { message: message::remove(item), flags: 0 },
    };
    let is_forward = |item: &&Item| matches!(item, Item::Forward { .. });
    // A forwarding entry can hold several destinations and a replacement changes only the first, so
    // wrong ones go before. Everything else goes last, so that no packet meets a gap.
    let forwards = held.iter().filter(is_forward).filter(extra).map(remove);
    let rest = held.iter().rev().filter(|item| !is_forward(item)).filter(extra).map(remove);
    forwards.chain(add).chain(rest).collect()
}
