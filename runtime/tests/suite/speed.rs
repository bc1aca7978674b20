//! The cost of a run: time to start, memory of its monitor, wake-ups while it is idle.
//!
//! The bounds are wide, for a machine that does other work at the same time; the figures are
//! printed. They detect costs that are higher by an order of magnitude, such as a fork of the whole
//! agent.

use std::fs;
use std::time::{Duration, Instant};

use crdt_state::task::RunEvent;
use runtime::Driver;

use crate::host::{Host, program, until, wakes};
use crate::test_images;

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
    // Private memory: heap, stack and relocated pages. The code is shared by all monitors and the
    // agent.
    let (own, pss) = (kib("Anonymous:"), kib("Pss:"));
    eprintln!("monitor: {own} KiB of its own, PSS {pss} KiB");
    assert!(own < 1024, "{own} KiB");
    // After the fsyncs of the start.
    until("it to rest", || {
        let before = wakes(monitor);
        std::thread::sleep(Duration::from_millis(300));
        (wakes(monitor) == before).then_some(())
    });
}

/// The median of these times.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

#[test]
fn a_container_starts_in_the_time_that_runc_takes_to_run_a_bundle() {
    let (Some(mut host), Some(_)) = (Host::containers("embedded"), Host::containers("runc")) else {
        return;
    };
    const RUNS: usize = 10;
    let mut started = Vec::new();
    let mut bundle = None;
    for _ in 0..RUNS {
        let order = test_images::container(&["sleep", "1000"]);
        let begun = Instant::now();
        host.run(&order);
        started.push(begun.elapsed());
        bundle = Some(fs::read(host.dir(order.run).join("config.json")).expect("readable"));
        host.stop(order.run, None, 0);
    }
    // The same unpacked container, without a driver, a monitor, an overlay or a log.
    let mut spec: oci_spec::runtime::Spec =
        serde_json::from_slice(&bundle.expect("it ran")).expect("a bundle");
    let root = host.test_images.as_ref().expect("it has images").path().to_owned();
    let files = oci_spec::runtime::RootBuilder::default().path(root.join("busybox")).build();
    spec.set_root(Some(files.expect("every field has a default")));
    let mut process = spec.process().clone().expect("it has one");
    process.set_args(Some(vec!["/bin/true".to_owned()]));
    spec.set_process(Some(process));
    let mut ran = Vec::new();
    for number in 0..RUNS {
        let name = format!("speed-{}-{number}", std::process::id());
        let linux = spec.linux_mut().as_mut().expect("it has one");
        linux.set_cgroups_path(Some(format!("/edgectl-speed/{name}").into()));
        let text = serde_json::to_vec(&spec).expect("it has a form in JSON");
        fs::write(root.join("config.json"), text).expect("writable");
        let begun = Instant::now();
        let mut runc = std::process::Command::new("runc");
        runc.arg("--root").arg(root.join("state")).args(["run", "--bundle"]).arg(&root).arg(&name);
        let status = runc.stdin(std::process::Stdio::null()).status().expect("it is installed");
        ran.push(begun.elapsed());
        assert!(status.success(), "{status}");
    }
    for found in runtime::cgroup::mounts::detect() {
        let _ = fs::remove_dir(found.root.join("edgectl-speed"));
    }
    let (started, ran) = (median(started), median(ran));
    eprintln!("container started in {started:?}, runc run in {ran:?}");
    assert!(started < 4 * ran, "{started:?} against {ran:?}");
}
