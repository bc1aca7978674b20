//! What the clocks of other nodes show. It is asked while a job of the fleet has a schedule, and then
//! every ten minutes: the node itself notices when its own clock is set.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crdt_state::{NodeId, wire};
use gossip::MemberState;
use node_core::Node;

use super::command::Command;
use super::handle::{Handle, WeakHandle};
use crate::transport::PeerRequest;

/// Between two looks whether there is a schedule, or another member to ask.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Between two questions to the same members.
const ASK_INTERVAL: Duration = Duration::from_secs(600);

/// A member that takes longer says nothing of use: what its clock showed is too old then.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Members that are asked: the middle one of nine clocks is right while four are wrong.
const ASKED_MAX: usize = 8;

/// Asks for as long as the agent lives, without keeping any part of it alive.
pub(super) async fn watch(handle: WeakHandle) {
    let mut asked: Option<(Vec<NodeId>, Instant)> = None;
    loop {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let Some(agent) = handle.upgrade() else { return };
        let Ok(members) = agent.read(members).await else { return };
        let is_new = asked.as_ref().is_none_or(|(before, at)| {
            members.iter().any(|member| !before.contains(member)) || at.elapsed() >= ASK_INTERVAL
        });
        if members.is_empty() || !is_new {
            continue;
        }
        let mut found = BTreeMap::new();
        for member in &members {
            let answer = tokio::time::timeout(ANSWER_TIMEOUT, ask(&agent, *member)).await;
            let Some((begun, wall_ms)) = answer.ok().flatten() else { continue };
            found.insert(*member, (begun, wall_ms));
        }
        asked = Some((members, Instant::now()));
        if agent.send(Command::Clocks(as_of_now(found))).await.is_err() {
            return;
        }
    }
}

/// The members to ask, if there is a schedule: the first ones after this node in the order of ids, so
/// that not all nodes ask the same.
fn members(node: &Node) -> Vec<NodeId> {
    if !node.has_schedules() {
        return Vec::new();
    }
    let me = node.me();
    let alive = node.gossip().members().filter(|member| member.state == MemberState::Alive);
    let mut members: Vec<NodeId> = alive.map(|member| member.id).filter(|id| *id != me).collect();
    members.sort_unstable_by_key(|id| (*id < me, *id));
    members.truncate(ASKED_MAX);
    members
}

/// What the clock of a node shows, and when it was asked. An agent of a version before schedules
/// does not know the question.
async fn ask(agent: &Handle, node: NodeId) -> Option<(Instant, u64)> {
    let route = agent.route(node).await.ok().flatten()?;
    let begun = Instant::now();
    let frame = agent.shared.transport.request(route, PeerRequest::Clock).next().await?.ok()?;
    Some((begun, wire::decode(&frame).ok()?))
}

/// Half the time that a round trip may have taken is far below what is tolerated of clocks.
fn as_of_now(found: BTreeMap<NodeId, (Instant, u64)>) -> BTreeMap<NodeId, u64> {
    let now = |(asked, wall_ms): (Instant, u64)| {
        wall_ms.saturating_add(u64::try_from(asked.elapsed().as_millis()).unwrap_or(0))
    };
    found.into_iter().map(|(node, answer)| (node, now(answer))).collect()
}
