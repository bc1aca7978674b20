//! Events of nodes, services, networks and configs, as changes of records and of membership make
//! them.

use crdt_state::service::Service;
use crdt_state::spec::Scale;
use crdt_state::{FileClass, FileId, Kind, NetworkId, NodeId, RecordKey, ServiceId};
use gossip::{MemberEvent, Now};

use super::Node;
use crate::copies::Move;
use crate::event::{Event, Subject};
use crate::input::Action;

impl Node {
    /// What happened to the membership, in this node's view.
    pub(super) fn on_member(&mut self, now: Now, wall_ms: u64, event: MemberEvent) {
        self.note_member_news(&event);
        self.planner.on_member();
        self.autoscaler.on_member();
        self.key_sharing.on_member();
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
            MemberEvent::Moved(id, addr) => match self.copies.on_moved(now, id, addr) {
                Move::Moved => (id, "moved"),
                Move::Copied => {
                    self.tell_copies(id);
                    (id, "copied")
                }
                Move::CopiedAgain => return self.tell_copies(id),
                // Twice in each second, for as long as both machines run.
                Move::StillCopied => return,
            },
            MemberEvent::Renewed(_) => return,
        };
        self.tell_node(id, action, attributes, wall_ms);
    }

    fn tell_copies(&mut self, node: NodeId) {
        if let Some(addrs) = self.copies.both(node) {
            self.outbox.push(Action::TellCopies { node, addrs });
        }
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

    /// What an event would say of the service, network or config of a key, if there is one.
    pub(super) fn told(&self, key: RecordKey) -> Option<Told> {
        let catalog = self.planner.catalog();
        match key.kind {
            Kind::SERVICE => {
                catalog.services.get(&ServiceId(key.id)).map(|service| Told::service(service))
            }
            Kind::NETWORK => catalog.networks.networks.get(&NetworkId(key.id)).map(|network| {
                let subject = Subject::Network { id: network.id, name: network.name.clone() };
                Told { subject, version: network.version, facts: Vec::new() }
            }),
            Kind::CONFIG => self.told_file(FileClass::Config.id(key.id)),
            Kind::SECRET => self.told_file(FileClass::Secret.id(key.id)),
            _ => None,
        }
    }

    fn told_file(&self, id: FileId) -> Option<Told> {
        let file = self.planner.catalog().files.files.get(&id)?;
        let subject = Subject::File { id, name: file.name.clone() };
        Some(Told { subject, version: file.version, facts: Vec::new() })
    }

    /// What became of it.
    pub(super) fn tell(&mut self, wall_ms: u64, key: RecordKey, before: Option<Told>) {
        let (subject, action, attributes) = match (before, self.told(key)) {
            (None, Some(new)) => (new.subject, "create", Vec::new()),
            (Some(old), None) => (old.subject, "remove", Vec::new()),
            (Some(old), Some(new)) if old.version != new.version => {
                let changed = changed(&old.facts, &new.facts);
                (new.subject, "update", changed)
            }
            _ => return,
        };
        self.outbox.push(Action::Event(Event { subject, action, attributes, wall_ms }));
    }
}

/// What events say of an object that operators made.
pub(super) struct Told {
    subject: Subject,
    version: u64,
    facts: Vec<Fact>,
}

/// A value that an update tells before and after, under Docker's names.
struct Fact {
    old: &'static str,
    new: &'static str,
    value: String,
}

impl Told {
    fn service(service: &Service) -> Told {
        let mut facts = Vec::new();
        if let Scale::Replicated { replicas } = service.scale {
            let value = replicas.to_string();
            facts.push(Fact { old: "replicas.old", new: "replicas.new", value });
        }
        let value = service.template.image.clone();
        facts.push(Fact { old: "image.old", new: "image.new", value });
        let subject = Subject::Service { id: service.id, name: service.name.clone() };
        Told { subject, version: service.version, facts }
    }
}

/// The facts that are there before and after with different values.
fn changed(before: &[Fact], after: &[Fact]) -> Vec<(&'static str, String)> {
    let both = after.iter().filter_map(|new| {
        let old = before.iter().find(|old| old.old == new.old && old.value != new.value)?;
        Some([(old.old, old.value.clone()), (new.new, new.value.clone())])
    });
    both.flatten().collect()
}
