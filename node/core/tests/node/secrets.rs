//! Secrets: who is to have the key of one, who gives it to them, and what a task waits for. Keys are
//! made up here: who gets one is decided without opening any.

use std::collections::BTreeSet;

use crdt_state::client::ClientRole;
use crdt_state::file::SecretFile;
use crdt_state::fleet_key::FleetKeyFact;
use crdt_state::read::clients;
use crdt_state::secret::{Batch, SecretKeys, WrappedKey};
use crdt_state::spec::{Labels, Runtime, Scale};
use crdt_state::{ClientId, FileClass, FileId, NodeId, PublicKey, RecordKey, SecretId};
use node_core::edit::file::{BadFile, SecretRequest, WrappedKeys};
use node_core::{Edit, Edited, FileRow, FleetKeyNews, Input, Refusal, Removal, ServiceSpec};

use crate::host::{Host, spec};
use crate::pair::Pair;

fn wrapped(nodes: &[PublicKey]) -> Batch {
    let one = |node: &PublicKey| (NodeId::of(node), WrappedKey([1; 32], [2; 16]));
    Batch { ephemeral: [3; 32], keys: nodes.iter().map(one).collect() }
}

fn request(host: &Host, name: &str, sealed: &[u8]) -> SecretRequest {
    let me = host.node.public_key().expect("it described itself");
    let (name, labels) = (name.to_owned(), Labels::new());
    SecretRequest { name, labels, sealed: sealed.to_vec(), keys: wrapped(&[me]), template: None }
}

fn create(host: &mut Host, name: &str) -> Result<Edited, Refusal> {
    let request = request(host, name, format!("{name} and a tag of 16").as_bytes());
    host.edit(Edit::CreateSecret(Box::new(request)))
}

fn secret(host: &mut Host, name: &str) -> SecretId {
    match create(host, name) {
        Ok(Edited::Secret(id)) => id,
        other => panic!("{other:?}"),
    }
}

fn with(service: &str, files: &[(SecretId, &str)], node: &str) -> ServiceSpec {
    let mut spec = spec(service, 1);
    spec.template.runtime = Runtime::Container;
    spec.template.image = "app:1".into();
    let file = |(id, name): &(SecretId, &str)| {
        let (name, target) = ((*name).to_owned(), (*name).to_owned());
        SecretFile { id: *id, name, target, uid: 0, gid: 0, mode: 0o444 }
    };
    spec.template.extension.secrets = files.iter().map(file).collect();
    if !node.is_empty() {
        spec.placement.constraints = vec![format!("node.hostname=={node}")];
    }
    spec
}

/// The agent does what it was asked for.
fn share(host: &mut Host) -> usize {
    let shares = std::mem::take(&mut host.shares);
    for share in &shares {
        let keys = wrapped(&share.nodes);
        let wrapped = WrappedKeys { secret: share.secret, data: share.data, keys };
        host.feed(Input::KeysWrapped(wrapped));
    }
    shares.len()
}

fn row(host: &Host, id: SecretId) -> FileRow {
    let mut rows = host.node.file_rows(FileClass::Secret).into_iter();
    rows.find(|row| row.file.id == FileId::Secret(id)).expect("it is there")
}

fn holders(host: &Host, id: SecretId) -> BTreeSet<NodeId> {
    row(host, id).holders.into_keys().collect()
}

