//! The chapters of the demo: create, kill, cut and heal.
//!
//! Each chapter acts as an operator would, waits for the effect, and checks it.

use super::print::{placement, say, title, typed};
use super::shop::Shop;
use super::visitors::{self, Side};
use super::{SPREAD, TIMEOUT};
use crate::fleet::place::Running;
use crate::fleet::service::Kind;
use crate::fleet::view::Task;
use crate::fleet::{Fleet, Links, Node};
use crate::load::now_ms;
use anyhow::{Result, ensure};
use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The fleet counts as at rest when nothing has changed for this long.
const REST: Duration = Duration::from_secs(2);
/// Tasks of the web service, at first and in the end.
const WEB: usize = 6;
const WEB_SCALED: usize = 8;

/// Two services by a command each, and an answer from every task.
pub fn create(shop: &Shop) -> Result<()> {
    title(match shop.kind {
        Kind::Container => "A web page that asks redis by its name, across nodes",
        Kind::Process => "One command on any of them",
    });
    shop.open(WEB)?;
    let nodes: Vec<&Node> = shop.fleet.nodes.iter().collect();
    let begun = Instant::now();
    whole(shop, &nodes, shop.tasks(WEB))?;
    let seconds = begun.elapsed().as_secs_f64();
    say(&match shop.kind {
        Kind::Container => format!("all run after {seconds:.1} s, found healthy by their checks:"),
        Kind::Process => format!("all run after {seconds:.1} s:"),
    });
    show(shop, nodes[0], &["n1", "n2", "n3"])?;
    sleep(SPREAD);
    shop.answers(&nodes)
}

/// A node dies; its tasks run elsewhere.
pub fn kill(shop: &Shop) -> Result<()> {
    title("A node dies");
    let victim = "n3";
    say(match shop.fleet.links {
        Links::Namespaces => {
            "n3 loses its power: agent and tasks gone, packets to it dropped, nothing refused"
        }
        Links::Loopback => {
            "n3 loses its power: agent and tasks gone (that its link falls silent needs root)"
        }
    });
    let rest = [&shop.fleet.nodes[0], &shop.fleet.nodes[1]];
    let had_redis = redis(&shop.serving(rest[0])?).is_some_and(|redis| redis.is_on(victim));
    let begun = Instant::now();
    shop.fleet.lab(&["kill", victim])?;
    whole(shop, &rest, shop.tasks(WEB))?;
    say(&format!("its tasks run elsewhere after {:.1} s:", begun.elapsed().as_secs_f64()));
    if had_redis {
        say("redis was one of them; it has no volume, so that the new one counts from 1");
    }
    show(shop, rest[0], &["n1", "n2"])?;
    sleep(SPREAD);
    shop.answers(&rest)?;
    say("n3 is plugged in again, with its old disk");
    shop.fleet.lab(&["start", victim])?;
    shop.fleet.calm(shop.tasks(WEB), REST)?;
    show(shop, rest[0], &["n1", "n2", "n3"])
}

/// Both sides of a partition accept commands and serve the page; after the heal both commands are
/// in effect and no task was restarted.
///
/// The larger side scales, because the tasks that it adds fit its share after the heal. Eight tasks
/// on n1 alone would be more than its share of eight, and balancing would move one of them.
pub fn cut_and_heal(shop: &Shop) -> Result<()> {
    title("A fleet cut in two serves, and takes commands, on both sides");
    let fleet = shop.fleet;
    let [left, right, third] = [0, 1, 2].map(|at| &fleet.nodes[at]);
    let before = fleet.calm(shop.tasks(WEB), REST)?;
    let visitors = visitors(shop, [left, right])?;
    let cut_at_ms = now_ms();
    fleet.lab(&["cut", "n1"])?;
    say("n1 is cut off from n2 and n3");
    if let Some(redis) = redis(&before) {
        say(match redis.is_on("n1") {
            true => "redis is on n1; n2 and n3 will start another, which counts from 1",
            false => "redis is on the other side; n1 will start another, which counts from 1",
        });
    }
    let whole_at_ms = both_whole(shop, [&[left], &[right, third]], cut_at_ms)?;
    typed("n1", "edgectl service update --label-add tested=yes web");
    fleet.edgectl(left, &["service", "update", "--detach", "--label-add", "tested=yes", "web"])?;
    typed("n2", &format!("edgectl service scale web={WEB_SCALED}"));
    let scaled = format!("web={WEB_SCALED}");
    fleet.edgectl(right, &["service", "scale", "--detach", &scaled])?;
    whole(shop, &[right, third], shop.tasks(WEB_SCALED))?;
    say("what n1 sees:");
    show(shop, left, &["n1"])?;
    say("what n2 sees:");
    show(shop, right, &["n2", "n3"])?;
    sleep(SPREAD);
    shop.answers(&[left])?;
    shop.answers(&[right, third])?;
    let mut split = on(&shop.serving(left)?, &["n1"]);
    split.extend(on(&shop.serving(right)?, &["n2", "n3"]));

    title("The cut heals");
    let healed_at_ms = now_ms();
    fleet.lab(&["heal"])?;
    let took = fleet.wait("both changes are everywhere", TIMEOUT, || both_changes(fleet))?;
    say(&format!("every node knows both changes after {:.1} s", took.as_secs_f64()));
    let after = fleet.calm(shop.tasks(WEB_SCALED), REST)?;
    let calm_at_ms = now_ms();
    say("every node prints the same placement:");
    show(shop, left, &["n1", "n2", "n3"])?;
    judge(&before, &split, &after)?;
    one_redis(&before, &after);
    shop.answers(&[left, right, third])?;
    if shop.kind == Kind::Container {
        say("who asked for the page without a pause, from before the cut until now:");
    }
    for ((visitors, node), whole_at_ms) in visitors.into_iter().zip([left, right]).zip(whole_at_ms)
    {
        let side = Side { cut_at_ms, whole_at_ms, healed_at_ms, calm_at_ms };
        visitors::judge(&node.name, &visitors.finish()?, side)?;
    }
    Ok(())
}

