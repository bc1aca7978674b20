//! Folders of runs that a power cut or a bad disk left behind.

use std::fs;

use crdt_state::task::{Exit, RunEvent};
use nix::sys::signal::Signal;
use runtime::Driver;
use runtime::run_dir;

use crate::host::{Host, kill, lives, program, until};

/// The folder of a run that has ended, files and all.
fn ended(host: &mut Host) -> std::path::PathBuf {
    let order = program(&["sh", "-c", "echo said; exit 3"]);
    host.run(&order);
    let monitor = host.monitor(order.run);
    host.exit(order.run);
    until("its monitor to end", || (!lives(monitor)).then_some(()));
    host.crash();
    host.dir(order.run)
}

#[test]
fn an_order_cut_anywhere_puts_the_folder_aside() {
    let mut host = Host::new();
    let dir = ended(&mut host);
    let name = dir.file_name().expect("it has one").to_owned();
    let aside = host.runs.join("quarantine").join(&name);
    let whole = fs::read(dir.join(run_dir::ORDER)).expect("readable");
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(dir.join(run_dir::ORDER), &whole[..length]).expect("writable");
        assert_eq!(host.adopt(), vec![], "cut at {length}");
        host.crash();
        assert!(aside.join(run_dir::LOG).exists(), "its log is kept");
        fs::rename(&aside, &dir).expect("movable");
    }
    fs::remove_file(dir.join(run_dir::ORDER)).expect("removable");
    assert_eq!(host.adopt(), vec![], "without an order");
    fs::remove_dir_all(&aside).expect("removable");
}

#[test]
fn an_ending_cut_anywhere_is_an_end_that_nobody_knows() {
    let mut host = Host::new();
    let dir = ended(&mut host);
    let whole = fs::read(dir.join(run_dir::FINAL_STATUS)).expect("readable");
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        fs::write(dir.join(run_dir::FINAL_STATUS), &whole[..length]).expect("writable");
        let found = host.adopt();
        assert_eq!(found.len(), 1, "cut at {length}");
        assert_eq!(found[0].event, RunEvent::Exited { exit: Exit::Unknown, oom: false });
        host.crash();
    }
}

#[test]
fn a_status_cut_anywhere_is_a_program_that_is_ended_and_told() {
    for length in [0, 10] {
        let mut host = Host::new();
        let order = program(&["sleep", "1000"]);
        let pid = host.run(&order);
        let monitor = host.monitor(order.run);
        host.crash();
        kill(monitor, Signal::SIGKILL);
        until("the monitor to die", || (!lives(monitor)).then_some(()));
        let status = host.dir(order.run).join(run_dir::STATUS);
        let whole = fs::read(&status).expect("readable");
        fs::write(&status, &whole[..length]).expect("writable");
        let found = host.adopt();
        assert_eq!(found[0].event, RunEvent::Exited { exit: Exit::Unknown, oom: false });
        assert!(!lives(pid), "found by its cgroup or its environment");
    }
}

#[test]
fn a_run_that_nobody_can_name_is_ended() {
    for mut host in [Host::new(), Host::without_cgroups()] {
        let order = program(&["sleep", "1000"]);
        let pid = host.run(&order);
        let monitor = host.monitor(order.run);
        host.crash();
        fs::write(host.dir(order.run).join(run_dir::ORDER), "{").expect("writable");
        assert_eq!(host.adopt(), vec![]);
        until("both to end", || (!lives(pid) && !lives(monitor)).then_some(()));
    }
}

#[test]
fn a_start_that_was_cut_before_its_monitor_ran_is_told_as_interrupted() {
    let mut host = Host::new();
    let dir = ended(&mut host);
    fs::remove_file(dir.join(run_dir::STATUS)).expect("removable");
    fs::remove_file(dir.join(run_dir::FINAL_STATUS)).expect("removable");
    let found = host.adopt();
    assert!(
        matches!(&found[0].event, RunEvent::Refused { permanent: false, .. }),
        "{:?}",
        found[0].event
    );
}

#[test]
fn what_is_no_run_is_not_touched_and_the_quarantine_is_bounded() {
    let mut host = Host::new();
    let dir = ended(&mut host);
    fs::create_dir(host.runs.join("lost+found")).expect("writable");
    for attempt in 10..40 {
        let name = dir.file_name().expect("it has one").to_str().expect("text").replace(".1", "");
        fs::create_dir(host.runs.join(format!("{name}.{attempt}"))).expect("writable");
    }
    assert_eq!(host.adopt().len(), 1);
    assert!(host.runs.join("lost+found").exists());
    fs::remove_dir(host.runs.join("lost+found")).expect("removable");
    let kept = fs::read_dir(host.runs.join("quarantine")).expect("it is there").count();
    assert_eq!(kept, 16);
}

#[test]
fn a_run_whose_folder_was_deleted_can_still_be_forgotten() {
    let mut host = Host::new();
    let order = program(&["sleep", "1000"]);
    let pid = host.run(&order);
    fs::remove_dir_all(host.dir(order.run)).expect("removable");
    host.driver().forget(order.run);
    until("it to end", || (!lives(pid)).then_some(()));
}
