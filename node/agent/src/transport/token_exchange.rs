//! Joining by token: a machine that has no key of the fleet gets it from a member.
//!
//! ```text
//! joiner ── version, 2, token's number (8), proof ──▶ member
//!        ◀── answer, proof, length (2), key and name of the fleet, or a sentence ──
//! ```
//! Both have shown their keys before, as on every connection. The proofs are hashes of this TLS
//! session, keyed with the token's verifier and with a different label for each side: the joiner
//! takes nothing from anybody who does not know its token, and a proof fits no other session. To a
//! joiner whose proof is wrong nothing is said but that.

use std::time::Instant;

use crdt_state::NodeId;
use crdt_state::token::TokenId;
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::oneshot;

use super::Shared;
use super::admission::{TOKEN_PURPOSE, VERSION};
use super::counters::Dropped;
use super::tls::Close;
use crate::config::FleetKey;

const GRANTED: u8 = 0;
const REFUSED: u8 = 1;

const PROOF_BYTES: usize = blake3::OUT_LEN;

/// The longest answer: a sentence with a few host names.
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// What a joiner gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinGrant {
    /// The key of the fleet.
    pub fleet_key: FleetKey,
    /// The name of the fleet, for display.
    pub fleet: String,
}

/// Who knows the fleet's tokens. Must not block.
pub trait TokenService: Send + Sync {
    /// The verifier of a token, if the fleet has it.
    fn verifier(&self, token: TokenId) -> oneshot::Receiver<Option<[u8; 32]>>;

    /// Lets a node in that has proved to know the token, or says why not, as a sentence. Answered
    /// when what was decided is on disk.
    fn redeem(
        &self,
        token: TokenId,
        joiner: NodeId,
    ) -> oneshot::Receiver<Result<JoinGrant, String>>;
}

#[derive(Debug, Clone, Copy)]
enum Side {
    Joiner,
    Member,
}

fn proof(connection: &Connection, verifier: &[u8; 32], side: Side) -> Option<blake3::Hash> {
    let mut session = [0; 32];
    connection.export_keying_material(&mut session, b"edgectl token 1", &[]).ok()?;
    let word: &[u8] = match side {
        Side::Joiner => b"joiner",
        Side::Member => b"member",
    };
    let mut hasher = blake3::Hasher::new_keyed(verifier);
    hasher.update(&session).update(word);
    Some(hasher.finalize())
}

/// The member's side, after version and purpose were read. The connection is of no further use.
pub(super) async fn answer(
    shared: &Shared,
    connection: &Connection,
    (mut send, mut receive): (SendStream, RecvStream),
    joiner: NodeId,
) {
    let ip = connection.remote_address().ip();
    if shared.attempts.is_over(ip, Instant::now()) {
        shared.counters.on_dropped(Dropped::TokenFlood);
        connection.close(Close::TooManyTokens.code(), b"too many wrong tokens");
        return;
    }
    let Some((token, found)) = read_hello(&mut receive).await else {
        shared.counters.on_dropped(Dropped::Handshake);
        return;
    };
    let service = shared.tokens.get();
    let verifier = match service {
        Some(service) => service.verifier(token).await.ok().flatten(),
        None => None,
    };
    let wanted = verifier.and_then(|verifier| proof(connection, &verifier, Side::Joiner));
    let (Some(service), Some(verifier)) = (service, verifier.filter(|_| wanted == Some(found)))
    else {
        shared.counters.on_dropped(Dropped::UnknownToken);
        shared.attempts.on_failed(ip, Instant::now());
        connection.close(Close::UnknownToken.code(), b"unknown token");
        return;
    };
    let Ok(answer) = service.redeem(token, joiner).await else { return };
    let (word, content) = match answer {
        Ok(grant) => (GRANTED, [grant.fleet_key.bytes(), grant.fleet.as_bytes()].concat()),
        Err(sentence) => (REFUSED, sentence.into_bytes()),
    };
    let Some(proof) = proof(connection, &verifier, Side::Member) else { return };
    let content = &content[..content.len().min(ANSWER_BYTES_MAX)];
    let length = u16::try_from(content.len()).expect("it was cut").to_be_bytes();
    let bytes = [&[word], proof.as_bytes().as_slice(), &length, content].concat();
    if send.write_all(&bytes).await.is_ok() && send.finish().is_ok() {
        let _ = send.stopped().await;
    }
}

async fn read_hello(receive: &mut RecvStream) -> Option<(TokenId, blake3::Hash)> {
    let mut id = [0; 8];
    receive.read_exact(&mut id).await.ok()?;
    let mut proof = [0; PROOF_BYTES];
    receive.read_exact(&mut proof).await.ok()?;
    Some((TokenId(id), blake3::Hash::from_bytes(proof)))
}

/// Why a joiner got no key.
pub(super) enum NotGranted {
    /// Who answered does not know the token.
    Unknown,
    /// A member of the token's fleet says why.
    Refused(String),
    /// The connection broke.
    Broken,
}

/// The joiner's side.
pub(super) async fn ask(
    connection: &Connection,
    (token, verifier): (TokenId, &[u8; 32]),
) -> Result<JoinGrant, NotGranted> {
    let (mut send, mut receive) = connection.open_bi().await.map_err(|_| NotGranted::Broken)?;
    let own = proof(connection, verifier, Side::Joiner).ok_or(NotGranted::Broken)?;
    let hello = [&[VERSION, TOKEN_PURPOSE], token.0.as_slice(), own.as_bytes()].concat();
    send.write_all(&hello).await.map_err(|_| NotGranted::Broken)?;
    let _ = send.finish();
    let answer = receive.read_to_end(1 + PROOF_BYTES + 2 + ANSWER_BYTES_MAX).await;
    let answer = answer.map_err(|_| NotGranted::Broken)?;
    let (word, rest) = answer.split_first().ok_or(NotGranted::Broken)?;
    let (found, rest) = rest.split_first_chunk::<PROOF_BYTES>().ok_or(NotGranted::Broken)?;
    let wanted = proof(connection, verifier, Side::Member).ok_or(NotGranted::Broken)?;
    if wanted != blake3::Hash::from_bytes(*found) {
        // Nothing that it says is believed.
        return Err(NotGranted::Unknown);
    }
    let (_, content) = rest.split_first_chunk::<2>().ok_or(NotGranted::Broken)?;
    let text = |bytes: &[u8]| -> String {
        String::from_utf8_lossy(bytes).chars().filter(|c| !c.is_control()).collect()
    };
    match (*word, content.split_first_chunk::<32>()) {
        (GRANTED, Some((key, fleet))) => {
            Ok(JoinGrant { fleet_key: FleetKey::from_bytes(*key), fleet: text(fleet) })
        }
        (REFUSED, _) => Err(NotGranted::Refused(text(content))),
        _ => Err(NotGranted::Broken),
    }
}

#[cfg(test)]
mod tests;
