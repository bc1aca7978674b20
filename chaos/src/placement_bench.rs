//! `chaos placement`: how long a plan of 100,000 tasks on 1,000 nodes takes, and how good it is.
//!
//! Two fleets of the same size: 1,000 services of 100 tasks, most of which are spread over labels or
//! reserve memory, and one service of 100,000 tasks. Times are of this machine's clock and of the
//! planner alone; everything else is counted and the same on every machine.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crdt_state::spec::{Resources, Scale};
use crdt_state::stamp::{Stamp, Writer};
use crdt_state::task::Slot;
use crdt_state::{NodeId, ServiceId, StoreId};
use node_core::plan::{Plan, Planning};
use node_core::preference::Preference;
use node_core::view::{Holder, JobView, NodeView, Presence, ServiceView, Standing, View};
use serde::Serialize;

use crate::membership_bench::Output;

const NODES: u32 = 1_000;
const TASKS: u32 = 100_000;
const ZONES: u32 = 10;
const RACKS: u32 = 5;
/// How many single changes are measured; the slowest counts.
const CHANGES: u32 = 20;

/// The figures. The names are part of the interface of `cargo xtask bench placement --json`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Figures {
    /// Seconds for a plan from nothing, the slower of the two fleets.
    pub plan_cold_s: f64,
    /// Milliseconds for the plan after one task of one of 1,000 services changed.
    pub plan_change_ms: f64,
    /// The same for the one service of 100,000 tasks.
    pub plan_change_of_100000_ms: f64,
    /// Seconds for the plan after a node fell silent: every service may be concerned.
    pub plan_node_gone_s: f64,
    /// The largest difference of tasks of one service between two nodes, racks or zones that lie in
    /// the same rack or zone.
    pub spread_max_minus_min: u32,
    /// Slots that moved when a node left, as a multiple of those that it had.
    pub moved_on_leave_ratio: f64,
    /// Slots that moved when it returned, as a multiple of the fewest that its share asks for.
    pub moved_on_return_ratio: f64,
}

/// Measures and prints the figures.
pub fn run(output: Output) {
    let figures = measure();
    match output {
        Output::Json => {
            println!("{}", serde_json::to_string(&figures).expect("figures are numbers"));
        }
        Output::Table => print_table(&figures),
    }
}

fn print_table(figures: &Figures) {
    println!("{:<34} {:>9}  asked", "figure", "measured");
    let rows = [
        ("plan_cold_s", figures.plan_cold_s, "≤ 1"),
        ("plan_change_ms", figures.plan_change_ms, "≤ 10"),
        ("plan_change_of_100000_ms", figures.plan_change_of_100000_ms, ""),
        ("plan_node_gone_s", figures.plan_node_gone_s, "≤ 1"),
        ("spread_max_minus_min", f64::from(figures.spread_max_minus_min), "≤ 1"),
        ("moved_on_leave_ratio", figures.moved_on_leave_ratio, "≤ 1.1"),
        ("moved_on_return_ratio", figures.moved_on_return_ratio, "≤ 1.1"),
    ];
    for (name, value, asked) in rows {
        println!("{name:<34} {value:>9.3}  {asked}");
    }
}

fn measure() -> Figures {
    let mut figures = Figures::default();
    for services in [1_000, 1] {
        let mut view = fleet(services, TASKS / services);
        let mut planning = Planning::default();
        let cold = timed(|| planning.renew(&view));
        figures.plan_cold_s = figures.plan_cold_s.max(cold.as_secs_f64());
        note_spread(&mut figures, &view, planning.plan());
        obey(&mut view, planning.plan());
        let change_ms = measure_changes(&mut view, &mut planning);
        match services {
            1 => figures.plan_change_of_100000_ms = change_ms,
            _ => figures.plan_change_ms = change_ms,
        }
        measure_node(&mut figures, view, planning);
    }
    figures
}

/// One task after another stops being healthy and is healthy again: milliseconds of the slowest.
fn measure_changes(view: &mut View, planning: &mut Planning) -> f64 {
    let ids: Vec<ServiceId> = view.services.keys().copied().collect();
    let mut slowest = Duration::ZERO;
    for change in 0..CHANGES {
        let id = ids[change as usize * ids.len() / CHANGES as usize];
        for standing in [Standing::Coming, Standing::Running] {
            let service = view.services.get_mut(&id).expect("it is there");
            service.holders[7].standing = standing;
            let changed = BTreeSet::from([id]);
            slowest = slowest.max(timed(|| {
                planning.update(view, &changed);
            }));
        }
    }
    slowest.as_secs_f64() * 1_000.0
}

/// A node falls silent, everybody does what the plan says, and it returns with nothing.
fn measure_node(figures: &mut Figures, mut view: View, mut planning: Planning) {
    let node = *view.nodes.keys().nth(NODES as usize / 3).expect("so many");
    let before = owners(planning.plan());
    set_presence(&mut view, node, Presence::Gone);
    let gone = timed(|| planning.renew(&view));
    figures.plan_node_gone_s = figures.plan_node_gone_s.max(gone.as_secs_f64());
    let after = owners(planning.plan());
    let own = before.values().filter(|owner| **owner == node).count();
    let ratio = ratio(moved(&before, &after), own);
    figures.moved_on_leave_ratio = figures.moved_on_leave_ratio.max(ratio);
    obey(&mut view, planning.plan());
    set_presence(&mut view, node, Presence::Here);
    planning.renew(&view);
    note_spread(figures, &view, planning.plan());
    let back = owners(planning.plan());
    // In a balanced plan every node has at least the smallest share that there is.
    let least: u32 = view.services.values().map(least_share).sum();
    let ratio = self::ratio(moved(&after, &back), least as usize);
    figures.moved_on_return_ratio = figures.moved_on_return_ratio.max(ratio);
}

