//! Proof of membership, after both sides have shown their keys: a hash of this TLS session, keyed
//! with the fleet key and with a different label for each side. A recorded or relayed proof fits no
//! other session. A member that the other side knows by its key needs no proof.
//!
//! ```text
//! dialler ── version, purpose, proof ──▶ acceptor
//!         ◀────────── proof ──────────
//! ```
//! Before this exchange nothing else is read from a connection, and nothing is sent on it.

use std::sync::RwLock;

use quinn::{Connection, RecvStream, SendStream};

use super::members::Standing;
use crate::config::FleetKey;

/// Version of this exchange.
pub(super) const VERSION: u8 = 1;

/// The purpose of a machine that has a join token and not yet the fleet's key.
pub(super) const TOKEN_PURPOSE: u8 = 2;

const PROOF_BYTES: usize = blake3::OUT_LEN;

/// Why a connection was dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionPurpose {
    /// To carry messages between nodes that know each other.
    Talk,
    /// To make two nodes known to each other.
    Meet,
}

/// Who opened the first stream of a connection.
pub(super) enum Dialler {
    /// A member, which has proved that.
    Member(ConnectionPurpose),
    /// A machine that wants to join by a token; nothing is proved yet.
    Joiner(SendStream, RecvStream),
}

#[derive(Debug, Clone, Copy)]
enum Role {
    Dialler,
    Acceptor,
}

/// Why the exchange failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotAdmitted {
    /// The proof is wrong: another fleet.
    OtherFleet,
    /// The other side stopped, or uses another version.
    Broken,
}

/// Gives and checks proofs.
pub(super) struct Admission {
    /// `None`: the fleet has another key, which this node has not got yet.
    key: RwLock<Option<[u8; 32]>>,
}

impl Admission {
    pub(super) fn new(fleet_key: &FleetKey) -> Admission {
        Admission { key: RwLock::new(Some(derived(fleet_key))) }
    }

    /// From now on gives and checks proofs with another key; `None`: with none.
    pub(super) fn set_key(&self, fleet_key: Option<&FleetKey>) {
        *self.key.write().expect("nothing panics while it holds the key") = fleet_key.map(derived);
    }

    /// The dialler's side.
    pub(super) async fn ask(
        &self,
        connection: &Connection,
        purpose: ConnectionPurpose,
        standing: Standing,
    ) -> Result<(), NotAdmitted> {
        let (mut send, mut receive) = connection.open_bi().await.map_err(closed)?;
        let mut hello = vec![VERSION, purpose_byte(purpose)];
        hello.extend_from_slice(self.given(connection, Role::Dialler, purpose)?.as_bytes());
        send.write_all(&hello).await.map_err(|_| failed(connection))?;
        let _ = send.finish();
        let found = read_proof(&mut receive).await.map_err(|_| failed(connection))?;
        Admission::check(standing, self.proof(connection, Role::Acceptor, purpose)?, found)
    }

    /// The acceptor's side.
    pub(super) async fn admit(
        &self,
        connection: &Connection,
        standing: Standing,
    ) -> Result<Dialler, NotAdmitted> {
        let (mut send, mut receive) = connection.accept_bi().await.map_err(closed)?;
        let mut head = [0; 2];
        receive.read_exact(&mut head).await.map_err(|_| NotAdmitted::Broken)?;
        let purpose = match head {
            [VERSION, 0] => ConnectionPurpose::Talk,
            [VERSION, 1] => ConnectionPurpose::Meet,
            [VERSION, TOKEN_PURPOSE] => return Ok(Dialler::Joiner(send, receive)),
            _ => return Err(NotAdmitted::Broken),
        };
        let found = read_proof(&mut receive).await?;
        Admission::check(standing, self.proof(connection, Role::Dialler, purpose)?, found)?;
        let proof = self.given(connection, Role::Acceptor, purpose)?;
        send.write_all(proof.as_bytes()).await.map_err(|_| NotAdmitted::Broken)?;
        let _ = send.finish();
        Ok(Dialler::Member(purpose))
    }

    fn check(
        standing: Standing,
        wanted: Option<blake3::Hash>,
        found: blake3::Hash,
    ) -> Result<(), NotAdmitted> {
        if standing == Standing::Member || wanted == Some(found) {
            Ok(())
        } else {
            Err(NotAdmitted::OtherFleet)
        }
    }

    /// The proof that is sent: without a key one that nobody takes.
    fn given(
        &self,
        connection: &Connection,
        role: Role,
        purpose: ConnectionPurpose,
    ) -> Result<blake3::Hash, NotAdmitted> {
        let proof = self.proof(connection, role, purpose)?;
        Ok(proof.unwrap_or_else(|| blake3::Hash::from_bytes([0; PROOF_BYTES])))
    }

    fn proof(
        &self,
        connection: &Connection,
        role: Role,
        purpose: ConnectionPurpose,
    ) -> Result<Option<blake3::Hash>, NotAdmitted> {
        let mut session = [0; 32];
        connection
            .export_keying_material(&mut session, b"edgectl admission 1", &[])
            .map_err(|_| NotAdmitted::Broken)?;
        let word: &[u8] = match role {
            Role::Dialler => b"dialler",
            Role::Acceptor => b"acceptor",
        };
        let key = *self.key.read().expect("nothing panics while it holds the key");
        Ok(key.map(|key| {
            let mut hasher = blake3::Hasher::new_keyed(&key);
            hasher.update(&session).update(&[purpose_byte(purpose)]).update(word);
            hasher.finalize()
        }))
    }
}

fn derived(fleet_key: &FleetKey) -> [u8; 32] {
    blake3::derive_key("edgectl admission 1", fleet_key.bytes())
}

fn purpose_byte(purpose: ConnectionPurpose) -> u8 {
    match purpose {
        ConnectionPurpose::Talk => 0,
        ConnectionPurpose::Meet => 1,
    }
}

async fn read_proof(receive: &mut RecvStream) -> Result<blake3::Hash, NotAdmitted> {
    let mut bytes = [0; PROOF_BYTES];
    receive.read_exact(&mut bytes).await.map_err(|_| NotAdmitted::Broken)?;
    Ok(blake3::Hash::from_bytes(bytes))
}

fn failed(connection: &Connection) -> NotAdmitted {
    connection.close_reason().map_or(NotAdmitted::Broken, closed)
}

fn closed(error: quinn::ConnectionError) -> NotAdmitted {
    match error {
        quinn::ConnectionError::ApplicationClosed(close)
            if close.error_code == super::tls::Close::OtherFleet.code() =>
        {
            NotAdmitted::OtherFleet
        }
        _ => NotAdmitted::Broken,
    }
}
