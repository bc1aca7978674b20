//! What became of a service, told as an event.

use crdt_state::{Kind, RecordKey, ServiceId};

use super::Node;
use crate::event::{Event, Subject};
use crate::input::Action;

impl Node {
    pub(super) fn service_state(&self, key: RecordKey) -> Option<(String, u64)> {
        (key.kind == Kind::SERVICE)
            .then(|| self.catalog.services.get(&ServiceId(key.id)))
            .flatten()
            .map(|service| (service.name.clone(), service.version))
    }

    pub(super) fn tell_service(
        &mut self,
        wall_ms: u64,
        key: RecordKey,
        before: Option<(String, u64)>,
    ) {
        let after = self.service_state(key);
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
