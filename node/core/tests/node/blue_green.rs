//! Blue-green updates: who takes connections, on the node that runs the tasks and on another one,
//! and how long the old tasks go on.

use crdt_state::rollout::FailureAction::{self, Continue, Pause, Rollback};
use crdt_state::rollout::{FailurePolicy, UpdateRules};
use crdt_state::spec::{Scale, UpdateOrder};
use crdt_state::task::{Run, RunEvent, TaskState};
use crdt_state::{NetworkId, ServiceId};
use node_core::{Edit, ServiceSpec, Steer};

use crate::host::Host;
use crate::networks::{network, on};
use crate::pair::Pair;

const MONITOR_MS: u64 = 5_000;

/// `pi-2` runs all tasks of `web`, and both know where connections to it go.
struct Shop {
    pair: Pair,
    back: NetworkId,
    web: ServiceId,
    rules: UpdateRules,
}

impl Shop {
    /// Release 1 runs well with three tasks.
    fn open(action: FailureAction, max_ratio: u32) -> Shop {
        let rules = UpdateRules { failure: FailurePolicy { action, max_ratio }, canary: 0 };
        let mut pair = Pair::joined();
        let back = network(&mut pair.hosts[0], "back", "");
        pair.wait(20_000);
        let web = ServiceId([0; 16]);
        let mut shop = Shop { pair, back, web, rules };
        let first = shop.release("1");
        shop.web = shop.pair.hosts[0].create(first);
        shop.pair.wait(20_000);
        shop.follow();
        shop.pair.wait(20_000);
        assert_eq!(shop.serving(), ["1", "1", "1"]);
        shop
    }

    fn release(&self, release: &str) -> ServiceSpec {
        let mut web = on(self.back, "web", 3);
        web.template.env.push(format!("RELEASE={release}"));
        web.placement.constraints = vec!["node.hostname==pi-2".into()];
        web.update_policy.order = UpdateOrder::BlueGreen;
        web.update_policy.monitor_ms = MONITOR_MS;
        ServiceSpec { update_rules: self.rules, ..web }
    }

    fn update(&mut self, release: &str) {
        let (id, spec) = (self.web, Box::new(self.release(release)));
        let edit = Edit::UpdateService { id, version: None, spec };
        self.pair.hosts[0].edit(edit).expect("updated");
        self.pair.wait(1_000);
    }

    fn steer(&mut self, steer: Steer) {
        let edit = Edit::SteerRollout { id: self.web, steer };
        self.pair.hosts[0].edit(edit).expect("there is something to steer");
        self.pair.wait(1_000);
    }

    /// The order to start with this place among those that were not answered.
    fn start(&mut self, at: usize) -> Run {
        let host = &mut self.pair.hosts[1];
        let run = host.started.remove(at).run;
        host.report(run, RunEvent::Started { pid: 7 });
        self.pair.wait(500);
        run
    }

    fn exit(&mut self, run: Run, code: i32) {
        self.pair.hosts[1].exit(run, code);
        self.pair.wait(500);
    }

    /// Starts what is to start, and ends what is to end.
    fn follow(&mut self) {
        for _ in 0..10 {
            for run in std::mem::take(&mut self.pair.hosts[1].stopped) {
                self.pair.hosts[1].exit(run, 0);
            }
            self.pair.hosts[1].start_all();
            self.pair.wait(500);
        }
    }

    /// The releases of the tasks that take connections, as both nodes see it.
    fn serving(&self) -> Vec<String> {
        let [one, other] = self.pair.hosts.each_ref().map(|host| self.serving_at(host));
        assert_eq!(one, other, "both nodes lead connections to the same tasks");
        one
    }

    fn serving_at(&self, host: &Host) -> Vec<String> {
        let ready = host.node.ready_addresses(self.web, self.back);
        let placed = host.node.placed_tasks(self.web, self.back);
        let serves = placed.filter(|task| task.addresses.iter().any(|ip| ready.contains(ip)));
        let service = host.node.service(self.web).expect("it is there");
        let release = |task: node_core::network_plan::PlacedTask<'_>| {
            let template = service.template_of(task.status.template).expect("it is known");
            let release = template.env.iter().find_map(|held| held.strip_prefix("RELEASE="));
            release.expect("each has one").to_owned()
        };
        let mut releases: Vec<String> = serves.map(release).collect();
        releases.sort();
        releases
    }

    /// How many tasks run and are to go on.
    fn running(&self) -> usize {
        let tasks = self.pair.hosts[1].tasks();
        let mut statuses: Vec<_> = tasks.iter().filter_map(|task| task.status.as_ref()).collect();
        statuses.retain(|s| s.desired_running && s.current.state == TaskState::Running);
        statuses.len()
    }

    fn said(&self) -> (&'static str, String) {
        let host = &self.pair.hosts[0];
        let service = host.node.service(self.web).expect("it is there");
        let rollout = host.node.report(host.now).rollout(service).expect("it was updated");
        (rollout.state.as_str(rollout.direction), rollout.message)
    }

    /// The host that runs no task has news of where connections go.
    fn has_news(&mut self) -> bool {
        let news = self.pair.hosts[0].node.drain_network_news();
        news.everything || news.services.contains(&self.web)
    }
}