fn ratio(moved: usize, least: usize) -> f64 {
    if moved == least { 1.0 } else { moved as f64 / least.max(1) as f64 }
}

fn set_presence(view: &mut View, node: NodeId, presence: Presence) {
    view.nodes.get_mut(&node).expect("it is there").presence = presence;
}

/// The fewest slots of a service on one node, shared out evenly level by level: groups are of one
/// size here.
fn least_share(service: &ServiceView) -> u32 {
    let Scale::Replicated { replicas } = service.scale else { return 0 };
    match service.preferences.len() {
        0 => replicas / NODES,
        1 => replicas / ZONES / (NODES / ZONES),
        _ => replicas / ZONES / RACKS / (NODES / ZONES / RACKS),
    }
}

fn fleet(services: u32, replicas: u32) -> View {
    let mut view = View::default();
    for n in 0..NODES {
        let mut node = NodeView::new(NodeId(id_of("node", n)));
        node.resources = Resources { memory_bytes: 64 << 30, ..Resources::default() };
        node.labels.insert("zone".to_owned(), format!("z{}", n % ZONES));
        node.labels.insert("rack".to_owned(), format!("r{}", n / ZONES % RACKS));
        view.nodes.insert(node.id, node);
    }
    for n in 0..services {
        let service = service(n, services, replicas);
        view.services.insert(service.id, service);
    }
    view
}

/// Every second service is spread, every second reserves memory.
fn service(n: u32, services: u32, replicas: u32) -> ServiceView {
    let levels = ["spread=node.labels.zone", "spread=node.labels.rack"];
    let levels = &levels[..if services == 1 { 2 } else { [0, 1, 0, 2][n as usize % 4] }];
    let preferences = levels.iter().map(|text| Preference::parse(text).expect("a preference"));
    let memory_bytes = if (n / 4).is_multiple_of(2) { 64 << 20 } else { 0 };
    let writer = Writer { node: NodeId([1; 16]), store: StoreId(1) };
    ServiceView {
        id: ServiceId(id_of("service", n)),
        name: format!("s{n}"),
        image: String::new(),
        affinities: Vec::new(),
        created: Stamp { lamport: u64::from(n) + 1, writer },
        scale: Scale::Replicated { replicas },
        constraints: Vec::new(),
        preferences: preferences.collect(),
        platforms: Vec::new(),
        max_per_node: 0,
        priority: 0,
        reservations: Resources { memory_bytes, ..Resources::default() },
        host_ports: Vec::new(),
        volumes: BTreeSet::new(),
        has_networks: false,
        needs_tunnel: false,
        holders: Vec::new(),
        partition: Default::default(),
        leases: BTreeMap::new(),
        job: JobView::default(),
    }
}

fn id_of(what: &str, n: u32) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(what.as_bytes());
    hasher.update(&n.to_be_bytes());
    crdt_state::id::first_16(&hasher.finalize())
}

type Owners = BTreeMap<(ServiceId, Slot), NodeId>;

fn owners(plan: &Plan) -> Owners {
    let slots = plan.services.iter().flat_map(|(id, planned)| {
        planned.slots.keys().filter_map(|slot| Some(((*id, *slot), plan.owner(*id, *slot)?)))
    });
    slots.collect()
}

fn moved(before: &Owners, after: &Owners) -> usize {
    after.iter().filter(|(slot, node)| before.get(slot).is_some_and(|old| old != *node)).count()
}

/// Every node does what the plan says.
fn obey(view: &mut View, plan: &Plan) {
    for service in view.services.values_mut() {
        let held: BTreeMap<(Slot, NodeId), u64> =
            service.holders.iter().map(|h| ((h.slot, h.node), h.running_since)).collect();
        let slots = plan.services[&service.id].slots.keys();
        let held_by = slots.filter_map(|slot| Some((*slot, plan.owner(service.id, *slot)?)));
        let holders = held_by.enumerate().map(|(nth, (slot, node))| {
            let running_since = held.get(&(slot, node)).copied().unwrap_or(nth as u64);
            Holder { slot, node, standing: Standing::Running, running_since }
        });
        service.holders = holders.collect();
    }
}

fn note_spread(figures: &mut Figures, view: &View, plan: &Plan) {
    for service in view.services.values() {
        let counts = plan.services[&service.id].counts();
        // A group is the list of values on the way to it; the last level is the node itself.
        let mut loads: BTreeMap<Vec<String>, u32> = BTreeMap::new();
        for node in view.nodes.values() {
            let count = counts.get(&node.id).copied().unwrap_or(0);
            let values = service.preferences.iter().map(|p| p.value(node).to_owned());
            let path: Vec<String> = values.chain([node.id.to_string()]).collect();
            for depth in 1..=path.len() {
                *loads.entry(path[..depth].to_vec()).or_default() += count;
            }
        }
        let mut bounds: BTreeMap<&[String], (u32, u32)> = BTreeMap::new();
        for (path, load) in &loads {
            let bound = bounds.entry(&path[..path.len() - 1]).or_insert((u32::MAX, 0));
            *bound = (bound.0.min(*load), bound.1.max(*load));
        }
        let widest = bounds.values().map(|(least, most)| most - least).max().unwrap_or(0);
        figures.spread_max_minus_min = figures.spread_max_minus_min.max(widest);
    }
}

/// How long something takes on this machine.
#[allow(clippy::disallowed_methods, reason = "this figure is a time of the machine")]
fn timed(work: impl FnOnce()) -> Duration {
    let begun = std::time::Instant::now();
    work();
    begun.elapsed()
}