/// Starts visitors at these nodes, if there is a page that every node has.
fn visitors(shop: &Shop, nodes: [&Node; 2]) -> Result<Vec<Running>> {
    match shop.kind {
        Kind::Container => nodes.iter().map(|node| shop.visitors(node)).collect(),
        Kind::Process => Ok(Vec::new()),
    }
}

/// Waits until each side runs everything by itself, and tells when, on the machine's clock.
fn both_whole(shop: &Shop, sides: [&[&Node]; 2], cut_at_ms: f64) -> Result<[f64; 2]> {
    let mut whole_at_ms = [None; 2];
    shop.fleet.wait("each side runs everything", TIMEOUT, || {
        for (side, at_ms) in sides.iter().zip(&mut whole_at_ms) {
            if at_ms.is_none() && is_whole(shop, side, shop.tasks(WEB))? {
                *at_ms = Some(now_ms());
            }
        }
        Ok(whole_at_ms.iter().all(Option::is_some))
    })?;
    let whole_at_ms = whole_at_ms.map(Option::unwrap_or_default);
    let [left, right] = whole_at_ms.map(|at_ms| (at_ms - cut_at_ms) / 1000.0);
    say(&format!("n1 runs everything by itself after {left:.1} s, n2 and n3 after {right:.1} s"));
    Ok(whole_at_ms)
}

/// Waits until so many tasks run on these nodes, as each of them sees it.
fn whole(shop: &Shop, nodes: &[&Node], count: usize) -> Result<()> {
    let what = format!("{count} tasks run");
    shop.fleet.wait(&what, TIMEOUT, || is_whole(shop, nodes, count)).map(drop)
}

fn is_whole(shop: &Shop, nodes: &[&Node], count: usize) -> Result<bool> {
    let names: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    for node in nodes {
        let tasks = on(&shop.serving(node)?, &names);
        let slots: BTreeSet<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        if slots.len() != count {
            return Ok(false);
        }
    }
    Ok(true)
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
    let all = before.len();
    say(&format!("  of the {all} from before the cut, {kept} run on as if nothing had happened"));
    Ok(())
}

/// Tells which of the two is left.
fn one_redis(before: &[Task], after: &[Task]) {
    let (Some(before), Some(after)) = (redis(before), redis(after)) else { return };
    let which = match before.pid == after.pid {
        true => "the one from before the cut, with its count",
        false => "the one that the cut made, with its own count",
    };
    say(&format!("  one redis is left, on {}: {which}", after.node));
}

fn redis(tasks: &[Task]) -> Option<&Task> {
    tasks.iter().find(|task| task.name == "redis.1")
}

fn both_changes(fleet: &Fleet) -> Result<bool> {
    for node in &fleet.nodes {
        let spec = &fleet.get(node, "/services/web")?["Spec"];
        let scaled = spec["Mode"]["Replicated"]["Replicas"] == WEB_SCALED;
        if !scaled || spec["Labels"]["tested"] != "yes" {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The tasks of these nodes.
fn on(tasks: &[Task], names: &[&str]) -> Vec<Task> {
    tasks.iter().filter(|task| names.iter().any(|name| task.is_on(name))).cloned().collect()
}

fn show(shop: &Shop, node: &Node, names: &[&str]) -> Result<()> {
    placement(&shop.fleet.tasks(node)?, names);
    Ok(())
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
        let name = format!("web.{slot}");
        Task { service, name, slot, node, state, health: String::new(), pid, unreachable: false }
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
