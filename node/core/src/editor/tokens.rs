//! Edits of join tokens: made, ended, and used by a machine that joins.

use crdt_state::read;
use crdt_state::spec::{Facet, Life};
use crdt_state::token::{
    JoinToken, TokenEnd, TokenId, TokenUse, TokenUses, USES_KEPT_MAX, USES_MAX,
};
use crdt_state::{NodeId, RecordKey, labels};

use super::Editor;
use crate::edit::token::BadToken;
use crate::edit::{Edited, Refusal};

/// The label that tells sites apart.
const SITE_LABEL: &str = "site";

impl Editor<'_> {
    pub(super) fn create_token(&mut self, token: &JoinToken) -> Result<Edited, Refusal> {
        use crdt_state::limits::Bounded;
        if token.uses_max > USES_MAX {
            return Err(BadToken::TooManyUses(token.uses_max).into());
        }
        token.check()?;
        self.replica.edit(RecordKey::token(token.id), Facet::TOKEN, token, self.wall_ms);
        Ok(Edited::Done)
    }

    pub(super) fn end_token(&mut self, id: TokenId, end: TokenEnd) -> Result<Edited, Refusal> {
        let held = read::token(self.replica, id).ok_or(BadToken::NoSuch(id))?;
        if held.end.is_none() {
            self.replica.edit(RecordKey::token(id), Facet::TOKEN_END, &end, self.wall_ms);
        }
        Ok(Edited::Done)
    }

    /// Lets a node in, or says why not. Whoever was let in once may ask again: the answer may have
    /// been lost on its way.
    pub(super) fn use_token(&mut self, id: TokenId, joiner: NodeId) -> Result<Edited, Refusal> {
        let held = read::token(self.replica, id).ok_or(BadToken::NoSuch(id))?;
        if let Some((stamp, Life::Present { .. })) =
            self.replica.facet(&RecordKey::eviction(joiner), Facet::LIFE)
        {
            return Err(BadToken::Evicted { by: self.name_of(stamp.writer.node) }.into());
        }
        if let Some((end, by)) = held.end {
            return Err(BadToken::Ended { id, end, by: self.name_of(by) }.into());
        }
        if held.joiners.iter().any(|(known, _)| *known == joiner) {
            return Ok(Edited::Done);
        }
        if held.is_used_up() {
            let by = held.joiners.iter().map(|(joiner, _)| self.name_of(*joiner)).collect();
            return Err(BadToken::UsedUp { id, by }.into());
        }
        let mut uses = read::token_uses(self.replica, self.me);
        self.make_room(&mut uses)?;
        uses.0.push(TokenUse { token: id, joiner });
        self.replica.put_owned(RecordKey::token_uses(self.me), &uses, self.wall_ms);
        self.set_site(joiner, &held.token.site);
        Ok(Edited::Done)
    }

    /// Forgets what decides nothing: the oldest use of a token that has ended or may be used any
    /// number of times.
    fn make_room(&self, uses: &mut TokenUses) -> Result<(), BadToken> {
        if uses.0.len() < USES_KEPT_MAX {
            return Ok(());
        }
        let decides = |used: &TokenUse| {
            let state = read::token(self.replica, used.token);
            state.is_some_and(|state| state.end.is_none() && state.token.uses_max > 0)
        };
        let surplus = uses.0.iter().position(|used| !decides(used)).ok_or(BadToken::Full)?;
        uses.0.remove(surplus);
        Ok(())
    }

    fn set_site(&mut self, joiner: NodeId, site: &str) {
        let key = RecordKey::node_settings(joiner);
        let mut labels = labels(self.replica, &key);
        if site.is_empty() || labels.contains_key(SITE_LABEL) {
            return;
        }
        labels.insert(SITE_LABEL.to_owned(), site.to_owned());
        self.replica.edit_labels(key, &labels, self.wall_ms);
    }

    fn name_of(&self, node: NodeId) -> String {
        let name = self.catalog().hostname(node);
        if name.is_empty() { node.to_string() } else { name }
    }
}
