//! `cargo xtask soak`: the agent is killed by SIGKILL every three seconds, and no task may be
//! affected.
//!
//! Tasks that print a counter run on one node. After the last kill every task must still be the
//! same process, with a complete log: each number once, in order. As root the tasks are containers.
//! The soak must never restart a task itself, and never read an agent's data directory.

use crate::fleet::view::Task;
use crate::fleet::{Fleet, Links, program, service::Kind};
use crate::{image, repo, setup};
use anyhow::{Context, Result, ensure};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The number of counting tasks.
const TASKS: usize = 4;
/// The time between two kills.
const PAUSE: Duration = Duration::from_secs(3);
/// The timeout of every other wait; a debug build on a busy machine needs some of it.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Ten numbers a second; the external `sleep` gives the program children.
const COUNT: &str = "i=0; while :; do i=$((i + 1)); echo \"count $i\"; sleep 0.1; done";
const NAME: &str = "counter";
const IMAGE: &str = "counter:soak";

/// How long to go on.
#[derive(Args)]
pub struct SoakArgs {
    /// How often the agent is killed
    #[arg(long, default_value_t = 40)]
    pub kills: u32,
    /// Programs of this machine also as root, instead of containers
    #[arg(long)]
    pub processes: bool,
}

/// Kills, waits, compares.
pub fn run(args: &SoakArgs) -> Result<()> {
    setup::run()?;
    let edgectl = program::quickest()?;
    let fleet = Fleet::up(&edgectl, "soak", 1)?;
    let kind = match fleet.links {
        Links::Namespaces if !args.processes => Kind::Container,
        Links::Namespaces | Links::Loopback => Kind::Process,
    };
    let soaked = soak(&fleet, kind, args.kills);
    fleet.down()?;
    soaked
}

fn soak(fleet: &Fleet, kind: Kind, kills: u32) -> Result<()> {
    let node = &fleet.nodes[0];
    fleet.post(node, "/services/create", &spec(fleet, kind)?)?;
    fleet.wait("all tasks run", TIMEOUT, || Ok(running(fleet)?.len() == TASKS))?;
    let before = facts(fleet)?;
    let begun = Instant::now();
    for number in 1..=kills {
        sleep(PAUSE);
        let agent = *fleet.agents()?.first().context("there is no agent")?;
        let mut kill = Command::new("/bin/sh");
        kill.args(["-c", "kill -9 \"$0\"", &agent.to_string()]);
        ensure!(kill.status()?.success(), "agent {agent} was gone before kill {number}");
        fleet.wait("the agent is gone", TIMEOUT, || Ok(started(agent).is_none()))?;
        fleet.lab(&["start", &node.name])?;
        fleet.wait("the agent has its tasks again", TIMEOUT, || {
            Ok(running(fleet)?.len() == TASKS)
        })?;
        ensure!(facts(fleet)? == before, "after kill {number} the tasks are others");
    }
    let seconds = begun.elapsed().as_secs_f64();
    let counted = judge_logs(&fleet.edgectl(node, &["service", "logs", NAME])?)?;
    // At least half of the possible count: the numbers must continue while no agent runs.
    let least = (seconds * 5.0) as u64;
    ensure!(counted >= least, "the slowest task counted to {counted} in {seconds:.0} s");
    let what = if kind == Kind::Container { "containers" } else { "programs, no containers," };
    println!("{kills} kills in {seconds:.0} s: {TASKS} {what} untouched, every log line there");
    Ok(())
}

fn spec(fleet: &Fleet, kind: Kind) -> Result<Value> {
    let (runtime, image) = match kind {
        Kind::Process => {
            let busybox =
                repo::program("busybox").context("no busybox; type: cargo xtask setup")?;
            ("process", format!("process:{}", busybox.display()))
        }
        Kind::Container => {
            let archive = fleet.dir.join("counter.tar");
            image::busybox(IMAGE, &[], &archive)?;
            let archive = archive.to_str().context("the lab's folder is no text")?;
            fleet.edgectl(&fleet.nodes[0], &["image", "load", "-i", archive])?;
            ("container", IMAGE.to_owned())
        }
    };
    Ok(json!({
        "Name": NAME,
        "Mode": {"Replicated": {"Replicas": TASKS}},
        "TaskTemplate": {
            "Runtime": runtime,
            "ContainerSpec": {
                "Image": image,
                "Args": ["sh", "-c", COUNT],
                "StopGracePeriod": 100_000_000,
            },
        },
    }))
}

fn running(fleet: &Fleet) -> Result<Vec<Task>> {
    Ok(fleet.tasks(&fleet.nodes[0])?.into_iter().filter(Task::is_running).collect())
}

/// Every task's process, with its start time as the kernel reports it.
fn facts(fleet: &Fleet) -> Result<BTreeMap<u64, (u32, u64)>> {
    let fact = |task: Task| {
        let since = started(task.pid).with_context(|| format!("{} does not run", task.pid))?;
        Ok((task.slot, (task.pid, since)))
    };
    running(fleet)?.into_iter().map(fact).collect()
}

/// Field 22 of a running process: clock ticks from the boot of the machine to its start.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // A process that has ended but was not collected yet does not run.
    if fields.next()? == "Z" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Is every task's log 1, 2, 3, … without a gap? Returns the count of the slowest task.
fn judge_logs(logs: &str) -> Result<u64> {
    let mut last: BTreeMap<&str, u64> = BTreeMap::new();
    for line in logs.lines() {
        let Some((task, text)) = line.split_once('|') else { continue };
        let Some(number) = text.trim().strip_prefix("count ") else { continue };
        let number: u64 = number.parse().with_context(|| format!("half a line: {line}"))?;
        let before = last.insert(task.trim(), number).unwrap_or(0);
        ensure!(number == before + 1, "the log of {} goes from {before} to {number}", task.trim());
    }
    ensure!(last.len() == TASKS, "{} of {TASKS} tasks have a log", last.len());
    last.into_values().min().context("there is a task")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logs(of: impl Fn(usize) -> Vec<u64>) -> String {
        let lines = (1..=TASKS).flat_map(|task| {
            of(task).into_iter().map(move |n| format!("counter.{task}.abc@n1    | count {n}\n"))
        });
        lines.collect()
    }

    #[test]
    fn whole_logs_are_whole() {
        assert_eq!(judge_logs(&logs(|task| (1..=task as u64 + 2).collect())).unwrap(), 3);
    }

    #[test]
    fn a_lost_a_doubled_and_a_missing_line_are_found() {
        for bad in [vec![1, 3], vec![1, 2, 2], vec![2, 3], vec![]] {
            assert!(
                judge_logs(&logs(|task| if task == 2 { bad.clone() } else { vec![1] })).is_err()
            );
        }
    }

    #[test]
    fn a_process_has_one_start_and_one_that_is_gone_has_none() {
        let own = std::process::id();
        assert!(started(own).is_some());
        assert_eq!(started(own), started(own));
        assert_eq!(started(u32::MAX), None);
    }
}
