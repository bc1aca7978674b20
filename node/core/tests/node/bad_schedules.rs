//! Schedules that are refused, and clocks that no schedule can follow.

use node_core::{Edit, ServiceSpec};

use crate::host::{Host, spec};
use crate::schedules::{HOUR_MS, complete, host, job, status, update};

#[test]
fn a_clock_beyond_all_calendars_makes_no_record_that_nobody_reads() {
    let mut host = Host::new();
    host.clock_ms = u64::MAX / 2;
    let id = host.create(job("0 3 * * *"));
    update(&mut host, id, |spec| spec.template.force_update += 1);
    assert_eq!(complete(&mut host), 1, "it is read, and run when it is asked for");
    host.wait(HOUR_MS);
    assert_eq!((host.started.len(), status(&host, id).next), (0, None));
}

#[test]
fn a_schedule_that_makes_no_sense_is_refused_and_changes_nothing() {
    let mut host = host();
    let digest = host.node.replica().digest();
    let service = ServiceSpec { schedule: job("0 3 * * *").schedule, ..spec("web", 1) };
    let mut nowhere = job("0 3 * * *");
    nowhere.schedule.as_mut().expect("it has one").zone = "Berlin".to_owned();
    for (spec, words) in [
        (service, "only a job has a schedule"),
        (nowhere, "Europe/Berlin"),
        (job("0 0 31 2 *"), "has no run within five years"),
        (job("0 0 3 * * *"), "has 6 fields"),
    ] {
        let said = host.edit(Edit::CreateService(Box::new(spec))).expect_err("refused").to_string();
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(host.node.replica().digest(), digest);
}
