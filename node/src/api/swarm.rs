//! `/swarm`: joining and leaving a fleet.
//!
//! There is nothing to create: an agent that knows nobody is a fleet of one. So `init` says what
//! this node is, and refuses what would need a quorum or a manager.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use tokio::time::sleep;

use super::failure::Failure;
use super::snapshot::Snapshot;
use super::{Api, Sent};
use crate::config::{AGENT_PORT, JoinAddr};
use crate::docker::system::{
    InitRequest, JoinRequest, JoinTokens, Orchestration, Swarm, SwarmSpec,
};
use crate::docker::{Version, read};

/// There are no tokens, a node has to know the fleet's key. Docker's client prints this in the
/// command that it proposes, which works as printed: what is sent as a token is not looked at.
const NO_TOKEN: &str = "see-fleet_key-in-edge.toml";

/// How long `join` waits for the first member. A handshake takes two round trips, a second try one
/// second more.
const JOIN_WAIT: Duration = Duration::from_secs(5);
const JOIN_POLL: Duration = Duration::from_millis(50);

/// `GET /swarm`.
pub async fn inspect(State(api): State<Api>) -> Json<Swarm> {
    Json(fleet(&api))
}

/// The fleet in Docker's words.
pub fn fleet(api: &Api) -> Swarm {
    let fleet = &api.handle.config().fleet;
    let history = u64::try_from(crdt_state::task::HISTORY_MAX).expect("a small number");
    Swarm {
        id: fleet.clone(),
        version: Version::default(),
        spec: SwarmSpec {
            name: fleet.clone(),
            orchestration: Orchestration { task_history_retention_limit: history },
            ..SwarmSpec::default()
        },
        join_tokens: Some(JoinTokens { worker: NO_TOKEN.to_owned(), manager: NO_TOKEN.to_owned() }),
        ..Swarm::default()
    }
}

/// `POST /swarm/init`: answers the id of this node.
pub async fn init(State(api): State<Api>, body: Sent) -> Result<Json<String>, Failure> {
    let request: InitRequest = read(&body?)?;
    if request.force_new_cluster {
        return Err(Failure::Bad(
            "there is no quorum to recover: every node takes commands by itself; \
             to forget nodes that are gone: edgectl node rm --force NODE"
                .to_owned(),
        ));
    }
    let snapshot = Snapshot::take(&api).await?;
    let others = snapshot.nodes.iter().filter(|node| !node.is_me).count();
    if others > 0 {
        return Err(Failure::Unavailable(format!(
            "this node is already part of a swarm of {} nodes; to leave it: edgectl swarm leave",
            others + 1
        )));
    }
    Ok(Json(snapshot.me.to_string()))
}

/// `POST /swarm/join`: shakes hands with the addresses, and goes on trying when none answers.
pub async fn join(State(api): State<Api>, body: Sent) -> Result<(), Failure> {
    let request: JoinRequest = read(&body?)?;
    if request.remote_addrs.is_empty() {
        return Err(Failure::Bad(
            "no address to join; name any node of the fleet: edgectl swarm join ADDRESS".to_owned(),
        ));
    }
    let mut addrs = Vec::new();
    for text in &request.remote_addrs {
        let addr = text.parse::<JoinAddr>();
        addrs.push(addr.map_err(|bad| Failure::Bad(format!("cannot join `{text}`: {bad}")))?);
    }
    for addr in addrs {
        api.handle.join(addr).await?;
    }
    let deadline = Instant::now() + JOIN_WAIT;
    while Instant::now() < deadline {
        if knows_somebody(&Snapshot::take(&api).await?) {
            return Ok(());
        }
        sleep(JOIN_POLL).await;
    }
    Err(Failure::Unavailable(format!(
        "no answer from {} within {} s; the attempt goes on in the background. Check the address, \
         that UDP port {AGENT_PORT} is open on both sides, and that both have the same fleet_key; \
         `edgectl status` shows when it has joined",
        request.remote_addrs.join(", "),
        JOIN_WAIT.as_secs()
    )))
}

fn knows_somebody(snapshot: &Snapshot) -> bool {
    snapshot.nodes.iter().any(|node| !node.is_me && node.state.is_active())
}

/// `POST /swarm/leave`: tasks move away, then the node says goodbye.
pub async fn leave(State(api): State<Api>) -> Result<(), Failure> {
    Ok(api.handle.leave().await?)
}

/// `POST /swarm/update`.
pub async fn update() -> Failure {
    Failure::NotYet(
        "settings of the fleet are not changed through the API; they are in edge.toml".to_owned(),
    )
}
