//! Join tokens: the standing one of each role, and those that are made for a purpose.
//!
//! A standing token follows from the fleet's key and a number in its record, so that every member
//! shows the same. The secret of any other token is shown once, by the answer that makes it.

use axum::Json;
use axum::extract::{Path, State};
use crdt_state::read::{self, TokenState};
use crdt_state::token::{JoinToken, TokenEnd, TokenId, TokenOrigin, TokenRole};
use node_agent::join_token::{self, TokenText};
use node_core::Edit;
use node_docker::edge::{JoinTokenRow, TokenAnswer, TokenRequest};
use node_docker::{Timestamp, read as read_body};

use super::failure::Failure;
use super::snapshot::Snapshot;
use super::{Api, Sent};

/// The shortest time after which a token may expire: less is a mistake in the unit.
const EXPIRES_AFTER_MIN_MS: u64 = 1_000;

async fn all(api: &Api) -> Result<Vec<TokenState>, Failure> {
    api.read(|node, _| read::tokens(node.replica())).await
}

fn is_standing(state: &TokenState, role: TokenRole) -> bool {
    let token = &state.token;
    token.origin == TokenOrigin::Standing && token.role == role && state.end.is_none()
}

/// The standing token of a role; made now, if the fleet has none. Two sides of a partition may have
/// made one each: all members show the newest, and every one of them is taken until it is rotated.
pub async fn standing(api: &Api, role: TokenRole) -> Result<String, Failure> {
    let key = api.handle.fleet_key();
    let held = all(api).await?;
    let newest =
        held.iter().rfind(|state| is_standing(state, role) && join_token::is_of(state, &key));
    match newest {
        Some(state) => Ok(TokenText::standing(&key, state.token.id).reveal()),
        None => make_standing(api, role).await,
    }
}

/// Puts another standing token in the place of those that this node knows.
pub async fn rotate(api: &Api, role: TokenRole) -> Result<(), Failure> {
    let held = all(api).await?;
    make_standing(api, role).await?;
    for state in held.iter().filter(|state| is_standing(state, role)) {
        api.edit(Edit::EndToken { id: state.token.id, end: TokenEnd::Rotated }).await?;
    }
    Ok(())
}

async fn make_standing(api: &Api, role: TokenRole) -> Result<String, Failure> {
    let text = TokenText::standing(&api.handle.fleet_key(), random()?.id());
    let request = TokenRequest::default();
    make(api, (&text, role, TokenOrigin::Standing), &request).await?;
    Ok(text.reveal())
}

fn random() -> Result<TokenText, Failure> {
    TokenText::random()
        .map_err(|error| Failure::Unavailable(format!("the system gives no random bytes: {error}")))
}

async fn make(
    api: &Api,
    (text, role, origin): (&TokenText, TokenRole, TokenOrigin),
    request: &TokenRequest,
) -> Result<(), Failure> {
    let token = JoinToken {
        id: text.id(),
        role,
        origin,
        verifier: text.verifier(),
        uses_max: request.uses_max,
        site: request.site.clone(),
        expires_after_ms: request.expires_after_ms,
    };
    api.edit(Edit::CreateToken(Box::new(token))).await.map(|_| ())
}

