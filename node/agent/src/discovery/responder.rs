//! Answers on one link who asks for a token of this fleet.
//!
//! In a fleet of many members all of them hear a query. Each waits a random time, and stays silent if enough
//! others have answered meanwhile.

use std::net::SocketAddrV4;
use std::time::Duration;

use crdt_state::read;
use crdt_state::token::TokenId;
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep_until};

use super::link;
use super::message::{self, Discovery};
use crate::handle::WeakHandle;
use crate::join_token;

/// An answer waits at least this long (RFC 6762, 6): others on the link may answer too.
const DELAY_MIN: Duration = Duration::from_millis(20);

/// And at most this long: 200 members send ten answers until three were heard everywhere.
pub(super) const DELAY_MAX: Duration = Duration::from_millis(200);

/// Answers of others after which this node is not needed.
const ENOUGH: usize = 3;

/// Queries that wait for their answer at most; a machine that joins asks again.
const WAITING_MAX: usize = 8;

/// Between two questions to the node about a token: whoever is on the link can ask as often as it likes.
const ASK_INTERVAL: Duration = Duration::from_millis(50);

/// Queries that are to be answered.
#[derive(Debug, Default)]
struct Waiting {
    queries: Vec<(TokenId, Instant, usize)>,
}

impl Waiting {
    fn add(&mut self, token: TokenId, at: Instant) {
        if self.queries.len() < WAITING_MAX {
            self.queries.push((token, at, 0));
        }
    }

    fn has(&self, token: TokenId) -> bool {
        self.queries.iter().any(|(of, ..)| *of == token)
    }

    /// Another member answered.
    fn on_answer(&mut self, token: TokenId) {
        for (of, _, heard) in &mut self.queries {
            *heard += usize::from(*of == token);
        }
        self.queries.retain(|(_, _, heard)| *heard < ENOUGH);
    }

    fn deadline(&self) -> Option<Instant> {
        self.queries.iter().map(|(_, at, _)| *at).min()
    }

    fn take_due(&mut self, now: Instant) -> Vec<TokenId> {
        let due = self.queries.extract_if(.., |(_, at, _)| *at <= now);
        due.map(|(token, ..)| token).collect()
    }
}

/// Answers until the link fails or the agent ends.
pub(super) async fn answer(socket: UdpSocket, addr: SocketAddrV4, agent: WeakHandle) {
    let mut waiting = Waiting::default();
    let mut asked_at: Option<Instant> = None;
    let mut bytes = [0; message::BYTES_MAX];
    loop {
        let len = match waiting.deadline() {
            None => socket.recv(&mut bytes).await,
            Some(at) => tokio::select! {
                received = socket.recv(&mut bytes) => received,
                () = sleep_until(at) => {
                    for token in waiting.take_due(Instant::now()) {
                        // Whoever asked asks again.
                        let _ = socket.send_to(&message::answer(token, addr), link::GROUP).await;
                    }
                    continue;
                }
            },
        };
        let Ok(len) = len else { return };
        match message::decode(&bytes[..len]) {
            Some(Discovery::Answer { token, .. }) => waiting.on_answer(token),
            Some(Discovery::Query(token)) if !waiting.has(token) => {
                let now = Instant::now();
                if asked_at.is_some_and(|at| now - at < ASK_INTERVAL) {
                    continue;
                }
                asked_at = Some(now);
                let Some(is_ours) = is_ours(&agent, token).await else { return };
                if is_ours {
                    waiting.add(token, now + delay());
                }
            }
            _ => {}
        }
    }
}

/// Does the fleet of this node have this token? Also one that has ended: the exchange says why it is not
/// taken. `None`: the agent ends.
async fn is_ours(agent: &WeakHandle, token: TokenId) -> Option<bool> {
    let agent = agent.upgrade()?;
    let key = agent.fleet_key();
    let held = agent.read(move |node| read::token(node.replica(), token)).await.ok()?;
    Some(held.is_some_and(|state| join_token::is_of(&state, &key)))
}

/// Another one for each member: they hear a query at the same time.
fn delay() -> Duration {
    let mut random = [0; 4];
    // Without random bytes all members of such machines answer together.
    let _ = getrandom::fill(&mut random);
    let range = (DELAY_MAX - DELAY_MIN).as_micros() as u32;
    DELAY_MIN + Duration::from_micros(u64::from(u32::from_le_bytes(random) % range))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: TokenId = TokenId([7; 8]);
    const OTHER: TokenId = TokenId([8; 8]);

    #[test]
    fn a_member_stays_silent_when_enough_others_answered() {
        let (mut waiting, at) = (Waiting::default(), Instant::now() + DELAY_MAX);
        waiting.add(TOKEN, at);
        waiting.add(OTHER, at);
        (0..ENOUGH - 1).for_each(|_| waiting.on_answer(TOKEN));
        assert!(waiting.has(TOKEN), "a lost answer of three leaves two");
        waiting.on_answer(TOKEN);
        assert_eq!(waiting.take_due(at), [OTHER]);
    }

    #[test]
    fn queries_that_wait_are_bounded_and_answered_once() {
        let (mut waiting, at) = (Waiting::default(), Instant::now() + DELAY_MIN);
        (0..200).for_each(|n| waiting.add(TokenId([n; 8]), at));
        let early = at - Duration::from_millis(1);
        assert!(waiting.take_due(early).is_empty(), "not before their time");
        assert_eq!(waiting.take_due(at).len(), WAITING_MAX);
        assert_eq!(waiting.deadline(), None);
    }
}
