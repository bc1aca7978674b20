//! Events of nodes and services, as changes of records and of membership make them.

use crdt_state::{Kind, NodeId, RecordKey, ServiceId};

use super::Node;
use crate::event::{Event, Subject};
use crate::input::Action;

impl Node {
    pub(super) fn tell_node(
        &mut self,
        id: NodeId,
        action: &'static str,
        attributes: Vec<(&'static str, String)>,
        wall_ms: u64,
    ) {
        let subject = Subject::Node { id, name: self.hostname(id) };
        self.outbox.push(Action::Event(Event { subject, action, attributes, wall_ms }));
    }

    /// Name and version of the service, if the key is that of a service.
    pub(super) fn service_version(&self, key: RecordKey) -> Option<(String, u64)> {
        let id = ServiceId(key.id);
        let service = (key.kind == Kind::SERVICE).then(|| self.service(id)).flatten()?;
        Some((service.name.clone(), service.version))
    }

    pub(super) fn tell_service(
        &mut self,
        wall_ms: u64,
        key: RecordKey,
        before: Option<(String, u64)>,
    ) {
        let after = self.service_version(key);
        let (name, action) = match (before, after) {
            (None, Some((name, _))) => (name, "create"),
            (Some((name, _)), None) => (name, "remove"),
            (Some((_, old)), Some((name, new))) if old != new => (name, "update"),
            _ => return,
        };
        let subject = Subject::Service { id: ServiceId(key.id), name };
        self.outbox.push(Action::Event(Event { subject, action, attributes: Vec::new(), wall_ms }));
    }
}
