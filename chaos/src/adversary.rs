//! A member with the fleet's key that signs records that no operator could write. It is not a
//! machine: it sends records, and answers nothing.
//!
//! Each of its records is poisoned in one way, beyond one limit. If it overwrites a record, that is
//! a write like any other. It must never send a record that a node may read: that would be an
//! operator's edit.

use std::fmt;
use std::sync::Arc;

use crdt_state::node::NodeDescription;
use crdt_state::spec::{
    Endpoint, Facet, Labels, Life, PublishedPort, Resources, Scale, StoredTemplate, Template,
};
use crdt_state::task::{Slot, TaskRecord};
use crdt_state::{
    Delta, Digest, HashSigner, HashVerifier, NodeId, RecordKey, Replica, ServiceId, Signer,
    StoreId, Writer,
};

use crate::check::writes::WriteId;
use crate::dice::Dice;
use crate::sim_node::{Held, writes_of};

/// A message of the adversary.
#[derive(Debug)]
pub struct Poison {
    /// Who sends it.
    pub from: NodeId,
    /// The message.
    pub bytes: Vec<u8>,
    /// The writes in it, each with the writes that it saw.
    pub writes: Vec<(Held, Vec<WriteId>)>,
}

/// The adversary.
pub struct Adversary {
    replica: Replica,
    dice: Dice,
    services: u8,
}

impl fmt::Debug for Adversary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Adversary").field("services", &self.services).finish_non_exhaustive()
    }
}

impl Adversary {
    /// The adversary of a seed.
    pub fn new(seed: u64) -> Adversary {
        let mut dice = Dice::new(seed, "villain");
        let signer = HashSigner::from_seed(dice.any());
        let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(dice.any()) };
        let replica = Replica::new(writer, Box::new(signer), Arc::new(HashVerifier));
        Adversary { replica, dice, services: 0 }
    }

    /// The digests of the last version of each record that it sent, by key.
    pub fn said(&self) -> impl Iterator<Item = (RecordKey, Digest)> {
        self.replica.unfit().map(|(key, digest, _)| (key, digest))
    }

    /// The records that it holds.
    pub fn replica(&self) -> &Replica {
        &self.replica
    }

    /// The next record, written over one of these services if there are any.
    pub fn poison(&mut self, services: &[(ServiceId, Delta)]) -> Poison {
        let key = match self.dice.below(4) {
            0 => self.say_of_itself(),
            1 => self.say_of_a_slot(),
            2 if !services.is_empty() => {
                let (id, delta) = self.dice.pick(services);
                let id = *id;
                self.replica.merge(delta);
                return self.write(RecordKey::service(id));
            }
            _ => return self.create(),
        };
        self.tell(key, &[])
    }

    fn create(&mut self) -> Poison {
        self.services = self.services.wrapping_add(1);
        let mut id = [self.services; 16];
        id[0] = 0xee;
        let key = RecordKey::service(ServiceId(id));
        let created = self.replica.next_stamp();
        let name = match self.dice.below(4) {
            0 => "n".repeat(1_000),
            1 => "web".to_owned(),
            _ => format!("poison-{}", self.services),
        };
        let life = Life::Present { name, created };
        self.replica.edit(key, Facet::LIFE, &life, u64::MAX);
        self.write(key)
    }

    /// Writes one facet beyond its limit.
    fn write(&mut self, key: RecordKey) -> Poison {
        let before = self.writes(key);
        let (replica, wall_ms) = (&mut self.replica, u64::MAX);
        match self.dice.below(6) {
            0 => {
                let scale = Scale::Replicated { replicas: u32::MAX };
                replica.edit(key, Facet::SCALE, &scale, wall_ms);
            }
            1 => {
                let template = Template { stop_grace_ms: u64::MAX, ..Template::default() };
                replica.edit(key, Facet::TEMPLATE, &StoredTemplate(template), wall_ms);
            }
            2 => {
                let mut template =
                    Template { command: vec!["steady".into()], ..Default::default() };
                template.reservations.memory_bytes = u64::MAX;
                replica.edit(key, Facet::TEMPLATE, &StoredTemplate(template), wall_ms);
            }
            3 => {
                let port =
                    PublishedPort { published: 0, target: 0, protocol: String::new(), host: true };
                replica.edit(key, Facet::ENDPOINT, &Endpoint { ports: vec![port] }, wall_ms);
            }
            4 => {
                replica.edit(key, Facet::UPDATE_POLICY, &"nonsense", wall_ms);
            }
            _ => {
                replica.edit(key, Facet::LABELS, &u64::MAX, wall_ms);
            }
        }
        self.tell(key, &before)
    }

    fn say_of_itself(&mut self) -> RecordKey {
        let key = RecordKey::node(self.replica.me());
        let resources = Resources { nano_cpus: u64::MAX, ..Resources::default() };
        let description = NodeDescription {
            hostname: "villain".to_owned(),
            os: "linux".to_owned(),
            arch: "x86_64".to_owned(),
            resources,
            engine_labels: Labels::from([("at".to_owned(), self.dice.any().to_string())]),
            engine_version: String::new(),
            addresses: vec!["10.9.9.9:7946".to_owned(); 100],
            joined: self.replica.next_stamp(),
            left: false,
        };
        self.replica.put_owned(key, &description, u64::MAX);
        key
    }

    /// A task record of a slot that does not exist, or under another node's id.
    fn say_of_a_slot(&mut self) -> RecordKey {
        let (me, service) = (self.replica.me(), ServiceId([0xee; 16]));
        let (node, slot) = match self.dice.below(2) {
            0 => (me, Slot::Number(u32::MAX)),
            _ => (NodeId([7; 16]), Slot::Number(1)),
        };
        let key = RecordKey::task(me, service, slot);
        let record = TaskRecord { service, slot, node, tasks: Vec::new() };
        self.replica.put_owned(key, &record, u64::MAX);
        key
    }

    fn writes(&self, key: RecordKey) -> Vec<Held> {
        self.replica.record(&key).map(|record| writes_of(key, record)).unwrap_or_default()
    }

    /// The record as it is now; writes that are not in `before` are new.
    fn tell(&self, key: RecordKey, before: &[Held]) -> Poison {
        let me = self.replica.me();
        let is_mine =
            |held: &Held| held.0.stamp.writer == self.replica.writer() && !before.contains(held);
        let saw = |write: &WriteId| {
            let same = before.iter().map(|(held, _)| *held);
            same.filter(|held| held.facet == write.facet && held != write).collect::<Vec<_>>()
        };
        let mine = self.writes(key).into_iter().filter(is_mine);
        let writes = mine.map(|held| (held.clone(), saw(&held.0))).collect();
        Poison { from: me, bytes: gossip::encode_rumour(me, self.replica.delta([key])), writes }
    }
}
