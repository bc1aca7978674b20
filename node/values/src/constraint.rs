//! Placement constraints, affinities and preferences, checked by the planner's own parsers before they are sent.

use node_core::affinity::{Affinity, BadAffinity};
use node_core::constraint::{BadConstraint, Constraint};
use node_core::preference::{BadPreference, Preference};

/// Checks `node.labels.zone==a`. The text is sent as it was written.
pub fn constraint(text: &str) -> Result<String, BadConstraint> {
    Constraint::parse_typed(text).map(|_| text.to_owned())
}

/// Checks `service==db`. The text is sent as it was written.
pub fn affinity(text: &str) -> Result<String, BadAffinity> {
    Affinity::parse(text).map(|_| text.to_owned())
}

/// Checks `spread=node.labels.zone`, and writes it in one way.
pub fn preference(text: &str) -> Result<String, BadPreference> {
    Preference::parse(text).map(|preference| format!("spread={preference}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constraint_is_checked_and_kept_as_written() {
        assert_eq!(constraint("node.labels.zone == a"), Ok("node.labels.zone == a".to_owned()));
        assert!(constraint("zone=a").is_err());
        assert!(constraint("node.role==boss").is_err());
    }
}
