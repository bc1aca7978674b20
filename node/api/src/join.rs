//! `POST /swarm/join`: tries the given addresses, and reports the result for each.
//!
//! ```text
//! token, addresses ──understood?──▶ names ──resolved?──▶ hands shaken ──▶ known to each other
//!        400                           each failure is told: 503
//! ```
//! Without an address, members are looked for on the networks of this machine ([`node_agent::NotFound`]).
//! An address where nobody answers yet is retried in the background, with the key that this node
//! has; an address that refuses is not. A node that is alone gets the key of the fleet from the member
//! to which it shows a token, and takes it over; a node with members keeps its own key.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use crdt_state::read::TokenState;
use crdt_state::{NodeId, read};
use futures_util::future::join_all;
use gossip::MemberState;
use tokio::time::{Instant, timeout, timeout_at};

use super::failure::Failure;
use super::snapshot::Snapshot;
use super::{Api, Sent, swarm};
use node_agent::NotTakenOver;
use node_agent::config::{AGENT_PORT, FleetKey, JoinAddr};
use node_agent::join_token::{self, TokenText};
use node_agent::transport::DialFailure;
use node_docker::read as read_body;
use node_docker::system::{JoinAnswer, JoinRequest};

/// A name server must answer within this time; otherwise the name is resolved in the background.
const LOOK_UP_MAX: Duration = Duration::from_secs(5);

/// Addresses in one request, as many as gossip keeps.
const ADDRESSES_MAX: usize = 64;

/// How long it may take until a contacted node is known as a member. A handshake takes two round
/// trips, a second try one second more.
const KNOWN_WAIT: Duration = Duration::from_secs(5);

/// Advice for an address where nobody answers.
const CHECK: &str =
    "Check the address, that an agent runs there, and that UDP port 7946 is open on both sides";

/// Whether an address where nobody answers is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Later {
    Asked,
    Forgotten,
}

/// What a node shows to become a member.
enum Pass {
    /// The key of a fleet: of this node's own, or an old token.
    Key(FleetKey),
    /// A token.
    Token(TokenText),
}

/// The result for one address.
enum Outcome {
    /// A node of the fleet listens there; with the key that it gave, if it was asked for one.
    Met(NodeId, Option<FleetKey>),
    /// The reason, and what to do.
    Refused(String),
    /// Nobody answers there yet.
    Silent(String),
}

/// `POST /swarm/join`.
pub async fn join(State(api): State<Api>, body: Sent) -> Result<Json<JoinAnswer>, Failure> {
    let body = body?;
    let request: JoinRequest = read_body(&body)?;
    let addrs = addresses(&request)?;
    let snapshot = Snapshot::latest(&api).await?;
    swarm::check_options(&body, &request.availability, "joins")?;
    swarm::check_listening(&request.listen_addr, &api)?;
    swarm::check_advertised(&request.advertise_addr, &snapshot)?;
    swarm::check_advertised(&request.data_path_addr, &snapshot)?;
    let ours = api.handle.fleet_key();
    let pass = pass(&api, &request.join_token).await?;
    let other = match &pass {
        Pass::Key(key) if *key == ours => None,
        pass => Some(pass),
    };
    if other.is_some() {
        check_may_change(&api, &snapshot)?;
    }
    let addrs = if addrs.is_empty() { found(&api, &pass).await? } else { addrs };
    let (other, outcomes) = match &pass {
        Pass::Key(key) => {
            let outcomes = join_all(addrs.iter().map(|addr| ask(&api, addr, &pass))).await;
            (other.map(|_| key.clone()), outcomes)
        }
        Pass::Token(_) => show_token(&api, &addrs, &pass).await,
    };
    let met: BTreeSet<NodeId> = outcomes.iter().filter_map(Outcome::node).collect();
    // Later tries use the key that this node has.
    let is_token = matches!(pass, Pass::Token(_));
    let is_other = other.is_some() || is_token;
    let later = if met.is_empty() && is_other { Later::Forgotten } else { Later::Asked };
    if let (false, Some(key)) = (met.is_empty(), other) {
        let failed = |error: NotTakenOver| Failure::Unavailable(error.to_string());
        api.handle.take_over(key).await.map_err(failed)?;
    }
    for (addr, outcome) in addrs.iter().zip(&outcomes) {
        if later == Later::Asked && !matches!(outcome, Outcome::Refused(_)) {
            api.handle.join(addr.clone()).await?;
        }
    }
    let told = addrs.iter().zip(&outcomes).filter_map(|(addr, outcome)| outcome.told(addr, later));
    let refused: Vec<String> = told.collect();
    if met.is_empty() {
        return Err(Failure::Unavailable(refused.join("\n")));
    }
    if met.iter().all(|node| is_active(&snapshot, *node)) {
        return Err(already(&snapshot, &refused));
    }
    let snapshot = until_known(&api, &met).await?;
    Ok(Json(JoinAnswer { met: met.iter().map(|id| snapshot.hostname(*id)).collect(), refused }))
}

