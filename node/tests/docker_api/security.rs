//! Profiles of one's own: of system calls, and of AppArmor. Real containers, by both clients.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Fleet;
use super::busybox_image;
use super::containers::{docker, edgectl};
use super::secrets::{can_run, prepared, refused, text};

/// Folders cannot be made, everything else can.
const PROFILE: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{
        "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13,
        "comment": "no folders", "args": [], "includes": {}, "excludes": {}
    }]
}"#;

/// Tries both, then waits.
const TRY: &str = "busybox mkdir /made; busybox touch /touched && echo touched; \
                   busybox grep Seccomp: /proc/self/status; exec sleep 1000";

const FLAGS: [&str; 6] = ["--network", "host", "--stop-grace-period", "1s", "--replicas", "1"];

fn ours(fleet: &Fleet, words: &[&str]) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_edgectl"))
        .args(words)
        .env("EDGECTL_SOCKET", fleet.socket(1))
        .output()
        .expect("edgectl runs")
}

fn logs(fleet: &Fleet, service: &str) -> String {
    text(&fleet.get(1, &format!("/services/{service}/logs?stdout=1&stderr=1")).body)
}

fn is_kept_from_folders(said: &str) -> bool {
    said.contains("can't create directory '/made': Permission denied")
        && said.contains("touched\n")
        && said.contains("Seccomp:\t2")
}

#[test]
fn a_profile_of_ones_own_denies_and_allows_what_it_says() {
    if !can_run() {
        return;
    }
    let (fleet, dir) = prepared(214, 1);
    let file = dir.path().join("profile.json");
    fs::write(&file, PROFILE).expect("written");
    let option = format!("seccomp={}", file.display());
    let create = |name: &str, option: &str| {
        let words = ["service", "create", "-d", "--name", name, "--security-opt", option];
        ours(&fleet, &[&words[..], &FLAGS, &[busybox_image::IMAGE, "sh", "-c", TRY]].concat())
    };
    let made = create("web", &option);
    assert!(made.status.success(), "{}", text(&made.stderr));
    fleet.until("it has tried", || logs(&fleet, "web").contains("Seccomp:"));
    assert!(is_kept_from_folders(&logs(&fleet, "web")), "{}", logs(&fleet, "web"));
    let seccomp = |service: &str| {
        let spec = fleet.get(1, &format!("/services/{service}")).json()["Spec"].clone();
        spec["TaskTemplate"]["ContainerSpec"]["Privileges"]["Seccomp"].clone()
    };
    let shown = edgectl(&fleet, &["service", "inspect", "--pretty", "web"]);
    assert!(shown.contains("seccomp=profile of "), "{shown}");

    // What the API shows it takes back, by Docker's client too.
    docker(&fleet, &["service", "update", "-d", "--no-resolve-image", "--env-add", "A=1", "web"]);
    assert_eq!(seccomp("web")["Mode"], "custom");
    let sent = json!({
        "Name": "api",
        "TaskTemplate": {
            "ContainerSpec": {
                "Image": busybox_image::IMAGE, "Command": ["sh", "-c", TRY],
                "Privileges": {"Seccomp": seccomp("web"), "AppArmor": {"Mode": "disabled"}},
            },
            "Networks": [{"Target": "host"}],
        },
    });
    assert_eq!(fleet.ask(1, "POST", "/services/create", &sent.to_string()).status, 201);
    fleet.until("it has tried", || logs(&fleet, "api").contains("Seccomp:"));
    assert!(is_kept_from_folders(&logs(&fleet, "api")), "{}", logs(&fleet, "api"));
    let update = ["service", "update", "-d", "--security-opt", "seccomp=default", "web"];
    fleet.until("it is updated", || ours(&fleet, &update).status.success());
    assert_eq!(seccomp("web"), Value::Null);

    let run = ["run", "--rm", "--network", "host", "--security-opt", &option];
    let run = [&run[..], &[busybox_image::IMAGE, "sh", "-c"], &[&TRY.replace("1000", "0")]];
    let ran = fleet.docker(1, &run.concat());
    let said = format!("{}{}", text(&ran.stdout), text(&ran.stderr));
    assert!(is_kept_from_folders(&said), "{said}");

    // A file that is no profile makes nothing.
    for (profile, words) in [
        ("{", "it is no profile in Docker's form"),
        (r#"{"defaultAction": "SCMP_ACT_NOPE"}"#, "unknown variant `SCMP_ACT_NOPE`"),
        (
            r#"{"defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{"names": ["mkdri"], "action": "SCMP_ACT_ERRNO"}]}"#,
            "there is no system call mkdri",
        ),
    ] {
        fs::write(&file, profile).expect("written");
        let said = refused(&create("bad", &option));
        assert!(said.contains(words), "{said}");
    }
    let said = refused(&create("bad", "seccomp=/no/such/file"));
    assert!(said.contains("cannot read the profile /no/such/file"), "{said}");
    assert_eq!(fleet.get(1, "/services/bad").status, 404);
}

#[test]
fn an_apparmor_profile_is_never_left_out_without_a_word() {
    if !can_run() {
        return;
    }
    let (fleet, dir) = prepared(215, 1);
    let create = ["service", "create", "-d", "--name", "web", "--restart-condition", "none"];
    let option = ["--security-opt", "apparmor=no-such-profile"];
    let words = [&create[..], &option, &FLAGS, &[busybox_image::IMAGE, "sh", "-c", TRY]].concat();
    let made = ours(&fleet, &words);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let status = || fleet.get(1, "/tasks").json()[0]["Status"].clone();
    fleet.until("it is rejected", || status()["State"] == "rejected");
    let said = status()["Err"].as_str().unwrap_or_default().to_owned();
    let has_apparmor = Path::new("/sys/kernel/security/apparmor/profiles").exists();
    let why = if has_apparmor { "is not loaded on this node" } else { "kernel has no AppArmor" };
    assert!(said.contains(why) && said.contains("no-such-profile"), "{said}");

    // Docker's client, which does not know it, does not lose it.
    docker(&fleet, &["service", "update", "-d", "--no-resolve-image", "--env-add", "A=1", "web"]);
    let edge = || {
        let spec = fleet.get(1, "/services/web").json()["Spec"].clone();
        spec["TaskTemplate"]["ContainerSpec"]["Edge"]["AppArmorProfile"].clone()
    };
    assert_eq!(edge(), "no-such-profile");
    let update = ["service", "update", "-d", "--security-opt", "apparmor=unconfined", "web"];
    // The agents write of the service meanwhile, and then it is another version.
    fleet.until("it is updated", || ours(&fleet, &update).status.success());
    assert_eq!(edge(), Value::Null);
    fleet.until("it runs without", || logs(&fleet, "web").contains("touched"));

    // A Compose file names its profile beside it.
    let stack = dir.path().join("stack.yaml");
    fs::write(dir.path().join("profile.json"), PROFILE).expect("written");
    let file = format!(
        "services:\n  job:\n    image: {}\n    command: [sh, -c, {TRY:?}]\n    stop_grace_period: 1s\n    \
         networks: [site]\n    security_opt: ['seccomp:./profile.json', 'no-new-privileges:true']\n\
         networks:\n  site: {{external: true, name: host}}\n",
        busybox_image::IMAGE
    );
    fs::write(&stack, file).expect("written");
    let path = stack.display().to_string();
    edgectl(&fleet, &["stack", "deploy", "-c", &path, "shop"]);
    fleet.until("it has tried", || logs(&fleet, "shop_job").contains("Seccomp:"));
    assert!(is_kept_from_folders(&logs(&fleet, "shop_job")), "{}", logs(&fleet, "shop_job"));
    let written = edgectl(&fleet, &["stack", "config", "-c", &path]);
    let is_named = written.contains("/profile.json");
    assert!(is_named && written.contains("no-new-privileges:true"), "{written}");
}

#[test]
fn an_agent_holds_what_it_needs_and_a_privileged_task_everything() {
    if !can_run() {
        return;
    }
    let (fleet, _dir) = prepared(216, 1);
    let held = |status: &str, set: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(&format!("{set}:\t")));
        u64::from_str_radix(line.expect("a line of it"), 16).expect("hex")
    };
    let status = fs::read_to_string(format!("/proc/{}/status", fleet.pid(1))).expect("it runs");
    let (effective, bound) = (held(&status, "CapEff"), held(&status, "CapBnd"));
    assert_eq!(effective, held(&status, "CapPrm"));
    let [module, rawio, admin, boot, audit, bpf] = [16, 17, 21, 22, 29, 39].map(|bit| 1_u64 << bit);
    assert_eq!(effective & (module | rawio | boot | audit | bpf), 0, "{status}");
    assert_eq!(effective & admin, admin & bound, "{status}");

    let show = ["sh", "-c", "exec busybox grep CapEff: /proc/self/status"];
    let run = |options: &[&str]| {
        let run = ["run", "--rm", "--network", "host"];
        let ran = fleet.docker(1, &[&run[..], options, &[busybox_image::IMAGE], &show].concat());
        held(&text(&ran.stdout), "CapEff")
    };
    assert_eq!(run(&["--privileged"]), bound);
    assert_eq!(run(&["--cap-drop", "ALL", "--cap-add", "AUDIT_WRITE"]), audit);
}

