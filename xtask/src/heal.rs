//! `cargo xtask heal`: a fleet is partitioned and healed again and again, and no slot may lose its
//! task.
//!
//! This is judged by the output of the programs themselves. Each run writes a file: when it began,
//! and five times a second that it is alive. At each heal nearly every slot runs twice; afterwards
//! one of the two must keep running and nothing may have been started. The check must never ask an
//! agent what runs.

use crate::fleet::{Fleet, Links, program};
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

/// Nodes of the fleet.
const NODES: usize = 5;
/// Services, and tasks of each.
const SERVICES: [(&str, u64); 3] = [("alpha", 5), ("beta", 6), ("gamma", 10)];
/// How long a part that was cut off may take to start the tasks that it misses.
const APART: Duration = Duration::from_secs(13);
/// The fleet counts as at rest when nothing has changed for this long.
const REST: Duration = Duration::from_secs(3);
/// The timeout of every other wait; enough for a machine with three times the load that it can
/// carry.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A run that has written nothing for this long is gone: fifteen beats.
const SILENCE_S: f64 = 3.0;

/// Writes when it begins, and then five times a second that it is alive. The shell's own `read`
/// waits, so that a beat starts no program.
const BEAT: &str = r#"exec 3>>"$BEATS/$SERVICE.$SLOT.$$"; exec 4<> <(:)
echo "$EPOCHREALTIME" >&3
while :; do read -rt 0.2 -u 4; echo "$EPOCHREALTIME" >&3; done"#;

/// How often, and on how busy a machine.
#[derive(Args)]
pub struct HealArgs {
    /// How often the fleet is cut and healed
    #[arg(long, default_value_t = 50)]
    pub heals: u32,
    /// Loops that keep the cores busy meanwhile: six oversubscribe two cores three times
    #[arg(long, default_value_t = 0)]
    pub busy: u32,
    /// Another build to cut and heal, for comparison; otherwise this tree's
    #[arg(long)]
    pub edgectl: Option<PathBuf>,
}

/// A run of a program, as its file shows it.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Beats {
    began: f64,
    last: f64,
}

/// The result of one or several heals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Verdict {
    /// Slots that ran more than once when the cut was healed.
    doubled: usize,
    /// Of the slots that ran then, those without a living run afterwards.
    lost: usize,
    /// Of the slots that ran then, those in which something was started afterwards: a further copy,
    /// or the last copy again.
    started: usize,
}

type Runs = BTreeMap<(String, u64), Vec<Beats>>;

/// Partitions, heals and judges.
pub fn run(args: &HealArgs) -> Result<()> {
    setup::run()?;
    let edgectl = match &args.edgectl {
        Some(other) => other.canonicalize().with_context(|| format!("no {}", other.display()))?,
        None => program::quickest()?,
    };
    let fleet = Fleet::up(&edgectl, "heal", NODES)?;
    ensure!(fleet.links == Links::Namespaces, "links are cut in namespaces, which need root");
    let mut busy = Vec::new();
    let healed = keep_busy(&mut busy, args.busy).and_then(|()| heal_often(&fleet, args.heals));
    for mut child in busy {
        child.kill().and_then(|()| child.wait()).context("cannot end a busy loop")?;
    }
    fleet.down()?;
    let all = healed?;
    let Verdict { doubled, lost, started } = all;
    let busy = args.busy;
    println!(
        "{} heals, {busy} busy loops: {doubled} slots ran twice, {lost} lost all their runs, {started} started another",
        args.heals
    );
    ensure!(lost == 0, "a heal stopped what it should have kept");
    Ok(())
}

fn keep_busy(busy: &mut Vec<Child>, count: u32) -> Result<()> {
    for _ in 0..count {
        let mut command = Command::new("/bin/sh");
        // The shell ends with its parent, however the parent ends.
        command.args(["-c", "while kill -0 \"$PPID\" 2>/dev/null; do i=0; while [ $i -lt 9999 ]; do i=$((i + 1)); done; done"]);
        busy.push(command.stdin(Stdio::null()).spawn().context("cannot start /bin/sh")?);
    }
    Ok(())
}

fn heal_often(fleet: &Fleet, heals: u32) -> Result<Verdict> {
    let beats = fleet.dir.join("beats");
    std::fs::create_dir_all(&beats)?;
    for (name, replicas) in SERVICES {
        fleet.post(&fleet.nodes[0], "/services/create", &spec(name, replicas, &beats)?)?;
    }
    let count = SERVICES.iter().map(|(_, replicas)| *replicas as usize).sum();
    fleet.calm(count, REST)?;
    let mut all = Verdict::default();
    for number in 0..heals as usize {
        let one = round(fleet, &beats, number, count).with_context(|| format!("heal {number}"))?;
        all.doubled += one.doubled;
        all.lost += one.lost;
        all.started += one.started;
    }
    Ok(all)
}

