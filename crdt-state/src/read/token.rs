//! Join tokens, read from their records and from what members say of their use.

use crate::id::NodeId;
use crate::key::{Kind, RecordKey};
use crate::record::Record;
use crate::replica::Replica;
use crate::spec::Facet;
use crate::stamp::Stamp;
use crate::token::{JoinToken, TokenEnd, TokenId, TokenUses};

/// What is known of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenState {
    /// What was written when it was made.
    pub token: JoinToken,
    /// By whom and when, in the order of all writes.
    pub made: Stamp,
    /// The time of day at which it was made, milliseconds since 1970. Display only.
    pub made_wall_ms: u64,
    /// Why it is not taken any more, and on which node that was said.
    pub end: Option<(TokenEnd, NodeId)>,
    /// Who was let in with it, and by which member; each joiner once.
    pub joiners: Vec<(NodeId, NodeId)>,
}

impl TokenState {
    /// Were as many let in as it is for?
    pub fn is_used_up(&self) -> bool {
        self.token.uses_max > 0 && self.joiners.len() >= uses_max(&self.token)
    }

    /// Were more let in than it is for? Two sides of a partition took it.
    pub fn is_overused(&self) -> bool {
        self.token.uses_max > 0 && self.joiners.len() > uses_max(&self.token)
    }
}

fn uses_max(token: &JoinToken) -> usize {
    usize::try_from(token.uses_max).unwrap_or(usize::MAX)
}

/// One token.
pub fn token(replica: &Replica, id: TokenId) -> Option<TokenState> {
    let joiners = joiners_of(replica, id);
    Some(TokenState { joiners, ..read(replica, &RecordKey::token(id))? })
}

/// All tokens, the oldest first.
pub fn tokens(replica: &Replica) -> Vec<TokenState> {
    let all = replica.keys(Kind::TOKEN).filter_map(|key| read(replica, &key));
    let mut all: Vec<TokenState> = all
        .map(|state| TokenState { joiners: joiners_of(replica, state.token.id), ..state })
        .collect();
    all.sort_by_key(|state| state.made);
    all
}

/// Whom a member let in.
pub fn token_uses(replica: &Replica, member: NodeId) -> TokenUses {
    let said = replica.owned::<TokenUses>(&RecordKey::token_uses(member));
    said.filter(|(owner, _)| *owner == member).map(|(_, said)| said).unwrap_or_default()
}

/// Without the joiners.
fn read(replica: &Replica, key: &RecordKey) -> Option<TokenState> {
    let (made, token) = replica.facet::<JoinToken>(key, Facet::TOKEN)?;
    if RecordKey::token(token.id) != *key {
        return None;
    }
    let write = replica.record(key).and_then(Record::as_shared)?.winner(Facet::TOKEN)?;
    let end = replica.facet::<TokenEnd>(key, Facet::TOKEN_END);
    let end = end.map(|(stamp, end)| (end, stamp.writer.node));
    Some(TokenState { token, made, made_wall_ms: write.wall_ms, end, joiners: Vec::new() })
}

fn joiners_of(replica: &Replica, id: TokenId) -> Vec<(NodeId, NodeId)> {
    let members = replica.keys(Kind::TOKEN_USES).map(|key| NodeId(key.id));
    let mut joiners: Vec<(NodeId, NodeId)> = Vec::new();
    for member in members {
        for used in token_uses(replica, member).0 {
            let is_new = joiners.iter().all(|(joiner, _)| *joiner != used.joiner);
            if used.token == id && is_new {
                joiners.push((used.joiner, member));
            }
        }
    }
    joiners
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::id::StoreId;
    use crate::signature::{HashSigner, HashVerifier, Signer};
    use crate::stamp::Writer;
    use crate::token::{TokenOrigin, TokenRole, TokenUse};

    const ID: TokenId = TokenId([7; 8]);

    fn replica(seed: u64) -> Replica {
        let signer = HashSigner::from_seed(seed);
        let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
        Replica::new(writer, Box::new(signer), Arc::new(HashVerifier))
    }

    fn issue(replica: &mut Replica) {
        let token = JoinToken {
            id: ID,
            role: TokenRole::Worker,
            origin: TokenOrigin::Issued,
            verifier: [1; 32],
            uses_max: 1,
            site: String::new(),
            expires_after_ms: 0,
        };
        replica.edit(RecordKey::token(ID), Facet::TOKEN, &token, 1);
    }

    fn let_in(replica: &mut Replica, joiner: u8) {
        let used = TokenUse { token: ID, joiner: NodeId([joiner; 16]) };
        replica.put_owned(RecordKey::token_uses(replica.me()), &TokenUses(vec![used]), 1);
    }

    fn meet(one: &mut Replica, other: &mut Replica) {
        let keys = |replica: &Replica| {
            let kinds = [Kind::TOKEN, Kind::TOKEN_USES];
            kinds.iter().flat_map(|kind| replica.keys(*kind)).collect::<Vec<_>>()
        };
        let (from_one, from_other) = (one.delta(keys(one)), other.delta(keys(other)));
        one.merge(&from_other);
        other.merge(&from_one);
    }

    #[test]
    fn a_token_that_both_sides_of_a_partition_took_is_overused_on_both() {
        let (mut one, mut other) = (replica(1), replica(2));
        issue(&mut one);
        meet(&mut one, &mut other);
        let_in(&mut one, 8);
        let_in(&mut other, 9);
        assert!(token(&one, ID).is_some_and(|state| state.is_used_up() && !state.is_overused()));
        meet(&mut one, &mut other);
        let joined = token(&one, ID).expect("a token");
        assert!(joined.is_overused());
        assert_eq!(token(&other, ID).expect("a token").joiners, joined.joiners);
        assert!(joined.joiners.contains(&(NodeId([8; 16]), one.me())));
    }

    #[test]
    fn one_joiner_that_both_sides_let_in_is_one_use() {
        let (mut one, mut other) = (replica(1), replica(2));
        issue(&mut one);
        meet(&mut one, &mut other);
        let_in(&mut one, 8);
        let_in(&mut other, 8);
        meet(&mut one, &mut other);
        assert!(token(&one, ID).is_some_and(|state| state.is_used_up() && !state.is_overused()));
    }

    #[test]
    fn what_ended_on_one_side_has_ended_on_both_and_is_no_conflict() {
        let (mut one, mut other) = (replica(1), replica(2));
        issue(&mut one);
        meet(&mut one, &mut other);
        one.edit(RecordKey::token(ID), Facet::TOKEN_END, &TokenEnd::Expired, 1);
        other.edit(RecordKey::token(ID), Facet::TOKEN_END, &TokenEnd::Removed, 1);
        meet(&mut one, &mut other);
        assert!(tokens(&one).iter().all(|state| state.end.is_some()));
        assert!(tokens(&other).iter().all(|state| state.end.is_some()));
        assert!(one.conflicts().is_empty() && other.conflicts().is_empty());
    }
}
