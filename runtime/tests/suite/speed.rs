//! What a run costs: time to start, memory beside it, work while it is idle.
//!
//! The bounds are wide, for a machine that does other things at the same time; the figures are
//! printed. They guard against a cost of another order, like a fork of the whole agent.

use std::fs;
use std::time::{Duration, Instant};

use crdt_state::task::RunEvent;
use runtime::Driver;

use crate::host::{Host, program, until, wakes};

#[test]
fn ten_runs_start_within_the_budget_of_a_fleet() {
    let mut host = Host::new();
    let orders: Vec<_> = (0..10).map(|_| program(&["sleep", "1000"])).collect();
    let one = program(&["sleep", "1000"]);
    let begun = Instant::now();
    host.run(&one);
    let single = begun.elapsed();
    let begun = Instant::now();
    for order in &orders {
        host.driver().start(order);
    }
    for _ in &orders {
        assert!(matches!(host.next().1, RunEvent::Started { .. }));
    }
    let ten = begun.elapsed();
    eprintln!("one start {single:?}, ten at once {ten:?}");
    assert!(ten < Duration::from_secs(2), "{ten:?}");
}

#[test]
fn a_monitor_is_small_and_idle() {
    let mut host = Host::new();
    let order = program(&["sleep", "1000"]);
    host.run(&order);
    let monitor = host.monitor(order.run);
    let rollup = fs::read_to_string(format!("/proc/{monitor}/smaps_rollup")).expect("readable");
    let kib = |name: &str| {
        let line = rollup.lines().find(|line| line.starts_with(name)).expect("it is told");
        line.split_whitespace().nth(1).and_then(|word| word.parse::<u64>().ok()).expect("a number")
    };
    // What is its own: heap, stack and relocated pages. Its code is shared by all monitors and
    // the agent.
    let (own, pss) = (kib("Anonymous:"), kib("Pss:"));
    eprintln!("monitor: {own} KiB of its own, PSS {pss} KiB");
    assert!(own < 1024, "{own} KiB");
    // After the fsyncs of its start.
    until("it to rest", || {
        let before = wakes(monitor);
        std::thread::sleep(Duration::from_millis(300));
        (wakes(monitor) == before).then_some(())
    });
}
