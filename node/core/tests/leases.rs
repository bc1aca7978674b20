//! The law of leases: whatever is lost, late or repeated, whoever stands still, is killed or loses
//! its disk, and however apart clocks run within their bound, a slot never runs on two nodes.
//!
//! Here nodes are leases alone, and everybody wants the slot: no plan keeps them from it. What runs
//! is seen from outside: a task goes on while its agent is dead or stands still, until its monitor
//! kills it at the end that it was told last.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crdt_state::partition::{Grants, Partition, PartitionPolicy};
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, StoreId};
use gossip::Now;
use node_core::leases::{Lease, LeaseMessage, Leases, Wanted, promised_ms};
use proptest::prelude::*;

const KEY: (ServiceId, Slot) = (ServiceId([9; 16]), Slot::Number(1));
const FENCE_MS: u64 = 4_000;
const GRACE_MS: u64 = 1_000;

fn id(no: usize) -> NodeId {
    NodeId([no as u8 + 1; 16])
}

/// One node: its agent, its disk, its task.
struct Machine {
    me: NodeId,
    leases: Leases,
    store: u64,
    boots: u64,
    disk: Option<Grants>,
    /// World time at which its agent began; its clock runs at `pace` thousandths.
    began: u64,
    pace: u64,
    is_up: bool,
    is_paused: bool,
    wants: bool,
    inbox: VecDeque<(NodeId, LeaseMessage)>,
    /// It runs, until this world time at the most.
    runs_until: Option<u64>,
}

impl Machine {
    fn now(&self, at: u64) -> Now {
        Now((at - self.began) * self.pace / 1_000)
    }

    /// The world time of a moment of its clock.
    fn world(&self, at: Now) -> u64 {
        if at == Now::NEVER { u64::MAX } else { self.began + at.0 * 1_000 / self.pace }
    }

    fn boot(&mut self, at: u64) {
        self.boots += 1;
        let store = StoreId(self.store);
        self.leases = Leases::restore(self.me, store, self.boots, self.disk.clone());
        (self.began, self.is_up, self.is_paused) = (at, true, false);
        self.inbox.clear();
    }
}

struct World {
    at: u64,
    machines: Vec<Machine>,
    partition: Partition,
    cut: BTreeSet<(usize, usize)>,
    /// In transit, by the time of arrival.
    transit: BTreeMap<(u64, u64), (usize, usize, LeaseMessage)>,
    sent: u64,
    delay_ms: u64,
    starts: usize,
}

impl World {
    fn new(machines: usize, anchors: usize, paces: &[u64]) -> World {
        let anchors = (0..anchors).map(id).collect();
        let policy = PartitionPolicy::AtMostOne;
        let partition = Partition { policy, fence_after_ms: FENCE_MS, anchors };
        let machine = |no: usize| {
            let leases = Leases::restore(id(no), StoreId(1), 0, None);
            let mut machine = Machine {
                me: id(no),
                leases,
                store: 1,
                boots: 0,
                disk: None,
                began: 0,
                pace: paces[no % paces.len()],
                is_up: true,
                is_paused: false,
                wants: true,
                inbox: VecDeque::new(),
                runs_until: None,
            };
            machine.boot(0);
            machine
        };
        let machines = (0..machines).map(machine).collect();
        let (cut, transit) = (BTreeSet::new(), BTreeMap::new());
        World { at: 0, machines, partition, cut, transit, sent: 0, delay_ms: 5, starts: 0 }
    }

    fn run(&mut self, ms: u64) {
        let until = self.at + ms;
        while self.at < until {
            self.at += 50;
            self.deliver();
            for no in 0..self.machines.len() {
                self.step(no);
            }
            self.judge();
        }
    }

    fn deliver(&mut self) {
        while let Some(entry) = self.transit.first_entry().filter(|entry| entry.key().0 <= self.at)
        {
            let (from, to, message) = entry.remove();
            let machine = &mut self.machines[to];
            if machine.is_up {
                machine.inbox.push_back((id(from), message));
            }
        }
    }

    fn step(&mut self, no: usize) {
        let (at, partition) = (self.at, self.partition.clone());
        let machine = &mut self.machines[no];
        if machine.runs_until.is_some_and(|until| until <= at) {
            machine.runs_until = None;
        }
        if !machine.is_up || machine.is_paused {
            return;
        }
        let now = machine.now(at);
        let is_anchor = partition.anchors.contains(&machine.me);
        while let Some((from, message)) = machine.inbox.pop_front() {
            let policy = Some(&partition).filter(|_| is_anchor);
            machine.leases.handle(now, from, message, policy);
        }
        if machine.leases.deadline() <= now {
            machine.leases.handle_due(now);
        }
        let is_live = machine.runs_until.is_some();
        if machine.wants || is_live {
            let want = Wanted { partition: &partition, grace_ms: GRACE_MS, is_live };
            match machine.leases.want(now, KEY, &want) {
                Lease::Granted if machine.wants && !is_live => {
                    machine.runs_until = Some(machine.world(machine.leases.kill_at(KEY)));
                    self.starts += 1;
                }
                Lease::Granted | Lease::Kept if machine.wants => {}
                // A task that takes no notice of the signal: killed after its grace.
                _ => {
                    let end = at + GRACE_MS;
                    machine.runs_until = machine.runs_until.map(|until| until.min(end));
                }
            }
        } else {
            machine.leases.release(KEY);
        }
        if let Some(until) = machine.leases.take_extended().get(&KEY).copied()
            && machine.wants
        {
            let until = machine.world(until);
            machine.runs_until = machine.runs_until.map(|_| until);
        }
        if let Some(said) = machine.leases.take_unwritten() {
            machine.disk = Some(said.clone());
        }
        self.send(no);
    }

