//! The output of programs arrives in their logs, complete and bounded.

use std::fs;

use crdt_state::task::Exit;
use runtime::logs::{LINE_BYTES_MAX, LogReader, ReadFrom, Stream};

use crate::host::{Host, shell, until};

#[test]
fn both_streams_arrive_with_their_times() {
    let mut host = Host::new();
    let order = shell("echo out; echo err >&2; printf 'no newline'");
    let before = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("later");
    host.run(&order);
    host.exit(order.run);
    let mut reader =
        LogReader::open(&host.dir(order.run), ReadFrom::default()).expect("it has a log");
    let mut said = Vec::new();
    while let Some(entry) = reader.next_entry().expect("readable") {
        assert!(u128::from(entry.wall_ns) >= before.as_nanos());
        said.push((entry.stream == Stream::Stderr, String::from_utf8(entry.bytes).expect("text")));
    }
    said.sort();
    let expected = [(false, "no newline"), (false, "out\n"), (true, "err\n")];
    assert_eq!(said, expected.map(|(err, text)| (err, text.to_owned())));
}

#[test]
fn all_that_is_said_just_before_the_end_is_kept() {
    let mut host = Host::new();
    let order = shell("seq 1 20000");
    host.run(&order);
    assert_eq!(host.exit(order.run), Exit::Code(0));
    let expected: String = (1..=20000).map(|number| format!("{number}\n")).collect();
    assert!(host.said(order.run) == expected, "something is missing");
}

#[test]
fn a_line_without_end_is_kept_in_pieces() {
    let mut host = Host::new();
    let order = shell("head -c 100000 /dev/zero | tr '\\0' x; echo");
    host.run(&order);
    host.exit(order.run);
    assert_eq!(host.said(order.run), "x".repeat(100_000) + "\n");
    let mut reader =
        LogReader::open(&host.dir(order.run), ReadFrom::default()).expect("it has a log");
    let first = reader.next_entry().expect("readable").expect("it said something");
    assert_eq!(first.bytes.len(), LINE_BYTES_MAX);
}

#[test]
fn a_program_that_never_stops_talking_fills_no_disk() {
    let mut host = Host::new();
    let mut order = shell("while :; do echo 0123456789012345678901234567890123456789; done");
    let options = [("max-size", "20k"), ("max-file", "2")];
    order.template.log_options =
        options.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    host.run(&order);
    let dir = host.dir(order.run);
    let (log, old) = (dir.join("log"), dir.join("log.1"));
    let size = |path| fs::metadata(path).map_or(0, |found| found.len());
    until("two rotations", || old.exists().then_some(()));
    let first = fs::read(&old).expect("readable");
    until("another rotation", || fs::read(&old).is_ok_and(|now| now != first).then_some(()));
    assert!(size(&log) <= 20 << 10 && size(&old) <= 20 << 10);
    assert!(!dir.join("log.2").exists());
    host.stop(order.run, None, 0);
}

#[tokio::test]
async fn a_follower_hears_a_run_to_its_end() {
    let mut host = Host::new();
    let order = shell("for i in 1 2 3; do echo $i; sleep 0.05; done");
    host.run(&order);
    let mut reader =
        LogReader::open(&host.dir(order.run), ReadFrom::default()).expect("it has a log");
    let mut heard = Vec::new();
    while let Some(entry) = reader.follow().await.expect("readable") {
        heard.extend(entry.bytes);
    }
    assert_eq!(heard, b"1\n2\n3\n");
}
