//! The behaviour of every driver, the fake included: one suite, run on each through a [`Bench`].

use std::time::Duration;

use crdt_state::spec::{HealthCheck, Template};
use crdt_state::task::{AdoptedRun, Exit, Health, Run, RunEvent, TaskStart};
use runtime::Driver;
use runtime_fake::{Behaviour, FakeRuntime, Lives, OnStop};

use crate::host::{self, Host};
use crate::test_images;

/// A program that the suite needs; each bench knows how to make one.
#[derive(Debug, Clone, Copy)]
enum Wanted {
    RunsOn,
    ExitsWith(i32),
    IgnoresStop,
    IsMissing,
    TurnsHealthy,
}

/// A driver under test.
trait Bench {
    fn order(&mut self, wanted: Wanted) -> TaskStart;
    fn driver(&mut self) -> &mut dyn Driver;
    fn next(&mut self) -> (Run, RunEvent);
    fn is_quiet(&mut self) -> bool;
    /// The agent dies and starts again.
    fn crash_and_adopt(&mut self) -> Vec<AdoptedRun>;

    /// Waits until a run that has started is ready for a signal.
    fn await_ready(&mut self, _run: Run) {}

    fn start(&mut self, wanted: Wanted) -> (Run, u32) {
        let order = self.order(wanted);
        self.driver().start(&order);
        match self.next() {
            (run, RunEvent::Started { pid }) if run == order.run => {
                if matches!(wanted, Wanted::RunsOn | Wanted::IgnoresStop) {
                    self.await_ready(run);
                }
                (run, pid)
            }
            other => panic!("{wanted:?} does not start: {other:?}"),
        }
    }
}

fn passing() -> HealthCheck {
    HealthCheck {
        test: vec!["CMD".to_owned(), "true".to_owned()],
        interval_ms: 20,
        timeout_ms: 5_000,
        retries: 1,
        start_period_ms: 0,
        start_interval_ms: 0,
    }
}

/// The first process of a container ignores a signal for which it has no handler.
fn container_order(wanted: Wanted) -> TaskStart {
    let waits = "echo ready; while :; do sleep 0.01; done";
    match wanted {
        Wanted::RunsOn => test_images::shell(&format!("trap 'exit 0' TERM; {waits}")),
        Wanted::ExitsWith(code) => test_images::shell(&format!("sleep 0.05; exit {code}")),
        Wanted::IgnoresStop => test_images::shell(&format!("trap '' TERM; {waits}")),
        Wanted::IsMissing => test_images::container(&["no-such-program"]),
        Wanted::TurnsHealthy => {
            let mut order = test_images::container(&["sleep", "1000"]);
            order.template.health = Some(passing());
            order
        }
    }
}

impl Bench for Host {
    fn await_ready(&mut self, run: Run) {
        self.hear(run, "ready");
    }

    fn order(&mut self, wanted: Wanted) -> TaskStart {
        if self.test_images.is_some() {
            return container_order(wanted);
        }
        match wanted {
            Wanted::RunsOn => host::shell("echo ready; exec sleep 1000"),
            Wanted::ExitsWith(code) => host::shell(&format!("sleep 0.05; exit {code}")),
            Wanted::IgnoresStop => {
                host::shell("trap '' TERM; echo ready; while :; do sleep 0.01; done")
            }
            Wanted::IsMissing => host::program(&["no-such-program"]),
            Wanted::TurnsHealthy => {
                let mut order = host::program(&["sleep", "1000"]);
                order.template.health = Some(passing());
                order
            }
        }
    }

    fn driver(&mut self) -> &mut dyn Driver {
        Host::driver(self)
    }

    fn next(&mut self) -> (Run, RunEvent) {
        Host::next(self)
    }

    fn is_quiet(&mut self) -> bool {
        self.is_quiet_for(Duration::from_millis(150))
    }

    fn crash_and_adopt(&mut self) -> Vec<AdoptedRun> {
        self.adopt()
    }
}

/// The fake, with a clock that jumps to the next event.
#[derive(Default)]
struct Simulated {
    runtime: FakeRuntime,
    now: u64,
}

impl Driver for Simulated {
    fn start(&mut self, start: &TaskStart) {
        self.runtime.start(self.now, start);
    }

    fn stop(&mut self, run: Run, signal: Option<&str>, grace_ms: u64) {
        self.runtime.stop(self.now, run, signal, grace_ms);
    }

    fn expire(&mut self, run: Run, at_ms: Option<u64>) {
        self.runtime.expire(run, at_ms);
    }

