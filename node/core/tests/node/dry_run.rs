//! Dry runs: what an edit would do is what it does, and nothing is changed before.

use crdt_state::node::Availability;
use crdt_state::spec::{RestartCondition, Scale};
use node_core::dry_run::{Concerned, DryRun, Fate};
use node_core::{Edit, Refusal, Removal};

use crate::host::{Host, spec};
use crate::pair::Pair;

fn dry_run(host: &Host, edit: &Edit) -> DryRun {
    host.node.report(host.now).dry_run(edit).expect("possible")
}

fn fates(run: &DryRun) -> Vec<(&str, Fate)> {
    run.slots.iter().map(|slot| (slot.name.as_str(), slot.fate)).collect()
}

/// Two nodes that run a service of that many tasks.
fn running(replicas: u32) -> (Pair, crdt_state::ServiceId) {
    let mut pair = Pair::joined();
    let id = pair.hosts[0].create(spec("web", replicas));
    for _ in 0..5 {
        pair.wait(1_000);
        for host in &mut pair.hosts {
            host.start_all();
        }
    }
    (pair, id)
}

fn scaled(id: crdt_state::ServiceId, replicas: u32) -> Edit {
    Edit::UpdateService { id, version: None, spec: Box::new(spec("web", replicas)) }
}

#[test]
fn a_dry_run_changes_nothing_and_the_edit_does_what_it_said() {
    let (mut pair, id) = running(2);
    let host = &mut pair.hosts[0];
    let edit = scaled(id, 4);
    let (digest, disk) = (host.node.replica().digest(), host.disk.clone());
    let run = dry_run(host, &edit);
    assert_eq!(host.node.replica().digest(), digest);
    host.wait(100);
    assert_eq!(host.disk, disk);
    use Fate::{Starts, Stays};
    assert_eq!(
        fates(&run),
        [("web.1", Stays), ("web.2", Stays), ("web.3", Starts), ("web.4", Starts)]
    );
    host.edit(edit).expect("made");
    let plan = &host.node.plan().services[&id];
    for (slot, (_, placed)) in run.slots.iter().zip(&plan.slots) {
        let node_core::plan::Placed::On(node, _) = placed else { panic!("{placed:?}") };
        assert_eq!(slot.after, Some(*node));
    }
}

#[test]
fn a_new_service_goes_where_its_dry_run_said() {
    let (mut pair, _) = running(2);
    let host = &mut pair.hosts[0];
    let edit = Edit::CreateService(Box::new(spec("db", 3)));
    let run = dry_run(host, &edit);
    assert_eq!(fates(&run).iter().filter(|(_, fate)| *fate == Fate::Starts).count(), 3);
    let Concerned::Service { before: None, after: Some(after) } = &run.concerned else {
        panic!("{:?}", run.concerned)
    };
    assert_eq!(after.name, "db");
    let expected = Edit::Expected { digest: run.digest, edit: Box::new(edit) };
    host.edit(expected).expect("it does what was shown");
    let db = host.node.services().find(|service| service.name == "db").expect("made").id;
    let plan = &host.node.plan().services[&db];
    for (slot, (_, placed)) in run.slots.iter().zip(&plan.slots) {
        assert_eq!(slot.after, plan_owner(placed));
    }
}

fn plan_owner(placed: &node_core::plan::Placed) -> Option<crdt_state::NodeId> {
    match placed {
        node_core::plan::Placed::On(node, _) => Some(*node),
        node_core::plan::Placed::Nowhere(_) => None,
    }
}

