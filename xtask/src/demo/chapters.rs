//! The chapters of the demo: create, kill, cut and heal.
//!
//! Each chapter acts as an operator would, waits for the effect, and checks it.

use super::print::{placement, say, title, typed};
use crate::fleet::service::Kind;
use crate::fleet::view::Task;
use crate::fleet::{Fleet, Links, Node, service};
use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// Longer than any step should take; then the demo names the step that did not happen.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The fleet counts as at rest when nothing has changed for this long.
const REST: Duration = Duration::from_secs(2);

/// Six replicas by one command, and an answer from each.
pub fn create(fleet: &Fleet) -> Result<()> {
    title("One command on any of them");
    let program = match fleet.links {
        Links::Namespaces => service::Program::container(fleet)?,
        Links::Loopback => service::Program::process(fleet)?,
    };
    match program.kind {
        Kind::Container => {
            typed("n1", "edgectl image push web.tar");
            say("an image of busybox, in the fleet without any registry");
        }
        Kind::Process => say("not root: the tasks are programs of this machine, not containers"),
    }
    let image = &program.image;
    let node = &fleet.nodes[1];
    typed(&node.name, &format!("edgectl service create --name web --replicas 6 … {image} httpd …"));
    let mut words =
        vec!["service", "create", "--detach", "--name", service::NAME, "--replicas", "6"];
    for variable in service::ENVIRONMENT {
        words.extend(["--env", variable]);
    }
    if program.kind == Kind::Container {
        // As process 1 of its namespace a program without a handler ignores SIGTERM.
        words.push("--init");
        // Every task opens a port of its own on its node.
        words.extend(["--network", "host"]);
    }
    words.push(image);
    words.extend(program.arguments.iter().map(String::as_str));
    let begun = Instant::now();
    fleet.edgectl(node, &words)?;
    fleet.wait("six tasks run", TIMEOUT, || Ok(running(fleet, node)?.len() == 6))?;
    say(&format!("six tasks run after {:.2} s:", begun.elapsed().as_secs_f64()));
    show(fleet, &fleet.nodes[0], &["n1", "n2", "n3"])?;
    answers(fleet, &fleet.nodes[0])
}

/// A node dies; its tasks run elsewhere.
pub fn kill(fleet: &Fleet) -> Result<()> {
    title("A node dies");
    let victim = "n3";
    say(match fleet.links {
        Links::Namespaces => {
            "n3 loses its power: agent and tasks gone, packets to it dropped, nothing refused"
        }
        Links::Loopback => {
            "n3 loses its power: agent and tasks gone (that its link falls silent too needs root)"
        }
    });
    let witness = &fleet.nodes[0];
    let begun = Instant::now();
    fleet.lab(&["kill", victim])?;
    fleet.wait("its tasks run elsewhere", TIMEOUT, || {
        let tasks = running(fleet, witness)?;
        Ok(slots(&tasks).len() == 6 && !tasks.iter().any(|task| task.is_on(victim)))
    })?;
    say(&format!("its tasks run elsewhere after {:.1} s:", begun.elapsed().as_secs_f64()));
    show(fleet, witness, &["n1", "n2"])?;
    answers(fleet, witness)?;
    say("n3 is plugged in again, with its old disk");
    fleet.lab(&["start", victim])?;
    fleet.calm(6, REST)?;
    show(fleet, witness, &["n1", "n2", "n3"])
}

/// Both sides of a partition accept commands; after the heal both commands are in effect and no
/// task was restarted.
///
/// The larger side scales, because the tasks that it adds fit its share after the heal. Eight tasks
/// on n1 alone would be more than its share of eight, and balancing would move one of them.
pub fn cut_and_heal(fleet: &Fleet) -> Result<()> {
    title("A fleet cut in two takes commands on both sides");
    let [left, right] = [&fleet.nodes[0], &fleet.nodes[1]];
    let (left_side, right_side) = (["n1"], ["n2", "n3"]);
    let before = fleet.calm(6, REST)?;
    fleet.lab(&["cut", "n1"])?;
    say("n1 is cut off from n2 and n3");
    let took = fleet.wait("each side runs all six", TIMEOUT, || {
        Ok(has(fleet, left, &left_side, 6)? && has(fleet, right, &right_side, 6)?)
    })?;
    say(&format!("each side runs all six by itself after {:.1} s", took.as_secs_f64()));
    typed("n1", "edgectl service update --label-add tested=yes web");
    fleet.edgectl(left, &["service", "update", "--detach", "--label-add", "tested=yes", "web"])?;
    typed("n2", "edgectl service scale web=8");
    fleet.edgectl(right, &["service", "scale", "--detach", "web=8"])?;
    fleet.wait("eight run", TIMEOUT, || has(fleet, right, &right_side, 8))?;
    say("what n1 sees:");
    show(fleet, left, &left_side)?;
    say("what n2 sees:");
    show(fleet, right, &right_side)?;
    let mut split = on(&running(fleet, left)?, &left_side);
    split.extend(on(&running(fleet, right)?, &right_side));

    title("The cut heals");
    fleet.lab(&["heal"])?;
    let took = fleet.wait("both changes are everywhere", TIMEOUT, || both_changes(fleet))?;
    say(&format!("every node knows both changes after {:.1} s", took.as_secs_f64()));
    let after = fleet.calm(8, REST)?;
    say("every node prints the same placement:");
    show(fleet, left, &["n1", "n2", "n3"])?;
    judge(&before, &split, &after)?;
    answers(fleet, left)
}

