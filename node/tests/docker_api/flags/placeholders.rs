//! Placeholders end to end: containers that keep a volume for each slot. Needs root.

use super::{Client, Fleet, text};
use crate::busybox_image;

fn ours(fleet: &Fleet, words: &[&str]) -> String {
    let output = Client::Ours.run(fleet, words);
    assert!(output.status.success(), "{words:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// What the tasks of a slot wrote to its volume; nothing while none of them runs.
fn written(fleet: &Fleet, slot: u32) -> String {
    let task = format!("db.{slot}");
    let words = ["exec", &task, "busybox", "cat", "/data/log"];
    text(&Client::Ours.run(fleet, &words).stdout)
}

#[test]
fn each_slot_keeps_its_volume() {
    if !nix::unistd::geteuid().is_root() {
        eprintln!("SKIPPED without root: containers");
        return;
    }
    let mut fleet = Fleet::start(128, 2);
    let folder = tempfile::tempdir().expect("a folder");
    let archive = folder.path().join("root.tar");
    busybox_image::write(&archive);
    ours(&fleet, &["image", "import", &archive.display().to_string(), busybox_image::IMAGE]);
    let says = "echo $SLOT {{.Task.Slot}} >> /data/log; while :; do sleep 1; done";
    let head = ["service", "create", "-d", "--name", "db", "--replicas", "2", "--init"];
    let settings = ["--network", "host", "--stop-grace-period", "1s", "--label", "x={{.Node.ID}}"];
    let filled = [
        ["-e", "SLOT={{.Task.Slot}}"],
        ["-e", r#"LABEL={{index .Service.Labels "x"}}"#],
        ["--mount", "type=volume,src=data-{{.Task.Slot}},dst=/data"],
    ];
    let program = [busybox_image::IMAGE, "sh", "-c", says];
    ours(&fleet, &[&head[..], &settings, filled.as_flattened(), &program].concat());
    let all_wrote = |fleet: &Fleet, first: usize, second: usize| {
        fleet.until("each slot's tasks wrote to its own volume", || {
            // An argument is not filled in.
            let lines = |slot: u32, count| format!("{slot} {{{{.Task.Slot}}}}\n").repeat(count);
            written(fleet, 1) == lines(1, first) && written(fleet, 2) == lines(2, second)
        });
    };
    all_wrote(&fleet, 1, 1);
    let variables = ours(&fleet, &["exec", "db.1", "busybox", "env"]);
    assert!(variables.contains("LABEL={{.Node.ID}}\n"), "it was filled in twice: {variables}");

    ours(&fleet, &["service", "update", "-q", "--env-add", "A=1", "db"]);
    all_wrote(&fleet, 2, 2);
    fleet.kill(2);
    fleet.restart(128, 2);
    fleet.until("both run", || fleet.running(1, "db") == 2);
    all_wrote(&fleet, 2, 2);
    ours(&fleet, &["service", "scale", "db=1"]);
    ours(&fleet, &["service", "scale", "db=2"]);
    all_wrote(&fleet, 2, 3);
}