#[test]
fn connections_switch_in_one_step_and_the_old_tasks_stay_for_the_monitor_time() {
    let mut shop = Shop::open(Pause, 0);
    shop.update("2");
    assert_eq!(shop.pair.hosts[1].started.len(), 3, "all at once, whatever the parallelism");
    shop.start(0);
    shop.start(1);
    assert_eq!((shop.serving(), shop.running()), (vec!["1".into(); 3], 5));
    assert!(shop.said().1.contains("2 of 3 new tasks run healthy"), "{:?}", shop.said());
    let _ = shop.has_news();
    shop.start(0);
    assert_eq!((shop.serving(), shop.running()), (vec!["2".into(); 3], 6));
    assert!(shop.has_news());
    assert!(shop.said().1.contains("all connections go to the new tasks"), "{:?}", shop.said());
    assert!(shop.pair.hosts[1].stopped.is_empty());
    shop.pair.wait(MONITOR_MS);
    assert_eq!(shop.said().0, "completed");
    assert_eq!(shop.running(), 3, "the old ones were told to stop");
    shop.follow();
    assert_eq!(shop.serving(), ["2", "2", "2"]);
}

#[test]
fn an_update_that_fails_after_the_switch_goes_back_in_one_step() {
    for (action, word, left) in [(Rollback, "rollback_completed", 3), (Pause, "paused", 5)] {
        let mut shop = Shop::open(action, 0);
        shop.update("2");
        let runs = [(); 3].map(|()| shop.start(0));
        assert_eq!(shop.serving(), ["2", "2", "2"]);
        shop.exit(runs[1], 1);
        assert_eq!(shop.serving(), ["1", "1", "1"], "nothing had to start for that");
        assert!(shop.pair.hosts[1].started.is_empty());
        shop.pair.wait(MONITOR_MS);
        assert_eq!(shop.said().0, word, "{}", shop.said().1);
        assert_eq!((shop.serving(), shop.running()), (vec!["1".into(); 3], left));
    }
}

#[test]
fn an_update_that_fails_before_the_switch_takes_no_connection() {
    let mut shop = Shop::open(Rollback, 0);
    shop.update("2");
    shop.start(0);
    let run = shop.start(0);
    shop.exit(run, 1);
    shop.follow();
    assert_eq!((shop.serving(), shop.running()), (vec!["1".into(); 3], 3));
}

#[test]
fn a_failure_that_is_tolerated_leads_nobody_back() {
    let mut shop = Shop::open(Continue, 0);
    shop.update("2");
    let runs = [(); 3].map(|()| shop.start(0));
    shop.exit(runs[0], 1);
    assert_eq!(shop.serving(), ["2", "2"]);
}

#[test]
fn tasks_that_are_added_after_the_switch_lead_nobody_back() {
    let mut shop = Shop::open(Pause, 0);
    shop.update("2");
    let _ = [(); 3].map(|()| shop.start(0));
    let mut five = shop.release("2");
    five.scale = Scale::Replicated { replicas: 5 };
    let edit = Edit::UpdateService { id: shop.web, version: None, spec: Box::new(five) };
    shop.pair.hosts[0].edit(edit).expect("updated");
    shop.pair.wait(1_000);
    assert_eq!(shop.pair.hosts[1].started.len(), 2);
    assert_eq!(shop.serving(), ["2", "2", "2"]);
    shop.follow();
    assert_eq!(shop.serving(), ["2", "2", "2", "2", "2"]);
}

#[test]
fn a_rollback_by_hand_goes_back_in_one_step() {
    let mut shop = Shop::open(Pause, 0);
    shop.update("2");
    shop.follow();
    shop.pair.wait(60_000);
    shop.follow();
    assert_eq!((shop.serving(), shop.running()), (vec!["2".into(); 3], 3));
    let edit = Edit::RollBackService { id: shop.web, version: None };
    shop.pair.hosts[0].edit(edit).expect("there is an earlier version");
    shop.pair.wait(1_000);
    shop.start(0);
    shop.start(0);
    assert_eq!((shop.serving(), shop.running()), (vec!["2".into(); 3], 5));
    shop.start(0);
    assert_eq!((shop.serving(), shop.running()), (vec!["1".into(); 3], 6));
    shop.pair.wait(MONITOR_MS);
    assert_eq!((shop.said().0, shop.running()), ("rollback_completed", 3));
}