/// Cuts off one node, or two of the five.
fn round(fleet: &Fleet, beats: &Path, number: usize, count: usize) -> Result<Verdict> {
    let name = |at: usize| fleet.nodes[at % NODES].name.as_str();
    let apart = if number % 3 == 2 { 2 } else { 1 };
    let mut words = vec!["cut"];
    words.extend((0..apart).map(|nth| name(number + nth)));
    fleet.lab(&words)?;
    // On a busy machine a part may not start all of its tasks; the slots that run twice are
    // counted.
    let _ = fleet.wait("every slot runs on both sides", APART * 2, || {
        let living = living(&runs(beats)?, now()?);
        Ok(living.values().all(|runs| runs.len() > 1) && living.len() == count)
    });
    let healed_at = now()?;
    let before = living(&runs(beats)?, healed_at);
    fleet.lab(&["heal"])?;
    fleet.calm(count, REST)?;
    fleet.wait("every slot runs once", TIMEOUT, || {
        let living = living(&runs(beats)?, now()?);
        Ok(living.len() == count && living.values().all(|runs| runs.len() == 1))
    })?;
    let verdict = judge(&before, &runs(beats)?, healed_at, now()?);
    println!("heal {number}: {verdict:?}");
    Ok(verdict)
}

fn judge(before: &Runs, after: &Runs, healed_at: f64, now: f64) -> Verdict {
    let ran: BTreeSet<&(String, u64)> = before.keys().collect();
    let of = |slot: &(String, u64)| after.get(slot).into_iter().flatten();
    let is_lost = |slot: &&&(String, u64)| {
        !of(slot).any(|run| run.began <= healed_at && now - run.last < SILENCE_S)
    };
    let is_started = |slot: &&&(String, u64)| of(slot).any(|run| run.began > healed_at);
    Verdict {
        doubled: before.values().filter(|runs| runs.len() > 1).count(),
        lost: ran.iter().filter(is_lost).count(),
        started: ran.iter().filter(is_started).count(),
    }
}

/// The runs that are alive.
fn living(runs: &Runs, now: f64) -> Runs {
    let mut living = runs.clone();
    for runs in living.values_mut() {
        runs.retain(|run| now - run.last < SILENCE_S);
    }
    living.retain(|_, runs| !runs.is_empty());
    living
}

/// The beats of all programs so far.
fn runs(beats: &Path) -> Result<Runs> {
    let mut all = Runs::new();
    for entry in std::fs::read_dir(beats)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut parts = name.split('.');
        let (Some(service), Some(slot)) = (parts.next(), parts.next()) else {
            bail!("{name} is no file of a program");
        };
        let text = std::fs::read_to_string(&path)?;
        let mut times = text.lines().filter_map(|line| line.parse::<f64>().ok());
        // The file was just opened and has no line yet.
        let Some(began) = times.next() else { continue };
        let last = times.next_back().unwrap_or(began);
        all.entry((service.to_owned(), slot.parse()?)).or_default().push(Beats { began, last });
    }
    Ok(all)
}

fn now() -> Result<f64> {
    Ok(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs_f64())
}

fn spec(name: &str, replicas: u64, beats: &Path) -> Result<Value> {
    let beats = beats.to_str().context("the lab's folder is no text")?;
    Ok(json!({
        "Name": name,
        "Mode": {"Replicated": {"Replicas": replicas}},
        "TaskTemplate": {
            "Runtime": "process",
            "ContainerSpec": {
                "Image": "process:/bin/bash",
                "Args": ["-c", BEAT],
                "Env": ["SLOT={{.Task.Slot}}", format!("SERVICE={name}"), format!("BEATS={beats}")],
                "StopGracePeriod": 1_000_000_000,
            },
        },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(runs: &[(f64, f64)]) -> Runs {
        let beats = runs.iter().map(|(began, last)| Beats { began: *began, last: *last });
        Runs::from([(("web".to_owned(), 1), beats.collect())])
    }

    #[test]
    fn of_two_copies_one_goes_on_and_nothing_is_started() {
        let before = slot(&[(1.0, 100.0), (50.0, 100.0)]);
        let kept = judge(&before, &slot(&[(1.0, 110.0), (50.0, 102.0)]), 100.0, 110.0);
        assert_eq!(kept, Verdict { doubled: 1, lost: 0, started: 0 });
    }

    #[test]
    fn a_slot_of_which_all_copies_ended_is_lost_and_a_new_run_is_a_restart() {
        let before = slot(&[(1.0, 100.0), (50.0, 100.0)]);
        let after = slot(&[(1.0, 102.0), (50.0, 102.0), (103.0, 110.0)]);
        let verdict = judge(&before, &after, 100.0, 110.0);
        assert_eq!(verdict, Verdict { doubled: 1, lost: 1, started: 1 });
    }
}
