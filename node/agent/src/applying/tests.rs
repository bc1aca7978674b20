//! Lives of an agent that a record ends, with the same files as the real one.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crdt_state::spec::{Facet, Life, Scale};
use crdt_state::{
    HashSigner, HashVerifier, NodeId, RecordKey, Replica, Service, ServiceId, Signer, StoreId,
    Unfit, Writer, services,
};

use super::*;

fn replica(seed: u64) -> Replica {
    let signer = HashSigner::from_seed(seed);
    let writer = Writer { node: NodeId::of(&signer.public_key()), store: StoreId(1) };
    Replica::new(writer, Box::new(signer), Arc::new(HashVerifier))
}

/// A member with this many services.
fn member(count: u8) -> Replica {
    let mut member = replica(2);
    for n in 1..=count {
        let life = Life::Present { name: format!("s{n}"), created: member.next_stamp() };
        let key = RecordKey::service(ServiceId([n; 16]));
        member.edit(key, Facet::LIFE, &life, 0);
        member.edit(key, Facet::SCALE, &Scale::Replicated { replicas: 2 }, 0);
    }
    member
}

struct Lives {
    dir: tempfile::TempDir,
    disk: BTreeMap<RecordKey, Vec<u8>>,
    /// Reading this record ends the agent.
    poison: ServiceId,
}

impl Lives {
    fn new(poison: ServiceId) -> Lives {
        let dir = tempfile::tempdir().expect("a directory");
        Lives { dir, disk: BTreeMap::new(), poison }
    }

    /// As `Node::settle` does: some records are released, all present records are read, then
    /// applied.
    fn settle(&self, replica: &mut Replica) {
        loop {
            replica.let_in();
            assert!(Service::read(replica, self.poison).is_none(), "an assertion of the planner");
            replica.applied();
            if !replica.is_holding_back() {
                return;
            }
        }
    }

    /// An agent that starts and receives the member's records: its replica, unless it crashed.
    fn live(&mut self, member: &Replica, persists: bool) -> Option<Replica> {
        let at = Applying::at(self.dir.path().join("edgectl.applying"), self.dir.path());
        let Suspects { held_back, set_aside } = at.suspects.clone();
        let mut replica = replica(1);
        replica.watch(Box::new(at.journal().expect("opened")), held_back, set_aside);
        for (key, bytes) in &self.disk {
            replica.load(*key, bytes).expect("it was written");
        }
        let keys: Vec<RecordKey> = member.keys(crdt_state::Kind::SERVICE).collect();
        catch_unwind(AssertUnwindSafe(|| {
            self.settle(&mut replica);
            replica.merge(&member.delta(keys.clone()));
            if persists {
                let bytes = |key: RecordKey| Some((key, member.encode_record(&key)?));
                self.disk.extend(keys.iter().filter_map(|key| bytes(*key)));
            }
            self.settle(&mut replica);
        }))
        .ok()?;
        Some(replica)
    }
}

fn crashes_until_it_lives(lives: &mut Lives, member: &Replica, persists: bool) -> (u32, Replica) {
    for crashes in 0..10 {
        if let Some(replica) = lives.live(member, persists) {
            return (crashes, replica);
        }
    }
    panic!("it never starts");
}

#[test]
fn a_record_that_ends_the_agent_twice_is_set_aside_at_the_third_start() {
    for persists in [false, true] {
        let (member, poison) = (member(9), ServiceId([5; 16]));
        let mut lives = Lives::new(poison);
        let (crashes, replica) = crashes_until_it_lives(&mut lives, &member, persists);
        assert_eq!(crashes, 2);
        let unfit: Vec<_> = replica.unfit().map(|(key, _, why)| (key, why)).collect();
        assert_eq!(unfit, [(RecordKey::service(poison), Unfit::SetAside)]);
        assert_eq!((services(&replica).len(), replica.digest()), (8, member.digest()));
        assert!(lives.live(&member, persists).is_some(), "it stays so");
    }
}

#[test]
fn one_of_many_is_found_after_few_starts_and_nothing_else_is_lost() {
    let (member, poison) = (member(200), ServiceId([77; 16]));
    let (crashes, replica) = crashes_until_it_lives(&mut Lives::new(poison), &member, true);
    assert!(crashes <= 4, "{crashes} crashes");
    assert_eq!(services(&replica).len(), 199);
}

#[test]
fn a_record_that_was_written_again_has_another_chance() {
    let (mut member, poison) = (member(3), ServiceId([2; 16]));
    let mut lives = Lives::new(poison);
    crashes_until_it_lives(&mut lives, &member, true);
    let key = RecordKey::service(poison);
    member.edit(key, Facet::LIFE, &Life::Removed { name: "s2".into() }, 0);
    let replica = lives.live(&member, true).expect("it is harmless now");
    assert_eq!((replica.unfit().count(), services(&replica).len()), (0, 2));
}

#[test]
fn an_agent_that_was_killed_once_with_a_record_in_hand_loses_nothing() {
    let member = member(4);
    let mut lives = Lives::new(ServiceId([2; 16]));
    assert!(lives.live(&member, true).is_none());
    lives.poison = ServiceId([99; 16]);
    for _ in 0..2 {
        let replica = lives.live(&member, true).expect("it was an accident");
        assert_eq!((replica.unfit().count(), services(&replica).len()), (0, 4));
    }
    let journal = std::fs::read(lives.dir.path().join("edgectl.applying")).expect("there");
    assert!(journal.is_empty(), "nothing is in hand");
}

#[test]
fn what_another_version_suspected_is_forgotten() {
    let digests = BTreeSet::from([Digest([7; 16]), Digest([255; 16])]);
    let suspects = Suspects { held_back: digests.clone(), set_aside: digests };
    let text = suspects.to_text();
    assert_eq!(Suspects::from_text(&text), suspects);
    assert_eq!(Suspects::from_text(&format!("9.{text}")), Suspects::default());
    assert_eq!(Suspects::from_text("nonsense\nback zz\n"), Suspects::default());
}
