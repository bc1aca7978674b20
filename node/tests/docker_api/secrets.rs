//! Secrets of real agents, typed at Docker's own client: created on one node, read by a container on
//! another, and by nobody else.

use std::fs;
use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use super::containers::{docker, edgectl};
use super::{Fleet, busybox_image, has_docker};

/// Nothing like it is anywhere else.
pub(super) const VALUE: &str = "hunter2-0dd5b4f1c8-never-readable";
const OTHER: &str = "hunter3-77e1a9d2b0-never-readable";

/// The ends of the hashes of the two values with SHA-256.
pub(super) fn sha256(value: &str) -> String {
    let output = std::process::Command::new("sh")
        .args(["-c", &format!("printf %s {value} | sha256sum")])
        .output()
        .expect("a shell");
    text(&output.stdout).split_whitespace().next().expect("a hash").to_owned()
}

/// Shows its files without what is in them, then waits.
const SHOW: &str = "for f in /run/secrets/key /etc/app/two; do busybox stat -c '%n %u %g %a' $f; \
                    busybox sha256sum $f; done; exec sleep 1000";

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn can_run() -> bool {
    let is_root = nix::unistd::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED without root: containers");
    }
    is_root && has_docker()
}

/// Agents whose logs are kept, with the image on each, and a file for each value.
pub(super) fn prepared(net: u8, count: usize) -> (Fleet, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let log = dir.path().join("log").display().to_string();
    let script = format!("exec \"$@\" 2>> {log}");
    let launcher = ["sh", "-c", script.as_str(), "sh"];
    let home = tempfile::tempdir().expect("a folder");
    let fleet = Fleet::start_by(&launcher, home, (net, count), &[("EDGECTL_LOG", "debug")]);
    let archive = dir.path().join("tools.tar");
    busybox_image::write(&archive);
    for number in 1..=count {
        let import = ["image", "import", &archive.display().to_string(), busybox_image::IMAGE];
        let imported = std::process::Command::new(env!("CARGO_BIN_EXE_edgectl"))
            .args(import)
            .env("EDGECTL_SOCKET", fleet.socket(number))
            .output()
            .expect("edgectl runs");
        assert!(imported.status.success(), "{}", text(&imported.stderr));
    }
    fs::write(dir.path().join("value"), VALUE).expect("written");
    fs::write(dir.path().join("other"), OTHER).expect("written");
    (fleet, dir)
}

pub(super) fn secret(fleet: &Fleet, dir: &tempfile::TempDir, (name, file): (&str, &str)) -> String {
    let path = dir.path().join(file).display().to_string();
    let id = docker(fleet, &["secret", "create", "--label", "app=shop", name, &path]);
    id.trim().to_owned()
}

pub(super) fn refused(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    text(&output.stderr)
}

fn create(flags: &[&str]) -> Vec<String> {
    let head = "service create -d --no-resolve-image --name web --network host --stop-grace-period 1s \
                --constraint node.hostname==shop-2";
    let words = head.split_whitespace().chain(flags.iter().copied());
    let words = words.chain([busybox_image::IMAGE, "sh", "-c", SHOW]);
    words.map(str::to_owned).collect()
}

/// The names of the nodes that can read the secret, as a node knows it.
fn holders(fleet: &Fleet, number: usize) -> Vec<String> {
    let nodes = fleet.get(number, "/secrets/key").json()["Nodes"].clone();
    let nodes = nodes.as_array().cloned().unwrap_or_default();
    let mut names: Vec<String> =
        nodes.iter().map(|node| node["Hostname"].as_str().unwrap_or("?").to_owned()).collect();
    names.sort();
    names
}

/// Which of these are in a file, or in any file below a folder.
pub(super) fn found_in(path: &Path, needles: &[Vec<u8>]) -> Vec<String> {
    let Ok(kind) = fs::symlink_metadata(path) else { return Vec::new() };
    if kind.is_dir() {
        let inner = fs::read_dir(path).into_iter().flatten().flatten();
        return inner.flat_map(|entry| found_in(&entry.path(), needles)).collect();
    }
    let bytes = if kind.is_file() { fs::read(path).unwrap_or_default() } else { Vec::new() };
    let is_in = |needle: &&Vec<u8>| bytes.windows(needle.len()).any(|part| part == *needle);
    let found = needles.iter().filter(is_in);
    found.map(|needle| format!("{} has {}", path.display(), text(needle))).collect()
}

