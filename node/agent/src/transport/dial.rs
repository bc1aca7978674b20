//! Connections that this node dials: the handshake, the proof, and why there is none.

use std::net::SocketAddr;
use std::sync::Arc;

use crdt_state::NodeId;
use crdt_state::token::TokenId;
use quinn::Connection;
use tokio::time::timeout;

use super::admission::{Admission, ConnectionPurpose, NotAdmitted};
use super::counters::Dropped;
use super::members::Standing;
use super::peers::Dialler;
use super::tls::{self, Close};
use super::token_exchange::{self, JoinGrant, NotGranted};
use super::{Arrival, Shared, accept, copy};
use crate::config::FleetKey;

/// The name that TLS requires; nothing checks it.
const SERVER_NAME: &str = "edge";

/// Why there is no connection. Apart from the attempt nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialFailure {
    /// No answer.
    #[error(
        "nobody answered\n  see that an agent runs there, that UDP reaches it (firewall), and that \
         the address is right"
    )]
    NoAnswer,
    /// A node answered that is no member of this fleet.
    #[error(
        "it has another fleet key, or the key was replaced there\n  join by a token: edgectl swarm \
         join-token, on that machine; or give both nodes the same fleet_key"
    )]
    OtherFleet,
    /// Operators removed this node from the fleet.
    #[error(
        "this node was removed from the fleet there, and its key is refused for ever\n  \
         to join as a new node: edgectl node rekey, then edgectl swarm join --token …"
    )]
    Evicted,
    /// Operators removed the node that answered from the fleet.
    #[error("the node there was removed from this fleet\n  edgectl swarm join another member")]
    EvictedPeer,
    /// The fleet does not have the token.
    #[error(
        "this token is not known there: it is of another fleet, or was made on nodes that this member \
         does not hear\n  edgectl swarm join-token, on that machine, prints one that it knows"
    )]
    UnknownToken,
    /// Many machines at this one's address showed wrong tokens.
    #[error("too many wrong tokens came from this address\n  wait ten seconds, and type it again")]
    TooManyTokens,
    /// A member of the token's fleet does not let this node in.
    #[error("{0}")]
    TokenRefused(String),
    /// Whatever answered is not an agent of this version.
    #[error("what answered is not an agent that this one understands: {0}")]
    NotAnAgent(String),
    /// It is this node.
    #[error("it is this node itself")]
    Myself,
    /// Another machine with the key of this node.
    #[error(
        "the machine at {0} has the key of this node: one of the two is a copy of the other's disk\n  on the \
         copy: edgectl node rekey --force, then edgectl swarm join --token …"
    )]
    Copied(SocketAddr),
    /// Another node than expected answered.
    #[error("another node answered: {0}")]
    OtherNode(NodeId),
    /// The system refused to send.
    #[error("it cannot be dialled: {0}")]
    Impossible(String),
}

/// Connects to the node at an address, and reports the result.
pub(super) async fn connect(shared: Arc<Shared>, addr: SocketAddr) {
    let known = shared.peers().at(addr);
    let arrival = match known {
        Some(node) => Arrival::Connected { node, addr },
        None => match dial(&shared, addr, ConnectionPurpose::Meet).await {
            Ok((node, _)) => Arrival::Connected { node, addr },
            Err(why) => Arrival::NotConnected { addr, why },
        },
    };
    let _ = shared.inbox.send(arrival).await;
}

/// Dials and proves membership, within the deadline. Adds the connection to the table and serves
/// it.
pub(super) async fn dial(
    shared: &Arc<Shared>,
    addr: SocketAddr,
    purpose: ConnectionPurpose,
) -> Result<(NodeId, Connection), DialFailure> {
    let (node, connection) = shake_hands(shared, addr, purpose, None).await?;
    shared.welcome(node, Dialler::Me, &connection);
    tokio::spawn(accept::serve(Arc::clone(shared), node, connection.clone()));
    Ok((node, connection))
}

/// A connection with exactly this node: an open one, or a new one.
pub(super) async fn reach(
    shared: &Arc<Shared>,
    to: NodeId,
    addr: SocketAddr,
) -> Result<Connection, DialFailure> {
    let dialling = shared.peers().dialling(to);
    let _turn = dialling.lock().await;
    let known = shared.peers().best(shared.me, to);
    if let Some(connection) = known {
        return Ok(connection);
    }
    let dialled = dial(shared, addr, ConnectionPurpose::Talk).await;
    shared.peers().forget_if_idle(to);
    let (node, connection) = dialled?;
    if node != to {
        // The connection is kept for the node that answered; the message is not sent to it.
        shared.counters.on_dropped(Dropped::OtherNode);
        return Err(DialFailure::OtherNode(node));
    }
    Ok(connection)
}