#[test]
fn a_name_means_one_secret_and_what_is_used_is_not_removed() {
    let mut host = Host::new();
    let id = secret(&mut host, "key");
    let taken = BadFile::NameTaken { name: "key".into(), id: id.into() };
    assert_eq!(create(&mut host, "key"), Err(taken.into()));
    let none = SecretId([9; 16]);
    let missing = host.edit(Edit::CreateService(Box::new(with("web", &[(none, "b")], ""))));
    let class = FileClass::Secret;
    assert_eq!(missing, Err(BadFile::Missing { class, wanted: "b".into() }.into()));
    let twice = with("web", &[(id, "key"), (id, "key")], "");
    let said = host.edit(Edit::CreateService(Box::new(twice))).expect_err("twice").to_string();
    assert!(said.starts_with("duplicate secret target: "), "{said}");
    let web = host.create(with("web", &[(id, "key")], ""));
    let said = host.edit(Edit::RemoveSecret { id }).expect_err("in use").to_string();
    assert!(said.starts_with("secret 'key' is in use by the following service: web; "), "{said}");
    host.edit(Edit::RemoveService { id: web }).expect("removed");
    assert_eq!(host.edit(Edit::RemoveSecret { id }), Ok(Edited::Done));
    assert_ne!(secret(&mut host, "key"), id);
}

#[test]
fn the_newest_key_of_the_fleet_is_for_every_member_and_for_no_removed_one() {
    let mut pair = Pair::joined();
    let [first, second] = pair.hosts.each_ref().map(|host| host.node.me());
    let me = pair.hosts[0].node.public_key().expect("it described itself");
    let fact = FleetKeyFact::of(&[7; 32]);
    let rotate = |pair: &mut Pair, fact| {
        let keys = wrapped(&[me]);
        let done = pair.hosts[0].edit(Edit::RotateFleetKey { fact, keys });
        assert_eq!(done, Ok(Edited::Done));
        pair.wait(20_000);
    };
    let client = ClientId([4; 16]);
    let (name, role) = ("laptop".to_owned(), ClientRole::Operator);
    pair.hosts[0].edit(Edit::AddClient { id: client, name, role }).expect("added");
    rotate(&mut pair, fact);
    assert_eq!(clients(pair.hosts[0].node.replica()), [], "their authority was another one");
    let offered = |pair: &Pair, at: usize| pair.hosts[at].fleet_keys.last().cloned();
    assert_eq!(offered(&pair, 0).map(|offer| offer.keys.len()), Some(1));
    assert_eq!(offered(&pair, 1).map(|offer| offer.keys.len()), Some(0), "it waits for the key");
    assert_eq!(pair.hosts[0].node.without_fleet_key(), [second].into());
    assert_eq!(share(&mut pair.hosts[0]), 1);
    pair.wait(20_000);
    let offer = offered(&pair, 1).expect("an offer");
    assert_eq!((offer.fact, offer.keys.len()), (fact, 1));
    assert!(pair.hosts[1].node.without_fleet_key().is_empty());

    // The one before is nobody's business any more, and a removed node is given none.
    let removal = Removal::Force;
    pair.hosts[0].edit(Edit::RemoveNode { id: second, removal }).expect("removed");
    rotate(&mut pair, FleetKeyFact::of(&[8; 32]));
    assert_eq!(share(&mut pair.hosts[0]), 0);
    let old = RecordKey::secret_keys(first, fact.id());
    let held = pair.hosts[0].node.replica().owned::<SecretKeys>(&old);
    assert_eq!(held, None, "the wrapped keys of the one before are dropped");
}

#[test]
fn a_disk_is_sealed_by_the_newest_unlock_key_and_by_none_only_where_one_was_removed() {
    let mut pair = Pair::joined();
    assert!(
        pair.hosts.iter().all(|host| host.sealing.is_empty()),
        "who knows no key unseals nothing"
    );
    let me = pair.hosts[0].node.public_key().expect("it described itself");
    let keys_given = |pair: &Pair, at: usize| match pair.hosts[at].sealing.last() {
        Some(FleetKeyNews::Newest(offer)) => Some((offer.fact, offer.keys.len())),
        Some(FleetKeyNews::Ended) | None => None,
    };
    for secret in [7, 8] {
        let fact = FleetKeyFact::of(&[secret; 32]);
        let done = pair.hosts[0].edit(Edit::SetUnlockKey(fact, wrapped(&[me])));
        assert_eq!(done, Ok(Edited::Done));
        pair.wait(20_000);
        assert_eq!(keys_given(&pair, 0), Some((fact, 1)));
        assert_eq!(keys_given(&pair, 1), Some((fact, 0)), "it waits for the key");
        assert_eq!(share(&mut pair.hosts[0]), 1);
        pair.wait(20_000);
        assert_eq!(keys_given(&pair, 1), Some((fact, 1)));
    }
    pair.hosts[1].edit(Edit::EndUnlockKeys).expect("ended");
    pair.wait(20_000);
    for host in &pair.hosts {
        assert_eq!(host.sealing.last(), Some(&FleetKeyNews::Ended));
    }
}