/// A value as it is, in base64 at each offset, and in hex.
pub(super) fn forms(value: &str) -> Vec<Vec<u8>> {
    let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
    let shell = |line: &str| {
        let output = std::process::Command::new("sh").args(["-c", line]).output();
        text(&output.expect("a shell").stdout)
    };
    let mut forms = vec![value.as_bytes().to_vec(), hex.to_uppercase().into(), hex.into()];
    for skip in 0..3 {
        let encoded = shell(&format!("printf %s {} | base64 -w0", &value[skip..]));
        // What is before and after it changes the ends.
        let whole = encoded.len() / 4 * 4 - 4;
        forms.push(encoded.as_bytes()[..whole].to_vec());
    }
    forms
}

#[test]
fn a_container_reads_its_secret_and_its_node_starts_it_again_without_any_other() {
    if !can_run() {
        return;
    }
    let (mut fleet, dir) = prepared(162, 3);
    secret(&fleet, &dir, ("key", "value"));
    fleet.until("two keepers have the key", || holders(&fleet, 1).len() >= 2);
    let files =
        ["--secret", "key", "--secret", "src=key,target=/etc/app/two,uid=7,gid=8,mode=0400"];
    let line = create(&files);
    docker(&fleet, &line.iter().map(String::as_str).collect::<Vec<_>>());
    let logs =
        |number: usize| text(&fleet.get(number, "/services/web/logs?stdout=1&stderr=1").body);
    let hash = sha256(VALUE);
    fleet.until("both files are read", || logs(1).matches(&hash).count() == 2);
    let said = logs(1);
    let both = ["/run/secrets/key 0 0 444\n", "/etc/app/two 7 8 400\n"];
    assert!(both.iter().all(|line| said.contains(line)), "{said}");
    assert!(holders(&fleet, 3).contains(&"shop-2".to_owned()), "{:?}", holders(&fleet, 3));
    let listed =
        edgectl(&fleet, &["secret", "ls", "--exposed-by", "shop-2", "--format", "{{.Name}}"]);
    assert_eq!(listed, "key\n");

    // Nothing of it is on any disk, in no form: not in a store, a folder of a run, an order, a log.
    assert_eq!(found_in(fleet.dir(), &forms(VALUE)), [""; 0]);
    assert_eq!(found_in(&dir.path().join("log"), &forms(VALUE)), [""; 0]);
    assert!(
        !found_in(&dir.path().join("log"), &[b"listens on".to_vec()]).is_empty(),
        "there is a log"
    );
    let shown = fleet.get(1, "/secrets/key");
    assert!(shown.json()["Spec"].get("Data").is_none(), "{}", shown.json());

    // Its node loses all others, its agent and the task, and starts it again.
    let containers = fleet.get(2, "/containers/json").json();
    let id = containers[0]["Id"].as_str().expect("it runs").to_owned();
    let pid = fleet.get(2, &format!("/containers/{id}/json")).json()["State"]["Pid"].clone();
    let pid = i32::try_from(pid.as_i64().expect("a number")).expect("small");
    for number in 1..=3 {
        fleet.kill(number);
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .expect("it runs");
    fleet.restart(162, 2);
    let logs =
        |number: usize| text(&fleet.get(number, "/services/web/logs?stdout=1&stderr=1").body);
    fleet.until("it is read again", || logs(2).matches(&hash).count() >= 4);
    assert_eq!(found_in(fleet.dir(), &forms(VALUE)), [""; 0]);
    fleet.restart(162, 1);
    fleet.restart(162, 3);
}

#[test]
fn a_rotation_replaces_the_tasks_and_what_a_lost_node_could_read_is_listed() {
    if !can_run() {
        return;
    }
    let (fleet, dir) = prepared(163, 2);
    let old = secret(&fleet, &dir, ("key", "value"));
    let line = create(&["--secret", "key", "--secret", "src=key,target=/etc/app/two"]);
    docker(&fleet, &line.iter().map(String::as_str).collect::<Vec<_>>());
    let logs = || text(&fleet.get(1, "/services/web/logs?stdout=1&stderr=1").body);
    fleet.until("it is read", || logs().matches(&sha256(VALUE)).count() == 2);
    let todo = edgectl(&fleet, &["secret", "rotate", "--exposed-by", "shop-2"]);
    assert!(todo.starts_with("edgectl secret rotate key FILE "), "{todo}");
    assert!(todo.contains("used by web; read by shop-1, shop-2"), "{todo}");

    let path = dir.path().join("other").display().to_string();
    let said = edgectl(&fleet, &["secret", "rotate", "key", &path]);
    assert!(said.contains("\nweb is being updated: "), "{said}");
    fleet.until("the new one is read", || logs().matches(&sha256(OTHER)).count() == 2);
    fleet.until("one task runs", || fleet.running(1, "web") == 1);
    let ids = docker(&fleet, &["secret", "ls", "-q"]);
    assert_eq!(ids.lines().count(), 1, "the old one is superseded: {ids}");
    assert_ne!(ids.trim(), old);
    let labels = docker(&fleet, &["secret", "inspect", "--format", "{{.Spec.Labels}}", "key"]);
    assert_eq!(labels, "map[app:shop]\n");
    docker(&fleet, &["service", "rollback", "-d", "web"]);
    fleet.until("the old one is read", || logs().matches(&sha256(VALUE)).count() == 4);
    let mut forms = forms(VALUE);
    forms.extend(self::forms(OTHER));
    assert_eq!(found_in(fleet.dir(), &forms), [""; 0]);
}

#[test]
fn secrets_are_made_shown_and_removed_as_dockers_client_does() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(164, 2);
    let dir = tempfile::tempdir().expect("a folder");
    let write =
        |name: &str, bytes: &[u8]| fs::write(dir.path().join(name), bytes).expect("written");
    write("value", VALUE.as_bytes());
    write("empty", b"");
    write("most", &vec![b'x'; 511_999]);
    write("more", &vec![b'x'; 512_000]);
    let id = secret(&fleet, &dir, ("key", "value"));
    assert_eq!(id.len(), 25);
    secret(&fleet, &dir, ("most", "most"));
    let make = |flags: &[&str], name: &str, file: &str| {
        let path = dir.path().join(file).display().to_string();
        fleet.docker(1, &[&["secret", "create"], flags, &[name, &path]].concat())
    };
    for (flags, name, file, words) in [
        (&[][..], "key", "value", "secret key already exists"),
        (&[], "more", "more", "must be larger than 0 and less than 512000 bytes"),
        (&[], "empty", "empty", "data is empty"),
        (&[], ".key", "value", "[a-zA-Z0-9-_.] characters allowed"),
    ] {
        let said = refused(&make(flags, name, file));
        assert!(said.contains(words), "{name}: {said}");
    }
    let vault = fleet.docker(1, &["secret", "create", "--driver", "vault", "new"]);
    assert!(refused(&vault).contains("secret driver vault does not exist here"));
    let empty = fleet.ask(1, "POST", "/secrets/create", r#"{"Name": "empty", "Data": ""}"#);
    assert!(empty.message().contains("larger than 0"), "{}", empty.message());

    let listed = docker(&fleet, &["secret", "ls", "--format", "{{.Name}} {{.Labels}}"]);
    assert_eq!(listed, "key app=shop\nmost app=shop\n");
    assert_eq!(docker(&fleet, &["secret", "ls", "-q", "-f", "name=ke"]), format!("{id}\n"));
    let shown: Value =
        serde_json::from_str(&docker(&fleet, &["secret", "inspect", "key"])).expect("JSON");
    assert_eq!(shown[0]["ID"], json!(id));
    assert!(shown[0]["Spec"].get("Data").is_none(), "{shown}");
    let pretty = edgectl(&fleet, &["secret", "inspect", "--pretty", "key"]);
    assert!(pretty.contains("Nodes:") && pretty.contains("shop-1"), "{pretty}");
    let version = shown[0]["Version"]["Index"].as_u64().expect("a number");
    let update = |body: Value| {
        let path = format!("/secrets/key/update?version={version}");
        fleet.ask(1, "POST", &path, &body.to_string())
    };
    let data = update(json!({"Name": "key", "Data": "eA==", "Labels": {}}));
    assert!(data.message().contains("edgectl secret rotate key FILE"), "{}", data.message());
    assert_eq!(update(json!({"Name": "key", "Labels": {"a": "b"}})).status, 200);

    assert_eq!(docker(&fleet, &["secret", "rm", "key", "most"]), "key\nmost\n");
    let gone = refused(&fleet.docker(1, &["secret", "inspect", "key"]));
    assert!(gone.contains("key"), "{gone}");
    fleet.until("the other node forgets them", || fleet.get(2, "/secrets").json() == json!([]));
}

#[test]
fn what_is_no_use_of_a_secret_is_refused_and_one_in_use_is_not_removed() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(165, 1);
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("value"), VALUE).expect("written");
    secret(&fleet, &dir, ("key", "value"));
    for (flags, words) in [
        (
            "--secret src=key,target=/run/secrets/x --secret src=key,target=x",
            "duplicate secret target",
        ),
        ("--secret src=key,target=/", "no place for a secret"),
        ("--secret nope", "secret not found: nope"),
    ] {
        let head = ["service", "create", "-d", "--no-resolve-image", "--replicas", "0"];
        let flags: Vec<&str> = flags.split(' ').collect();
        let said = refused(&fleet.docker(1, &[&head[..], &flags, &["app:1"]].concat()));
        assert!(said.contains(words), "{flags:?}: {said}");
    }
    let line = ["service", "create", "-d", "--secret", "key", "process:/bin/sleep", "1000"];
    let said = refused(&fleet.docker(1, &line));
    assert!(said.contains("Secrets: only a container has it"), "{said}");
    let head =
        ["service", "create", "-d", "--no-resolve-image", "--replicas", "0", "--name", "web"];
    docker(&fleet, &[&head[..], &["--secret", "key", "app:1"]].concat());
    let said = refused(&fleet.docker(1, &["secret", "rm", "key"]));
    assert!(said.contains("secret 'key' is in use by the following service: web"), "{said}");
    docker(&fleet, &["service", "rm", "web"]);
    docker(&fleet, &["secret", "rm", "key"]);
}

