//! Which ids of this node a container with ids of its own gets: what others have is read from the machine
//! each time, so that no book has to be kept, and nothing given back.
//!
//! For the driver's thread alone: one run after another, each with its order on the disk before the
//! next one asks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crdt_state::id::TaskId;
use serde::Deserialize;

use crate::refusal::StartError;
use crate::run_dir;
use crate::user_range::{Span, UserRange, choose};

/// Who was given ids for containers of his own.
const GIVEN: [&str; 2] = ["/etc/subuid", "/etc/subgid"];

/// A free range for a run of this task. Two agents on one machine, and a task that starts again, begin
/// to look at different places, so that a range is seldom used again at once.
pub fn take(runs: &Path, task: TaskId) -> Result<UserRange, StartError> {
    let mut spans: Vec<Span> = Vec::new();
    for path in GIVEN {
        let text = fs::read_to_string(path).unwrap_or_default();
        spans.extend(text.lines().filter_map(given));
    }
    spans.extend(mapped());
    let seed = task.0.iter().fold(0_u32, |sum, byte| sum.wrapping_mul(31) + u32::from(*byte));
    choose(seed, &held(runs), &spans).ok_or(StartError::NoUserRange)
}

/// The ranges of the runs of this node that are not over, read from their orders: they outlive the
/// agent.
fn held(runs: &Path) -> BTreeSet<UserRange> {
    let entries = fs::read_dir(runs).into_iter().flatten().flatten().map(|entry| entry.path());
    let live = entries.filter(|run| !run.join(run_dir::FINAL_STATUS).exists());
    let orders = live.filter_map(|run| fs::read(run.join(run_dir::ORDER)).ok());
    let orders = orders.filter_map(|bytes| serde_json::from_slice::<HeldOrder>(&bytes).ok());
    orders.filter_map(|order| order.container?.users).collect()
}

/// The part of an order that says it, whatever else a later agent wrote into it.
#[derive(Deserialize)]
struct HeldOrder {
    container: Option<HeldContainer>,
}

#[derive(Deserialize)]
struct HeldContainer {
    #[serde(default)]
    users: Option<UserRange>,
}

/// A line of `/etc/subuid`: `who:100000:65536`.
fn given(line: &str) -> Option<Span> {
    let mut words = line.trim().split(':').skip(1);
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// The ids that processes of this machine have in namespaces of whatever engine.
fn mapped() -> BTreeSet<Span> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes =
        entries.filter(|entry| entry.file_name().as_encoded_bytes()[0].is_ascii_digit());
    let maps = processes.flat_map(|entry| {
        ["uid_map", "gid_map"].map(|name| fs::read_to_string(entry.path().join(name)))
    });
    let lines = |map: String| map.lines().filter_map(of_map).collect::<Vec<_>>();
    maps.flatten().flat_map(lines).collect()
}

/// A line of a map: the first id inside, the first outside, how many. All ids at once: no namespace
/// of its own.
fn of_map(line: &str) -> Option<Span> {
    let mut words = line.split_whitespace().skip(1);
    let span: Span = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    (span.1 < u64::from(u32::MAX)).then_some(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_holds_its_range_until_it_is_over() {
        let runs = tempfile::tempdir().unwrap();
        let range = UserRange { first: 2_000_224_256 };
        let run = runs.path().join("one");
        fs::create_dir(&run).unwrap();
        let order = format!(r#"{{"container": {{"users": {{"first": {}}}}}}}"#, range.first);
        fs::write(run.join(run_dir::ORDER), order).unwrap();
        assert!(held(runs.path()).contains(&range));
        let other = take(runs.path(), TaskId([0; 16])).expect("one is free");
        assert_ne!(other, range);
        fs::write(run.join(run_dir::FINAL_STATUS), "{}").unwrap();
        assert!(held(runs.path()).is_empty());
    }

    #[test]
    fn ids_that_were_given_to_somebody_and_those_of_processes_are_read() {
        assert_eq!(given("alice:100000:65536"), Some((100_000, 65_536)));
        assert_eq!(given("# nobody"), None);
        assert_eq!(of_map("         0 2000224256      65536"), Some((2_000_224_256, 65_536)));
        assert_eq!(of_map("         0          0 4294967295"), None, "no namespace of its own");
    }
}