#[test]
fn an_update_a_drain_and_a_removal_say_what_becomes_of_each_task() {
    let (mut pair, id) = running(2);
    let host = &mut pair.hosts[0];
    let mut new = spec("web", 2);
    new.template.env.push("RELEASE=2".into());
    let update = Edit::UpdateService { id, version: None, spec: Box::new(new) };
    let run = dry_run(host, &update);
    assert_eq!(fates(&run), [("web.1", Fate::Updates), ("web.2", Fate::Updates)]);
    let second = run.slots[1].before.expect("placed");
    let availability = Some(Availability::Drain);
    let drain = Edit::UpdateNode { id: second, version: None, availability, labels: None };
    let run = dry_run(host, &drain);
    assert_eq!(fates(&run), [("web.2", Fate::Moves)], "the other one stays");
    assert_ne!(run.slots[0].after, Some(second));
    let run = dry_run(host, &Edit::RemoveService { id });
    assert_eq!(fates(&run), [("web.1", Fate::Stops), ("web.2", Fate::Stops)]);
    let removal = Removal::IfGone;
    let refused = host.node.report(host.now).dry_run(&Edit::RemoveNode { id: second, removal });
    assert!(matches!(refused, Err(Refusal::NodeReachable { .. })), "as the edit is");
}

#[test]
fn what_fits_nowhere_is_said_with_its_reason() {
    let (pair, id) = running(2);
    let mut new = spec("web", 3);
    new.placement.max_per_node = 1;
    let edit = Edit::UpdateService { id, version: None, spec: Box::new(new) };
    let run = dry_run(&pair.hosts[0], &edit);
    assert_eq!(fates(&run)[2], ("web.3", Fate::Waits));
    assert!(run.slots[2].reason.contains("2 nodes"), "{}", run.slots[2].reason);
}

#[test]
fn tasks_of_a_job_that_wait_for_their_turn_have_a_place() {
    let (pair, _) = running(1);
    let mut job = spec("job", 1);
    job.scale = Scale::JobReplicated { completions: 3, max_concurrent: 2 };
    job.template.restart.condition = RestartCondition::OnFailure;
    let run = dry_run(&pair.hosts[0], &Edit::CreateService(Box::new(job)));
    use Fate::{Later, Starts};
    assert_eq!(fates(&run), [("job.1", Starts), ("job.2", Starts), ("job.3", Later)]);
    assert_eq!(run.slots[2].reason, "at most 2 run at a time");
}

#[test]
fn an_edit_that_would_do_something_else_than_was_shown_is_refused() {
    let (mut pair, id) = running(2);
    let host = &mut pair.hosts[0];
    let shown = dry_run(host, &scaled(id, 4)).digest;
    // Meanwhile somebody else drains a node.
    let second = pair.hosts[1].node.me();
    let availability = Some(Availability::Drain);
    let drain = Edit::UpdateNode { id: second, version: None, availability, labels: None };
    pair.hosts[1].edit(drain).expect("drained");
    pair.wait(5_000);
    let host = &mut pair.hosts[0];
    let edit = |digest| Edit::Expected { digest, edit: Box::new(scaled(id, 4)) };
    let Err(Refusal::Unexpected { has }) = host.edit(edit(shown)) else { panic!("refused") };
    let scale = host.node.service(id).expect("there").scale;
    assert_eq!(scale, Scale::Replicated { replicas: 2 }, "nothing was changed");
    host.edit(edit(has)).expect("what it does now");
}

#[test]
fn a_cut_is_counted_on_both_sides() {
    let (pair, id) = running(2);
    let mut pinned = spec("db", 3);
    pinned.placement.constraints = vec!["node.hostname==pi-1".into()];
    let create = Edit::CreateService(Box::new(pinned));
    let [first, second] = [0, 1].map(|host| pair.hosts[host].node.me());
    let cuts = |edit: &Edit| {
        let cuts = dry_run(&pair.hosts[0], edit).cuts();
        cuts.into_iter().map(|cut| (cut.node, cut.counts)).collect::<Vec<_>>()
    };
    let count = |name: &str, others, alone| vec![(name.to_owned(), others, alone)];
    assert_eq!(cuts(&create), [(first, count("db", 0, 3))], "only the first one may run it");
    let both = [(first, count("web", 4, 4)), (second, count("web", 4, 4))];
    assert_eq!(cuts(&scaled(id, 4)), both);
}

#[test]
fn other_edits_have_no_dry_run() {
    let (pair, id) = running(1);
    let host = &pair.hosts[0];
    let refused = host.node.report(host.now).dry_run(&Edit::TakeName { id });
    assert_eq!(refused.err(), Some(Refusal::NoDryRun));
}
