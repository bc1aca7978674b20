//! Devices that are found on the machine: who is given them, and what becomes of a task whose device is
//! unplugged, resets itself or gets another file.

use std::collections::{BTreeMap, BTreeSet};

use crdt_state::ServiceId;
use crdt_state::read;
use crdt_state::spec::{Container, RestartCondition, Runtime, Scale};
use crdt_state::task::{AdoptedRun, Run, RunEvent, TaskStart, TaskState};
use node_core::devices::DEVICE_GONE_MS;
use node_core::{FoundDevices, Input, ServiceSpec};

use crate::host::{Host, spec};

/// Serial adapters: each a name and a file.
fn adapters(found: &[(&str, &str)]) -> FoundDevices {
    let found = found.iter().map(|(name, file)| ((*name).to_owned(), vec![(*file).to_owned()]));
    FoundDevices::from([
        ("serial".to_owned(), found.collect()),
        ("gpu".to_owned(), BTreeMap::new()),
    ])
}

const A: (&str, &str) = ("usb-A", "/dev/ttyUSB0");
const B: (&str, &str) = ("usb-B", "/dev/ttyUSB1");

fn host(found: &[(&str, &str)]) -> Host {
    Host::with_devices(1, &BTreeMap::new(), Vec::new(), (adapters(found), &[]))
}

fn readers(replicas: u32) -> ServiceSpec {
    let mut readers = spec("reader", replicas);
    readers.template.reservations.generic.insert("serial".to_owned(), 1);
    readers.template.runtime = Runtime::Container;
    readers.template.container = Container::default();
    readers
}

fn variable<'a>(start: &'a TaskStart, name: &str) -> Option<&'a str> {
    start.template.env.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
}

fn serial_of(start: &TaskStart) -> &str {
    variable(start, "DOCKER_RESOURCE_SERIAL").expect("it was told")
}

fn offered(host: &Host) -> Vec<String> {
    let named = read::named_resources_of(host.node.replica(), host.node.me());
    named.into_values().flatten().collect()
}

fn message(host: &Host, run: Run) -> String {
    let tasks = host.tasks();
    let status = tasks.iter().filter_map(|task| task.status.as_ref()).find(|s| s.id == run.task);
    let status = status.expect("it is known");
    let attempts = std::iter::once(&status.current).chain(&status.history);
    let attempt = attempts.into_iter().find(|attempt| attempt.number == run.attempt);
    attempt.map(|attempt| attempt.message.clone()).unwrap_or_default()
}

fn plug(host: &mut Host, found: &[(&str, &str)]) {
    host.feed(Input::DevicesFound(adapters(found)));
}

#[test]
fn a_container_is_given_its_device_and_told_where_it_is() {
    let mut host = host(&[A, B]);
    assert_eq!(offered(&host), ["usb-A", "usb-B"]);
    host.create(readers(2));
    let given: BTreeSet<(&str, Option<&str>, &str)> = host
        .started
        .iter()
        .map(|s| {
            let device = &s.template.container.devices[0];
            assert_eq!((s.template.container.devices.len(), &device.host), (1, &device.container));
            (serial_of(s), variable(s, "EDGECTL_DEVICE_SERIAL"), device.host.as_str())
        })
        .collect();
    let expected = [A, B].map(|(name, file)| (name, Some(file), file));
    assert_eq!(given, BTreeSet::from(expected));
}

#[test]
fn a_program_of_the_host_is_only_told() {
    let mut host = host(&[A]);
    let mut reader = readers(1);
    reader.template.runtime = Runtime::Process;
    host.create(reader);
    let start = &host.started[0];
    assert_eq!(variable(start, "EDGECTL_DEVICE_SERIAL"), Some(A.1));
    assert!(start.template.container.devices.is_empty());
}

#[test]
fn a_kind_that_is_declared_is_not_discovered() {
    let found = (adapters(&[A, B]), &[("serial", 1)][..]);
    let mut host = Host::with_devices(1, &BTreeMap::new(), Vec::new(), found);
    assert_eq!(offered(&host), [""; 0]);
    host.create(readers(2));
    assert_eq!(host.started.len(), 1, "as many as the operator wrote");
    assert_eq!(serial_of(&host.started[0]), "1");
    assert!(host.started[0].template.container.devices.is_empty());
    plug(&mut host, &[A]);
    host.wait(60_000);
    assert!(host.stopped.is_empty());
}

#[test]
fn a_task_ends_when_its_device_stays_away_and_starts_again_with_it() {
    let mut host = host(&[A]);
    let id = host.create(readers(1));
    let run = host.start_all()[0];
    plug(&mut host, &[]);
    host.wait(DEVICE_GONE_MS - 1);
    assert!(host.stopped.is_empty(), "it may only reset itself");
    host.wait(1);
    assert_eq!(host.stopped, [run]);
    assert_eq!(offered(&host), [""; 0]);
    host.exit(run, 143);
    assert_eq!(message(&host, run), "its serial usb-A (/dev/ttyUSB0) was unplugged");
    assert_eq!(host.states(), [TaskState::Failed], "which is shown beside its message");
    host.wait(60_000);
    assert!(host.started.is_empty(), "there is none");
    let why = host.node.report(host.now).why_service(id);
    assert_eq!(
        (why[0].nodes[0].code, why[0].nodes[0].detail.as_str()),
        ("generic-resource", "has no serial")
    );
    plug(&mut host, &[A]);
    assert_eq!((host.started.len(), serial_of(&host.started[0])), (1, "usb-A"));
}