/// `POST /edge/tokens`.
pub async fn create(State(api): State<Api>, body: Sent) -> Result<Json<TokenAnswer>, Failure> {
    let request: TokenRequest = read_body(&body?)?;
    let role = match request.role.as_str() {
        "" | "worker" => TokenRole::Worker,
        "manager" => TokenRole::Manager,
        other => return Err(Failure::Bad(format!("role: `{other}` is none of worker, manager"))),
    };
    if (1..EXPIRES_AFTER_MIN_MS).contains(&request.expires_after_ms) {
        return Err(Failure::Bad(
            "a token that expires within a second is of no use; try: --expires-after 15m"
                .to_owned(),
        ));
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !request.site.chars().all(is_word) {
        return Err(Failure::Bad(format!(
            "`{}` is no name of a site: letters, digits, `-`, `_` and `.`; try: --site shop-12",
            request.site
        )));
    }
    let text = random()?;
    make(&api, (&text, role, TokenOrigin::Issued), &request).await?;
    Ok(Json(TokenAnswer { token: text.reveal() }))
}

/// `DELETE /edge/tokens/{id}`: by its number or the first digits of it. Not by the token: paths are written
/// down.
pub async fn remove(State(api): State<Api>, Path(digits): Path<String>) -> Result<(), Failure> {
    let held = all(&api).await?;
    let fits =
        |state: &&TokenState| !digits.is_empty() && state.token.id.to_string().starts_with(&digits);
    let found: Vec<TokenId> = held.iter().filter(fits).map(|state| state.token.id).collect();
    match found[..] {
        [id] => {
            api.edit(Edit::EndToken { id, end: TokenEnd::Removed }).await?;
            Ok(())
        }
        [] => Err(Failure::Missing(format!(
            "no join token {digits}\ntry: edgectl swarm join-token ls"
        ))),
        _ => Err(Failure::Bad(format!(
            "{} join tokens begin with {digits}\ntry: more of its digits",
            found.len()
        ))),
    }
}

/// `GET /edge/tokens`.
pub async fn list(State(api): State<Api>) -> Result<Json<Vec<JoinTokenRow>>, Failure> {
    let snapshot = Snapshot::latest(&api).await?;
    let key = api.handle.fleet_key();
    let held = all(&api).await?;
    let row = |state: &TokenState| JoinTokenRow {
        id: state.token.id.to_string(),
        role: state.token.role.as_str().to_owned(),
        state: word(state).to_owned(),
        uses_max: state.token.uses_max,
        joiners: state.joiners.iter().map(|(joiner, _)| snapshot.hostname(*joiner)).collect(),
        site: state.token.site.clone(),
        expires_after_ms: state.token.expires_after_ms,
        is_standing: state.token.origin == TokenOrigin::Standing,
        made_on: snapshot.hostname(state.made.writer.node),
        made_at: Timestamp(state.made_wall_ms),
    };
    Ok(Json(held.iter().filter(|state| join_token::is_of(state, &key)).map(row).collect()))
}

fn word(state: &TokenState) -> &'static str {
    match state.end {
        _ if state.is_overused() => "overused",
        Some((TokenEnd::Removed, _)) => "revoked",
        Some((TokenEnd::Rotated, _)) => "rotated",
        Some((TokenEnd::Expired, _)) => "expired",
        None if state.is_used_up() => "used up",
        None => "open",
    }
}

/// A token that two sides of a partition took, as a sentence with what to type.
pub fn overuse(state: &TokenState, snapshot: &Snapshot) -> Option<String> {
    if !state.is_overused() {
        return None;
    }
    let joined = state.joiners.iter().map(|(joiner, member)| {
        format!("{} (through {})", snapshot.hostname(*joiner), snapshot.hostname(*member))
    });
    let joined: Vec<String> = joined.collect();
    Some(format!(
        "the join token {} is for {}, and {} nodes joined with it on two sides of a partition: {}; \
         the one that should not be here: edgectl node rm --force NODE",
        state.token.id,
        match state.token.uses_max {
            1 => "1 node".to_owned(),
            most => format!("{most} nodes"),
        },
        joined.len(),
        joined.join(", ")
    ))
}

/// All such tokens, each with its number, whose members are still here.
pub async fn overused(api: &Api, snapshot: &Snapshot) -> Result<Vec<(TokenId, String)>, Failure> {
    let held = all(api).await?;
    let present = |state: &TokenState| {
        let is_here = |id| snapshot.nodes.iter().any(|row| row.id == id);
        TokenState {
            joiners: state.joiners.iter().filter(|(id, _)| is_here(*id)).copied().collect(),
            ..state.clone()
        }
    };
    let found = held.iter().map(present);
    Ok(found.filter_map(|state| Some((state.token.id, overuse(&state, snapshot)?))).collect())
}
