//! The first day of a fleet: agents without a key join with the command that `swarm init` prints, a
//! failed `join` reports the reason, and a removed node reports why it ends.

#[path = "joining/copies.rs"]
mod copies;
#[path = "joining/locking.rs"]
mod locking;
#[path = "joining/replacement.rs"]
mod replacement;
#[path = "joining/rotation.rs"]
mod rotation;
#[path = "joining/tokens.rs"]
mod tokens;

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// Enough for a machine that compiles at the same time; an idle one needs 2 s.
const DEADLINE: Duration = Duration::from_secs(30);

/// Machines with an agent each, freshly installed: no key, and no node to ask.
struct Machines {
    dir: tempfile::TempDir,
    net: u8,
    agents: Vec<Child>,
}

#[derive(Debug)]
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

impl From<Output> for Said {
    fn from(output: Output) -> Said {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
        Said { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
    }
}

impl Machines {
    fn start(net: u8, count: usize) -> Machines {
        let dir = tempfile::tempdir().expect("a folder");
        let mut machines = Machines { dir, net, agents: Vec::new() };
        for number in 1..=count {
            let agent = machines.agent(number).spawn().expect("the agent starts");
            machines.agents.push(agent);
        }
        (1..=count).for_each(|number| machines.until_it_answers(number));
        machines
    }

    fn agent(&self, number: usize) -> Command {
        let log = File::create(self.path(&format!("log-{number}"))).expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
        command
            .args(["agent", "--hostname", &format!("m{number}")])
            // The example of the documentation, unchanged.
            .args(["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/edge.toml")])
            .args(["--data-dir", &self.path(&format!("data-{number}")).display().to_string()])
            .args(["--socket", &self.socket(number).display().to_string()])
            .args(["--listen", &self.address(number)])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        command
    }

    fn restart(&mut self, number: usize) {
        self.agents[number - 1] = self.agent(number).spawn().expect("the agent starts");
    }

    fn until_it_answers(&self, number: usize) {
        self.until("it answers", || self.edgectl(number, &["version"]).code == Some(0));
    }

    fn kill(&mut self, number: usize) {
        let _ = self.agents[number - 1].kill();
        let _ = self.agents[number - 1].wait();
    }

    /// The exit code of an agent that ends by itself.
    fn ended(&mut self, number: usize) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.agents[number - 1].try_wait().expect("a child") {
                return status.code().expect("it ended by itself");
            }
            assert!(begun.elapsed() < DEADLINE, "agent {number} does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn socket(&self, number: usize) -> PathBuf {
        self.path(&format!("{number}.sock"))
    }

    fn address(&self, number: usize) -> String {
        format!("127.{}.0.{number}:7946", self.net)
    }

    fn log(&self, number: usize) -> String {
        std::fs::read_to_string(self.path(&format!("log-{number}"))).expect("a log")
    }

    fn edgectl(&self, number: usize, words: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
        command.args(words).env("EDGECTL_SOCKET", self.socket(number)).stdin(Stdio::null());
        command.output().expect("edgectl runs").into()
    }

