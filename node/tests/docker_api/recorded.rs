//! What Docker's own client prints against Docker Swarm, recorded once, and against an agent.
//!
//! A session is a file in `recorded/`: a line that begins with `$ ` is a command of a shell that
//! knows `prelude.sh`, and the lines below it are what Swarm answered, up to the next empty line or
//! command. Where an agent answers otherwise on purpose, a line `edgectl: WHY` follows with its
//! answer below. `cargo xtask record` plays all sessions against dockerd of Debian's package, and
//! writes what it answers.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::busybox_image::{self, IMAGE};
use super::fleet::Fleet;
use super::has_docker;
use super::test_lab::TestLab;

/// The variable with which `cargo xtask record` names the dockerd to record.
const RECORD: &str = "EDGECTL_RECORD_HOST";
/// How a line begins that says why an agent answers otherwise.
const OTHERWISE: &str = "edgectl: ";
/// No command waits longer, in seconds: the client itself may wait for ever.
const TIMEOUT: &str = "90";

/// A command of a session, with what comes before it.
struct Step {
    /// Comments and empty lines.
    before: String,
    command: String,
    /// What Swarm answers.
    swarm: String,
    /// Why an agent answers otherwise, and what.
    otherwise: Option<(String, String)>,
}

/// Reads a session; returns what follows its last step too.
fn read(text: &str) -> (Vec<Step>, String) {
    let mut steps: Vec<Step> = Vec::new();
    let (mut before, mut answers) = (String::new(), false);
    for line in text.lines() {
        let with_end = format!("{line}\n");
        if let Some(command) = line.strip_prefix("$ ") {
            let (before, command) = (std::mem::take(&mut before), command.to_owned());
            steps.push(Step { before, command, swarm: String::new(), otherwise: None });
            answers = true;
        } else if line.is_empty() || !answers {
            answers = false;
            before += &with_end;
        } else if let Some(step) = steps.last_mut() {
            match (line.strip_prefix(OTHERWISE), &mut step.otherwise) {
                (Some(why), _) => step.otherwise = Some((why.to_owned(), String::new())),
                (None, Some((_, answer))) => *answer += &with_end,
                (None, None) => step.swarm += &with_end,
            }
        }
    }
    (steps, before)
}

/// Writes it again.
fn written(steps: &[Step], after: &str) -> String {
    let mut text = String::new();
    for Step { before, command, swarm, otherwise } in steps {
        text += &format!("{before}$ {command}\n{swarm}");
        if let Some((why, answer)) = otherwise {
            text += &format!("{OTHERWISE}{why}\n{answer}");
        }
    }
    text + after
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/docker_api/recorded")
}

/// Where commands are played.
struct Stage<'a> {
    /// What the client is to talk to.
    host: String,
    /// The client's settings, and other files.
    dir: &'a Path,
}

impl Stage<'_> {
    /// The output of one command on both streams, with its exit code if it failed.
    fn play(&self, command: &str) -> String {
        let prelude = folder().join("prelude.sh");
        let script = format!(
            ". {}\n{{ {command}\n}} 2>&1 | sieve; exit ${{PIPESTATUS[0]}}",
            prelude.display()
        );
        let output = Command::new("timeout")
            .args([TIMEOUT, "bash", "-c", &script])
            .env("DOCKER_HOST", &self.host)
            .env("DOCKER_CONFIG", self.dir)
            .output()
            .expect("bash runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        // An empty line would end the answer.
        let said = said.lines().filter(|line| !line.is_empty());
        let mut said: String = said.map(|line| format!("{line}\n")).collect();
        match output.status.code() {
            Some(0) => {}
            code => said += &format!("(exit code {})\n", code.unwrap_or(-1)),
        }
        said
    }

    fn import_image(&self) {
        let archive = self.dir.join("tools.tar");
        busybox_image::write(&archive);
        let said = self
            .play(&format!("docker import --change 'ENV PATH=/bin' {} {IMAGE}", archive.display()));
        assert!(said.starts_with("sha256:"), "{said}");
    }
}

/// Plays a session against an agent on loopback, or records it.
fn session(name: &str, net: u8) {
    play_or_record(name, |dir| {
        let fleet = Fleet::start(net, 1);
        compare(name, &Stage { host: format!("unix://{}", fleet.socket(1).display()), dir });
    });
}

/// The same with an agent that makes networks.
fn session_with_networks(name: &str, letter: char) {
    play_or_record(name, |dir| {
        let Some(lab) = TestLab::up(letter, 1).with_namespaces() else { return };
        compare(name, &Stage { host: format!("unix://{}", lab.socket(1).display()), dir });
    });
}

fn file_of(name: &str) -> PathBuf {
    folder().join(format!("{name}.txt"))
}

fn play_or_record(name: &str, play: impl FnOnce(&Path)) {
    if !has_docker() || !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    match std::env::var(RECORD) {
        Ok(host) => record(name, &Stage { host, dir: dir.path() }),
        Err(_) => play(dir.path()),
    }
}

fn record(name: &str, stage: &Stage<'_>) {
    let (mut steps, after) = read(&std::fs::read_to_string(file_of(name)).expect("a session"));
    stage.import_image();
    for step in &mut steps {
        step.swarm = stage.play(&step.command);
    }
    stage.play("docker service rm $(docker service ls --quiet)");
    stage.play("docker network rm $(docker network ls --quiet --filter label=session)");
    std::fs::write(file_of(name), written(&steps, &after)).expect("the session is written");
}

fn compare(name: &str, stage: &Stage<'_>) {
    let (steps, _) = read(&std::fs::read_to_string(file_of(name)).expect("a session"));
    stage.import_image();
    let mut others = Vec::new();
    for Step { command, swarm, otherwise, .. } in &steps {
        let said = stage.play(command);
        let expected = otherwise.as_ref().map_or(swarm, |(_, answer)| answer);
        if said != *expected {
            others.push(format!("$ {command}\n{said}instead of\n{expected}"));
        }
    }
    assert!(others.is_empty(), "{name}: other answers than recorded:\n\n{}", others.join("\n"));
}

#[test]
fn a_session_is_written_as_it_was_read() {
    let text = "# Lists.\n\n$ ls\na\nb\n\n# None.\n$ rm x\nedgectl: it asks\nsure?\n(exit code 1)\n$ ls\n\n# End.\n";
    let (steps, after) = read(text);
    assert_eq!(steps.len(), 3);
    assert_eq!(steps[1].otherwise, Some(("it asks".into(), "sure?\n(exit code 1)\n".into())));
    assert_eq!(written(&steps, &after), text);
}

#[test]
fn a_rollback_by_hand_is_as_in_swarm() {
    session("rollback", 152);
}

#[test]
fn a_ratio_of_failures_is_counted_as_in_swarm() {
    session("ratio", 153);
}

#[test]
fn a_rollback_by_itself_is_told_as_in_swarm() {
    session("automatic", 154);
}

#[test]
fn tasks_that_are_over_are_listed_as_in_swarm() {
    session("history", 155);
}

#[test]
fn a_paused_update_is_as_in_swarm() {
    session("paused", 156);
}

#[test]
fn jobs_are_listed_as_in_swarm() {
    session("jobs", 157);
}

#[test]
fn configs_are_as_in_swarm() {
    session("configs", 174);
}

#[test]
fn networks_are_as_in_swarm() {
    session_with_networks("networks", 'r');
}

#[test]
fn a_stack_is_as_in_swarm() {
    session_with_networks("stacks", 'r');
}

#[test]
fn secrets_are_as_in_swarm() {
    session("secrets", 177);
}
