//! Placement preferences: `spread=node.labels.zone`. Each names a label; tasks are spread evenly over
//! its values.
//!
//! A preference is parsed before it is stored. One that does not parse can only come from a newer
//! version, and is left out of the plan: no task has to wait for it.

use std::fmt;

use crate::view::NodeView;

/// What begins a preference.
const SPREAD: &str = "spread=";

/// A label, by which nodes are grouped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preference {
    of: LabelOf,
    name: String,
}

/// Whose label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LabelOf {
    /// `node.labels.NAME`, set by operators.
    Node,
    /// `engine.labels.NAME`, from the config file.
    Engine,
}

impl LabelOf {
    const ALL: [LabelOf; 2] = [LabelOf::Node, LabelOf::Engine];

    fn prefix(self) -> &'static str {
        match self {
            LabelOf::Node => "node.labels.",
            LabelOf::Engine => "engine.labels.",
        }
    }
}

/// Why a text is not a preference. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPreference {
    /// Another strategy than to spread, or none.
    #[error("placement preference `{0}`: the only one is to spread; write spread=node.labels.zone")]
    NotSpread(String),
    /// Something that is no label.
    #[error(
        "placement preference `{0}`: tasks are spread over the values of a label; write spread=node.labels.NAME or spread=engine.labels.NAME"
    )]
    NoLabel(String),
}

impl Preference {
    /// Parses one preference. As in Swarm, the words before the label's name are known in any case.
    pub fn parse(text: &str) -> Result<Preference, BadPreference> {
        let split = |text: &str, start: &str| {
            let (found, rest) = text.split_at_checked(start.len())?;
            found.eq_ignore_ascii_case(start).then(|| rest.to_owned())
        };
        let over =
            split(text.trim(), SPREAD).ok_or_else(|| BadPreference::NotSpread(text.to_owned()))?;
        let named = LabelOf::ALL.into_iter().find_map(|of| Some((of, split(&over, of.prefix())?)));
        match named {
            Some((of, name)) if !name.is_empty() => Ok(Preference { of, name }),
            _ => Err(BadPreference::NoLabel(text.to_owned())),
        }
    }

    /// The label's value on a node. Without the label it is empty: such nodes are one group.
    pub fn value<'a>(&self, node: &'a NodeView) -> &'a str {
        let labels = match self.of {
            LabelOf::Node => &node.labels,
            LabelOf::Engine => &node.engine_labels,
        };
        labels.get(&self.name).map_or("", String::as_str)
    }
}

/// The label: `node.labels.zone`.
impl fmt::Display for Preference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.of.prefix(), self.name)
    }
}

#[cfg(test)]
mod tests {
    use crdt_state::NodeId;

    use super::*;

    #[test]
    fn a_preference_names_a_label_of_the_node_or_of_its_config() {
        let mut node = NodeView::new(NodeId([1; 16]));
        node.labels.insert("zone".into(), "a".into());
        node.engine_labels.insert("Rack".into(), "7".into());
        for (text, value) in [
            ("spread=node.labels.zone", "a"),
            ("Spread=Node.Labels.zone", "a"),
            ("spread=node.labels.Zone", ""),
            ("spread=engine.labels.Rack", "7"),
            ("spread=engine.labels.zone", ""),
        ] {
            let preference = Preference::parse(text).expect("a preference");
            assert_eq!(preference.value(&node), value, "{text}");
        }
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write() {
        for (text, word) in [
            ("", "only one is to spread"),
            ("binpack=node.labels.zone", "only one is to spread"),
            ("node.labels.zone", "write spread=node.labels.zone"),
            ("spread=", "spread=engine.labels.NAME"),
            ("spread=node.labels.", "values of a label"),
            ("spread=node.hostname", "values of a label"),
            ("spread=ä", "values of a label"),
        ] {
            let error = Preference::parse(text).expect_err("refused").to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