    fn forget(&mut self, run: Run) {
        self.runtime.forget(run);
    }

    fn adopt(&mut self) -> Vec<AdoptedRun> {
        self.runtime.adopt(self.now)
    }
}

impl Bench for Simulated {
    fn order(&mut self, wanted: Wanted) -> TaskStart {
        let order = host::start(Template::default());
        let runs =
            |lives, on_stop, health| Behaviour::Runs { start_delay_ms: 5, lives, on_stop, health };
        let obeys = OnStop::EndsAfter(10);
        let behaviour = match wanted {
            Wanted::RunsOn => Behaviour::default(),
            Wanted::ExitsWith(code) => {
                runs(Lives::For { ms: 50, exit: Exit::Code(code) }, obeys, vec![])
            }
            Wanted::IgnoresStop => runs(Lives::Forever, OnStop::Ignores, vec![]),
            Wanted::TurnsHealthy => runs(Lives::Forever, obeys, vec![(20, Health::Healthy)]),
            Wanted::IsMissing => {
                let reason = "no such program: install it".to_owned();
                Behaviour::Refused { after_ms: 3, permanent: true, reason }
            }
        };
        self.runtime.script(&order.service_name, behaviour);
        order
    }

    fn driver(&mut self) -> &mut dyn Driver {
        self
    }

    fn next(&mut self) -> (Run, RunEvent) {
        loop {
            if let Some(event) = self.runtime.poll(self.now) {
                return event;
            }
            let next = self.runtime.deadline().expect("something is about to happen");
            self.now = self.now.max(next);
        }
    }

    fn is_quiet(&mut self) -> bool {
        self.now += 150;
        self.runtime.poll(self.now).is_none()
    }

    fn crash_and_adopt(&mut self) -> Vec<AdoptedRun> {
        self.runtime.crash_agent(self.now);
        self.runtime.adopt(self.now)
    }
}

fn a_run_starts_once_and_ends_once(bench: &mut impl Bench) {
    let (run, pid) = bench.start(Wanted::ExitsWith(3));
    assert!(pid > 0);
    assert_eq!(bench.next(), (run, RunEvent::Exited { exit: Exit::Code(3), oom: false }));
    assert!(bench.is_quiet());
}

fn a_known_run_is_not_started_again_but_told_again(bench: &mut impl Bench) {
    let order = bench.order(Wanted::RunsOn);
    bench.driver().start(&order);
    let (_, first) = bench.next();
    bench.driver().start(&order);
    assert_eq!(bench.next(), (order.run, first));
    bench.driver().stop(order.run, None, 0);
    let (_, ended) = bench.next();
    bench.driver().start(&order);
    assert_eq!(bench.next(), (order.run, ended));
}

fn what_cannot_start_is_refused_with_a_reason(bench: &mut impl Bench) {
    let order = bench.order(Wanted::IsMissing);
    bench.driver().start(&order);
    match bench.next() {
        (run, RunEvent::Refused { permanent: true, reason }) if run == order.run => {
            let advice = ["install it", "take an image that has it"];
            assert!(advice.iter().any(|words| reason.contains(words)), "{reason}");
        }
        other => panic!("not refused: {other:?}"),
    }
    assert!(bench.is_quiet());
}

fn a_stop_ends_what_listens_and_kills_what_does_not(bench: &mut impl Bench) {
    let (listens, _) = bench.start(Wanted::RunsOn);
    bench.driver().stop(listens, None, 10_000);
    let (run, event) = bench.next();
    assert_eq!(run, listens);
    assert!(matches!(event, RunEvent::Exited { exit, .. } if exit != Exit::Signal(9)), "{event:?}");

    let (deaf, _) = bench.start(Wanted::IgnoresStop);
    bench.driver().stop(deaf, None, 100);
    assert_eq!(bench.next(), (deaf, RunEvent::Exited { exit: Exit::Signal(9), oom: false }));
    assert!(bench.is_quiet());
}

fn the_earlier_of_two_stops_counts(bench: &mut impl Bench) {
    for graces in [[3_600_000, 0], [100, 3_600_000]] {
        let (deaf, _) = bench.start(Wanted::IgnoresStop);
        for grace_ms in graces {
            bench.driver().stop(deaf, None, grace_ms);
        }
        assert_eq!(bench.next(), (deaf, RunEvent::Exited { exit: Exit::Signal(9), oom: false }));
    }
}

fn a_stop_may_overtake_the_start(bench: &mut impl Bench) {
    let order = bench.order(Wanted::RunsOn);
    bench.driver().start(&order);
    bench.driver().stop(order.run, None, 0);
    assert!(matches!(bench.next(), (_, RunEvent::Started { .. })));
    assert_eq!(bench.next(), (order.run, RunEvent::Exited { exit: Exit::Signal(9), oom: false }));
}