    fn send(&mut self, no: usize) {
        while let Some((to, message)) = self.machines[no].leases.poll_message() {
            let to = (0..self.machines.len()).find(|other| id(*other) == to).expect("a machine");
            self.sent += 1;
            if !self.cut.contains(&(no, to)) {
                let key = (self.at + self.delay_ms, self.sent);
                self.transit.insert(key, (no, to, message));
            }
        }
    }

    fn judge(&self) {
        let running: Vec<NodeId> = self.running().collect();
        assert!(running.len() <= 1, "at {} ms it runs on {running:?}", self.at);
    }

    fn running(&self) -> impl Iterator<Item = NodeId> {
        self.machines.iter().filter(|machine| machine.runs_until.is_some()).map(|m| m.me)
    }

    fn holder(&self) -> Option<usize> {
        self.machines.iter().position(|machine| machine.runs_until.is_some())
    }

    fn cut_off(&mut self, no: usize) {
        let others = (0..self.machines.len()).filter(|other| *other != no);
        self.cut.extend(others.flat_map(|other| [(no, other), (other, no)]));
    }
}

#[test]
fn a_slot_goes_on_where_it_runs_and_moves_when_its_node_is_cut_off() {
    let mut world = World::new(4, 3, &[1_000]);
    world.run(2 * promised_ms(FENCE_MS + GRACE_MS));
    let first = world.holder().expect("somebody runs it");
    world.run(60_000);
    assert_eq!((world.holder(), world.starts), (Some(first), 1), "it stays");
    world.cut_off(first);
    world.run(FENCE_MS + GRACE_MS);
    assert_eq!(world.holder(), None, "it is fenced, and nobody begins before that is certain");
    world.run(promised_ms(FENCE_MS + GRACE_MS) + 2_000);
    let second = world.holder().expect("it runs elsewhere");
    assert_ne!(second, first);
    world.cut.clear();
    world.run(60_000);
    assert_eq!((world.holder(), world.starts), (Some(second), 2), "the heal moves nothing");
}

#[test]
fn without_a_majority_nobody_runs_it_and_the_only_anchor_needs_nobody() {
    let mut world = World::new(4, 3, &[1_000]);
    world.run(2 * promised_ms(FENCE_MS + GRACE_MS));
    (0..4).for_each(|no| world.cut_off(no));
    world.run(60_000);
    assert_eq!(world.holder(), None);
    let mut world = World::new(3, 1, &[1_000]);
    (1..3).for_each(|no| world.machines[no].wants = false);
    world.run(2 * promised_ms(FENCE_MS + GRACE_MS));
    world.cut_off(0);
    world.run(60_000);
    assert_eq!((world.holder(), world.starts), (Some(0), 1), "it grants it to nobody else");
}

#[test]
fn who_stood_still_is_killed_by_its_monitor_and_starts_nothing_when_it_goes_on() {
    let mut world = World::new(4, 3, &[1_000]);
    world.run(2 * promised_ms(FENCE_MS + GRACE_MS));
    let first = world.holder().expect("somebody runs it");
    world.machines[first].is_paused = true;
    world.run(60_000);
    let second = world.holder().expect("it runs elsewhere");
    assert_ne!(second, first);
    world.machines[first].is_paused = false;
    world.run(60_000);
    assert_eq!((world.holder(), world.starts), (Some(second), 2));
}

#[test]
fn an_anchor_that_runs_it_and_stood_still_grants_it_to_nobody_who_asked_meanwhile() {
    let mut world = World::new(3, 1, &[1_000]);
    [1, 2].iter().for_each(|no| world.machines[*no].wants = false);
    world.run(2 * promised_ms(FENCE_MS + GRACE_MS));
    assert_eq!(world.holder(), Some(0));
    world.machines[0].is_paused = true;
    world.machines[2].wants = true;
    // Longer than a lease, and no monitor ends its task: its own vote has no end.
    world.run(2 * promised_ms(FENCE_MS + GRACE_MS));
    world.machines[0].is_paused = false;
    world.run(20_000);
    assert_eq!((world.holder(), world.starts), (Some(0), 1));
    world.machines[0].wants = false;
    world.run(promised_ms(FENCE_MS + GRACE_MS));
    assert_eq!(world.holder(), Some(2), "it was given back");
}

