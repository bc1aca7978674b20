//! What somebody else removed or changed of this node's networks, and this node made again.

use std::collections::BTreeSet;
use std::fmt;

use node_core::{Event, Subject};

/// What was made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Repaired {
    /// Links, addresses, routes, neighbours or settings.
    Links,
    /// Tables of nf_tables.
    Rules,
}

/// One repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Repair {
    pub(super) what: Repaired,
    /// The names of the networks that it was about; none: the machine itself.
    pub(super) networks: BTreeSet<String>,
}

impl Repair {
    /// It is told as an event of the node.
    pub(super) fn event(&self, subject: Subject, wall_ms: u64) -> Event {
        let what = match self.what {
            Repaired::Links => "links",
            Repaired::Rules => "rules",
        };
        let networks: Vec<&str> = self.networks.iter().map(String::as_str).collect();
        let mut attributes = vec![("what", what.to_owned())];
        if !networks.is_empty() {
            attributes.push(("network", networks.join(" ")));
        }
        Event { subject, action: "repair", attributes, wall_ms }
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            Repaired::Links => "links, addresses or routes",
            Repaired::Rules => "tables of nf_tables",
        };
        write!(f, "somebody else changed {what} of networks, and they are as planned again")?;
        let networks: Vec<&str> = self.networks.iter().map(String::as_str).collect();
        if networks.is_empty() { Ok(()) } else { write!(f, ": {}", networks.join(", ")) }
    }
}
