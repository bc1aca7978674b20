//! Lets machines in that show a join token: asks the node, which writes down who was let in before it
//! answers.

use crdt_state::read::TokenState;
use crdt_state::token::TokenId;
use crdt_state::{NodeId, read};
use node_core::Edit;
use tokio::sync::oneshot;

use super::handle::WeakHandle;
use crate::join_token;
use crate::transport::{JoinGrant, TokenService};

/// The service of one agent.
pub(super) struct Tokens {
    pub(super) handle: WeakHandle,
    pub(super) background: tokio::runtime::Handle,
}

impl TokenService for Tokens {
    fn verifier(&self, token: TokenId) -> oneshot::Receiver<Option<[u8; 32]>> {
        let (answer, answered) = oneshot::channel();
        if let Some(handle) = self.handle.upgrade() {
            self.background.spawn(async move {
                let key = handle.fleet_key();
                let state = handle.read(move |node| read::token(node.replica(), token)).await;
                // One that has ended is not taken, and its holder is told why.
                let is_known =
                    |state: &TokenState| state.end.is_some() || join_token::is_of(state, &key);
                let state = state.ok().flatten().filter(is_known);
                // The joiner may be gone.
                let _ = answer.send(state.map(|state| state.token.verifier));
            });
        }
        answered
    }

    fn redeem(
        &self,
        token: TokenId,
        joiner: NodeId,
    ) -> oneshot::Receiver<Result<JoinGrant, String>> {
        let (answer, answered) = oneshot::channel();
        if let Some(handle) = self.handle.upgrade() {
            self.background.spawn(async move {
                let edited = handle.edit(Edit::UseToken { id: token, joiner }).await;
                let granted = match edited {
                    Ok(Ok(_)) => Ok(JoinGrant {
                        fleet_key: handle.fleet_key(),
                        fleet: handle.config().fleet.clone(),
                    }),
                    Ok(Err(refusal)) => Err(refusal.to_string()),
                    Err(unanswered) => Err(format!(
                        "the member that was asked cannot write down that this node joins: {unanswered}"
                    )),
                };
                // The joiner may be gone; what was written stays, and it may ask again.
                let _ = answer.send(granted);
            });
        }
        answered
    }
}
