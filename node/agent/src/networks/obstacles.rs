//! What of the host keeps packets of networks from being forwarded.

use std::time::{Duration, Instant};

use overlay::plan::OverlayPlan;
use overlay_linux::balancing::find_forwarding_obstacles;
use overlay_linux::links::Links;

/// How often the host's rules are read. Who types what is told to type sees within this time that it
/// helped.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// Rules of the host that drop what it should forward, with what to type.
#[derive(Default)]
pub(super) struct Obstacles {
    found: Vec<String>,
    looked_at: Option<Instant>,
}

impl Obstacles {
    /// As they were found last.
    pub(super) fn found(&self) -> &[String] {
        &self.found
    }

    /// Looks for them now.
    pub(super) fn look(&mut self, plan: &OverlayPlan, links: &Links) {
        self.looked_at = Some(Instant::now());
        self.found.clear();
        if plan.networks.is_empty() {
            return;
        }
        match find_forwarding_obstacles(links.host_namespace()) {
            Ok(found) => self.found.extend(found.iter().map(ToString::to_string)),
            Err(error) => {
                self.found.push(format!("the rules of this machine cannot be read: {error}"));
            }
        }
    }

    /// Looks for them if that was long ago. To be called each second.
    pub(super) fn look_again(&mut self, plan: &OverlayPlan, links: &Links) {
        if self.looked_at.is_some_and(|at| at.elapsed() >= LOOK_INTERVAL) {
            self.look(plan, links);
        }
    }
}
