//! A machine with a token and a member, on loopback.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crdt_state::NodeId;
use crdt_state::token::TokenId;
use tokio::sync::oneshot;

use super::{JoinGrant, TokenService};
use crate::config::FleetKey;
use crate::identity::NodeKey;
use crate::transport::tests::{Peer, peer_with_timeout};
use crate::transport::{DialFailure, Dropped, tls};

const ID: TokenId = TokenId([7; 8]);

/// A member that knows one token.
struct OneToken {
    verifier: [u8; 32],
    answer: Result<JoinGrant, String>,
}

impl TokenService for OneToken {
    fn verifier(&self, token: TokenId) -> oneshot::Receiver<Option<[u8; 32]>> {
        let (send, receive) = oneshot::channel();
        let _ = send.send((token == ID).then_some(self.verifier));
        receive
    }

    fn redeem(&self, _: TokenId, _: NodeId) -> oneshot::Receiver<Result<JoinGrant, String>> {
        let (send, receive) = oneshot::channel();
        let _ = send.send(self.answer.clone());
        receive
    }
}

fn grant() -> JoinGrant {
    JoinGrant { fleet_key: FleetKey::from_bytes([3; 32]), fleet: "shop".to_owned() }
}

fn member(seed: u8, answer: Result<JoinGrant, String>) -> Peer {
    let peer = peer_with_timeout(seed, 3, "127.0.0.1:0", Duration::from_secs(5));
    peer.transport.admit_joiners(Arc::new(OneToken { verifier: [5; 32], answer }));
    peer
}

fn joiner() -> Peer {
    peer_with_timeout(1, 1, "127.0.0.1:0", Duration::from_secs(5))
}

async fn show(
    joiner: &Peer,
    addr: SocketAddr,
    verifier: u8,
) -> Result<(NodeId, JoinGrant), DialFailure> {
    joiner.transport.join_by_token(addr, (ID, [verifier; 32])).await
}

#[tokio::test]
async fn who_knows_the_token_gets_the_key_and_who_does_not_learns_nothing() {
    let (joiner, member) = (joiner(), member(2, Ok(grant())));
    assert_eq!(show(&joiner, member.addr(), 5).await, Ok((member.node, grant())));
    assert_eq!(show(&joiner, member.addr(), 6).await, Err(DialFailure::UnknownToken));
    let other = joiner.transport.join_by_token(member.addr(), (TokenId([8; 8]), [5; 32])).await;
    assert_eq!(other, Err(DialFailure::UnknownToken));
    assert_eq!(member.transport.counters().count(Dropped::UnknownToken), 2);
}

#[tokio::test]
async fn a_refusal_reaches_the_joiner_as_a_sentence_on_one_line() {
    let sentence = "the token is used up\nby \u{1b}[31mpi-2".to_owned();
    let (joiner, member) = (joiner(), member(2, Err(sentence)));
    let refused = DialFailure::TokenRefused("the token is used upby [31mpi-2".to_owned());
    assert_eq!(show(&joiner, member.addr(), 5).await, Err(refused));
}

/// Lets everybody in, without a look at the proof, and gives its own key.
async fn lie(endpoint: quinn::Endpoint) {
    let incoming = endpoint.accept().await.expect("somebody connects");
    let connection = incoming.await.expect("a handshake");
    let (mut send, _) = connection.accept_bi().await.expect("a stream");
    let proof = super::proof(&connection, &[6; 32], super::Side::Member).expect("a session");
    let answer = [&[super::GRANTED], proof.as_bytes().as_slice(), &[0, 32], &[4; 32]].concat();
    send.write_all(&answer).await.expect("sent");
    send.finish().expect("an open stream");
    connection.closed().await;
}

#[tokio::test]
async fn a_joiner_takes_no_key_from_somebody_who_does_not_know_its_token() {
    let joiner = joiner();
    let config = tls::server_config(&NodeKey::from_secret([9; 32]));
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let endpoint = quinn::Endpoint::server(config, any).expect("a free port");
    let addr = endpoint.local_addr().expect("an address");
    let liar = tokio::spawn(lie(endpoint));
    assert_eq!(show(&joiner, addr, 5).await, Err(DialFailure::UnknownToken));
    liar.await.expect("it gave its key");
}

#[tokio::test]
async fn many_wrong_tokens_from_an_address_have_to_wait() {
    let (joiner, member) = (joiner(), member(2, Ok(grant())));
    let mut last = Ok((member.node, grant()));
    for _ in 0..20 {
        last = show(&joiner, member.addr(), 6).await;
        if last == Err(DialFailure::TooManyTokens) {
            break;
        }
    }
    assert_eq!(last, Err(DialFailure::TooManyTokens));
    assert!(member.transport.counters().count(Dropped::UnknownToken) <= 10);
}