impl Outcome {
    fn node(&self) -> Option<NodeId> {
        match self {
            Outcome::Met(node, _) => Some(*node),
            Outcome::Refused(_) | Outcome::Silent(_) => None,
        }
    }

    fn told(&self, addr: &JoinAddr, later: Later) -> Option<String> {
        match self {
            Outcome::Met(..) => None,
            Outcome::Refused(why) => Some(format!("cannot join through {addr}: {why}")),
            Outcome::Silent(why) => Some(match later {
                Later::Asked => format!(
                    "no answer from {addr}: {why}; the attempt goes on in the background, and \
                     `edgectl status` shows when it has joined. {CHECK}"
                ),
                Later::Forgotten => format!("no answer from {addr}: {why}; type it again. {CHECK}"),
            }),
        }
    }
}

fn addresses(request: &JoinRequest) -> Result<Vec<JoinAddr>, Failure> {
    let texts = &request.remote_addrs;
    if texts.is_empty() && request.join_token.is_empty() {
        return Err(Failure::Bad(
            "neither a token nor an address to join by\n\
             try: edgectl swarm join-token, on a node of the fleet: it prints what to type here"
                .to_owned(),
        ));
    }
    if texts.len() > ADDRESSES_MAX {
        return Err(Failure::Bad(format!(
            "{} addresses are too many; {ADDRESSES_MAX} at most, and one that answers is enough",
            texts.len()
        )));
    }
    let parse = |text: &String| {
        let addr = text.parse::<JoinAddr>();
        addr.map_err(|bad| Failure::Bad(format!("cannot join `{text}`: {bad}")))
    };
    texts.iter().map(parse).collect()
}

/// Members of the fleet of a token, where the request names none.
async fn found(api: &Api, pass: &Pass) -> Result<Vec<JoinAddr>, Failure> {
    let Pass::Token(token) = pass else {
        return Err(Failure::Bad(
            "members are not looked for by this token\n\
             why: it is of the fleet that this node is in, or of an old kind, which has no number\n\
             try: edgectl swarm join --token TOKEN ADDRESS, with the address of a node of the fleet"
                .to_owned(),
        ));
    };
    api.handle.find_members(token).await.map_err(|why| {
        Failure::Unavailable(format!(
            "{why}\n\
             try: edgectl swarm join --token TOKEN ADDRESS, with the address of a node of the fleet"
        ))
    })
}

/// What a request shows. A token of this node's own fleet asks for nothing that it does not have.
async fn pass(api: &Api, text: &str) -> Result<Pass, Failure> {
    let ours = api.handle.fleet_key();
    if text.is_empty() {
        return Ok(Pass::Key(ours));
    }
    // A token that was cut short must not pass for a key in base64.
    if let (false, Ok(key)) = (TokenText::is_meant(text), FleetKey::from_token(text)) {
        return Ok(Pass::Key(key));
    }
    let token: TokenText = text.parse().map_err(|bad| {
        Failure::Bad(format!(
            "the token is not one\nwhy: {bad}\n\
             try: edgectl swarm join-token, on a node of the fleet: it prints what to type here"
        ))
    })?;
    let id = token.id();
    let held = api.read(move |node, _| read::token(node.replica(), id)).await?;
    let is_ours = |state: &TokenState| {
        join_token::is_of(state, &ours) && state.token.verifier == token.verifier()
    };
    Ok(if held.is_some_and(|state| is_ours(&state)) { Pass::Key(ours) } else { Pass::Token(token) })
}

/// Shows a token to one address after the other: whoever takes it answers for the fleet.
async fn show_token(
    api: &Api,
    addrs: &[JoinAddr],
    pass: &Pass,
) -> (Option<FleetKey>, Vec<Outcome>) {
    let mut outcomes = Vec::new();
    let mut granted: Option<FleetKey> = None;
    for addr in addrs {
        let outcome = match &granted {
            None => ask(api, addr, pass).await,
            Some(key) => ask(api, addr, &Pass::Key(key.clone())).await,
        };
        if let Outcome::Met(_, Some(key)) = &outcome {
            granted = Some(key.clone());
        }
        outcomes.push(outcome);
    }
    (granted, outcomes)
}