    fn nodes(&self, number: usize) -> usize {
        let ready = ["node", "ls", "--format", "{{.Status}}"];
        self.edgectl(number, &ready).out.lines().filter(|status| *status == "Ready").count()
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < DEADLINE, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Machines {
    fn drop(&mut self) {
        for agent in &mut self.agents {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        // Tasks outlive their agents; a monitor ends with its program.
        for number in 1..=self.agents.len() {
            let runs = std::fs::read_dir(self.path(&format!("data-{number}/runs")));
            for run in runs.into_iter().flatten().flatten() {
                if let Some(program) = runtime::run_dir::program_of(&run.path()) {
                    let pid = program.pid.to_string();
                    let _ = Command::new("kill").args(["-9", &pid]).status();
                }
            }
        }
    }
}

/// The words of the command for another machine that `swarm init` and `join-token` print.
fn proposed(said: &Said) -> Vec<String> {
    let line = said.out.lines().find(|line| line.trim_start().starts_with("edgectl swarm join"));
    let line = line.unwrap_or_else(|| panic!("no command in {said:?}"));
    line.split_whitespace().skip(1).map(str::to_owned).collect()
}

fn typed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

#[test]
fn what_swarm_init_prints_is_what_the_other_machines_type() {
    let mut machines = Machines::start(141, 3);
    let alone = machines.edgectl(2, &["swarm", "join", &machines.address(1)]);
    assert_eq!(alone.code, Some(1), "{alone:?}");
    assert!(alone.err.contains("it has another fleet key"), "{alone:?}");
    assert!(alone.err.contains("try: edgectl swarm join-token, on that machine"), "{alone:?}");
    let doctor = machines.edgectl(1, &["doctor"]).out;
    assert!(doctor.contains("wants to join and has another fleet key"), "{doctor}");

    let init = machines.edgectl(1, &["swarm", "init"]);
    assert_eq!(init.code, Some(0), "{init:?}");
    let joined = machines.edgectl(2, &typed(&proposed(&init)));
    assert_eq!(joined.code, Some(0), "{joined:?}");
    assert!(joined.out.contains("it reaches 2 nodes"), "{joined:?}");
    let again = machines.edgectl(2, &["swarm", "join-token"]);
    assert_eq!(machines.edgectl(3, &typed(&proposed(&again))).code, Some(0));
    for number in 1..=3 {
        machines.until("all know each other", || machines.nodes(number) == 3);
    }

    // The key is kept: the node is still a member after a restart.
    machines.kill(3);
    machines.restart(3);
    machines.until_it_answers(3);
    machines.until("it is back", || machines.nodes(3) == 3 && machines.nodes(1) == 3);
}

#[test]
fn every_refusal_reaches_whoever_typed_join() {
    let machines = Machines::start(142, 3);
    let init = machines.edgectl(1, &["swarm", "init"]);
    let words = proposed(&init);
    assert_eq!(machines.edgectl(2, &typed(&words)).code, Some(0));
    let (first, third) = (machines.address(1), machines.address(3));
    let token = words[3].as_str();
    let other = format!("EDGE-1-{}", "7".repeat(64));
    for (number, line, says) in [
        (2, &["swarm", "join", "not..a..host"][..], "not an address or a name"),
        (2, &["swarm", "join", "--token", "bogus", &first], "the token is not one"),
        (2, &["swarm", "join", &first], "already part of a swarm of 2 nodes"),
        (2, &["swarm", "join", &third], "it has another fleet key"),
        (2, &["swarm", "join", "--token", &other, &third], "already part of a swarm of 2 nodes"),
        (3, &["swarm", "join", "--token", &other, &first], "it has another fleet key"),
        (3, &["swarm", "join", "--token", token, &third], "it is this node itself"),
        (3, &["swarm", "join", "--token", token, "127.142.0.9"], "no answer from 127.142.0.9:7946"),
        (
            3,
            &["swarm", "join", "--advertise-addr", "192.0.2.7", &first],
            "are not told the address",
        ),
        (3, &["swarm", "init", "--advertise-addr", "192.0.2.7"], "are not told the address"),
        (3, &["swarm", "init", "--data-path-addr", "192.0.2.7"], "are not told the address"),
        (3, &["swarm", "init", "--listen-addr", "192.0.2.7"], "does not listen at 192.0.2.7"),
        (3, &["swarm", "init", "--availability", "drain"], "node update --availability drain"),
        (3, &["swarm", "join", "--availability", "drain", &first], "joins as active"),
        (3, &["swarm", "join", "--listen-addr", "0.0.0.0:99", &first], "does not listen"),
        (1, &["swarm", "init"], "edgectl swarm join-token"),
    ] {
        let said = machines.edgectl(number, line);
        assert_eq!(said.code, Some(1), "{line:?}: {said:?}");
        assert!(said.err.contains(says) && said.out.is_empty(), "{line:?}: {said:?}");
    }
    assert_eq!(machines.nodes(3), 1, "nothing of it made the third a member");
    let said = machines.edgectl(3, &["swarm", "join", "127.142.0.8"]);
    assert!(said.err.contains("goes on in the background"), "{said:?}");
    machines.until("doctor names it", || {
        let doctor = machines.edgectl(3, &["doctor"]).out;
        doctor.contains("cannot join through 127.142.0.8:7946: nobody answered")
    });

    // One node that answers is enough, and the other addresses are reported.
    let said = machines.edgectl(3, &["swarm", "join", "--token", token, "127.142.0.9", &first]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("warning: no answer from 127.142.0.9:7946"), "{said:?}");
}

#[test]
fn a_removed_node_says_why_it_ends_and_what_to_type() {
    let mut machines = Machines::start(143, 2);
    let words = proposed(&machines.edgectl(1, &["swarm", "init"]));
    assert_eq!(machines.edgectl(2, &typed(&words)).code, Some(0));
    machines.until("they know each other", || machines.nodes(1) == 2);
    machines.kill(2);
    assert_eq!(machines.edgectl(1, &["node", "rm", "--force", "m2"]).code, Some(0));
    let data = machines.path("data-2");
    for _ in 0..2 {
        machines.restart(2);
        assert_eq!(machines.ended(2), 5);
        let log = machines.log(2);
        assert!(log.contains("error: this node was removed from its fleet"), "{log}");
        assert!(log.contains("edgectl node rm, on m1"), "{log}");
        let typed = format!("try: edgectl node rekey --data-dir {}", data.display());
        assert!(log.contains(&typed), "{log}");
    }
    let data = data.display().to_string();
    let rekey = machines.edgectl(2, &["node", "rekey", "--data-dir", &data]);
    assert!(rekey.code == Some(0) && rekey.out.contains("belongs to no fleet"), "{rekey:?}");
    machines.restart(2);
    machines.until_it_answers(2);
    let running = machines.edgectl(2, &["node", "rekey", "--data-dir", &data]);
    assert!(running.err.contains("the agent of this machine runs"), "{running:?}");
    assert_eq!(machines.nodes(2), 1, "it belongs to no fleet");
    assert_eq!(machines.edgectl(2, &typed(&words)).code, Some(0));
    machines.until("it is a member again, as a new one", || {
        machines.nodes(1) == 2 && machines.nodes(2) == 2
    });
}

#[test]
fn leaving_takes_as_long_as_its_tasks_and_the_last_node_is_asked_twice() {
    let mut machines = Machines::start(144, 1);
    let stubborn = "trap '' TERM; while :; do sleep 0.1; done";
    let create = ["service", "create", "-d", "--name", "stub", "--runtime", "process"];
    let create = [&create[..], &["--stop-grace-period", "12s", "sh", "-c", stubborn]].concat();
    assert_eq!(machines.edgectl(1, &create).code, Some(0));
    let running = ["service", "ls", "--format", "{{.Replicas}}"];
    machines.until("it runs", || machines.edgectl(1, &running).out == "1/1\n");
    let refused = machines.edgectl(1, &["swarm", "leave"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.err.contains("the last of its fleet"), "{refused:?}");
    // The task does not end by itself, so that leaving takes longer than the deadline of other
    // requests.
    let left = machines.edgectl(1, &["swarm", "leave", "--force"]);
    assert_eq!(
        (left.code, left.out.as_str()),
        (Some(0), "Node left the fleet; its agent has ended.\n")
    );
    assert_eq!(machines.ended(1), 0);
}
