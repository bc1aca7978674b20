//! The output of tasks for people and for Docker's client: complete, in order, from every run on
//! every node, and always with a message about missing parts.

#[allow(dead_code, reason = "the API's tests use the rest of it")]
#[path = "docker_api/fleet.rs"]
mod fleet;

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use fleet::{DEADLINE, Fleet};

fn edgectl(fleet: &Fleet, node: usize, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
    command.args(words).env("EDGECTL_SOCKET", fleet.socket(node)).stdin(Stdio::null());
    command
}

fn done(fleet: &Fleet, node: usize, words: &[&str]) -> (String, String, Option<i32>) {
    let output = edgectl(fleet, node, words).output().expect("edgectl runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (text(output.stdout), text(output.stderr), output.status.code())
}

fn create(fleet: &Fleet, flags: &[&str], script: &str) {
    let common = ["service", "create", "-d", "--runtime", "process", "--restart-delay", "200ms"];
    let words = [&common[..], flags, &["sh", "-c", script]].concat();
    let (_, err, code) = done(fleet, 1, &words);
    assert_eq!(code, Some(0), "{err}");
}

/// A client that follows a log, with its output in a file.
struct Follower {
    child: Child,
    path: PathBuf,
}

impl Follower {
    fn start(mut command: Command, path: PathBuf) -> Follower {
        let file = File::create(&path).expect("a file");
        let child = command.stdout(file).spawn().expect("it starts");
        Follower { child, path }
    }

    fn seen(&self) -> String {
        fs::read_to_string(&self.path).expect("a file of text")
    }

    fn ended(&mut self) -> ExitStatus {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it can be waited for") {
                return status;
            }
            assert!(begun.elapsed() < DEADLINE, "it never ends: {}", self.seen());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn numbered(from: usize, to: usize) -> String {
    (from..=to).map(|number| format!("run {number}\n")).collect()
}

#[test]
fn followers_see_every_run_from_before_the_first_until_the_service_is_gone() {
    let fleet = Fleet::start(131, 2);
    let dir = tempfile::tempdir().expect("a folder");
    let counted = dir.path().join("counted");
    let script =
        format!("echo x >> {0}; echo run $(wc -l < {0}); sleep 0.1; exit 1", counted.display());
    create(&fleet, &["--name", "f", "--replicas", "0"], &script);
    fleet.until("node 2 knows it", || done(&fleet, 2, &["service", "inspect", "f"]).2 == Some(0));
    let raw = ["logs", "-f", "--raw", "f"];
    let docker = {
        let mut docker = Command::new("docker");
        docker.args(["-H", &format!("unix://{}", fleet.socket(2).display())]);
        docker.args(["service", "logs", "-f", "--raw", "f"]).stdin(Stdio::null());
        docker
    };
    let mut followers = [
        Follower::start(edgectl(&fleet, 1, &raw), dir.path().join("1")),
        Follower::start(edgectl(&fleet, 2, &raw), dir.path().join("2")),
        Follower::start(docker, dir.path().join("docker")),
    ];
    let scaled = done(&fleet, 1, &["service", "scale", "-d", "f=1"]);
    assert_eq!(scaled.2, Some(0), "{}", scaled.1);
    let runs = || fs::read_to_string(&counted).map_or(0, |text| text.lines().count());
    fleet.until("five runs end", || runs() >= 5);
    // The task waits for its next run now, and its earlier output is still shown.
    for subject in ["f", "f.1"] {
        let (out, err, code) = done(&fleet, 2, &["logs", "--raw", subject]);
        assert!(out.starts_with(&numbered(1, 5)), "{subject}: {out}{err}");
        assert_eq!((err.as_str(), code), ("", Some(0)));
        let (out, ..) = done(&fleet, 1, &["logs", "--raw", "--tail", "2", subject]);
        assert_eq!(out, numbered(runs() - 1, runs()));
    }
    fleet.until("all followers see them", || {
        followers.iter().all(|follower| follower.seen().contains("run 5\n"))
    });
    assert_eq!(done(&fleet, 1, &["service", "rm", "f"]).2, Some(0));
    for follower in &mut followers {
        assert!(follower.ended().success());
        assert_eq!(follower.seen(), numbered(1, runs()));
    }
}

#[test]
fn long_lines_are_whole_and_each_line_has_one_time_and_one_name_before_it() {
    let fleet = Fleet::start(132, 1);
    let script = "head -c 40000 /dev/zero | tr '\\0' x; echo; printf end; exit 1";
    create(&fleet, &["--name", "long", "--restart-max-attempts", "1"], script);
    let lines = || -> Vec<String> {
        let (out, ..) = done(&fleet, 1, &["logs", "-t", "--no-task-ids", "long"]);
        out.lines().map(str::to_owned).collect()
    };
    fleet.until("both runs are logged", || lines().len() == 4);
    let lines = lines();
    assert!(lines.is_sorted(), "in order of time");
    for (line, text) in lines.iter().zip(["x".repeat(40_000), "end".to_owned()].iter().cycle()) {
        let (time, rest) = line.split_once(' ').expect("a time");
        assert_eq!((time.len(), rest), (30, format!("long.1@shop-1    | {text}").as_str()));
    }
    let docker = fleet.docker(1, &["service", "logs", "--no-task-ids", "long"]);
    let shown = String::from_utf8(docker.stdout).expect("text");
    assert_eq!(shown.lines().filter(|line| line.len() > 40_000).count(), 2);
    let since = |time: &str| done(&fleet, 1, &["logs", "--raw", "--since", time, "long"]);
    assert_eq!(since(&lines[2][..30]).0.lines().count(), 2);
    assert_eq!(since("2020-01-01").0.lines().count(), 4);
    assert_eq!(since("9999999999.5").0, "");
    let until = &lines[1][..30];
    assert_eq!(done(&fleet, 1, &["logs", "--raw", "--until", until, "long"]).0.lines().count(), 2);
}

#[test]
fn a_node_that_is_gone_is_named_and_what_it_wrote_meanwhile_comes_when_it_is_back() {
    let mut fleet = Fleet::start(133, 2);
    let dir = tempfile::tempdir().expect("a folder");
    let script = "n=0; while :; do n=$((n+1)); echo $H $n; sleep 0.1; done";
    let flags = ["--name", "tick", "--mode", "global", "--env", "H={{.Node.Hostname}}"];
    create(&fleet, &flags, script);
    let follow = edgectl(&fleet, 1, &["logs", "-f", "--raw", "tick"]);
    let mut follower = Follower::start(follow, dir.path().join("1"));
    let last = |node: usize| -> u64 {
        let seen = follower.seen();
        let prefix = format!("shop-{node} ");
        let last = seen.lines().rev().find_map(|line| line.strip_prefix(&prefix)?.parse().ok());
        last.unwrap_or(0)
    };
    fleet.until("both are heard", || last(1) > 2 && last(2) > 2);
    fleet.kill(2);
    let before = last(2);
    let (out, err, code) = done(&fleet, 1, &["logs", "--raw", "tick"]);
    assert!(out.contains("shop-1 1\n"), "{err}");
    assert!(
        err.contains("on shop-2 cannot be read") && err.contains("not read on shop-2"),
        "{err}"
    );
    assert_eq!(code, Some(1));
    fleet.restart(133, 2);
    fleet.until("the other is heard again", || last(2) > before + 20);
    assert_eq!(done(&fleet, 1, &["service", "rm", "tick"]).2, Some(0));
    assert!(follower.ended().success());
    let seen = follower.seen();
    for node in ["shop-1 ", "shop-2 "] {
        let numbers: Vec<u64> = seen
            .lines()
            .filter_map(|line| line.strip_prefix(node))
            .map(|number| number.parse().expect("a number"))
            .collect();
        assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>(), "no gap, none twice");
    }
}
