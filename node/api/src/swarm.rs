//! `/swarm`: joining and leaving a fleet.
//!
//! There is nothing to create: an agent without known members is a fleet of one. So `init` only
//! returns this node's id, and refuses requests that would need a quorum or a manager.

use std::net::{IpAddr, SocketAddr};

use axum::Json;
use axum::extract::{Query, State};
use crdt_state::token::TokenRole;
use gossip::MemberState;
use serde::Deserialize;
use serde_json::{Value, json};

use super::failure::Failure;
use super::snapshot::Snapshot;
use super::{Answer, Api, Change, Sent, autolock, fleet_key, tokens};
use node_core::Edit;
use node_docker::swarm_options::{
    asks_to_rotate, autolock as asked_autolock, task_history_limit, without_effect,
};
use node_docker::system::{InitRequest, JoinTokens, Orchestration, Swarm, SwarmSpec};
use node_docker::{Timestamp, Version, read};

/// `GET /swarm`: with the standing tokens. A client that may use the socket may also read the key's
/// file.
pub async fn inspect(State(api): State<Api>) -> Result<Json<Swarm>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let worker = tokens::standing(&api, TokenRole::Worker).await?;
    let manager = tokens::standing(&api, TokenRole::Manager).await?;
    let join_tokens = Some(JoinTokens { worker, manager });
    Ok(Json(Swarm { join_tokens, ..without_tokens(api, &snapshot).await? }))
}

/// The same without tokens.
pub async fn without_tokens(api: Api, snapshot: &Snapshot) -> Result<Swarm, Failure> {
    let mut swarm = fleet(&api, snapshot);
    swarm.tls_info = Some(fleet_key::tls_info(&api)?);
    swarm.spec.encryption_config.auto_lock_managers = Some(autolock::is_on(&api).await?);
    swarm.root_rotation_in_progress = !fleet_key::behind(&api).await?.is_empty();
    swarm.spec.ca_config.force_rotate = fleet_key::rotations(&api).await?;
    Ok(swarm)
}

/// The fleet in Docker's words, without its secret.
fn fleet(api: &Api, snapshot: &Snapshot) -> Swarm {
    let fleet = &api.handle.config().fleet;
    let settings = &snapshot.fleet;
    let limit = Some(i64::from(settings.task_history_limit));
    Swarm {
        id: fleet.clone(),
        version: Version { index: settings.version },
        updated_at: Timestamp(settings.updated_wall_ms),
        spec: SwarmSpec {
            name: fleet.clone(),
            orchestration: Orchestration { task_history_retention_limit: limit },
            ..SwarmSpec::default()
        },
        ..Swarm::default()
    }
}

/// `POST /swarm/init`: answers the id of this node.
pub async fn init(State(api): State<Api>, body: Sent) -> Result<Json<String>, Failure> {
    let body = body?;
    let request: InitRequest = read(&body)?;
    if request.force_new_cluster {
        return Err(Failure::Bad(
            "there is no quorum to recover: every node takes commands by itself; \
             to forget nodes that are gone: edgectl node rm --force NODE"
                .to_owned(),
        ));
    }
    let snapshot = Snapshot::latest(&api).await?;
    let others = snapshot.nodes.iter().filter(|node| !node.is_me).count();
    if others > 0 {
        return Err(Failure::Unavailable(format!(
            "this node is already part of a swarm of {} nodes\n\
             try: edgectl swarm join-token, for what another machine types to join it\n\
             try: edgectl swarm leave, to leave it",
            others + 1
        )));
    }
    let InitRequest { listen_addr, advertise_addr, data_path_addr, availability, .. } = &request;
    check_options(&body, availability, "begins a fleet")?;
    check_listening(listen_addr, &api)?;
    check_advertised(advertise_addr, &snapshot)?;
    check_advertised(data_path_addr, &snapshot)?;
    let request = read(&body)?;
    let locks = asked_autolock(&request) == Some(true) && !autolock::is_on(&api).await?;
    if locks {
        autolock::check(&api)?;
    }
    change_settings(&api, Change::Apply, None, &request).await?;
    if locks {
        autolock::turn_on(&api, Change::Apply).await?;
    }
    Ok(Json(snapshot.me.to_string()))
}

/// Refuses what a request asks for and would not get. `how`: what the node does.
pub fn check_options(body: &[u8], availability: &str, how: &str) -> Result<(), Failure> {
    if let Some(refusal) = without_effect(&read(body)?) {
        return Err(Failure::Bad(refusal));
    }
    if matches!(availability, "" | "active") {
        return Ok(());
    }
    Err(Failure::NotYet(format!(
        "a node {how} as active, not as {availability}; afterwards: edgectl node update \
         --availability {availability} self"
    )))
}