#[test]
fn an_update_that_moves_the_tasks_ends_none_before_the_switch() {
    let mut shop = Shop::open(Pause, 0);
    let mut next = shop.release("2");
    next.placement.constraints = vec!["node.hostname==pi-1".into()];
    let edit = Edit::UpdateService { id: shop.web, version: None, spec: Box::new(next) };
    shop.pair.hosts[0].edit(edit).expect("updated");
    shop.pair.wait(1_000);
    assert_eq!(shop.pair.hosts[0].started.len(), 3);
    let last = shop.pair.hosts[0].started.pop().expect("there are three").run;
    shop.pair.hosts[0].start_all();
    shop.pair.wait(60_000);
    assert_eq!((shop.serving(), shop.running()), (vec!["1".into(); 3], 5));
    shop.pair.hosts[0].report(last, RunEvent::Started { pid: 7 });
    shop.pair.wait(500);
    assert_eq!((shop.serving(), shop.running()), (vec!["2".into(); 3], 6));
    shop.pair.wait(MONITOR_MS);
    shop.follow();
    assert_eq!((shop.serving(), shop.running()), (vec!["2".into(); 3], 3));
}

#[test]
fn a_rollback_before_the_end_starts_nothing() {
    let mut shop = Shop::open(Pause, 0);
    shop.update("2");
    let _ = [(); 3].map(|()| shop.start(0));
    let edit = Edit::RollBackService { id: shop.web, version: None };
    shop.pair.hosts[0].edit(edit).expect("there is an earlier version");
    shop.pair.wait(1_000);
    assert_eq!((shop.serving(), shop.running()), (vec!["1".into(); 3], 3));
    assert!(shop.pair.hosts[1].started.is_empty());
}

#[test]
fn an_operator_may_look_at_the_new_tasks_before_the_switch() {
    let mut shop = Shop::open(Pause, 0);
    shop.rules.canary = 3;
    shop.update("2");
    let _ = [(); 3].map(|()| shop.start(0));
    shop.pair.wait(60_000);
    assert_eq!((shop.serving(), shop.running()), (vec!["1".into(); 3], 6));
    assert!(shop.said().1.contains("edgectl service promote web"), "{:?}", shop.said());
    shop.steer(Steer::Promote);
    assert_eq!(shop.serving(), ["2", "2", "2"]);
}

#[test]
fn while_it_is_paused_nothing_switches() {
    let mut shop = Shop::open(Pause, 0);
    shop.update("2");
    shop.steer(Steer::Pause);
    let _ = [(); 3].map(|()| shop.start(0));
    shop.pair.wait(60_000);
    assert_eq!(shop.serving(), ["1", "1", "1"]);
    shop.steer(Steer::Resume);
    assert_eq!(shop.serving(), ["2", "2", "2"]);
}

#[test]
fn an_old_task_that_ends_meanwhile_is_started_again() {
    let mut shop = Shop::open(Pause, 0);
    let old: Vec<Run> = {
        let tasks = shop.pair.hosts[1].tasks();
        let statuses = tasks.iter().filter_map(|task| task.status.as_ref());
        statuses.map(|s| Run { task: s.id, attempt: s.current.number }).collect()
    };
    shop.update("2");
    shop.start(0);
    shop.exit(old[0], 1);
    assert_eq!(shop.serving(), ["1", "1"]);
    shop.pair.wait(60_000);
    let again = shop.pair.hosts[1].started.iter().position(|start| start.run.task == old[0].task);
    shop.start(again.expect("it runs until connections have left it"));
    assert_eq!(shop.serving(), ["1", "1", "1"]);
}

#[test]
fn new_tasks_take_connections_when_no_old_one_is_left() {
    let mut shop = Shop::open(Continue, 0);
    shop.update("2");
    shop.start(0);
    let tasks = shop.pair.hosts[1].tasks();
    let old = tasks.iter().filter_map(|task| task.status.as_ref());
    let service = shop.pair.hosts[1].node.service(shop.web).expect("it is there");
    let version = service.template_version;
    let old: Vec<Run> = old
        .filter(|s| s.template != version)
        .map(|s| Run { task: s.id, attempt: s.current.number })
        .collect();
    assert_eq!(old.len(), 3);
    old.into_iter().for_each(|run| shop.exit(run, 1));
    assert_eq!(shop.serving(), ["2"]);
}
