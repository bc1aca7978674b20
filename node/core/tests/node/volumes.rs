//! A node and its disk: what it reports about its volumes, and what it starts.

use std::collections::BTreeMap;

use crdt_state::spec::{Labels, Mount, MountSource};
use crdt_state::volume::{Holding, NodeVolumes, VolumeFact};
use node_core::{Edit, Edited, Input, ServiceSpec};

use crate::host::{Host, spec};

fn on_disk(names: &[&str]) -> NodeVolumes {
    let fact = |id| VolumeFact { id, created_wall_ms: 0, missing: false };
    names.iter().zip(1..).map(|(name, id)| ((*name).to_owned(), fact(id))).collect()
}

fn database() -> ServiceSpec {
    let mut database = spec("db", 1);
    let source =
        MountSource::Volume { name: "pgdata".to_owned(), no_copy: false, labels: Labels::new() };
    let mount = Mount { source, target: "/data".to_owned(), read_only: false };
    database.template.container.mounts.push(mount);
    database
}

fn holdings(host: &Host) -> Vec<(String, Holding)> {
    host.node.report(host.now).volumes().into_iter().map(|row| (row.name, row.holding)).collect()
}

#[test]
fn a_node_that_comes_up_without_its_disk_starts_nothing_on_an_empty_one() {
    let mut host = Host::boot_with(1, BTreeMap::new(), Vec::new(), Some(on_disk(&["pgdata"])));
    host.create(database());
    assert_eq!(host.start_all().len(), 1);

    let mut unmounted = Host::boot_with(1, host.disk.clone(), Vec::new(), Some(on_disk(&[])));
    unmounted.wait(60_000);
    assert_eq!(unmounted.started.len(), 0);
    assert_eq!(holdings(&unmounted), [("pgdata".to_owned(), Holding::Missing)]);
    let reason =
        unmounted.tasks().into_iter().find_map(|task| task.reason.filter(|r| r.contains("volume")));
    let reason = reason.expect("it says why");
    assert!(
        reason.contains("volume pgdata is on pi-1") && reason.contains("not on its disk"),
        "{reason}"
    );

    unmounted.feed(Input::VolumesFound(on_disk(&["pgdata"])));
    unmounted.wait(60_000);
    assert_eq!(unmounted.started.len(), 1, "the disk is mounted again");
}

#[test]
fn a_volume_is_acknowledged_once_its_record_is_on_disk() {
    let mut host = Host::boot_with(1, BTreeMap::new(), Vec::new(), Some(on_disk(&[])));
    host.disk_answers = false;
    host.feed(Input::VolumesFound(on_disk(&["pgdata"])));
    host.feed(Input::Flush { ticket: 7 });
    assert!(host.answers.is_empty(), "the disk has not answered");
    let seq = host.unanswered.pop().expect("the record is being written");
    host.feed(Input::Persisted { seq });
    assert_eq!(host.answers.pop(), Some(Ok(Edited::Done)));

    host.feed(Input::Flush { ticket: 8 });
    assert_eq!(host.answers.pop(), Some(Ok(Edited::Done)), "nothing is waiting for the disk");
}

#[test]
fn a_lost_volume_is_begun_anew_once_an_operator_says_so() {
    let mut host = Host::boot_with(1, BTreeMap::new(), Vec::new(), Some(on_disk(&["pgdata"])));
    host.feed(Input::VolumesFound(on_disk(&[])));
    host.create(database());
    assert_eq!(host.started.len(), 0);
    host.feed(Input::VolumeRemoved { name: "pgdata".to_owned() });
    assert_eq!(host.started.len(), 1);
    assert!(holdings(&host).is_empty());
}

#[test]
fn what_is_given_up_is_written_and_its_removal_takes_that_back() {
    let mut host = Host::boot_with(1, BTreeMap::new(), Vec::new(), Some(on_disk(&["pgdata"])));
    let node = host.node.me();
    let give_up = |name: &str| Edit::GiveUpVolume { node, name: name.to_owned() };
    assert!(host.edit(give_up("pgdata")).is_ok());
    assert_eq!(holdings(&host), [("pgdata".to_owned(), Holding::GivenUp)]);
    assert!(host.edit(give_up("nothing")).is_err());
    host.feed(Input::VolumeRemoved { name: "pgdata".to_owned() });
    host.feed(Input::VolumesFound(on_disk(&["pgdata"])));
    assert_eq!(holdings(&host), [("pgdata".to_owned(), Holding::Here)]);
}

#[test]
fn a_volume_is_said_once() {
    let mut host = Host::boot_with(1, BTreeMap::new(), Vec::new(), Some(on_disk(&["pgdata"])));
    host.log.clear();
    host.feed(Input::VolumesFound(on_disk(&["pgdata"])));
    host.wait(3_600_000);
    assert_eq!(host.log, Vec::<&str>::new());
}
