//! A node that cannot start tasks: when it reports that, and when it withdraws the report.

use crdt_state::RecordKey;
use crdt_state::condition::NodeConditions;
use node_core::Input;
use node_core::conditions::{KEEP_MS, SAY_AFTER_MS};

use crate::host::{Host, spec};

fn files() -> NodeConditions {
    NodeConditions::from([("files".to_owned(), "it may open no more files".to_owned())])
}

fn said(host: &Host) -> NodeConditions {
    host.node.report(host.now).nodes().remove(0).conditions
}

#[test]
fn a_node_says_that_it_cannot_start_tasks_and_takes_it_back() {
    let mut host = Host::new();
    let key = RecordKey::conditions(host.node.me());
    host.wait(60_000);
    assert!(!host.disk.contains_key(&key), "who never had one has no record");
    host.feed(Input::ConditionsFound(files()));
    host.wait(SAY_AFTER_MS - 1);
    assert!(said(&host).is_empty(), "it may pass");
    host.wait(1);
    host.feed(Input::TimerFired);
    assert_eq!(said(&host), files());
    let me = host.node.me();
    let why = host.node.report(host.now).why_node(me).expect("it knows itself");
    assert!(why.summary.contains("cannot start tasks now: it may open no more files"));
    host.feed(Input::ConditionsFound(NodeConditions::new()));
    host.wait(KEEP_MS - 1);
    assert_eq!(said(&host), files(), "it may come back");
    host.wait(1);
    host.feed(Input::TimerFired);
    assert!(said(&host).is_empty());
}

#[test]
fn a_node_alone_goes_on_trying() {
    let mut host = Host::new();
    host.feed(Input::ConditionsFound(files()));
    host.wait(SAY_AFTER_MS + 1);
    host.create(spec("web", 2));
    host.wait(1_000);
    assert_eq!(host.started.len(), 2);
}

#[test]
fn a_node_that_starts_anew_says_how_it_is_now() {
    let mut host = Host::new();
    host.feed(Input::ConditionsFound(files()));
    host.wait(SAY_AFTER_MS + 1);
    assert_eq!(said(&host), files());
    let again = Host::boot(2, host.disk.clone(), Vec::new());
    assert!(said(&again).is_empty());
}