/// A stack with a secret of a file.
const STACK: &str = r#"
name: shop
services:
  web:
    image: registry.invalid/tools:1
    command: ["sh", "-c", "busybox stat -c '%g %a' /run/secrets/key; busybox sha256sum /run/secrets/key; exec sleep 1000"]
    stop_grace_period: 1s
    networks: [site]
    secrets: [{source: key, gid: "7", mode: 0440}]
secrets:
  key: {file: ./FILE}
networks:
  site: {external: true, name: host}
"#;

#[test]
fn a_stack_makes_its_secrets_and_rotates_them_when_the_file_changes() {
    if !can_run() {
        return;
    }
    let (fleet, dir) = prepared(166, 1);
    let deploy = |file: &str| {
        let path = dir.path().join("stack.yaml");
        fs::write(&path, STACK.replace("FILE", file)).expect("written");
        let path = path.display().to_string();
        let line = ["stack", "deploy", "-c", &path, "--resolve-image", "never", "--prune"];
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_edgectl"))
            .args(line)
            .env("EDGECTL_SOCKET", fleet.socket(1))
            .output()
            .expect("edgectl runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let logs = || text(&fleet.get(1, "/services/shop_web/logs?stdout=1&stderr=1").body);
    let said = deploy("value");
    assert!(said.contains("Creating secret shop_key"), "{said}");
    fleet.until("it is read", || logs().contains(&sha256(VALUE)));
    assert!(logs().contains("7 440\n"), "{}", logs());
    let said = deploy("value");
    assert!(!said.contains("otating") && said.contains("is as the file says"), "{said}");
    let said = deploy("other");
    assert!(said.contains("Rotating secret shop_key"), "{said}");
    fleet.until("the other one is read", || logs().contains(&sha256(OTHER)));
    docker(&fleet, &["stack", "rm", "shop"]);
    fleet.until("its secrets are gone", || fleet.get(1, "/secrets").json() == json!([]));
}
