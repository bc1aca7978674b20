//! Reasons why a container cannot run: each cause has a message of its own in `service ps` and
//! `why`, and once the cause is gone the task runs without anybody's help. Real agents, real
//! containers, Debian's `docker-registry` behind a proxy with switchable faults. Needs root.

#[path = "refusals/faulty_proxy.rs"]
mod faulty_proxy;
#[allow(dead_code, reason = "shared with other tests")]
#[path = "docker_api/fleet.rs"]
mod fleet;
#[path = "refusals/image_builder.rs"]
mod image_builder;
#[path = "../../runtime/tests/registry/real.rs"]
mod real;

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use faulty_proxy::{Fault, FaultyProxy};
use fleet::Fleet;
use image_builder::{ImageBuilder, edgectl, push, pushed};
use real::Registry;
use serde_json::{Value, json};

/// A silent registry is waited for 20 s, with growing pauses between tries; an idle machine needs
/// 60 s.
const DEADLINE: Duration = Duration::from_secs(150);

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED without root: containers");
    }
    root
}

/// Makes a service of one container that waits, with the image name as given.
fn create(fleet: &Fleet, name: &str, image: &str, command: &[&str]) {
    let spec = json!({
        "Name": name,
        "TaskTemplate": {"ContainerSpec": {
            "Image": image, "Command": command, "StopGracePeriod": 100_000_000,
        }},
    });
    let reply = fleet.ask(1, "POST", "/services/create?resolve=never", &spec.to_string());
    assert_eq!(reply.status, 201, "{name}: {}", String::from_utf8_lossy(&reply.body));
}

const WAITS: &[&str] = &["sleep", "1000"];

