//! Configs: who may create, use and remove them, and what a task waits for.

use crdt_state::file::{ConfigFile, FileClass, FilePart, FileSpec, PART_BYTES, TemplateDriver};
use crdt_state::spec::{Facet, Labels, Runtime};
use crdt_state::task::{AdoptedRun, RunEvent};
use crdt_state::{ConfigId, RecordKey};
use node_core::edit::file::{BadFile, ConfigRequest};
use node_core::{Edit, Edited, Refusal, ServiceSpec};

use crate::host::{Host, spec};
use crate::pair::Pair;

fn create(host: &mut Host, name: &str, data: Vec<u8>) -> Result<Edited, Refusal> {
    let request =
        ConfigRequest { name: name.to_owned(), data, labels: Labels::new(), template: None };
    host.edit(Edit::CreateConfig(Box::new(request)))
}

fn config(host: &mut Host, name: &str) -> ConfigId {
    match create(host, name, name.into()) {
        Ok(Edited::Config(id)) => id,
        other => panic!("{other:?}"),
    }
}

fn file(config: ConfigId, name: &str, target: &str) -> ConfigFile {
    let (name, target) = (name.to_owned(), target.to_owned());
    ConfigFile { id: config, name, target, uid: 0, gid: 0, mode: 0o444 }
}

fn with(service: &str, files: Vec<ConfigFile>) -> ServiceSpec {
    let mut spec = spec(service, 1);
    spec.template.runtime = Runtime::Container;
    spec.template.image = "app:1".into();
    spec.template.extension.configs = files;
    spec
}

fn refused(host: &mut Host, spec: ServiceSpec) -> BadFile {
    match host.edit(Edit::CreateService(Box::new(spec))) {
        Err(Refusal::File(bad)) => bad,
        other => panic!("{other:?}"),
    }
}

fn remove(host: &mut Host, id: ConfigId) -> Result<Edited, Refusal> {
    host.edit(Edit::RemoveConfig { id })
}

/// Is the data of the config on the host's disk?
fn has_data(host: &Host, id: ConfigId) -> bool {
    let part = host
        .node
        .replica()
        .facet::<FilePart>(&RecordKey::file_part(id.into(), 0), Facet::FILE_PART);
    part.is_some_and(|(_, part)| !part.data.is_empty())
}

#[test]
fn a_name_means_one_config_and_data_has_docker_s_size() {
    let mut host = Host::new();
    let id = config(&mut host, "app.conf");
    assert_eq!(host.node.file_data(id.into()), Some(b"app.conf".to_vec()));
    let taken = BadFile::NameTaken { name: "app.conf".into(), id: id.into() };
    assert_eq!(create(&mut host, "app.conf", vec![1]), Err(taken.into()));
    assert_eq!(
        create(&mut host, "b", Vec::new()),
        Err(BadFile::Size { class: FileClass::Config, bytes: 0 }.into())
    );
    let most = create(&mut host, "c", vec![7; 1_023_999]);
    let Ok(Edited::Config(id)) = most else { panic!("{most:?}") };
    assert_eq!(host.node.file_data(id.into()).map(|data| data.len()), Some(1_023_999));
    let larger = create(&mut host, "d", vec![7; 1_024_000]);
    assert_eq!(larger, Err(BadFile::Size { class: FileClass::Config, bytes: 1_024_000 }.into()));
}

#[test]
fn only_labels_change_and_only_at_the_version_that_was_read() {
    let mut host = Host::new();
    let id = config(&mut host, "app.conf");
    let version = host.node.file_rows(FileClass::Config)[0].file.version;
    let labels = Labels::from([("a".to_owned(), "b".to_owned())]);
    let update = |version| Edit::UpdateConfig { id, version, labels: labels.clone() };
    assert_eq!(host.edit(update(Some(version))), Ok(Edited::Config(id)));
    assert_eq!(host.node.file_rows(FileClass::Config)[0].file.labels, labels);
    assert!(matches!(host.edit(update(Some(version))), Err(Refusal::OutOfSequence { .. })));
}

