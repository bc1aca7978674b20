//! Flags that Docker's client has since 29, and those of ours: its older clients do not know what they
//! set, and lose it.

use serde_json::{Value, json};

use super::super::has_docker;
use super::{Client, Fleet, spec, text};

fn ours(fleet: &Fleet, words: &[&str]) {
    let done = Client::Ours.run(fleet, words);
    assert!(done.status.success(), "{words:?}: {}", text(&done.stderr));
}

/// The process of the only task that runs.
fn pid(fleet: &Fleet) -> Option<u64> {
    let tasks = fleet.get(1, "/tasks").json();
    let mut running = tasks.as_array()?.iter().filter(|task| task["DesiredState"] == "running");
    let task = running.find(|task| task["Status"]["State"] == "running")?;
    task["Status"]["ContainerStatus"]["PID"].as_u64()
}

/// A megabyte of swap on top of 64, and a swappiness of 7, as far as this kernel has files for them.
fn assert_in_force(pid: u64) {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let group = groups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (controllers, path) = rest.split_once(':')?;
        match controllers {
            "memory" => Some(format!("/sys/fs/cgroup/memory{path}")),
            "" => Some(format!("/sys/fs/cgroup{path}"))
                .filter(|dir| std::path::Path::new(dir).join("memory.max").exists()),
            _ => None,
        }
    });
    let group = group.unwrap_or_default();
    for (file, value) in [
        ("memory.memsw.limit_in_bytes", "68157440"),
        ("memory.swap.max", "1048576"),
        ("memory.swappiness", "7"),
    ] {
        let read = std::fs::read_to_string(format!("{group}/{file}"));
        assert_eq!(read.as_deref().unwrap_or(value).trim(), value, "{file}");
    }
}

fn swaps(fleet: &Fleet) -> Value {
    let spec = spec(fleet, "till");
    ["SwapBytes", "MemorySwappiness"]
        .map(|name| spec["TaskTemplate"]["Resources"][name].clone())
        .to_vec()
        .into()
}

#[test]
fn swap_reaches_the_kernel_rolls_out_and_back_and_is_kept_by_older_clients() {
    let fleet = Fleet::start(146, 1);
    let task = ["--stop-grace-period", "1s", "process:/bin/sleep", "1000"];
    let limits = ["--limit-memory", "64m", "--memory-swap", "1m", "--memory-swappiness", "7"];
    ours(&fleet, &[&["service", "create", "-q", "--name", "till"], &limits[..], &task].concat());
    let first = pid(&fleet).expect("it runs");
    assert_in_force(first);
    assert_eq!(swaps(&fleet), json!([1_048_576, 7]));
    if has_docker() {
        let label = ["service", "update", "-d", "--no-resolve-image", "--label-add", "a=b", "till"];
        let changed = fleet.docker(1, &label);
        assert!(changed.status.success(), "{}", text(&changed.stderr));
        assert_eq!(spec(&fleet, "till")["Labels"]["a"], "b");
        assert_eq!(swaps(&fleet), json!([1_048_576, 7]), "it loses what it does not know");
        assert_eq!(pid(&fleet), Some(first), "nothing of the tasks was changed");
    }
    ours(&fleet, &["service", "update", "-q", "--update-monitor", "1s", "till"]);
    ours(&fleet, &["service", "update", "-q", "--memory-swap", "0", "till"]);
    let second = pid(&fleet).expect("it runs");
    assert_ne!(second, first, "it is another template");
    assert_eq!(swaps(&fleet), json!([null, 7]));
    ours(&fleet, &["service", "rollback", "-q", "till"]);
    assert_eq!(swaps(&fleet), json!([1_048_576, 7]));
    assert_in_force(pid(&fleet).expect("it runs"));
    ours(&fleet, &["service", "update", "-q", "--memory-swappiness", "-1", "till"]);
    assert_eq!(swaps(&fleet), json!([1_048_576, null]));
}