/// Finds out which node listens at an address, and whether it is of the fleet with this key. Keeps
/// no connection.
pub(super) async fn probe(
    shared: Arc<Shared>,
    addr: SocketAddr,
    key: FleetKey,
) -> Result<NodeId, DialFailure> {
    let admission = Admission::new(&key);
    let (node, connection) =
        shake_hands(&shared, addr, ConnectionPurpose::Talk, Some(&admission)).await?;
    connection.close(Close::Going.code(), b"only looked");
    Ok(node)
}

/// Asks the node at an address for the key of its fleet, by a token. Keeps no connection.
pub(super) async fn join_by_token(
    shared: Arc<Shared>,
    addr: SocketAddr,
    token: (TokenId, [u8; 32]),
) -> Result<(NodeId, JoinGrant), DialFailure> {
    let asking = async {
        let (node, connection) = meet(&shared, addr).await?;
        let granted = token_exchange::ask(&connection, (token.0, &token.1)).await;
        let granted = granted.map_err(|why| match why {
            NotGranted::Unknown => DialFailure::UnknownToken,
            NotGranted::Refused(sentence) => DialFailure::TokenRefused(sentence),
            NotGranted::Broken => connection.close_reason().map_or(DialFailure::NoAnswer, sort),
        });
        connection.close(Close::Going.code(), b"asked");
        Ok((node, granted?))
    };
    // The member writes down whom it lets in, perhaps on a slow disk.
    timeout(3 * shared.dial_deadline, asking).await.unwrap_or(Err(DialFailure::NoAnswer))
}

/// Connects to the node at an address, and learns who it is.
pub(super) async fn meet(
    shared: &Shared,
    addr: SocketAddr,
) -> Result<(NodeId, Connection), DialFailure> {
    let connecting = shared
        .endpoint
        .connect_with(shared.client.clone(), addr, SERVER_NAME)
        .map_err(|error| DialFailure::Impossible(error.to_string()))?;
    let connection = timeout(shared.dial_deadline, connecting).await;
    let connection = connection.map_err(|_| DialFailure::NoAnswer)?.map_err(sort)?;
    let node = tls::peer(&connection)
        .ok_or_else(|| DialFailure::NotAnAgent("it shows no key".to_owned()))?;
    if node == shared.me {
        let copy = copy::ask(shared, &connection).await;
        return Err(copy.map_or(DialFailure::Myself, |copy| DialFailure::Copied(copy.addr)));
    }
    if shared.evicted.contains(node) {
        connection.close(Close::Evicted.code(), b"removed from the fleet");
        return Err(DialFailure::EvictedPeer);
    }
    Ok((node, connection))
}

/// Meets a node, and proves membership. `of_key`: it has to be of the fleet with that key, also if it is
/// a member of this one.
pub(super) async fn shake_hands(
    shared: &Shared,
    addr: SocketAddr,
    purpose: ConnectionPurpose,
    of_key: Option<&Admission>,
) -> Result<(NodeId, Connection), DialFailure> {
    let handshake = async {
        let (node, connection) = meet(shared, addr).await?;
        let standing = match of_key {
            Some(_) => Standing::Stranger,
            None => shared.members.standing(node),
        };
        let admission = of_key.unwrap_or(&shared.admission);
        match admission.ask(&connection, purpose, standing).await {
            Ok(()) => Ok((node, connection)),
            Err(NotAdmitted::OtherFleet) => {
                shared.counters.on_dropped(Dropped::OtherFleet);
                connection.close(Close::OtherFleet.code(), b"another fleet key");
                Err(DialFailure::OtherFleet)
            }
            Err(NotAdmitted::Broken) => {
                Err(connection.close_reason().map_or(DialFailure::NoAnswer, sort))
            }
        }
    };
    timeout(shared.dial_deadline, handshake).await.unwrap_or(Err(DialFailure::NoAnswer))
}

fn sort(error: quinn::ConnectionError) -> DialFailure {
    use quinn::ConnectionError as E;
    match error {
        E::TimedOut | E::Reset | E::LocallyClosed => DialFailure::NoAnswer,
        E::ApplicationClosed(close) if close.error_code == Close::Myself.code() => {
            DialFailure::Myself
        }
        E::ApplicationClosed(close) if close.error_code == Close::UnknownToken.code() => {
            DialFailure::UnknownToken
        }
        E::ApplicationClosed(close) if close.error_code == Close::Evicted.code() => {
            DialFailure::Evicted
        }
        E::ApplicationClosed(close) if close.error_code == Close::TooManyTokens.code() => {
            DialFailure::TooManyTokens
        }
        E::ApplicationClosed(close) if close.error_code == Close::Going.code() => {
            DialFailure::NoAnswer
        }
        E::ConnectionClosed(close)
            if close.error_code == quinn::TransportErrorCode::CONNECTION_REFUSED =>
        {
            DialFailure::NoAnswer
        }
        error => DialFailure::NotAnAgent(error.to_string()),
    }
}