#[test]
fn a_service_names_configs_that_exist_each_at_a_place_of_its_own() {
    let mut host = Host::new();
    let id = config(&mut host, "a");
    let none = ConfigId([9; 16]);
    let spec = with("web", vec![file(none, "b", "/b")]);
    assert_eq!(
        refused(&mut host, spec),
        BadFile::Missing { class: FileClass::Config, wanted: "b".into() }
    );
    let spec = with("web", vec![file(id, "b", "/b")]);
    assert!(matches!(refused(&mut host, spec), BadFile::Mismatch { .. }));
    // Both are the file /x.
    let spec = with("web", vec![file(id, "a", "/x"), file(id, "a", "x")]);
    assert!(matches!(refused(&mut host, spec), BadFile::SameTarget { .. }));
    for target in ["", "/", "/etc/", "../a", "/a/../b", "a/./b"] {
        let spec = with("web", vec![file(id, "a", target)]);
        assert_eq!(
            refused(&mut host, spec),
            BadFile::Target { class: FileClass::Config, target: target.into() }
        );
    }
    let mut program = with("web", vec![file(id, "a", "/a")]);
    program.template.runtime = Runtime::Process;
    program.template.command = vec!["/bin/true".into()];
    assert_eq!(refused(&mut host, program), BadFile::Process(FileClass::Config));
    assert_eq!(host.node.services().count(), 0);
    host.create(with("web", vec![file(id, "a", "/x"), file(id, "a", "/y")]));
    assert_eq!(host.started[0].template.extension.configs.len(), 2);
}

#[test]
fn a_config_in_use_is_not_removed_and_the_services_are_named() {
    let mut host = Host::new();
    let id = config(&mut host, "a");
    let web = host.create(with("web", vec![file(id, "a", "/a")]));
    let other = host.create(with("also", vec![file(id, "a", "/a")]));
    let said = remove(&mut host, id).expect_err("in use").to_string();
    assert!(
        said.starts_with("config 'a' is in use by the following services: also, web; "),
        "{said}"
    );
    host.edit(Edit::RemoveService { id: other }).expect("removed");
    let said = remove(&mut host, id).expect_err("in use").to_string();
    assert!(said.starts_with("config 'a' is in use by the following service: web; "), "{said}");
    host.edit(Edit::RemoveService { id: web }).expect("removed");
    assert_eq!(remove(&mut host, id), Ok(Edited::Done));
    assert!(host.node.file_rows(FileClass::Config).is_empty());
    // The same name is another config.
    assert_ne!(config(&mut host, "a"), id);
}

#[test]
fn the_data_of_a_removed_config_goes_when_no_template_can_need_it() {
    let mut host = Host::new();
    let (first, second) = (config(&mut host, "a"), config(&mut host, "b"));
    let web = host.create(with("web", vec![file(first, "a", "/a")]));
    host.start_all();
    let spec = Box::new(with("web", vec![file(second, "b", "/a")]));
    host.edit(Edit::UpdateService { id: web, version: None, spec }).expect("updated");
    assert_eq!(remove(&mut host, first), Ok(Edited::Done));
    config(&mut host, "c");
    assert!(has_data(&host, first), "the service may go back to it");
    host.edit(Edit::RollBackService { id: web, version: None }).expect("rolled back");
    assert_eq!(host.node.service(web).expect("there").template.extension.configs[0].id, first);
    host.edit(Edit::RemoveService { id: web }).expect("removed");
    config(&mut host, "d");
    assert!(!has_data(&host, first), "nobody can need it");
    assert!(has_data(&host, second), "it was not removed");
}

#[test]
fn the_data_of_a_removed_config_stays_while_a_member_is_silent() {
    let mut pair = Pair::joined();
    let id = config(&mut pair.hosts[0], "a");
    pair.wait(20_000);
    assert!(has_data(&pair.hosts[1], id), "it spreads");
    pair.is_heard = [false, false];
    pair.wait(60_000);
    // The other side gives it to a service, which this side cannot know.
    let mut web = with("web", vec![file(id, "a", "/a")]);
    web.placement.constraints = vec!["node.hostname==pi-2".into()];
    pair.hosts[1].create(web);
    assert_eq!(remove(&mut pair.hosts[0], id), Ok(Edited::Done));
    config(&mut pair.hosts[0], "b");
    config(&mut pair.hosts[1], "b");
    assert!(has_data(&pair.hosts[0], id));
    pair.is_heard = [true, true];
    pair.wait(120_000);
    config(&mut pair.hosts[0], "c");
    pair.wait(20_000);
    assert!(has_data(&pair.hosts[0], id) && has_data(&pair.hosts[1], id), "a service has it");
    assert_eq!(pair.hosts[1].started.len(), 1);
    for host in &pair.hosts {
        let found = host.node.file_conflicts();
        let found: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.what)).collect();
        assert_eq!(found, [("web", "configs"), ("b", "name")]);
    }
}

