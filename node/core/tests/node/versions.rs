//! A member whose agent is of a later version, and writes what this one does not know: nothing of it
//! is lost, and the networks of both go on.

use crdt_state::network::Attachment;
use crdt_state::replica::Replica;
use crdt_state::spec::{Facet, Life, Runtime, StoredTemplate, Template};
use crdt_state::{Kind, NetworkId, RecordKey, ServiceId};
use node_core::{Edit, ServiceSpec};

use crate::host::Host;
use crate::networks::{network, on};
use crate::poison::{member, tell};

/// A facet that this version does not know.
const NEW_FACET: Facet = Facet(900);

/// Kinds of records that it does not know: what any node writes, and what only its owner does.
const NEW_KINDS: [Kind; 2] = [Kind(0x7e), Kind(0xf1)];

/// Two tasks on a network, and the member of a later version, which knows of them.
struct Mixed {
    host: Host,
    back: NetworkId,
    web: ServiceId,
    later: Replica,
}

fn mixed() -> Mixed {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    let web = host.create(on(back, "web", 2));
    host.start_all();
    let mut later = member(9);
    let known = [RecordKey::network(back), RecordKey::service(web)];
    assert_eq!(later.merge(&host.node.replica().delta(known)).junk, []);
    Mixed { host, back, web, later }
}

/// All that the later version wrote is here, and on the disk.
fn assert_kept(host: &Host, keys: &[RecordKey], later: &Replica) {
    for key in keys {
        let theirs = later.encode_record(key).expect("it wrote it");
        let mut other = member(8);
        other.merge(&host.node.replica().delta([*key]));
        // Together with what was written here it is the same as what is here alone.
        let here = other.encode_record(key).expect("it is passed on");
        other.merge(&later.delta([*key]));
        assert_eq!(other.encode_record(key).as_ref(), Some(&here), "{key:?}: {theirs:?}");
        assert_eq!(host.disk.get(key), Some(&here), "{key:?}");
    }
}

#[test]
fn a_network_with_more_to_it_than_this_version_knows_is_carried_and_loses_nothing() {
    let Mixed { mut host, back, web, mut later } = mixed();
    let before = host.node.overlay_plan();
    let shared = RecordKey { kind: NEW_KINDS[0], id: back.0 };
    let owned = RecordKey::owned(NEW_KINDS[1], later.me(), &[]);
    let keys = [RecordKey::network(back), RecordKey::service(web), shared, owned];
    for key in &keys[..3] {
        later.edit(*key, NEW_FACET, &"of a later version", 0);
    }
    later.put_owned(owned, &"of a later version", 0);
    tell(&mut host, &later);
    host.wait(20_000);
    assert_eq!(host.node.report(host.now).unfit(), []);
    assert_eq!(host.node.overlay_plan(), before, "the network goes on");
    assert_kept(&host, &keys, &later);

    let mut spec = ServiceSpec::of(host.node.service(web).expect("it is read"));
    spec.scale = crdt_state::spec::Scale::Replicated { replicas: 3 };
    host.edit(Edit::UpdateService { id: web, version: None, spec: Box::new(spec) })
        .expect("an older agent edits it");
    host.start_all();
    let plan = host.node.overlay_plan();
    assert_eq!(plan.networks[&back].tasks.len(), 3);
    assert_kept(&host, &keys, &later);
    let again = Host::boot(1, host.disk.clone(), Vec::new());
    assert_kept(&again, &keys, &later);
}

#[test]
fn what_cannot_be_read_of_one_network_leaves_the_others_alone() {
    let Mixed { mut host, back, mut later, .. } = mixed();
    let before = host.node.overlay_plan();
    let unread = "a value of a later version";
    // A network whose configuration cannot be read, and a service on both.
    let (next, api) = (NetworkId([0x55; 16]), ServiceId([0x56; 16]));
    let created = later.next_stamp();
    let life = |name: &str| Life::Present { name: name.to_owned(), created };
    later.edit(RecordKey::network(next), Facet::LIFE, &life("next"), 0);
    later.edit(RecordKey::network(next), Facet::NETWORK, &unread, 0);
    let template =
        Template { runtime: Runtime::Container, image: "app:1".to_owned(), ..Template::default() };
    let attached = |network| Attachment {
        network,
        aliases: Vec::new(),
        options: std::collections::BTreeMap::new(),
    };
    later.edit(RecordKey::service(api), Facet::LIFE, &life("api"), 0);
    later.edit(RecordKey::service(api), Facet::TEMPLATE, &StoredTemplate(template), 0);
    let attachments = vec![attached(back), attached(next)];
    later.edit(RecordKey::service(api), Facet::NETWORKS, &attachments, 0);
    // What it says of itself.
    let ports = RecordKey::picked_ports(later.me());
    let itself = RecordKey::node_networks(later.me());
    later.put_owned(ports, &unread, 0);
    later.put_owned(itself, &unread, 0);
    tell(&mut host, &later);
    host.wait(20_000);

    let keys = [RecordKey::network(next), RecordKey::service(api), ports, itself];
    assert_kept(&host, &keys, &later);
    let mut unfit: Vec<RecordKey> = host.node.replica().unfit().map(|(key, ..)| key).collect();
    unfit.sort_unstable();
    let mut expected = vec![RecordKey::network(next), ports, itself];
    expected.sort_unstable();
    assert_eq!(unfit, expected);
    assert!(host.started.is_empty() && host.stopped.is_empty(), "nothing begins half on networks");
    let reasons: Vec<String> = host.tasks().into_iter().filter_map(|task| task.reason).collect();
    let waits = format!("network {next} is not known on this node yet");
    assert!(reasons.iter().any(|why| why.contains(&waits)), "{reasons:?} {:?}", host.tasks());
    let plan = host.node.overlay_plan();
    let (now, then) = (&plan.networks[&back].tasks, &before.networks[&back].tasks);
    assert!(then.iter().all(|(run, addresses)| now.get(run) == Some(addresses)), "{now:?}");
    assert!(!plan.networks.contains_key(&next));
}
