//! How long one node takes from hearing that a task changed until its kernel leads connections
//! accordingly, among few and among many services. Must run as root: the kernel's part is done in a
//! network namespace of this process.
//!
//! Two nodes run 10 tasks of each service. One task after another of one of them becomes unhealthy;
//! the other is told. Then the same of tasks of the node that is measured.
//! `cargo bench -p node-agent --bench apply_change`.

#![allow(dead_code, unused_imports, reason = "the hosts of the tests can do more")]

use std::collections::BTreeSet;
use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crdt_state::task::{Health, Run, RunEvent};
use crdt_state::{NetworkId, TaskId};
use nix::sched::{CloneFlags, unshare};
use node_core::network_state::NetworkState;
use node_core::tasks::is_healthy;
use node_core::{Action, Input};
use overlay::change::PlanChange;
use overlay::plan::OverlayPlan;
use overlay_linux::balancing::NetworkBalancer;

#[path = "../../core/tests/node/host.rs"]
mod host;
#[path = "../../core/tests/node/networks.rs"]
mod networks;
#[path = "../../core/tests/node/pair.rs"]
mod pair;

use host::Host;
use pair::Pair;

const TASKS: u32 = 10;
const ROUNDS: usize = 30;

/// Two nodes; of the first one also what follows its state.
struct World {
    pair: Pair,
    network: NetworkId,
    networks: NetworkState,
    plan: OverlayPlan,
    balancer: NetworkBalancer,
    /// Tasks of each node that run.
    runs: [Vec<Run>; 2],
}

/// The node that is measured, and whose task changes.
#[derive(Clone, Copy)]
enum Whose {
    Own = 0,
    Another = 1,
}

fn main() {
    unshare(CloneFlags::CLONE_NEWNET).expect("root can make a network namespace");
    let mut lines: [Vec<String>; 2] = Default::default();
    for services in [10, 100, 1_000] {
        let mut world = World::new(services);
        for whose in [Whose::Another, Whose::Own] {
            let [state, plan, kernel, sum] = world.measure(whose);
            lines[whose as usize].push(format!(
                "{services:>9} {state:>8.3} ms {plan:>8.3} ms {kernel:>8.3} ms {sum:>8.3} ms"
            ));
        }
    }
    let [own, another] = lines;
    for (whose, lines) in [("another node", another), ("this node", own)] {
        println!("a task of {whose} changes");
        println!("{:>9} {:>11} {:>11} {:>11} {:>11}", "services", "state", "plan", "kernel", "sum");
        lines.iter().for_each(|line| println!("{line}"));
    }
}

/// In milliseconds.
fn median(mut all: Vec<Duration>) -> f64 {
    all.sort_unstable();
    all[all.len() / 2].as_secs_f64() * 1e3
}

impl World {
    fn new(services: u32) -> World {
        let mut pair = Pair::joined();
        let network = networks::network(&mut pair.hosts[0], "back", "10.128.0.0/12");
        pair.wait(5_000);
        for number in 0..services {
            pair.hosts[0].create(networks::on(network, &format!("web-{number}"), TASKS));
            if number % 50 == 0 {
                pair.wait(1_000);
            }
        }
        for _ in 0..10 {
            pair.wait(10_000);
            for host in &mut pair.hosts {
                for run in host.start_all() {
                    host.report(run, RunEvent::HealthChanged(Health::Healthy));
                }
            }
        }
        pair.wait(10_000);
        let said: BTreeSet<TaskId> = Self::healthy(&pair.hosts[0]);
        let runs = [0, 1].map(|host| {
            let live = pair.hosts[host].node.live_tasks().into_iter();
            let live = live.map(|task| Run { task: task.task, attempt: task.attempt });
            live.filter(|run| said.contains(&run.task)).collect()
        });
        let namespace = File::open("/proc/thread-self/ns/net").expect("proc is mounted");
        let mut world = World {
            pair,
            network,
            networks: NetworkState::new(|run| run.task.to_string()),
            plan: OverlayPlan::default(),
            balancer: NetworkBalancer::open(namespace.as_fd()).expect("this process may"),
            runs,
        };
        let node = &mut world.pair.hosts[0].node;
        let news = node.drain_network_news();
        world.plan.apply(world.networks.update(node, news));
        world.balancer.remove().expect("a table can be removed");
        world.balancer.apply(&world.plan.networks[&network]).expect("the kernel takes it");
        world
    }

    /// The tasks of which a host knows that they run.
    fn healthy(host: &Host) -> BTreeSet<TaskId> {
        let status = host.tasks().into_iter().filter_map(|task| task.status);
        status.filter(is_healthy).map(|status| status.id).collect()
    }

    /// Medians in milliseconds.
    fn measure(&mut self, whose: Whose) -> [f64; 4] {
        let mut figures = [const { Vec::new() }; 4];
        for _ in 0..ROUNDS {
            let took = self.change(whose);
            let all = took.into_iter().chain([took.iter().sum()]);
            figures.iter_mut().zip(all).for_each(|(figure, took)| figure.push(took));
        }
        figures.map(median)
    }

    /// A task changes, and the first host hears of it.
    fn change(&mut self, whose: Whose) -> [Duration; 3] {
        let run = self.runs[whose as usize].pop().expect("there are more tasks than rounds");
        let start = Instant::now();
        let unhealthy = RunEvent::HealthChanged(Health::Unhealthy);
        self.pair.hosts[whose as usize].report(run, unhealthy);
        let mut state = match whose {
            Whose::Own => start.elapsed(),
            Whose::Another => Duration::ZERO,
        };
        let mut plan = Duration::ZERO;
        for _ in 0..1_000 {
            state += self.hear();
            let start = Instant::now();
            let node = &mut self.pair.hosts[0].node;
            let news = node.drain_network_news();
            let change = self.networks.update(node, news);
            plan += start.elapsed();
            if !change.virtual_addresses.is_empty() {
                let kernel = self.apply(change);
                self.settle();
                return [state, plan, kernel];
            }
            self.pair.hosts[1].wait(10);
        }
        panic!("no virtual address leads elsewhere");
    }

    fn apply(&mut self, change: PlanChange) -> Duration {
        let at: BTreeSet<IpAddr> = change.virtual_addresses.keys().map(|(_, at)| *at).collect();
        let start = Instant::now();
        self.plan.apply(change);
        let network = &self.plan.networks[&self.network];
        self.balancer.apply_some(network, &at, &BTreeSet::new()).expect("the kernel takes it");
        start.elapsed()
    }

    /// Lets what follows from a change come to rest.
    fn settle(&mut self) {
        self.pair.wait(1_000);
        let node = &mut self.pair.hosts[0].node;
        let news = node.drain_network_news();
        self.plan.apply(self.networks.update(node, news));
    }

    /// The first host takes what the second has sent; how long that took.
    fn hear(&mut self) -> Duration {
        let mut took = Duration::ZERO;
        for action in std::mem::take(&mut self.pair.hosts[1].sent) {
            if let Action::SendDatagram { bytes, .. } = action {
                let (sender, from) = (self.pair.hosts[1].node.me(), host::addr(2));
                let start = Instant::now();
                self.pair.hosts[0].feed(Input::Datagram { sender, from, bytes });
                took += start.elapsed();
            }
        }
        took
    }
}
