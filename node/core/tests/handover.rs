//! Handovers in every order: an exhaustive model of two and three nodes that all run one slot.
//!
//! Each node's plan may name any node as the owner at any moment, as often as the bound allows.
//! Each version of each record may arrive at any time after it was written, be lost, or come twice
//! (an older or equal version changes nothing, as in the replica). In every case, one copy stays.
//! The earlier rule, which ended a copy as soon as the owner was heard to run one, fails at once.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::handover::Handovers;
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, StoreId, wire};
use node_core::handover::Handover;

const SERVICE: ServiceId = ServiceId([9; 16]);
const SLOT: Slot = Slot::Number(1);

fn id(node: usize) -> NodeId {
    NodeId([u8::try_from(node).expect("few nodes"); 16])
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// The keeper must have answered.
    Answered,
    /// It is enough to have heard that the owner runs the slot.
    Heard,
}

/// One version of what a node has written.
#[derive(Clone)]
struct Version {
    said: Handovers,
    runs: bool,
}

#[derive(Clone)]
struct Holder {
    handover: Handover,
    runs: bool,
    /// The node that owns the slot in this node's plan.
    owner: usize,
    /// How often its plan may still change.
    changes: usize,
    written: Vec<Version>,
    /// For each other node, the newest of its versions that has arrived.
    heard: Vec<usize>,
}

#[derive(Clone)]
struct World {
    rule: Rule,
    holders: Vec<Holder>,
}

impl World {
    fn new(nodes: usize, changes: usize, rule: Rule) -> World {
        let holder = |node| Holder {
            handover: Handover::restore(id(node), StoreId(node as u64), None),
            runs: true,
            owner: node,
            changes,
            written: vec![Version { said: Handovers::none(StoreId(node as u64)), runs: true }],
            heard: vec![1; nodes],
        };
        World { rule, holders: (0..nodes).map(holder).collect() }
    }

    /// What a node does whenever something changed, as the pure node does.
    fn reconcile(&mut self, me: usize) {
        let theirs: BTreeMap<NodeId, Handovers> = (0..self.holders.len())
            .filter(|other| *other != me)
            .map(|other| (id(other), self.heard(me, other).said.clone()))
            .collect();
        let owner = self.holders[me].owner;
        let owner_was_heard_running = owner != me && self.heard(me, owner).runs;
        let rule = self.rule;
        let holder = &mut self.holders[me];
        if holder.runs && owner != me {
            let number = holder.written.len() as u64;
            holder.handover.ask(number, SERVICE, SLOT, id(owner));
            let may_end = match rule {
                Rule::Answered => {
                    holder.handover.is_kept_by(id(owner), &theirs[&id(owner)], SERVICE, SLOT)
                }
                Rule::Heard => owner_was_heard_running,
            };
            holder.runs = !may_end;
        }
        if !holder.runs || owner == me {
            holder.handover.withdraw(SERVICE, SLOT);
        }
        let keeps = holder.runs && owner == me;
        holder.handover.answer(SERVICE, &theirs, |_| keeps);
        let last = holder.written.last().expect("the first is there from the start");
        if last.said != *holder.handover.said() || last.runs != holder.runs {
            let said = holder.handover.said().clone();
            holder.written.push(Version { said, runs: holder.runs });
        }
    }

    fn heard(&self, me: usize, other: usize) -> &Version {
        &self.holders[other].written[self.holders[me].heard[other] - 1]
    }

    /// Every world that can follow.
    fn next(&self) -> Vec<World> {
        let nodes = self.holders.len();
        let mut next = Vec::new();
        for me in 0..nodes {
            for other in 0..nodes {
                let holder = &self.holders[me];
                if other != me {
                    for version in holder.heard[other] + 1..=self.holders[other].written.len() {
                        let mut world = self.clone();
                        world.holders[me].heard[other] = version;
                        world.reconcile(me);
                        next.push(world);
                    }
                }
                if other != holder.owner && holder.changes > 0 {
                    let mut world = self.clone();
                    world.holders[me].owner = other;
                    world.holders[me].changes -= 1;
                    world.reconcile(me);
                    next.push(world);
                }
            }
        }
        next
    }

    /// A digest of everything that later worlds depend on. Versions that every other node has
    /// passed are not part of that.
    fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for (me, holder) in self.holders.iter().enumerate() {
            let others = (0..self.holders.len()).filter(|other| *other != me);
            let oldest = others.map(|other| self.holders[other].heard[me]).min().unwrap_or(1);
            let still = &holder.written[oldest - 1..];
            let ages: Vec<usize> = holder
                .heard
                .iter()
                .zip(&self.holders)
                .map(|(heard, of)| of.written.len() - heard)
                .collect();
            let said: Vec<_> = still.iter().map(|version| (&version.said, version.runs)).collect();
            let state = (holder.runs, holder.owner, holder.changes, ages, said);
            hasher.update(&wire::encode(&state));
        }
        *hasher.finalize().as_bytes()
    }

    fn copies(&self) -> usize {
        self.holders.iter().filter(|holder| holder.runs).count()
    }
}

/// The first world without a copy, if one can be reached, and how many worlds there are.
fn explore(start: World) -> (Option<World>, usize) {
    let mut seen = BTreeSet::from([start.digest()]);
    let mut open = vec![start];
    while let Some(world) = open.pop() {
        if world.copies() == 0 {
            return (Some(world), seen.len());
        }
        open.extend(world.next().into_iter().filter(|next| seen.insert(next.digest())));
    }
    (None, seen.len())
}

#[test]
fn of_two_copies_one_stays_whatever_the_plans_say_and_however_news_travels() {
    let (broken, worlds) = explore(World::new(2, 4, Rule::Answered));
    assert!(broken.is_none());
    assert!(worlds > 1_000, "{worlds}");
}

#[test]
fn of_three_copies_one_stays_whatever_the_plans_say_and_however_news_travels() {
    let (broken, worlds) = explore(World::new(3, 1, Rule::Answered));
    assert!(broken.is_none());
    assert!(worlds > 1_000, "{worlds}");
}

#[test]
fn to_have_heard_that_the_owner_runs_it_does_not_suffice() {
    assert!(explore(World::new(2, 1, Rule::Heard)).0.is_some());
}

/// All plans come to agree, and all records arrive: surplus copies end.
#[test]
fn once_all_agree_only_the_owners_copy_stays() {
    for owner in 0..3 {
        let mut world = World::new(3, 1, Rule::Answered);
        for me in 0..3 {
            world.holders[me].owner = (me + 1) % 3;
            world.reconcile(me);
        }
        for me in 0..3 {
            world.holders[me].owner = owner;
            world.reconcile(me);
        }
        for (me, other) in (0..3).flat_map(|_| [(0, 1), (1, 2), (2, 0), (0, 2), (2, 1), (1, 0)]) {
            world.holders[me].heard[other] = world.holders[other].written.len();
            world.reconcile(me);
        }
        for (me, holder) in world.holders.iter().enumerate() {
            assert_eq!(holder.runs, me == owner, "n{me} of owner n{owner}");
            assert!(holder.handover.said().asks.is_empty());
        }
    }
}
