//! Events of nodes and services, as changes of records and of membership make them.

use crdt_state::{Kind, NodeId, RecordKey, ServiceId};
use gossip::{MemberEvent, Now};

use super::Node;
use crate::event::{Event, Subject};
use crate::input::Action;

impl Node {
    /// What happened to the membership, in this node's view.
    pub(super) fn on_member(&mut self, now: Now, wall_ms: u64, event: MemberEvent) {
        self.note_member_news(&event);
        self.planner.on_member();
        self.autoscaler.on_member();
        let mut attributes = Vec::new();
        let (id, action) = match event {
            MemberEvent::Up(id) => {
                self.reconciler.on_member_up(now);
                (id, "up")
            }
            MemberEvent::Suspected(id) => (id, "suspect"),
            MemberEvent::Unreachable(id) => {
                let evidence = self.gossip.member(id).and_then(|member| member.evidence);
                attributes.extend(evidence.map(|by| ("evidence", by.as_str().to_owned())));
                (id, "unreachable")
            }
            MemberEvent::Left(id) => (id, "left"),
            MemberEvent::Moved(id, _) => (id, "moved"),
            MemberEvent::Renewed(_) => return,
        };
        self.tell_node(id, action, attributes, wall_ms);
    }

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