fn wait(what: &str, fleet: &Fleet, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        if begun.elapsed() > DEADLINE {
            let said = edgectl(fleet, &["service", "ls"]).stdout;
            panic!("not in time: {what}\n{}", String::from_utf8_lossy(&said));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The output of `service ps` and `why` for the only task of a service.
fn told(fleet: &Fleet, service: &str) -> String {
    let ps = edgectl(fleet, &["service", "ps", "--no-trunc", service]);
    let why = edgectl(fleet, &["why", &format!("{service}.1")]);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}----\n{}{}", text(&ps.stdout), text(&why.stdout), text(&why.stderr))
}

/// Waits until both contain these words.
fn says(fleet: &Fleet, service: &str, words: &str) {
    let mut last = String::new();
    let begun = Instant::now();
    while begun.elapsed() < DEADLINE {
        last = told(fleet, service);
        let (ps, why) = last.split_once("----").expect("both");
        if ps.contains(words) && why.contains(words) {
            return;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    panic!("{service}: both should say {words:?}:\n{last}");
}

fn runs(fleet: &Fleet, service: &str) {
    wait(service, fleet, || fleet.running(1, service) == 1);
}

#[tokio::test]
async fn each_fault_of_a_registry_is_told_and_outlived() {
    if !is_root() {
        return;
    }
    let registry = Registry::plain().await;
    let locked = Registry::with_login("ann", "s3cret").await;
    let logins = tempfile::tempdir().expect("a folder");
    let login = logins.path().join("config.json");
    let builder = ImageBuilder::open(94);
    builder.make("till:1", image_builder::Build::Here);
    push(&builder, "till:1", &format!("{}/shop/till:1", registry.host));
    builder.log_in(&locked.host);
    push(&builder, "till:1", &format!("{}/shop/till:1", locked.host));
    builder.make("dented:1", image_builder::Build::Here);
    push(&builder, "dented:1", &format!("{}/shop/dented:1", registry.host));
    let dented = pushed(&registry.host, "shop/dented", "1");
    builder.make("forged:1", image_builder::Build::Here);
    push(&builder, "forged:1", &format!("{}/shop/forged:1", registry.host));
    let forged = pushed(&registry.host, "shop/forged", "1");

    let fails = FaultyProxy::open(&registry.host, Fault::Status("500 Internal Server Error"));
    let hangs = FaultyProxy::open(&registry.host, Fault::Hang);
    let layer = registry.blob(&dented.layer);
    let right_layer = fs::read(&layer).expect("the registry keeps it there");
    let mut wrong = right_layer.clone();
    let middle = wrong.len() / 2;
    wrong[middle] ^= 1;
    fs::write(&layer, wrong).expect("damaged");
    let manifest = registry.blob(&forged.manifest);
    let right_manifest = fs::read(&manifest).expect("the registry keeps it there");
    let text = String::from_utf8(right_manifest.clone()).expect("JSON");
    fs::write(&manifest, text.replacen("schemaVersion", "schemaversion", 1)).expect("forged");

    let docker_config = login.display().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let fleet = Fleet::start_in(folder, 95, 1, &[("EDGECTL_DOCKER_CONFIG", &docker_config)]);
    let of = |host: &str, rest: &str| format!("{host}/shop/{rest}");
    create(&fleet, "silent", &of(&hangs.host, "till:1"), WAITS);
    create(&fleet, "failing", &of(&fails.host, "till:1"), WAITS);
    create(&fleet, "unknown", &of(&registry.host, "later:1"), WAITS);
    create(&fleet, "locked", &of(&locked.host, "till:1"), WAITS);
    create(&fleet, "dented", &of(&registry.host, "dented:1"), WAITS);
    let by_digest = format!("forged:1@{}", forged.manifest);
    create(&fleet, "forged", &of(&registry.host, &by_digest), WAITS);

    says(&fleet, "failing", "fails (status 500)");
    says(&fleet, "unknown", "does not have shop/later:1");
    says(&fleet, "locked", "wants a login for shop/till");
    says(&fleet, "dented", "sends another blob than its digest says");
    says(&fleet, "forged", "sends another manifest than its digest says");
    says(&fleet, "silent", "has not answered for");

    fails.set(Fault::None);
    hangs.set(Fault::None);
    fs::write(&layer, right_layer).expect("mended");
    fs::write(&manifest, right_manifest).expect("mended");
    push(&builder, "till:1", &of(&registry.host, "later:1"));
    fs::write(&login, image_builder::login(&locked.host)).expect("logged in");
    for service in ["failing", "unknown", "locked", "dented", "forged", "silent"] {
        runs(&fleet, service);
    }
}

#[tokio::test]
async fn what_an_image_lacks_is_told_until_the_service_is_mended() {
    if !is_root() {
        return;
    }
    let builder = ImageBuilder::open(96);
    let fleet = &builder.fleet;
    builder.make("bare:1", image_builder::Build::WithoutShell);
    builder.make("ibm:1", image_builder::Build::For("s390x"));
    create(fleet, "shell", "bare:1", &["sh", "-c", "sleep 1000"]);
    create(fleet, "entry", "bare:1", &["/opt/till/run"]);
    // The name alone does not tell the builds of an image: the node finds out.
    create(fleet, "ibm", "ibm:1", WAITS);
    says(fleet, "shell", "\"sh\"");
    says(fleet, "entry", "\"/opt/till/run\"");
    says(fleet, "ibm", "has no build for");
    for service in ["shell", "entry", "ibm"] {
        let inspected = fleet.get(1, &format!("/services/{service}")).json();
        let mut spec: Value = inspected["Spec"].clone();
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("bare:1");
        spec["TaskTemplate"]["ContainerSpec"]["Command"] = json!(["/bin/busybox", "sleep", "1000"]);
        let version = &inspected["Version"]["Index"];
        let path = format!("/services/{service}/update?version={version}&resolve=never");
        let reply = fleet.ask(1, "POST", &path, &spec.to_string());
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    }
    for service in ["shell", "entry", "ibm"] {
        runs(fleet, service);
    }
}

#[test]
fn a_runtime_that_is_missing_is_told_until_it_is_there() {
    let Some(crun) =
        ["/usr/bin/crun", "/usr/sbin/crun"].iter().find(|path| fs::exists(path).unwrap_or(false))
    else {
        eprintln!("SKIPPED without crun");
        return;
    };
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = dir.path().join("crun");
    let runtime = runtime.display().to_string();
    let builder = ImageBuilder::open_with(97, &[("EDGECTL_OCI_RUNTIME", &runtime)]);
    builder.make("till:1", image_builder::Build::Here);
    create(&builder.fleet, "till", "till:1", WAITS);
    says(&builder.fleet, "till", &runtime);
    fs::copy(crun, &runtime).expect("installed");
    runs(&builder.fleet, "till");
}

/// A file system in memory, unmounted when the guard is dropped.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(megabytes: u32) -> Small {
        let dir = tempfile::tempdir().expect("a folder");
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "edgectl-test"])
            .arg(dir.path())
            .status();
        assert!(done.is_ok_and(|status| status.success()), "tmpfs is mounted");
        Small(dir)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_and_outlived() {
    if !is_root() {
        return;
    }
    let registry = Registry::plain().await;
    let builder = ImageBuilder::open(98);
    builder.make("wide:1", image_builder::Build::Large(20_000_000));
    let name = format!("{}/shop/wide:1", registry.host);
    push(&builder, "wide:1", &name);
    let disk = Small::mount(80);
    let folder = tempfile::tempdir_in(disk.0.path()).expect("a folder");
    let fleet = Fleet::start_in(folder, 99, 1, &[]);
    let filler = disk.0.path().join("filler");
    fs::write(&filler, vec![1; 55_000_000]).expect("there is space for that");
    create(&fleet, "wide", &name, WAITS);
    says(&fleet, "wide", "no space left");
    let labelled = edgectl(&fleet, &["node", "update", "--label-add", "disk=small", "shop-1"]);
    assert!(labelled.status.success(), "the store has its reserve: {labelled:?}");
    fs::remove_file(&filler).expect("freed");
    runs(&fleet, "wide");
}

/// Sets the times of an image store back, as if its content were a day old.
fn age(folder: &std::path::Path) {
    let done = Command::new("find")
        .arg(folder)
        .args(["-type", "f", "-exec", "touch", "--date=yesterday", "{}", "+"])
        .status();
    assert!(done.is_ok_and(|status| status.success()), "find and touch are there");
}

#[tokio::test]
async fn what_no_service_needs_makes_room_when_the_disk_is_full() {
    if !is_root() {
        return;
    }
    let registry = Registry::plain().await;
    let builder = ImageBuilder::open(92);
    for name in ["old:1", "new:1"] {
        builder.make(name, image_builder::Build::Large(20_000_000));
        push(&builder, name, &format!("{}/shop/{name}", registry.host));
    }
    // Each image fits alone, packed and unpacked, but not both.
    let disk = Small::mount(70);
    let folder = tempfile::tempdir_in(disk.0.path()).expect("a folder");
    let images = folder.path().join("data-1/images");
    let fleet = Fleet::start_in(folder, 93, 1, &[]);
    create(&fleet, "old", &format!("{}/shop/old:1", registry.host), WAITS);
    runs(&fleet, "old");
    assert!(edgectl(&fleet, &["service", "rm", "old"]).status.success());
    wait("the old task to be gone", &fleet, || fleet.get(1, "/tasks").json() == json!([]));
    age(&images);
    create(&fleet, "new", &format!("{}/shop/new:1", registry.host), WAITS);
    runs(&fleet, "new");
}

/// An image that is here runs whatever a registry answers, and whether or not its digest is
/// requested first.
#[test]
fn an_image_that_is_here_runs_whatever_its_registry_answers() {
    if !is_root() {
        return;
    }
    let builder = ImageBuilder::open(78);
    builder.make("app:1", image_builder::Build::Here);
    let statuses = [
        "401 Unauthorized",
        "403 Forbidden",
        "429 Too Many Requests",
        "500 Internal Server Error",
        "503 Service Unavailable",
    ];
    let proxies = statuses.map(|status| FaultyProxy::open("127.0.0.1:1", Fault::Status(status)));
    for (number, proxy) in proxies.iter().enumerate() {
        let image = format!("{}/shop/app:1", proxy.host);
        let tagged = edgectl(&builder.fleet, &["image", "tag", "app:1", &image]);
        assert!(tagged.status.success(), "{image}");
        create(&builder.fleet, &format!("plain{number}"), &image, WAITS);
        let name = format!("asked{number}");
        let words = ["service", "create", "-d", "--name", &name, &image, "sleep", "1000"];
        let created = edgectl(&builder.fleet, &words);
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    }
    for number in 0..proxies.len() {
        for name in [format!("plain{number}"), format!("asked{number}")] {
            wait(&name, &builder.fleet, || told(&builder.fleet, &name).contains("runs on"));
        }
    }
}
