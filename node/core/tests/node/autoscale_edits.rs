//! Edits of services that are scaled by their load, and what is refused.

use crdt_state::ServiceId;
use crdt_state::autoscale::{Autoscale, DeclaredCount};
use crdt_state::spec::Scale;
use node_core::{Edit, Refusal, ServiceSpec};

use crate::autoscale::{count, load, obey, said, web};
use crate::host::{Host, spec};

fn update(
    host: &mut Host,
    id: ServiceId,
    change: impl FnOnce(&mut ServiceSpec),
) -> Result<(), Refusal> {
    let mut spec = ServiceSpec::of(host.node.service(id).expect("it is there"));
    change(&mut spec);
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(spec) }).map(|_| ())
}

fn scaled_to_five() -> (Host, ServiceId) {
    let mut host = Host::new();
    let id = host.create(web(1));
    obey(&mut host);
    load(&mut host, id, 300, 300_000);
    assert_eq!(count(&host, id), 5);
    (host, id)
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_type() {
    let with = |change: fn(&mut ServiceSpec, &mut Autoscale)| {
        let mut spec = web(2);
        let mut asked = spec.autoscale.expect("it has it");
        change(&mut spec, &mut asked);
        spec.autoscale = Some(asked);
        spec
    };
    let cases = [
        (with(|_, a| a.min = 0), "without a task nothing is measured"),
        (with(|_, a| (a.min, a.max) = (5, 2)), "min=5 is more than max=2"),
        (with(|_, a| a.max = 200_000), "at most 100000"),
        (with(|_, a| a.cpu = None), "add cpu=60%, memory=80%"),
        (with(|_, a| a.cpu = Some(0)), "give cpu=1% to cpu=100%"),
        (with(|_, a| a.cpu = Some(150)), "give cpu=1% to cpu=100%"),
        (with(|_, a| a.memory = Some(80)), "add --limit-memory"),
        (
            with(|s, a| (s.template.limits.memory_bytes, a.memory) = (1 << 20, Some(101))),
            "give memory=1% to memory=100%",
        ),
        (with(|s, _| s.scale = Scale::Global), "only --mode replicated has"),
        (
            with(|s, _| s.scale = Scale::JobReplicated { completions: 1, max_concurrent: 1 }),
            "only --mode replicated has",
        ),
        (web(11), "--replicas 11 is outside of --autoscale min=1,max=10"),
    ];
    let mut host = Host::new();
    let digest = host.node.replica().digest();
    for (mut spec, told) in cases {
        if spec.scale.is_job() {
            spec.template.restart.condition = crdt_state::spec::RestartCondition::OnFailure;
        }
        let refusal = host.edit(Edit::CreateService(Box::new(spec))).expect_err(told).to_string();
        assert!(refusal.contains(told), "{refusal}");
        assert!(!refusal.contains('\n'), "{refusal}");
    }
    assert_eq!(host.node.replica().digest(), digest, "nothing changed");
}

#[test]
fn a_number_by_hand_is_refused_and_everything_else_may_change() {
    let (mut host, id) = scaled_to_five();
    let by_hand = update(&mut host, id, |spec| spec.scale = Scale::Replicated { replicas: 3 });
    let refusal = by_hand.expect_err("refused").to_string();
    assert!(refusal.contains("follows its load, between 1 and 10"), "{refusal}");
    assert!(refusal.contains("--autoscale off web"), "{refusal}");
    update(&mut host, id, |spec| _ = spec.labels.insert("a".into(), "b".into())).expect("a label");
    assert_eq!(count(&host, id), 5, "and the count stays");
    host.edit(Edit::RollBackService { id, version: None }).expect("the label goes");
    assert_eq!(count(&host, id), 5);
}

#[test]
fn the_count_in_force_stays_when_autoscaling_is_taken_off() {
    let (mut host, id) = scaled_to_five();
    update(&mut host, id, |spec| spec.autoscale = None).expect("off");
    assert_eq!(count(&host, id), 5);
    update(&mut host, id, |spec| spec.scale = Scale::Replicated { replicas: 2 }).expect("by hand");
    assert_eq!(count(&host, id), 2);
    // And a count of earlier does not come back when it is scaled by its load again.
    update(&mut host, id, |spec| spec.autoscale = web(1).autoscale).expect("on");
    assert_eq!(count(&host, id), 2);
    let declared = said(&host, &host)[&id].declared;
    assert_eq!(declared, Some(DeclaredCount { round: 1, count: 2 }));
}

#[test]
fn another_range_holds_at_once_and_a_wider_one_brings_nothing_back() {
    let (mut host, id) = scaled_to_five();
    let with_max = |max: u32| {
        move |spec: &mut ServiceSpec| {
            spec.autoscale = spec.autoscale.map(|asked| Autoscale { max, ..asked });
        }
    };
    update(&mut host, id, with_max(3)).expect("narrower");
    assert_eq!(count(&host, id), 3);
    update(&mut host, id, with_max(10)).expect("wider");
    assert_eq!(count(&host, id), 3, "five were too many a moment ago");
    let with_min = |spec: &mut ServiceSpec| {
        spec.autoscale = spec.autoscale.map(|asked| Autoscale { min: 7, ..asked });
    };
    update(&mut host, id, with_min).expect("more");
    assert_eq!(count(&host, id), 7);
}

#[test]
fn a_service_that_runs_is_scaled_by_its_load_from_where_it_is() {
    let mut host = Host::new();
    let id = host.create(spec("web", 3));
    obey(&mut host);
    let on = Some(Autoscale { min: 2, max: 4, cpu: Some(60), memory: None });
    update(&mut host, id, |spec| spec.autoscale = on).expect("on");
    assert_eq!(count(&host, id), 3);
    assert!(host.stopped.is_empty(), "nothing is replaced");
    let id = host.create(spec("few", 1));
    update(&mut host, id, |spec| spec.autoscale = on).expect("on");
    assert_eq!(count(&host, id), 2, "as many as there are to be at least");
    let first = |replicas| {
        move |spec: &mut ServiceSpec| {
            (spec.autoscale, spec.scale) = (on, Scale::Replicated { replicas });
        }
    };
    let id = host.create(spec("given", 1));
    let refusal = update(&mut host, id, first(9)).expect_err("refused").to_string();
    assert!(refusal.contains("--replicas 9 is outside of --autoscale min=2,max=4"), "{refusal}");
    update(&mut host, id, first(4)).expect("on");
    assert_eq!(count(&host, id), 4);
}