/// May this node join another fleet?
fn check_may_change(api: &Api, snapshot: &Snapshot) -> Result<(), Failure> {
    let others = snapshot.nodes.iter().filter(|row| !row.is_me && row.state != MemberState::Left);
    match others.count() {
        0 if api.handle.config().fleet_key.is_none() => Ok(()),
        0 => Err(Failure::Conflict(
            "the token is of a fleet with another fleet key\n\
             why: the key of this node is set in its configuration, which outlives a join\n\
             try: put the fleet's key into edge.toml (fleet_key or fleet_key_file) or leave it out \
             there, start the agent again, and join"
                .to_owned(),
        )),
        others => Err(Failure::Unavailable(format!(
            "the token is of another fleet, and this node is already part of a swarm of {} nodes\n\
             try: edgectl swarm leave, to leave it",
            others + 1
        ))),
    }
}

/// Tries every address of a name; one that answers is enough.
async fn ask(api: &Api, name: &JoinAddr, pass: &Pass) -> Outcome {
    let addrs = match timeout(LOOK_UP_MAX, api.handle.look_up(name)).await {
        Ok(Ok(addrs)) => addrs,
        Ok(Err(why)) => {
            return Outcome::Silent(why.to_string());
        }
        Err(_) => {
            let waited = LOOK_UP_MAX.as_secs();
            return Outcome::Silent(format!("no name server answered within {waited} s"));
        }
    };
    let mut last = None;
    for addr in addrs {
        match probe(api, addr, pass).await {
            Outcome::Met(node, key) => return Outcome::Met(node, key),
            other => last = Some(other),
        }
    }
    last.unwrap_or_else(|| Outcome::Refused("it has no address".to_owned()))
}

async fn probe(api: &Api, addr: SocketAddr, pass: &Pass) -> Outcome {
    let met = match pass {
        Pass::Key(key) => api.handle.probe(addr, key).await.map(|node| Outcome::Met(node, None)),
        Pass::Token(token) => {
            let granted = api.handle.join_by_token(addr, token).await;
            granted.map(|(node, grant)| Outcome::Met(node, Some(grant.fleet_key)))
        }
    };
    match met {
        Ok(met) => met,
        Err(DialFailure::NoAnswer) => Outcome::Silent("nobody is there".to_owned()),
        Err(DialFailure::OtherFleet) => Outcome::Refused(
            "it has another fleet key\n\
             try: edgectl swarm join-token, on that machine: it prints what to type here"
                .to_owned(),
        ),
        Err(why) => Outcome::Refused(why.to_string().replace("\n  ", "\ntry: ")),
    }
}

fn is_active(snapshot: &Snapshot, node: NodeId) -> bool {
    snapshot.nodes.iter().any(|row| row.id == node && row.state.is_active())
}

fn already(snapshot: &Snapshot, refused: &[String]) -> Failure {
    let count = snapshot.nodes.iter().filter(|row| row.state.is_active()).count();
    let mut lines = vec![format!(
        "this node is already part of a swarm of {count} nodes, that one among them\n\
         try: edgectl node ls, to see them, or edgectl swarm leave, to leave it"
    )];
    lines.extend_from_slice(refused);
    Failure::Unavailable(lines.join("\n"))
}

/// Waits until this node sees one of the contacted nodes as a member.
async fn until_known(api: &Api, met: &BTreeSet<NodeId>) -> Result<Arc<Snapshot>, Failure> {
    let deadline = Instant::now() + KNOWN_WAIT;
    let mut changes = api.handle.changes();
    loop {
        let snapshot = Snapshot::latest(api).await?;
        if met.iter().any(|node| is_active(&snapshot, *node)) {
            return Ok(snapshot);
        }
        let Ok(changed) = timeout_at(deadline, changes.next()).await else {
            return Err(Failure::Unavailable(format!(
                "who listens there is of this fleet, and its datagrams do not arrive\n\
                 why: none came within {} s; the attempt goes on in the background\n\
                 try: let UDP port {AGENT_PORT} through on both sides; edgectl status shows when it \
                 has joined",
                KNOWN_WAIT.as_secs()
            )));
        };
        changed?;
    }
}