fn orders_about_unknown_runs_are_nothing(bench: &mut impl Bench) {
    let order = bench.order(Wanted::RunsOn);
    bench.driver().stop(order.run, Some("SIGKILL"), 0);
    bench.driver().forget(order.run);
    assert!(bench.is_quiet());
}

fn a_forgotten_run_is_gone_also_if_it_ran(bench: &mut impl Bench) {
    let (ran, _) = bench.start(Wanted::RunsOn);
    bench.driver().forget(ran);
    assert!(bench.is_quiet());
    assert_eq!(bench.crash_and_adopt(), vec![]);
}

fn a_forgotten_run_can_be_started_as_if_it_had_never_been(bench: &mut impl Bench) {
    let order = bench.order(Wanted::RunsOn);
    for _ in 0..3 {
        bench.driver().start(&order);
        match bench.next() {
            (run, RunEvent::Started { .. }) if run == order.run => bench.driver().forget(run),
            other => panic!("it does not start: {other:?}"),
        }
    }
    assert!(bench.is_quiet());
}

fn a_verdict_is_reported_when_it_changes(bench: &mut impl Bench) {
    let (run, _) = bench.start(Wanted::TurnsHealthy);
    assert_eq!(bench.next(), (run, RunEvent::HealthChanged(Health::Healthy)));
    assert!(bench.is_quiet());
}

fn an_agent_that_comes_back_finds_the_same_processes(bench: &mut impl Bench) {
    let (healthy, healthy_pid) = bench.start(Wanted::TurnsHealthy);
    assert_eq!(bench.next(), (healthy, RunEvent::HealthChanged(Health::Healthy)));
    let (runs, pid) = bench.start(Wanted::RunsOn);
    let found = bench.crash_and_adopt();
    let events: Vec<_> = found.iter().map(|found| (found.start.run, found.event.clone())).collect();
    let expected =
        [(healthy, healthy_pid), (runs, pid)].map(|(run, pid)| (run, RunEvent::Started { pid }));
    assert_eq!(events, expected);
    assert_eq!(bench.next(), (healthy, RunEvent::HealthChanged(Health::Healthy)));
    bench.driver().stop(runs, None, 10_000);
    assert!(matches!(bench.next(), (run, RunEvent::Exited { .. }) if run == runs));
}

fn an_end_that_was_reported_is_found_again_until_it_is_forgotten(bench: &mut impl Bench) {
    let (run, _) = bench.start(Wanted::ExitsWith(0));
    let (_, ended) = bench.next();
    let found = bench.crash_and_adopt();
    assert_eq!(found.iter().map(|found| found.event.clone()).collect::<Vec<_>>(), [ended]);
    assert!(bench.is_quiet());
    bench.driver().forget(run);
    assert!(bench.is_quiet());
    assert_eq!(bench.crash_and_adopt(), vec![]);
}

macro_rules! every_driver {
    ($($law:ident),* $(,)?) => {
        mod process {
            $(#[test] fn $law() { super::$law(&mut super::Host::new()); })*
        }
        mod fake {
            $(#[test] fn $law() { super::$law(&mut super::Simulated::default()); })*
        }
        mod embedded {
            $(#[test] fn $law() {
                let Some(mut host) = super::Host::containers("embedded") else { return };
                super::$law(&mut host);
            })*
        }
        mod runc {
            $(#[test] fn $law() {
                let Some(mut host) = super::Host::containers("runc") else { return };
                super::$law(&mut host);
            })*
        }
        mod crun {
            $(#[test] fn $law() {
                let Some(mut host) = super::Host::containers("crun") else { return };
                super::$law(&mut host);
            })*
        }
    };
}

every_driver!(
    a_run_starts_once_and_ends_once,
    a_known_run_is_not_started_again_but_told_again,
    what_cannot_start_is_refused_with_a_reason,
    a_stop_ends_what_listens_and_kills_what_does_not,
    the_earlier_of_two_stops_counts,
    a_stop_may_overtake_the_start,
    orders_about_unknown_runs_are_nothing,
    a_forgotten_run_is_gone_also_if_it_ran,
    a_forgotten_run_can_be_started_as_if_it_had_never_been,
    a_verdict_is_reported_when_it_changes,
    an_agent_that_comes_back_finds_the_same_processes,
    an_end_that_was_reported_is_found_again_until_it_is_forgotten,
);
