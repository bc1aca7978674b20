//! Placement constraints, checked by the planner's own parser before they are sent.

use node_core::constraint::{BadConstraint, Constraint};

/// Checks `node.labels.zone==a`. The text is sent as it was written.
pub fn constraint(text: &str) -> Result<String, BadConstraint> {
    Constraint::parse(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constraint_is_checked_and_kept_as_written() {
        assert_eq!(constraint("node.labels.zone == a"), Ok("node.labels.zone == a".to_owned()));
        assert!(constraint("zone=a").is_err());
    }
}
