//! Preferences in words: over which labels a service is spread, and where a node is in that.

use crdt_state::{NodeId, ServiceId};

use super::NodeReport;

impl NodeReport<'_> {
    /// The labels over which a service is spread, outermost first.
    pub(super) fn spread_over(&self, service: ServiceId) -> Vec<String> {
        let view = self.view().services.get(&service);
        let preferences = view.into_iter().flat_map(|view| &view.preferences);
        preferences.map(ToString::to_string).collect()
    }

    /// `has its share of this service: 2; by node.labels.zone it is in a`.
    pub(super) fn share_text(&self, service: ServiceId, node: NodeId, count: usize) -> String {
        let mut text = format!("has its share of this service: {count}");
        let (view, node) = (self.view().services.get(&service), self.view().nodes.get(&node));
        if let (Some(view), Some(node)) = (view, node) {
            for preference in &view.preferences {
                let value = match preference.value(node) {
                    "" => "without a value",
                    value => value,
                };
                text.push_str(&format!("; by {preference} it is {value}"));
            }
        }
        text
    }
}
