//! From `docker create` to `docker rm`.

use super::*;

/// Writes a line into a file on every start, and ends with 3 when it is told to.
const WRITER: &str = "echo hi >>/tmp/f; trap 'exit 3' TERM; while :; do sleep 0.1; done";

fn lines(local: &Local, name: &str) -> usize {
    local.docker(&["exec", name, "busybox", "cat", "/tmp/f"]).lines().count()
}

#[test]
fn a_container_keeps_its_id_and_its_files_from_create_to_rm() {
    let Some(local) = Local::start(162, 1) else { return };
    let id = local.docker(&["create", "--name", "one", "-e", "A={{x}}", IMAGE, "sh", "-c", WRITER]);
    assert_eq!(id.len(), 64, "{id}");
    assert_eq!(local.docker(&["ps", "-q"]), "");
    assert!(local.docker(&["ps", "-a", "--format", "{{.Status}}"]).starts_with("Created"));
    assert_eq!(local.docker(&["start", "one"]), "one");
    let row = local.docker(&["ps", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.Image}}"]);
    assert_eq!(row, format!("{id} one {IMAGE}"));
    assert_eq!(local.docker(&["exec", "one", "sh", "-c", "echo $A $HOSTNAME"]), {
        format!("{{{{x}}}} {}", &id[..12])
    });
    assert_eq!(lines(&local, "one"), 1);
    local.docker(&["stop", "one"]);
    let status = local.docker(&["ps", "-a", "--format", "{{.Status}}"]);
    assert!(status.starts_with("Exited (3) ") && status.ends_with(" ago"), "{status}");
    let (said, _) = local.refusal(&["rmi", IMAGE]);
    assert!(said.contains("in use by one"), "it may be started again: {said}");
    local.docker(&["start", &id[..7]]);
    assert_eq!(lines(&local, &id), 2, "a further start finds what it wrote");
    local.docker(&["restart", "one"]);
    assert_eq!(lines(&local, "one"), 3);
    local.docker(&["rename", "one", "two"]);
    assert_eq!(local.of("two", "{{.Id}} {{.Name}}"), format!("{id} /two"));
    let (said, _) = local.refusal(&["rm", "two"]);
    assert!(said.contains("docker rm -f two"), "{said}");
    assert_eq!(local.docker(&["kill", "two"]), "two");
    local.until_status("two", "exited");
    assert_eq!(local.docker(&["wait", "two"]), "137");
    local.docker(&["rm", "two"]);
    assert_eq!(local.docker(&["ps", "-a", "-q"]), "");
    assert_eq!(local.runs(), [""; 0], "nothing of it is left");
}

#[test]
fn a_container_is_no_service_and_stays_on_its_node() {
    let Some(local) = Local::start(163, 2) else { return };
    let id = local.docker(&["run", "-d", "--name", "one", IMAGE, "sleep", "1000"]);
    for path in ["/services", "/tasks"] {
        assert_eq!(local.list(path), serde_json::json!([]), "{path}");
    }
    assert_eq!(local.docker(&["service", "ls", "-q"]), "");
    assert_eq!(local.docker(&["node", "ps", "-q", "self"]), "");
    let (said, _) = local.refusal(&["service", "inspect", "one"]);
    assert!(said.contains("no such service"), "{said}");
    let (said, _) = local.refusal(&["run", "-d", "--name", "one", IMAGE]);
    assert!(said.contains("already in use by container"), "{said}");
    let edgectl = |words: &[&str]| super::super::containers::edgectl(&local.fleet, words);
    edgectl(&["service", "create", "-d", "--name", "web", "--replicas", "0", "app:1"]);
    let (said, _) = local.refusal(&["create", "--name", "web", IMAGE]);
    assert!(said.contains("that of a service"), "{said}");
    edgectl(&["service", "rm", "web"]);

    let of = |words: &[&str]| edgectl(&[&["ps", "--no-trunc", "-q"], words].concat());
    assert_eq!(of(&[]).trim(), id);
    local.fleet.until("the other node knows it", || {
        local.fleet.get(2, "/containers/one/json").status == 200
    });
    assert_eq!(local.fleet.get(2, "/containers/json?all=1").json(), serde_json::json!([]));
    assert_eq!(of(&["--node", "shop-2"]), "");
    assert_eq!(edgectl(&["exec", "one", "busybox", "echo", "here"]).trim(), "here");
    // Nobody takes it over, and it is not ended.
    edgectl(&["node", "update", "--availability", "drain", "shop-1"]);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!((of(&[]).trim(), of(&["--node", "shop-2"]).as_str()), (id.as_str(), ""));
    local.docker(&["stop", "-t", "0", "one"]);
    let (said, _) = local.refusal(&["start", "one"]);
    assert!(said.contains("one cannot start on its node") && said.contains("drain"), "{said}");
    let removed = local.fleet.ask(2, "DELETE", "/containers/one", "");
    assert_eq!(removed.status, 204, "any node removes it");
}