#[test]
fn a_disk_is_sealed_by_no_key_that_a_power_cut_would_take_away() {
    let mut pair = Pair::joined();
    let me = pair.hosts[0].node.public_key().expect("it described itself");
    let host = &mut pair.hosts[0];
    host.disk_answers = false;
    let keys = wrapped(&[me]);
    let edit = Box::new(Edit::SetUnlockKey(FleetKeyFact::of(&[7; 32]), keys));
    host.feed(Input::Edit { ticket: 0, edit });
    assert!(host.sealing.is_empty(), "the key is on no disk yet");
    host.disk_answers = true;
    for seq in std::mem::take(&mut host.unanswered) {
        host.feed(Input::Persisted { seq });
    }
    assert_eq!(host.sealing.len(), 1);
}

#[test]
fn two_keepers_get_the_key_and_nothing_is_written_when_nothing_changes() {
    let mut pair = Pair::joined();
    let id = secret(&mut pair.hosts[0], "key");
    pair.wait(20_000);
    assert_eq!(share(&mut pair.hosts[0]), 1);
    assert!(pair.hosts[1].shares.is_empty(), "it has no key to give");
    pair.wait(20_000);
    let all = pair.hosts.each_ref().map(|host| host.node.me());
    for host in &pair.hosts {
        assert_eq!(holders(host, id), BTreeSet::from(all));
    }
    let version = |pair: &Pair| {
        let key = RecordKey::secret_keys(all[0], id);
        let record = pair.hosts[1].node.replica().record(&key);
        record.and_then(|record| record.as_owned()).map(|record| record.version)
    };
    let before = version(&pair);
    pair.wait(600_000);
    assert!(pair.hosts.iter().all(|host| host.shares.is_empty()));
    assert_eq!(version(&pair), before);
}

/// The first of so many hosts that know each other.
fn first_of(count: u8) -> Host {
    let mut disk = Host::numbered(1).disk;
    for number in 2..=count {
        disk.extend(Host::numbered(number).disk);
    }
    Host::booted_again(1, 2, disk)
}

#[test]
fn who_may_run_a_task_gets_the_key_before_it_runs_one() {
    let mut first = first_of(8);
    let id = secret(&mut first, "key");
    first.wait(1_000);
    while share(&mut first) > 0 {}
    let keepers = holders(&first, id);
    assert!((2..=3).contains(&keepers.len()), "itself and two keepers: {keepers:?}");
    // No task runs, and every node may run one.
    let mut web = with("web", &[(id, "key")], "");
    web.scale = Scale::Replicated { replicas: 0 };
    first.create(web);
    first.wait(1_000);
    assert!(first.shares.is_empty(), "a keeper is first, and it may be there");
    // Whom nobody heard since the boot counts as gone after a while.
    first.wait(600_000);
    while share(&mut first) > 0 {}
    assert_eq!(holders(&first, id).len(), 8, "every node is eligible");
}

#[test]
fn a_node_that_no_service_may_use_gets_no_key() {
    let mut first = first_of(8);
    let id = secret(&mut first, "key");
    first.create(with("web", &[(id, "key")], "pi-5"));
    first.wait(1_000);
    while share(&mut first) > 0 {}
    let fifth = Host::numbered(5).node.me();
    let keys = holders(&first, id);
    assert!(keys.contains(&fifth) && keys.contains(&first.node.me()), "{keys:?}");
    assert!(keys.len() <= 4, "this node, two keepers and the fifth: {keys:?}");
}