/// Files below that other users can reach and read.
fn readable_by_others(path: &Path) -> Vec<String> {
    let about = fs::symlink_metadata(path).expect("it is there");
    let mode = about.permissions().mode();
    if about.is_dir() {
        let entered = if mode & 0o001 == 0 { Vec::new() } else { entries(path) };
        return entered.iter().flat_map(|entry| readable_by_others(entry)).collect();
    }
    let is_readable = mode & 0o004 != 0 && !about.is_symlink();
    is_readable.then(|| path.display().to_string()).into_iter().collect()
}

fn entries(path: &Path) -> Vec<PathBuf> {
    fs::read_dir(path).expect("a folder").flatten().map(|entry| entry.path()).collect()
}

#[test]
fn others_read_nothing_of_an_agent() {
    if !can_run() {
        return;
    }
    let (fleet, dir) = prepared(217, 1);
    fs::write(dir.path().join("word"), "hunter2").expect("written");
    let word = dir.path().join("word").display().to_string();
    edgectl(&fleet, &["secret", "create", "word", &word]);
    let create = ["service", "create", "-d", "--name", "web", "--secret", "word"];
    let words = [&create[..], &FLAGS, &[busybox_image::IMAGE, "sh", "-c", TRY]].concat();
    let made = ours(&fleet, &words);
    assert!(made.status.success(), "{}", text(&made.stderr));
    fleet.until("it has tried", || logs(&fleet, "web").contains("touched"));
    let data = fleet.dir().join("data-1");
    assert_eq!(readable_by_others(&data), [""; 0]);
    let socket = fs::metadata(fleet.socket(1)).expect("a socket").permissions().mode();
    assert_eq!(socket & 0o007, 0, "{socket:o}");
    // Also where somebody opens the folder for a group or for all.
    let files = entries(&data).into_iter().filter(|path| path.is_file());
    assert_eq!(files.flat_map(|path| readable_by_others(&path)).collect::<Vec<_>>(), [""; 0]);
}
