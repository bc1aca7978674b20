//! What of the host keeps packets of networks from being forwarded.

use overlay::plan::OverlayPlan;
use overlay_linux::balancing::find_forwarding_obstacles;
use overlay_linux::links::Links;

/// Rules of the host that drop what it should forward, with what to type.
pub(super) fn obstacles(plan: &OverlayPlan, links: &Links) -> Vec<String> {
    if plan.networks.is_empty() {
        return Vec::new();
    }
    match find_forwarding_obstacles(links.host_namespace()) {
        Ok(found) => found.iter().map(ToString::to_string).collect(),
        Err(error) => vec![format!("the rules of this machine cannot be read: {error}")],
    }
}
