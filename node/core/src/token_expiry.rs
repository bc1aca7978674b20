//! When join tokens end by themselves.
//!
//! The time of a token is counted on the monotonic clock of every node that knows it: on the one that
//! made it from then on, on the others from when they heard of it. Whoever is first writes the end as
//! a fact. A node that starts again cannot tell how much of the time is over: a token that it made
//! itself ends at once, of others it counts anew.

use std::collections::BTreeMap;

use crdt_state::read;
use crdt_state::replica::Replica;
use crdt_state::spec::Facet;
use crdt_state::token::{TokenEnd, TokenId};
use crdt_state::{Kind, RecordKey};
use gossip::Now;

/// The tokens whose time runs.
#[derive(Debug, Default)]
pub struct TokenExpiry {
    due: BTreeMap<TokenId, Now>,
}

impl TokenExpiry {
    /// The tokens that the store holds at a start.
    pub fn at_boot(replica: &Replica, now: Now) -> TokenExpiry {
        let mut expiry = TokenExpiry::default();
        expiry.count(replica, now);
        for state in read::tokens(replica) {
            if let Some(due) = expiry.due.get_mut(&state.token.id)
                && state.made.writer.node == replica.me()
            {
                *due = now;
            }
        }
        expiry
    }

    /// A record of this kind changed.
    pub fn on_record(&mut self, replica: &Replica, kind: Kind, now: Now) {
        if kind == Kind::TOKEN {
            self.count(replica, now);
        }
    }

    fn count(&mut self, replica: &Replica, now: Now) {
        for state in read::tokens(replica) {
            let token = state.token;
            if state.end.is_some() {
                self.due.remove(&token.id);
            } else if token.expires_after_ms > 0 {
                self.due.entry(token.id).or_insert(now.plus(token.expires_after_ms));
            }
        }
    }

    /// When the next one is due.
    pub fn deadline(&self) -> Now {
        self.due.values().copied().fold(Now::NEVER, Now::min)
    }

    /// Ends what is due.
    pub fn on_due(&mut self, replica: &mut Replica, now: Now, wall_ms: u64) {
        let due = self.due.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id);
        for id in due.collect::<Vec<_>>() {
            self.due.remove(&id);
            let is_open = read::token(replica, id).is_some_and(|state| state.end.is_none());
            if is_open {
                replica.edit(RecordKey::token(id), Facet::TOKEN_END, &TokenEnd::Expired, wall_ms);
            }
        }
    }
}