#[test]
fn a_device_that_resets_itself_ends_nothing() {
    let mut host = host(&[A]);
    host.create(readers(1));
    host.start_all();
    for _ in 0..5 {
        plug(&mut host, &[]);
        host.wait(DEVICE_GONE_MS - 1);
        plug(&mut host, &[A]);
        host.wait(1_000);
    }
    assert!(host.stopped.is_empty() && host.started.is_empty());
    assert_eq!(offered(&host), ["usb-A"]);
}

#[test]
fn of_two_tasks_the_one_whose_device_is_there_goes_on() {
    for unplugged in [A, B] {
        let mut host = host(&[A, B]);
        host.create(readers(2));
        let starts = host.started.clone();
        for start in &starts {
            host.wait(1_000);
            host.report(start.run, RunEvent::Started { pid: 7 });
        }
        host.started.clear();
        let left = if unplugged == A { B } else { A };
        plug(&mut host, &[left]);
        host.wait(DEVICE_GONE_MS);
        let lost = starts.iter().find(|start| serial_of(start) == unplugged.0).expect("it has it");
        assert_eq!(host.stopped, [lost.run], "whichever runs longest");
        host.exit(lost.run, 143);
        host.wait(60_000);
        assert_eq!((host.stopped.len(), host.started.len()), (1, 0));
    }
}

#[test]
fn a_device_that_comes_back_under_another_file_is_given_anew() {
    let mut host = host(&[A]);
    host.create(readers(1));
    let run = host.start_all()[0];
    plug(&mut host, &[]);
    plug(&mut host, &[("usb-A", "/dev/ttyUSB7")]);
    assert_eq!(host.stopped, [run], "the container has a file that leads nowhere");
    host.exit(run, 143);
    assert_eq!(
        message(&host, run),
        "its serial usb-A is /dev/ttyUSB7 now, and no longer /dev/ttyUSB0"
    );
    assert_eq!(host.started[0].template.container.devices[0].host, "/dev/ttyUSB7");
    assert_eq!(serial_of(&host.started[0]), "usb-A");
}

#[test]
fn a_task_that_starts_while_its_device_is_missing_waits_for_it() {
    let mut host = host(&[A, B]);
    host.create(readers(1));
    let start = host.started[0].clone();
    host.start_all();
    let left = if serial_of(&start) == A.0 { B } else { A };
    plug(&mut host, &[left]);
    // The program fails with its device, and must not be given another one for two seconds.
    host.exit(start.run, 1);
    assert!(host.started.is_empty());
    let said: Vec<String> = host.tasks().iter().filter_map(|task| task.reason.clone()).collect();
    assert!(said[0].contains("is not plugged in at the moment"), "{said:?}");
    plug(&mut host, &[A, B]);
    host.wait(6_000);
    assert_eq!(serial_of(&host.started[0]), serial_of(&start));
}

#[test]
fn a_task_of_a_job_that_lost_its_device_has_failed() {
    let mut host = host(&[A]);
    let mut job = readers(1);
    job.scale = Scale::JobReplicated { completions: 1, max_concurrent: 1 };
    job.template.restart.condition = RestartCondition::None;
    host.create(job);
    let run = host.start_all()[0];
    plug(&mut host, &[]);
    host.wait(DEVICE_GONE_MS);
    assert_eq!(host.stopped, [run]);
    host.exit(run, 0);
    assert_eq!(host.states(), [TaskState::Failed]);
    assert!(message(&host, run).contains("was unplugged"));
}

#[test]
fn the_next_agent_knows_who_has_which_device() {
    let mut host = host(&[A, B]);
    host.create(readers(2));
    let starts = host.started.clone();
    host.start_all();
    let adopted = || -> Vec<AdoptedRun> {
        let event = RunEvent::Started { pid: 7 };
        starts.iter().map(|s| AdoptedRun { start: s.clone(), event: event.clone() }).collect()
    };
    // One has another file since, the other is not found yet.
    let found = adapters(&[("usb-B", "/dev/ttyUSB5")]);
    let mut next = Host::with_devices(2, &host.disk, adopted(), (found, &[]));
    let of = |name: &str| starts.iter().find(|start| serial_of(start) == name).expect("given").run;
    assert_eq!(next.stopped, [of("usb-B")]);
    next.wait(DEVICE_GONE_MS);
    assert_eq!(next.stopped, [of("usb-B"), of("usb-A")]);
    // Nothing is looked for any more: that is no reason to end anything.
    let mut next = Host::with_devices(3, &host.disk, adopted(), (FoundDevices::new(), &[]));
    next.wait(1_000);
    assert!(next.stopped.is_empty());
}

#[test]
fn devices_are_offered_as_they_are_plugged_in() {
    let mut host = host(&[]);
    let id: ServiceId = host.create(readers(1));
    assert!(host.started.is_empty());
    let why = host.node.report(host.now).why_service(id);
    assert!(why[0].fixes[0].contains("plug"), "{:?}", why[0].fixes);
    plug(&mut host, &[B]);
    assert_eq!(serial_of(&host.started[0]), "usb-B");
    assert_eq!(offered(&host), ["usb-B"]);
}
