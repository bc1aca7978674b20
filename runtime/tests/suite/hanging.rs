//! An OCI runtime that hangs: it is reported, given up, and ended by a stop.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crdt_state::task::RunEvent;
use runtime::Driver;

use crate::host::{Host, count_of, unique_sleep, until};
use crate::test_images::container;

/// A runtime that waits for something that never comes.
struct Hanging {
    _dir: tempfile::TempDir,
    host: Host,
    word: String,
}

fn hanging(number: u8, making_ms_max: u64) -> Option<Hanging> {
    let dir = tempfile::tempdir().expect("a folder");
    let (path, word) = (dir.path().join("hangs"), format!("{}{number}", unique_sleep()));
    fs::write(&path, format!("#!/bin/sh\nexec sleep {word}\n")).expect("writable");
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).expect("ours");
    let mut host = Host::containers(path.to_str()?)?;
    host.making_ms_max = making_ms_max;
    host.adopt();
    Some(Hanging { _dir: dir, host, word })
}

fn slow(host: &mut Host) -> usize {
    let probe = host.driver().progress();
    let reactor = tokio::runtime::Builder::new_current_thread().build().expect("a reactor");
    reactor.block_on(probe.report()).slow
}

#[test]
fn a_runtime_that_hangs_is_told_of_and_then_given_up() {
    let Some(Hanging { mut host, word, _dir }) = hanging(1, 1_000) else { return };
    let order = container(&["true"]);
    host.driver().start(&order);
    until("it is told", || (slow(&mut host) == 1).then_some(()));
    let refused = host.next();
    let RunEvent::Refused { permanent: false, reason } = refused.1 else { panic!("{refused:?}") };
    assert!(reason.contains("/hangs does not come to an end"), "{reason}");
    assert_eq!((slow(&mut host), count_of(&word)), (0, 0));
}

#[test]
fn an_agent_that_comes_later_does_not_wait_for_it() {
    let Some(Hanging { mut host, word, _dir }) = hanging(3, 1_000) else { return };
    host.driver().start(&container(&["true"]));
    until("it is told", || (slow(&mut host) == 1).then_some(()));
    let begun = Instant::now();
    assert_eq!(host.adopt(), []);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(slow(&mut host), 0);
    until("its monitor gives it up", || (count_of(&word) == 0).then_some(()));
}

#[test]
fn a_start_that_hangs_is_ended_by_a_stop() {
    let Some(Hanging { mut host, word, _dir }) = hanging(2, 1_000_000) else { return };
    let order = container(&["true"]);
    host.driver().start(&order);
    until("the runtime is called", || (count_of(&word) == 1).then_some(()));
    host.driver().stop(order.run, None, 0);
    assert!(matches!(host.next().1, RunEvent::Refused { permanent: false, .. }));
    assert_eq!((slow(&mut host), count_of(&word)), (0, 0));
}
