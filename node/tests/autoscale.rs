//! A service that is scaled by its load, with real agents and real programs: a busy loop makes more
//! tasks of it, and the number by hand is refused meanwhile.

#[path = "lab/test_lab.rs"]
mod test_lab;

use std::time::{Duration, Instant};

use test_lab::TestLab;

/// Half a minute until a task has figures, half a minute of damping, and the turn of the second
/// member; a busy machine may be slow.
const SCALED: Duration = Duration::from_secs(150);

/// Computes for some time, and then sleeps: a third of a core, less on a machine that is busy.
const BUSY: &str = "while :; do i=0; while [ $i -lt 9000 ]; do i=$((i+1)); done; sleep 0.05; done";

fn replicas(lab: &TestLab) -> String {
    let ls = lab.edgectl(1, &["service", "ls", "--format", "{{.Name}} {{.Replicas}}"]);
    ls.trim().to_owned()
}

#[test]
fn a_busy_program_gets_a_second_task() {
    let lab = TestLab::up('z', 2);
    let create = ["service", "create", "--name", "loop", "--autoscale", "max=2,cpu=3%"];
    let program = ["--runtime", "process", "--", "sh", "-c", BUSY];
    lab.edgectl(1, &[&create[..], &program].concat());
    assert_eq!(replicas(&lab), "loop 1/1");
    let by_hand = lab.try_edgectl(1, &["service", "scale", "loop=2"]).expect_err("refused");
    assert!(by_hand.contains("edgectl service update --autoscale off loop"), "{by_hand}");
    let why = lab.edgectl(2, &["why", "loop"]);
    assert!(why.contains("1 task by its load, of 1 to 2: no task has figures yet"), "{why}");

    let begun = Instant::now();
    while replicas(&lab) != "loop 2/2" {
        assert!(begun.elapsed() < SCALED, "{}", lab.edgectl(1, &["why", "loop"]));
        std::thread::sleep(Duration::from_millis(500));
    }
    let took = begun.elapsed();
    assert!(
        took >= Duration::from_secs(50),
        "neither one figure nor one moment is enough: {took:?}"
    );
    let why = lab.edgectl(2, &["why", "loop"]);
    assert!(why.contains("2 tasks by its load, of 1 to 2: CPU "), "{why}");
    assert!(why.contains("max=2 is reached"), "{why}");
    let shown = ["service", "inspect", "--format", "{{.Edge.Autoscale.Reason}}", "loop"];
    assert_eq!(lab.edgectl(1, &shown).trim(), "at-max");

    lab.edgectl(1, &["service", "update", "--autoscale", "off", "loop"]);
    assert_eq!(replicas(&lab), "loop 2/2", "off takes nothing away");
    lab.edgectl(1, &["service", "scale", "loop=1"]);
    assert_eq!(replicas(&lab), "loop 1/1");
}
