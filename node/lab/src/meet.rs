//! Waits until the agents of a lab know each other: each agent is up long before the fleet has
//! formed.
//!
//! It asks as any client would, over each agent's socket.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::query::get;
use super::{LabNode, RunState, agents};
use node_docker::edge::{Counters, Status};

/// A fleet of 50 agents on two cores forms within 10 s; if it takes longer, something is broken.
const MEET_TIMEOUT: Duration = Duration::from_secs(60);

/// The time between two queries.
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Waits until each agent hears all the others.
pub fn wait(nodes: &[LabNode]) -> Result<()> {
    let deadline = Instant::now() + MEET_TIMEOUT;
    for node in nodes {
        loop {
            if node.run_state() != RunState::Up {
                bail!("the agent of {} ended:\n{}", node.name, agents::log_tail(node));
            }
            let heard = heard(&node.socket);
            if heard.as_ref().is_ok_and(|heard| *heard >= nodes.len()) {
                break;
            }
            if Instant::now() > deadline {
                return Err(apart(node, heard, nodes.len()));
            }
            std::thread::sleep(ASK_EVERY);
        }
    }
    Ok(())
}

/// The number of members that the agent hears, itself included.
fn heard(socket: &Path) -> Result<usize> {
    let status: Status = get(socket, "/edge/status")?;
    Ok(usize::try_from(status.nodes.alive + status.nodes.suspect)?)
}

fn apart(node: &LabNode, heard: Result<usize>, nodes: usize) -> anyhow::Error {
    let seconds = MEET_TIMEOUT.as_secs();
    let heard = match heard {
        Ok(heard) => format!("hears {} of {} others", heard.saturating_sub(1), nodes - 1),
        Err(error) => format!("does not say whom it hears ({error:#})"),
    };
    let counted = get::<Counters>(&node.socket, "/edge/counters").unwrap_or_default();
    let dropped: Vec<String> = counted
        .counters
        .iter()
        .filter(|(name, _)| name.starts_with("transport.dropped.") || name.contains(".unsent."))
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    let dropped = match dropped.as_slice() {
        [] => String::new(),
        dropped => format!("; it counted {}", dropped.join(", ")),
    };
    anyhow::anyhow!("after {seconds} s {} {heard}{dropped}", node.name)
}