#[test]
fn a_move_waits_for_the_end_and_not_for_the_lease() {
    let mut world = World::new(3, 3, &[1_000]);
    world.run(2 * promised_ms(FENCE_MS + GRACE_MS));
    let first = world.holder().expect("somebody runs it");
    world.machines[first].wants = false;
    world.run(GRACE_MS + 2_500);
    assert!(world.holder().is_some_and(|second| second != first), "the lease was given back");
}

#[test]
fn a_slow_clock_of_the_holder_is_waited_for() {
    let mut world = World::new(4, 3, &[985, 1_015, 1_015, 1_015]);
    (1..4).for_each(|no| world.machines[no].wants = false);
    world.run(2 * promised_ms(FENCE_MS + GRACE_MS));
    assert_eq!(world.holder(), Some(0));
    world.machines[1].wants = true;
    world.run(FENCE_MS);
    world.cut_off(0);
    world.run(3 * promised_ms(FENCE_MS + GRACE_MS));
    assert!(world.holder().is_some_and(|second| second != 0));
}

#[test]
fn a_witness_that_lost_its_store_waits_for_what_it_may_have_granted() {
    let mut world = World::new(3, 1, &[1_000]);
    [0, 2].iter().for_each(|no| world.machines[*no].wants = false);
    world.run(2 * promised_ms(FENCE_MS + GRACE_MS));
    assert_eq!(world.holder(), Some(1));
    world.cut_off(1);
    world.suffer(&Deed::LoseDisk(0));
    world.machines[2].wants = true;
    world.run(3 * promised_ms(FENCE_MS + GRACE_MS));
    assert_eq!(world.holder(), Some(2));
}

#[derive(Debug, Clone)]
enum Deed {
    Cut(usize, usize),
    CutOff(usize),
    Heal,
    Pause(usize),
    Resume(usize),
    Kill(usize),
    Boot(usize),
    LoseDisk(usize),
    Toggle(usize),
    Delay(u64),
    Repeat(usize),
}

fn deed() -> impl Strategy<Value = Deed> {
    let no = 0..5_usize;
    prop_oneof![
        (no.clone(), no.clone()).prop_map(|(from, to)| Deed::Cut(from, to)),
        no.clone().prop_map(Deed::CutOff),
        Just(Deed::Heal),
        no.clone().prop_map(Deed::Pause),
        no.clone().prop_map(Deed::Resume),
        no.clone().prop_map(Deed::Kill),
        no.clone().prop_map(Deed::Boot),
        no.clone().prop_map(Deed::LoseDisk),
        no.clone().prop_map(Deed::Toggle),
        prop_oneof![Just(5), Just(900), Just(7_000)].prop_map(Deed::Delay),
        no.prop_map(Deed::Repeat),
    ]
}

impl World {
    fn suffer(&mut self, deed: &Deed) {
        let (at, count) = (self.at, self.machines.len());
        match *deed {
            Deed::Cut(from, to) => _ = self.cut.insert((from % count, to % count)),
            Deed::CutOff(no) => self.cut_off(no % count),
            Deed::Heal => self.cut.clear(),
            Deed::Pause(no) => self.machines[no % count].is_paused = true,
            Deed::Resume(no) => self.machines[no % count].is_paused = false,
            Deed::Kill(no) => self.machines[no % count].is_up = false,
            Deed::Boot(no) => self.machines[no % count].boot(at),
            Deed::LoseDisk(no) => {
                let machine = &mut self.machines[no % count];
                machine.store += 1;
                machine.disk = None;
                machine.boot(at);
            }
            Deed::Toggle(no) => {
                let machine = &mut self.machines[no % count];
                machine.wants = !machine.wants;
            }
            Deed::Delay(ms) => self.delay_ms = ms,
            Deed::Repeat(no) => {
                // The oldest message in transit arrives twice, the second time much later.
                if let Some((_, last)) = self.transit.iter().nth(no).map(|(k, v)| (*k, *v)) {
                    self.sent += 1;
                    self.transit.insert((at + 9_000, self.sent), last);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn a_slot_never_runs_twice(
        machines in 3..6_usize,
        anchors in prop_oneof![Just(1_usize), Just(3), Just(3)],
        paces in prop::collection::vec(985..1_015_u64, 5),
        deeds in prop::collection::vec((deed(), 50..9_000_u64), 5..40),
    ) {
        let mut world = World::new(machines, anchors, &paces);
        world.run(promised_ms(FENCE_MS + GRACE_MS) + 1_000);
        for (deed, ms) in &deeds {
            world.suffer(deed);
            world.run(*ms);
        }
        // Nothing is so broken that it does not go on in the end.
        world.cut.clear();
        world.delay_ms = 5;
        for no in 0..machines {
            if !world.machines[no].is_up {
                world.machines[no].boot(world.at);
            }
            world.machines[no].is_paused = false;
            world.machines[no].wants = no == 0;
        }
        world.run(4 * promised_ms(FENCE_MS + GRACE_MS) + 20_000);
        prop_assert_eq!(world.holder(), Some(0));
    }
}