/// Checks the state after the heal against what ran before and during the partition.
fn judge(before: &[Task], split: &[Task], after: &[Task]) -> Result<()> {
    let processes =
        |tasks: &[Task]| -> BTreeSet<u32> { tasks.iter().map(|task| task.pid).collect() };
    let (ran, runs) = (processes(split), processes(after));
    let restarted = runs.difference(&ran).count();
    let surplus: Vec<u32> = ran.difference(&runs).copied().collect();
    ensure!(restarted == 0, "{restarted} tasks have a new process after the heal");
    for pid in &surplus {
        ensure!(!is_alive(*pid), "process {pid} of the surplus still runs");
    }
    let kept = processes(before).intersection(&runs).count();
    say(&format!("  surplus drained: {} processes of {} ended", surplus.len(), ran.len()));
    say("  restarted: none; every task has the process id that it had before the heal");
    say(&format!("  of the six from before the cut, {kept} run on as if nothing had happened"));
    Ok(())
}

fn both_changes(fleet: &Fleet) -> Result<bool> {
    for node in &fleet.nodes {
        let spec = &fleet.get(node, "/services/web")?["Spec"];
        let scaled = spec["Mode"]["Replicated"]["Replicas"] == 8;
        if !scaled || spec["Labels"]["tested"] != "yes" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Do these nodes alone run `count` of the service's slots, as `node` sees it?
fn has(fleet: &Fleet, node: &Node, names: &[&str], count: usize) -> Result<bool> {
    Ok(slots(&on(&running(fleet, node)?, names)).len() == count)
}

/// The tasks of these nodes.
fn on(tasks: &[Task], names: &[&str]) -> Vec<Task> {
    tasks.iter().filter(|task| names.iter().any(|name| task.is_on(name))).cloned().collect()
}

fn running(fleet: &Fleet, node: &Node) -> Result<Vec<Task>> {
    Ok(fleet.tasks(node)?.into_iter().filter(Task::is_running).collect())
}

fn slots(tasks: &[Task]) -> BTreeSet<u64> {
    tasks.iter().map(|task| task.slot).collect()
}

fn show(fleet: &Fleet, node: &Node, names: &[&str]) -> Result<()> {
    placement(&fleet.tasks(node)?, names);
    Ok(())
}

/// Asks every task over HTTP for its name.
fn answers(fleet: &Fleet, from: &Node) -> Result<()> {
    let tasks = running(fleet, from)?;
    for task in &tasks {
        let answer = ask(fleet, from, task)?;
        let expected = format!("web.{} on {}", task.slot, task.node);
        ensure!(answer == expected, "web.{} answered `{answer}`", task.slot);
    }
    say(&format!("each of the {} answers over HTTP, asked from {}", tasks.len(), from.name));
    Ok(())
}

/// Retries: a program that was just started may not listen yet.
fn ask(fleet: &Fleet, from: &Node, task: &Task) -> Result<String> {
    let owner = fleet.nodes.iter().find(|node| task.is_on(&node.name));
    let address = owner.map(|node| node.address.as_str()).unwrap_or_default();
    let url = format!("http://{address}:{}/cgi-bin/who", service::port(task.slot));
    let mut answer = String::new();
    fleet.wait(&format!("{url} answers"), Duration::from_secs(5), || {
        answer = fleet.on_node(from, &["curl", "--silent", "--fail", "--max-time", "2", &url])?;
        Ok(true)
    })?;
    Ok(answer)
}

/// Does this process run? A process that has ended but was not collected yet does not.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(slot: u64, pid: u32) -> Task {
        let (service, node, state) = (String::new(), "n1".to_owned(), "running".to_owned());
        Task { service, slot, node, state, pid, unreachable: false }
    }

    #[test]
    fn a_task_with_a_new_process_after_the_heal_is_a_fault() {
        let before = [task(1, u32::MAX - 1)];
        assert!(judge(&before, &before, &before).is_ok());
        assert!(judge(&before, &before, &[task(1, u32::MAX - 2)]).is_err());
    }

    #[test]
    fn surplus_that_still_runs_is_a_fault() {
        let own = std::process::id();
        let split = [task(1, u32::MAX - 1), task(1, own)];
        assert!(judge(&split[..1], &split, &split[..1]).is_err());
    }
}