#[test]
fn restart_policies_decide_what_follows_an_end() {
    let Some(mut local) = Local::start(164, 1) else { return };
    let run = |local: &Local, name: &str, policy: &str, line: &str| {
        let words = ["run", "-d", "--name", name, "--restart", policy, IMAGE, "sh", "-c", line];
        local.docker(&words);
    };
    run(&local, "failing", "on-failure:2", "echo once; exit 5");
    run(&local, "always", "always", "echo once; sleep 0.2");
    run(&local, "stopped", "unless-stopped", "sleep 1000");
    run(&local, "plain", "no", "sleep 1000");
    let logged = |local: &Local, name: &str| local.docker(&["logs", name]).lines().count();
    local.fleet.until("it failed for the last time", || local.status("failing") == "exited");
    assert_eq!(
        (logged(&local, "failing"), local.of("failing", "{{.RestartCount}}").as_str()),
        (3, "2")
    );
    local.fleet.until("it is restarted", || logged(&local, "always") >= 3);
    assert_eq!(local.of("stopped", "{{.HostConfig.RestartPolicy.Name}}"), "unless-stopped");
    local.docker(&["stop", "-t", "0", "stopped", "always"]);
    let before = logged(&local, "always");
    local.fleet.kill(1);
    local.fleet.restart(164, 1);
    assert_eq!(local.status("plain"), "running", "it outlived its agent");
    std::thread::sleep(std::time::Duration::from_secs(4));
    for name in ["failing", "stopped", "always"] {
        assert_eq!(local.status(name), "exited", "{name}");
    }
    assert_eq!(logged(&local, "always"), before);
    // As after a power cut: nobody saw how it ended.
    local.fleet.kill(1);
    for run in local.runs() {
        let status = local.fleet.dir().join("data-1/runs").join(run).join("status.json");
        let status = std::fs::read(status).ok();
        let status = status.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        let monitor = status.and_then(|status| status["monitor"]["pid"].as_i64());
        let pid = monitor.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 1);
        let pid = pid.filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            text(&line).contains("monitor")
        });
        if let Some(pid) = pid {
            let pid = nix::unistd::Pid::from_raw(pid);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it is there");
        }
    }
    local.fleet.restart(164, 1);
    local.fleet.until("it is known to have ended", || local.status("plain") == "exited");
    assert_eq!(local.of("plain", "{{.State.ExitCode}}"), "255");
    local.docker(&["start", "plain"]);
    assert_eq!(local.status("plain"), "running");
}

#[test]
fn a_paused_container_stands_still() {
    let Some(local) = Local::start(165, 1) else { return };
    let line = "while :; do echo x >>/tmp/f; sleep 0.05; done";
    local.docker(&["run", "-d", "--name", "one", IMAGE, "sh", "-c", line]);
    local.docker(&["pause", "one"]);
    assert_eq!(local.of("one", "{{.State.Status}} {{.State.Paused}}"), "paused true");
    assert!(local.docker(&["ps", "--format", "{{.Status}}"]).ends_with("(Paused)"));
    let (said, _) = local.refusal(&["exec", "one", "true"]);
    assert!(said.contains("unpause"), "{said}");
    let (said, _) = local.refusal(&["pause", "one"]);
    assert!(said.contains("paused already"), "{said}");
    local.docker(&["unpause", "one"]);
    let before = lines(&local, "one");
    local.fleet.until("it goes on", || lines(&local, "one") > before);
    local.docker(&["pause", "one"]);
    local.docker(&["rm", "-f", "one"]);
    assert_eq!(local.runs(), [""; 0]);
}