#[test]
fn a_task_waits_for_the_data_of_its_configs() {
    let mut pair = Pair::joined();
    let made = create(&mut pair.hosts[0], "a", vec![7; PART_BYTES + 1]);
    let Ok(Edited::Config(id)) = made else { panic!("{made:?}") };
    let mut web = with("web", vec![file(id, "a", "/a")]);
    web.placement.constraints = vec!["node.hostname==pi-2".into()];
    pair.hosts[0].create(web);
    pair.hosts[0].wait(1_000);

    // The second node received everything but one part of the data.
    let mut disk = pair.hosts[0].disk.clone();
    disk.remove(&RecordKey::file_part(id.into(), 1)).expect("it has two parts");
    let mut second = Host::booted_again(2, 2, disk);
    second.wait(20_000);
    assert_eq!(second.started.len(), 0);
    let reason = second.tasks()[0].reason.clone().unwrap_or_default();
    assert!(reason.contains("waits for the data of the config a"), "{reason}");

    let [first, _] = pair.hosts;
    let mut pair = Pair::of([first, second]);
    pair.wait(20_000);
    assert_eq!(pair.hosts[1].started.len(), 1);
}

#[test]
fn a_task_goes_on_until_the_config_of_the_new_template_is_here() {
    let mut pair = Pair::joined();
    let old = config(&mut pair.hosts[0], "old");
    let with_one = |id, name: &str| {
        let mut web = with("web", vec![file(id, name, "/a")]);
        web.placement.constraints = vec!["node.hostname==pi-1".into()];
        web
    };
    let web = pair.hosts[0].create(with_one(old, "old"));
    let start = pair.hosts[0].started[0].clone();
    pair.hosts[0].start_all();
    pair.wait(20_000);
    pair.is_heard = [false, false];
    let new = config(&mut pair.hosts[1], "new");
    let spec = Box::new(with_one(new, "new"));
    pair.hosts[1].edit(Edit::UpdateService { id: web, version: None, spec }).expect("updated");

    // The first node has received everything but the data.
    let [first, second] = pair.hosts;
    let mut disk = second.disk.clone();
    disk.extend(first.disk.into_iter().filter(|(key, _)| key.kind.is_owned()));
    disk.remove(&RecordKey::file_part(new.into(), 0)).expect("it was written");
    let running = AdoptedRun { start, event: RunEvent::Started { pid: 7 } };
    let mut first = Host::boot(2, disk, vec![running]);
    first.wait(20_000);
    assert_eq!(first.node.file_rows(FileClass::Config).len(), 2);
    assert_eq!((first.stopped.len(), first.started.len()), (0, 0));

    let mut pair = Pair::of([first, second]);
    pair.wait(20_000);
    assert!(!pair.hosts[0].stopped.is_empty(), "the rollout goes on");
}

/// An agent that knows no templates must find no data, and start no task with it.
#[test]
fn a_template_is_stored_under_a_facet_of_its_own() {
    let mut host = Host::new();
    let made = |host: &mut Host, name: &str, template| {
        let data = b"{{.Task.Slot}}".to_vec();
        let request = ConfigRequest { name: name.to_owned(), data, template, ..Default::default() };
        match host.edit(Edit::CreateConfig(Box::new(request))) {
            Ok(Edited::Config(id)) => id,
            other => panic!("{other:?}"),
        }
    };
    let plain = made(&mut host, "plain", None);
    let filled = made(&mut host, "filled", Some(TemplateDriver::Golang));
    for (id, template) in [(plain, None), (filled, Some(TemplateDriver::Golang))] {
        let key = RecordKey::config(id);
        let spec = host.node.replica().facet::<FileSpec>(&key, Facet::FILE);
        assert_eq!(spec.is_some(), template.is_none());
        assert_eq!(host.node.file_template(id.into()), template);
        assert_eq!(host.node.file_data(id.into()).as_deref(), Some(&b"{{.Task.Slot}}"[..]));
    }
}
