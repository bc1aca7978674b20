//! Updates of what tasks have beyond the frozen fields of their template: they roll out, and back,
//! as any other update.

use crdt_state::rollout::{FailureAction, FailurePolicy, UpdateRules};
use crdt_state::spec::{Facet, Swap};
use crdt_state::task::RunEvent;
use crdt_state::{RecordKey, ServiceId};
use node_core::{Edit, Refusal, ServiceSpec};

use crate::host::{Host, spec};

fn swapping(replicas: u32, bytes: u64) -> ServiceSpec {
    let mut spec = spec("web", replicas);
    spec.template.limits.memory_bytes = 64 << 20;
    spec.template.extension.swap = Some(Swap::Bytes(bytes)).filter(|_| bytes > 0);
    spec.update_rules = UpdateRules {
        failure: FailurePolicy { action: FailureAction::Rollback, max_ratio: 0 },
        canary: 0,
    };
    spec
}

fn update(host: &mut Host, id: ServiceId, spec: ServiceSpec) {
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(spec) }).expect("updated");
}

/// Starts what is to start and ends what is to end; a task that may swap this much exits.
fn follow(host: &mut Host, broken: u64) {
    for _ in 0..8 {
        for run in std::mem::take(&mut host.stopped) {
            host.exit(run, 0);
        }
        for start in std::mem::take(&mut host.started) {
            host.report(start.run, RunEvent::Started { pid: 7 });
            if start.template.extension.swap == Some(Swap::Bytes(broken)) {
                host.exit(start.run, 1);
            }
        }
        host.wait(5_001);
    }
}

fn running(replicas: u32, bytes: u64) -> (Host, ServiceId) {
    let mut host = Host::new();
    let id = host.create(swapping(replicas, bytes));
    follow(&mut host, 9);
    host.wait(60_000);
    (host, id)
}

/// How much the tasks that run may swap, in megabytes of this test: bytes.
fn swaps(host: &Host, id: ServiceId) -> Vec<u64> {
    let service = host.node.service(id).expect("it is there");
    let tasks = host.tasks();
    let running = tasks.iter().filter_map(|task| task.status.as_ref());
    let of = running.filter(|status| status.desired_running).map(|status| {
        match service.template_of(status.template).expect("it is known").extension.swap {
            Some(Swap::Bytes(bytes)) => bytes,
            Some(Swap::Unlimited) => u64::MAX,
            None => 0,
        }
    });
    of.collect()
}

#[test]
fn a_change_of_the_extension_alone_rolls_out_slot_by_slot() {
    let (mut host, id) = running(2, 0);
    update(&mut host, id, swapping(2, 1));
    for run in std::mem::take(&mut host.stopped) {
        host.exit(run, 0);
    }
    let first: Vec<_> = host.started.iter().map(|start| start.template.extension.swap).collect();
    assert_eq!(first, [Some(Swap::Bytes(1))], "one slot at a time");
    follow(&mut host, 9);
    assert_eq!(swaps(&host, id), [1, 1]);
    let service = host.node.service(id).expect("it is there");
    let progress = host.node.report(host.now).rollout(service).expect("it was updated");
    assert_eq!(progress.state.as_str(progress.direction), "completed", "{}", progress.message);
}

#[test]
fn a_rollback_goes_back_to_the_extension_of_before() {
    let (mut host, id) = running(1, 1);
    update(&mut host, id, swapping(1, 2));
    follow(&mut host, 9);
    assert_eq!(swaps(&host, id), [2]);
    host.edit(Edit::RollBackService { id, version: None }).expect("rolled back");
    follow(&mut host, 9);
    assert_eq!(swaps(&host, id), [1]);
    // To take it off is a change as well.
    update(&mut host, id, swapping(1, 0));
    follow(&mut host, 9);
    assert_eq!(swaps(&host, id), [0]);
    host.edit(Edit::RollBackService { id, version: None }).expect("rolled back");
    follow(&mut host, 9);
    assert_eq!(swaps(&host, id), [1]);
}

#[test]
fn a_failing_extension_rolls_back_by_itself_also_after_a_restart_of_the_agent() {
    let (mut host, id) = running(2, 1);
    update(&mut host, id, swapping(2, 9));
    follow(&mut host, 9);
    assert_eq!(swaps(&host, id), [1, 1]);
    let service = host.node.service(id).expect("it is there");
    assert_eq!(service.template.extension.swap, Some(Swap::Bytes(1)), "that is what inspect shows");
    let mut host = Host::boot(2, host.disk.clone(), Vec::new());
    follow(&mut host, 9);
    assert_eq!(swaps(&host, id), [1, 1]);
    // The next update goes out from what runs, not from what failed.
    update(&mut host, id, swapping(2, 3));
    follow(&mut host, 9);
    assert_eq!(swaps(&host, id), [3, 3]);
    host.edit(Edit::RollBackService { id, version: None }).expect("rolled back");
    follow(&mut host, 9);
    assert_eq!(swaps(&host, id), [1, 1]);
}

#[test]
fn an_update_of_something_else_restarts_nothing_and_keeps_the_extension() {
    let (mut host, id) = running(1, 1);
    let mut labelled = swapping(1, 1);
    labelled.labels.insert("tier".into(), "front".into());
    update(&mut host, id, labelled);
    assert!(host.stopped.is_empty() && host.started.is_empty());
    let again = swapping(1, 1);
    update(&mut host, id, again);
    assert!(host.stopped.is_empty() && host.started.is_empty());
    assert_eq!(swaps(&host, id), [1]);
}

/// An older agent finds facets that it does not know, and keeps them; there is no reason to write
/// any for services that have nothing of it.
#[test]
fn nothing_is_written_of_services_without_an_extension() {
    let (mut host, id) = running(1, 0);
    let mut next = swapping(1, 0);
    next.template.env.push("RELEASE=2".into());
    update(&mut host, id, next);
    follow(&mut host, 9);
    host.edit(Edit::RollBackService { id, version: None }).expect("rolled back");
    let replica = host.node.replica();
    let record = replica.record(&RecordKey::service(id)).and_then(|record| record.as_shared());
    let record = record.expect("it is there");
    for facet in [Facet::TEMPLATE_EXTENSION, Facet::EARLIER_EXTENSIONS] {
        assert!(record.winner(facet).is_none(), "{facet:?}");
    }
}

#[test]
fn a_limit_that_no_record_may_hold_is_refused() {
    let mut host = Host::new();
    let edit = Edit::CreateService(Box::new(swapping(1, u64::MAX)));
    let refused = host.edit(edit).expect_err("it is beyond a limit");
    assert!(matches!(refused, Refusal::BeyondLimit(_)), "{refused}");
}
