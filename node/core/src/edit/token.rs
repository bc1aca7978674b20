//! Join tokens: why one is not made or not taken.

use crdt_state::token::{TokenEnd, TokenId, USES_MAX};

/// A join token that is not made, ended or taken. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// No such token.
    #[error("there is no join token {0}; `edgectl swarm join-token ls` lists them")]
    NoSuch(TokenId),
    /// It is not taken any more.
    #[error("{}", ended(*id, *end, by))]
    Ended {
        /// Its number.
        id: TokenId,
        /// Why.
        end: TokenEnd,
        /// The host name of the node on which that was said, or its id.
        by: String,
    },
    /// As many joined with it as it is for.
    #[error(
        "the token {id} is used up: {} joined with it; make another one: edgectl swarm join-token --uses 1",
        by.join(" and ")
    )]
    UsedUp {
        /// Its number.
        id: TokenId,
        /// Who joined with it: host names, or ids.
        by: Vec<String>,
    },
    /// The joiner was removed from the fleet.
    #[error(
        "this node was removed from the fleet (edgectl node rm, on {by}), and its key is refused for ever; \
         to join as a new node: edgectl node rekey, then edgectl swarm join --token …"
    )]
    Evicted {
        /// The host name of the node on which that was done, or its id.
        by: String,
    },
    /// More uses than the fleet keeps count of.
    #[error(
        "a token is for at most {USES_MAX} nodes, not for {0}; give less, or leave --uses out for any number"
    )]
    TooManyUses(u32),
    /// The member's record is full.
    #[error(
        "this member has let in as many nodes as it keeps count of; join through another member, or \
         remove tokens that are not needed: edgectl swarm join-token rm"
    )]
    Full,
}

fn ended(id: TokenId, end: TokenEnd, by: &str) -> String {
    let (what, hint) = match end {
        TokenEnd::Removed => {
            ("was revoked", "edgectl swarm join-token, on a member, prints another")
        }
        TokenEnd::Rotated => {
            ("was replaced by another", "edgectl swarm join-token, on a member, prints it")
        }
        TokenEnd::Expired => {
            ("has expired", "make another one: edgectl swarm join-token --expires-after 15m")
        }
    };
    format!("the token {id} {what} (on {by}); {hint}")
}