/// An agent listens where it was started to. Docker's clients send all addresses and Docker's own
/// port when nobody asks for anything.
pub fn check_listening(asked: &str, api: &Api) -> Result<(), Failure> {
    const DOCKER_PORT: u16 = 2377;
    let listen = api.handle.config().listen;
    let socket = asked.parse::<SocketAddr>().ok();
    let ip = socket.map_or_else(|| asked.parse::<IpAddr>().ok(), |asked| Some(asked.ip()));
    let port = socket.map_or(DOCKER_PORT, |asked| asked.port());
    let is_port = [DOCKER_PORT, listen.port()].contains(&port);
    let is_address = ip.is_some_and(|ip| ip.is_unspecified() || ip == listen.ip());
    if asked.is_empty() || (is_port && is_address) {
        return Ok(());
    }
    Err(Failure::Bad(format!(
        "this node does not listen at {asked}\n\
         why: the agent listens at {listen}\n\
         try: start the agent with --listen ADDRESS, and leave --listen-addr out"
    )))
}

/// Other nodes know the address that the agent was started with, so a different one would silently
/// have no effect.
pub fn check_advertised(asked: &str, snapshot: &Snapshot) -> Result<(), Failure> {
    if asked.is_empty() {
        return Ok(());
    }
    let told = snapshot.node("self")?.description.as_ref().map(|said| said.addresses.as_slice());
    let told = told.unwrap_or_default();
    let ip = |text: &str| {
        let socket = text.parse::<SocketAddr>().map(|addr| addr.ip());
        socket.ok().or_else(|| text.parse::<IpAddr>().ok())
    };
    let is_told = ip(asked).is_some_and(|asked| told.iter().any(|addr| ip(addr) == Some(asked)));
    if is_told {
        return Ok(());
    }
    Err(Failure::Bad(format!(
        "other nodes are not told the address {asked}\n\
         why: they are told {}\n\
         try: start the agent with --advertise {asked} or EDGECTL_ADVERTISE={asked}",
        told.join(", ")
    )))
}

/// The parameters of `POST /swarm/leave`.
#[derive(Debug, Default, Deserialize)]
pub struct LeaveQuery {
    force: Option<String>,
}

/// `POST /swarm/leave`: tasks move away, then the node leaves. The last node of a fleet has no
/// other node for its services, so it has to be forced.
pub async fn leave(
    State(api): State<Api>,
    query: Answer<Query<LeaveQuery>>,
) -> Result<(), Failure> {
    let forced = matches!(query?.force.as_deref(), Some("1" | "true" | "True"));
    let snapshot = Snapshot::latest(&api).await?;
    let is_last = !snapshot.nodes.iter().any(|row| !row.is_me && row.state != MemberState::Left);
    let services = snapshot.services.len();
    if is_last && services > 0 && !forced {
        return Err(Failure::Unavailable(format!(
            "this node is the last of its fleet\n\
             why: nobody would be left to run its services ({services})\n\
             try: edgectl service rm, of what is not needed any more\n\
             try: edgectl swarm leave --force, to leave nevertheless"
        )));
    }
    Ok(api.handle.leave().await?)
}

/// The parameters of `POST /swarm/update`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateQuery {
    version: Option<u64>,
    rotate_worker_token: Option<String>,
    rotate_manager_token: Option<String>,
    rotate_manager_unlock_key: Option<String>,
}

/// `POST /swarm/update`: changes the settings of the fleet, and takes what is so anyway. Everything else
/// is refused by the name of its flag.
pub async fn update(
    State(api): State<Api>,
    query: Answer<Query<UpdateQuery>>,
    change: Change,
    body: Sent,
) -> Result<(), Failure> {
    let query = query?;
    let is_set = |asked: &Option<String>| matches!(asked.as_deref(), Some("1" | "true" | "True"));
    let request = json!({ "Spec": read::<Value>(&body?)? });
    if let Some(refusal) = without_effect(&request) {
        return Err(Failure::Bad(refusal));
    }
    let is_locked = autolock::is_on(&api).await?;
    let wanted = asked_autolock(&request).unwrap_or(is_locked);
    let rotates = is_set(&query.rotate_manager_unlock_key);
    if rotates && !wanted {
        return Err(Failure::Bad(
            "there is no unlock key\ntry: edgectl swarm update --autolock, which makes one"
                .to_owned(),
        ));
    }
    let is_new_key = wanted && (rotates || !is_locked);
    if is_new_key {
        autolock::check(&api)?;
    }
    change_settings(&api, change, query.version, &request).await?;
    if is_new_key {
        autolock::turn_on(&api, change).await?;
    } else if is_locked && !wanted {
        autolock::turn_off(&api, change).await?;
    }
    if asks_to_rotate(&request, fleet_key::rotations(&api).await?) {
        let _ = fleet_key::rotate(State(api.clone())).await?;
    }
    for (asked, role) in [
        (&query.rotate_worker_token, TokenRole::Worker),
        (&query.rotate_manager_token, TokenRole::Manager),
    ] {
        if is_set(asked) {
            tokens::rotate(&api, role).await?;
        }
    }
    Ok(())
}

/// Sets what a request says of the settings of the fleet.
async fn change_settings(
    api: &Api,
    change: Change,
    version: Option<u64>,
    request: &Value,
) -> Result<(), Failure> {
    let task_history_limit = task_history_limit(request).map_err(Failure::Bad)?;
    if task_history_limit.is_some() {
        change.edit(api, Edit::UpdateFleet { version, task_history_limit }).await?;
    }
    Ok(())
}