#[test]
fn a_task_waits_for_its_key() {
    let mut pair = Pair::joined();
    let id = secret(&mut pair.hosts[0], "key");
    pair.hosts[0].create(with("web", &[(id, "key")], "pi-2"));
    pair.wait(20_000);
    assert_eq!(pair.hosts[1].started.len(), 0);
    let reason = pair.hosts[1].tasks()[0].reason.clone().unwrap_or_default();
    assert!(reason.contains("waits for the key of the secret key"), "{reason}");
    while share(&mut pair.hosts[0]) > 0 {}
    pair.wait(20_000);
    assert_eq!(pair.hosts[1].started.len(), 1);
}

#[test]
fn the_next_holder_gives_the_key_if_the_first_is_silent() {
    let mut pair = Pair::joined();
    let id = secret(&mut pair.hosts[0], "key");
    pair.wait(20_000);
    while share(&mut pair.hosts[0]) > 0 {}
    pair.wait(20_000);
    let mut gave = 0;
    // Whoever of the two is first: the other one is left alone with a third node, which it met before.
    for alone in [0, 1] {
        let mut disk = pair.hosts[alone].disk.clone();
        let third = Host::numbered(3);
        disk.extend(third.disk.clone());
        let number = u8::try_from(alone + 1).expect("two");
        let mut host = Host::booted_again(number, 2, disk);
        host.create(with("web", &[(id, "key")], "pi-3"));
        // Who was not heard since the boot counts as gone after a while.
        host.wait(600_000);
        while share(&mut host) > 0 {}
        gave += usize::from(holders(&host, id).contains(&third.node.me()));
    }
    assert_eq!(gave, 2, "each of them can");
}

#[test]
fn a_rotation_gives_every_service_the_new_secret_and_keeps_the_old_one_for_a_rollback() {
    let mut host = Host::new();
    let old = secret(&mut host, "key");
    let web = host.create(with("web", &[(old, "key")], ""));
    host.create(with("other", &[], ""));
    host.start_all();
    let request = Box::new(request(&host, "", b"another value and its tag"));
    let Ok(Edited::Secret(new)) = host.edit(Edit::RotateSecret { id: old, request }) else {
        panic!("rotated");
    };
    assert_ne!(new, old);
    let named = |host: &Host| {
        let service = host.node.service(web).expect("there");
        service.template.extension.secrets.iter().map(|file| file.id).collect::<Vec<_>>()
    };
    assert_eq!(named(&host), [new]);
    assert_eq!(row(&host, new).file.name, "key");
    assert_eq!(host.node.file_rows(FileClass::Secret).len(), 1, "the old one is superseded");
    // A later edit empties what nobody needs; a rollback needs it.
    secret(&mut host, "unrelated");
    assert!(host.node.sealed_secret(old).is_some());
    host.edit(Edit::RollBackService { id: web, version: None }).expect("rolled back");
    assert_eq!(named(&host), [old]);
    assert!(host.node.file_conflicts().iter().any(|found| found.what == "secrets"));
}

#[test]
fn the_keys_of_a_secret_go_with_its_data() {
    let mut host = Host::new();
    let id = secret(&mut host, "key");
    let key = RecordKey::secret_keys(host.node.me(), id);
    let is_there = |host: &Host| {
        let record = host.node.replica().record(&key).and_then(|record| record.as_owned());
        record.is_some_and(|record| record.value.is_some())
    };
    host.edit(Edit::RemoveSecret { id }).expect("removed");
    assert!(is_there(&host), "a service on another side may need it");
    secret(&mut host, "other");
    assert!(!is_there(&host));
}
