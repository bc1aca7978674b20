//! The node that called a rollout failed loses its disk: what it said stays said.

use std::collections::BTreeMap;

use crdt_state::rollout::FailureAction;
use crdt_state::spec::{Labels, Placement, Scale};
use crdt_state::task::{Run, RunEvent};
use crdt_state::{RecordKey, ServiceId};
use node_core::{Edit, Input, ServiceSpec};

use crate::host::{Host, addr, spec};
use crate::pair::Pair;

/// The release that exits on `pi-2`.
const BROKEN: &str = "BROKEN=1";

/// Does the broken release exit?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Exits {
    Yes,
    No,
}

/// A service that runs on both nodes, takes a release on both at once, and goes back at the first
/// failure.
fn web(release: &str) -> ServiceSpec {
    let mut web = spec("web", 1);
    web.scale = Scale::Global;
    web.update_policy.parallelism = 0;
    web.update_rules.failure.action = FailureAction::Rollback;
    web.template.env.push(release.to_owned());
    web
}

fn numbered(number: u32) -> Labels {
    Labels::from([("number".to_owned(), number.to_string())])
}

/// Ends what is to end and starts what is to start. Returns how often that was the broken release.
fn follow(host: &mut Host, broken_exits: Exits) -> usize {
    for run in std::mem::take(&mut host.stopped) {
        host.exit(run, 0);
    }
    let started = std::mem::take(&mut host.started);
    let broken: Vec<Run> = started
        .iter()
        .filter(|start| start.template.env.iter().any(|held| held == BROKEN))
        .map(|start| start.run)
        .collect();
    for start in started {
        host.report(start.run, RunEvent::Started { pid: 7 });
    }
    if broken_exits == Exits::Yes {
        broken.iter().for_each(|run| host.exit(*run, 1));
    }
    broken.len()
}

/// Lets time pass. Returns how often `pi-1` started the broken release.
fn pass(pair: &mut Pair, seconds: u32) -> usize {
    let mut started = 0;
    for _ in 0..seconds {
        pair.wait(1_000);
        started += follow(&mut pair.hosts[0], Exits::No);
        follow(&mut pair.hosts[1], Exits::Yes);
    }
    started
}

fn update(host: &mut Host, id: ServiceId, spec: ServiceSpec) {
    host.edit(Edit::UpdateService { id, version: None, spec: Box::new(spec) }).expect("updated");
}

fn runs_what_works(host: &Host, id: ServiceId) -> bool {
    let service = host.node.service(id).expect("it is there");
    service.template.env.iter().all(|variable| variable != BROKEN)
}

/// A pair that went back from a broken release, and of which `pi-2`, which had said so, begins anew
/// with an empty disk, cut off from `pi-1`. Before that, the service was edited so often.
fn after_the_loss(edits: u32) -> (Pair, ServiceId) {
    let mut pair = Pair::joined();
    let id = pair.hosts[0].create(web("RELEASE=1"));
    pass(&mut pair, 60);
    for number in 0..edits {
        let spec = ServiceSpec { labels: numbered(number), ..web("RELEASE=1") };
        update(&mut pair.hosts[0], id, spec);
    }
    update(&mut pair.hosts[0], id, web(BROKEN));
    pass(&mut pair, 60);
    assert!(pair.hosts.iter().all(|host| runs_what_works(host, id)), "it went back");
    pair.hosts[1] = Host::booted_again(2, 2, BTreeMap::new());
    pair.is_heard = [false, false];
    pass(&mut pair, 30);
    (pair, id)
}

/// `pi-2` has an update of a service of its own fail, after so many edits of it.
fn fail_alone(pair: &mut Pair, edits: u32) -> ServiceId {
    let on_the_second = vec!["node.hostname==pi-2".to_owned()];
    let placement = Placement { constraints: on_the_second, ..Placement::default() };
    let own = |release| {
        let placement = placement.clone();
        ServiceSpec { name: "own".to_owned(), placement, ..web(release) }
    };
    let id = pair.hosts[1].create(own("RELEASE=1"));
    pass(pair, 60);
    for number in 0..edits {
        let spec = ServiceSpec { labels: numbered(number), ..own("RELEASE=1") };
        update(&mut pair.hosts[1], id, spec);
    }
    update(&mut pair.hosts[1], id, own(BROKEN));
    pass(pair, 60);
    assert!(runs_what_works(&pair.hosts[1], id), "it went back");
    id
}

/// The version of the record in which `pi-2` says what failed, as each of the two has it.
fn versions(pair: &Pair) -> [u64; 2] {
    let key = RecordKey::rollouts(pair.hosts[1].node.me());
    let version = |host: &Host| {
        let record = host.node.replica().record(&key).and_then(|record| record.as_owned());
        record.expect("it has one").version
    };
    [version(&pair.hosts[0]), version(&pair.hosts[1])]
}

/// Links the two again. Returns how often `pi-1` started the broken release since.
fn meet(pair: &mut Pair) -> usize {
    pair.is_heard = [true, true];
    pair.hosts[1].feed(Input::Join { addr: addr(1) });
    pass(pair, 120)
}

#[test]
fn a_verdict_outlives_the_disk_of_its_node_whose_later_record_does_not_have_it() {
    let (mut pair, id) = after_the_loss(0);
    let own = fail_alone(&mut pair, 300);
    let [earlier, later] = versions(&pair);
    assert!(later > earlier, "the later record replaces the earlier one everywhere");
    assert_eq!(meet(&mut pair), 0, "what had failed is not rolled out again");
    for host in &pair.hosts {
        assert!(runs_what_works(host, id));
        assert!(runs_what_works(host, own));
    }
}

#[test]
fn what_a_node_says_after_the_loss_of_its_disk_is_said_together_with_what_it_said_before() {
    let (mut pair, id) = after_the_loss(300);
    let own = fail_alone(&mut pair, 0);
    let [earlier, later] = versions(&pair);
    assert!(earlier > later, "the earlier record replaces the later one on its own node");
    assert_eq!(meet(&mut pair), 0, "what had failed since is not rolled out again either");
    for host in &pair.hosts {
        assert!(runs_what_works(host, id) && runs_what_works(host, own));
    }
}