#[test]
fn swap_that_means_nothing_is_refused_to_every_client() {
    let fleet = Fleet::start(147, 1);
    for (flags, words) in [
        (&["--memory-swap", "1m"][..], "--limit-memory 64m"),
        (&["--memory-swap", "-1"], "--limit-memory 64m"),
        (&["--memory-swap", "-5"], "-1 for all of the node's swap"),
        (&["--memory-swap", "lots"], "512k, 64m or 1.5g"),
        (&["--memory-swappiness", "101"], "from 0 to 100"),
        (&["--memory-swappiness", "some"], "from 0 to 100"),
    ] {
        let image = ["process:/bin/true"];
        let refused =
            Client::Ours.run(&fleet, &[&["service", "create", "-d"], flags, &image].concat());
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{flags:?}: {said}");
        assert!(said.contains(words), "{flags:?}: {said}");
    }
    let image = r#""ContainerSpec": {"Image": "app:1"}"#;
    for (resources, words) in [
        (r#"{"SwapBytes": 1048576}"#, "--limit-memory 64m"),
        (r#"{"SwapBytes": -2, "Limits": {"MemoryBytes": 67108864}}"#, "-1 for as much as the node"),
        (r#"{"MemorySwappiness": 101}"#, "to 100"),
    ] {
        let body =
            format!(r#"{{"Name": "x", "TaskTemplate": {{{image}, "Resources": {resources}}}}}"#);
        let refused = fleet.ask(1, "POST", "/services/create", &body);
        assert_eq!(refused.status, 400, "{resources}");
        assert!(refused.message().contains(words), "{resources}: {}", refused.message());
    }
    assert_eq!(fleet.get(1, "/services").json(), json!([]));
}

fn logs(fleet: &Fleet) -> Vec<String> {
    let said = Client::Ours.run(fleet, &["service", "logs", "--raw", "till"]);
    text(&said.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn commands_before_the_start_run_roll_out_and_fail_with_their_code() {
    let fleet = Fleet::start(148, 1);
    let head = ["service", "create", "-q", "--name", "till", "--update-monitor", "1s"];
    let end = ["--restart-delay", "1s", "--stop-grace-period", "1s", "process:/bin/sh", "-c"];
    let task = [&end[..], &["echo main; exec sleep 1000"]].concat();
    let commands = ["--pre-start", "/bin/sh -c 'echo one'", "--pre-start", "/bin/echo two"];
    ours(&fleet, &[&head[..], &commands, &task].concat());
    let first = pid(&fleet).expect("it runs");
    fleet.until("its output", || logs(&fleet) == ["one", "two", "main"]);
    let written = json!([["/bin/sh", "-c", "echo one"], ["/bin/echo", "two"]]);
    assert_eq!(spec(&fleet, "till")["TaskTemplate"]["PreStart"], written);
    if has_docker() {
        let label = ["service", "update", "-d", "--no-resolve-image", "--label-add", "a=b", "till"];
        assert!(fleet.docker(1, &label).status.success());
        assert_eq!(spec(&fleet, "till")["TaskTemplate"]["PreStart"], written);
        assert_eq!(pid(&fleet), Some(first), "nothing of the tasks was changed");
    }

    let broken = ["service", "update", "--update-failure-action", "rollback", "--pre-start"];
    let broken = [&broken[..], &["/bin/sh -c 'echo oops; exit 3'", "till"]].concat();
    let failed = Client::Ours.run(&fleet, &broken);
    let said = text(&failed.stderr);
    assert_eq!(failed.status.code(), Some(1), "{said}");
    let why = "the pre-start command `/bin/sh -c echo oops; exit 3` exited with code 3";
    assert!(said.contains(why), "{said}");
    fleet.until("it is rolled back", || fleet.running(1, "till") == 1);
    assert_eq!(spec(&fleet, "till")["TaskTemplate"]["PreStart"], written);
    assert!(logs(&fleet).contains(&"oops".to_owned()), "{:?}", logs(&fleet));

    ours(&fleet, &["service", "update", "-q", "--pre-start", "", "till"]);
    assert_eq!(spec(&fleet, "till")["TaskTemplate"]["PreStart"], Value::Null);
    ours(&fleet, &["service", "rollback", "-q", "till"]);
    assert_eq!(spec(&fleet, "till")["TaskTemplate"]["PreStart"], written);

    let open = Client::Ours.run(&fleet, &["service", "update", "--pre-start", "a 'b", "till"]);
    assert_eq!(open.status.code(), Some(1));
    assert!(text(&open.stderr).contains("a quote is not closed"), "{}", text(&open.stderr));
    let many = [&["service", "update", "-q"][..], &["--pre-start", "true"].repeat(17), &["till"]];
    let many = Client::Ours.run(&fleet, &many.concat());
    assert_eq!(many.status.code(), Some(1));
    let said = text(&many.stderr);
    assert!(said.contains("the number of pre-start commands is 17, at most 16"), "{said}");
    assert_eq!(spec(&fleet, "till")["TaskTemplate"]["PreStart"], written);
}
