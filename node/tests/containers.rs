//! Commands, files and figures of running tasks, on this node and on another, over the API of real
//! agents: by hand, by `edgectl`, and by Docker's own client where it is installed.

#[allow(dead_code, reason = "shared with other tests")]
#[path = "docker_api/fleet.rs"]
mod fleet;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use fleet::{DEADLINE, Fleet};

/// Prints a word once, and waits.
const WAITER: &str = r#"{
    "Name": "wait", "TaskTemplate": {"ContainerSpec": {
        "Image": "process:/bin/sh", "StopGracePeriod": 1000000000, "Env": ["COLOUR=blue"],
        "Args": ["-c", "echo hello; exec sleep 1000"]}},
    "Mode": {"Replicated": {"Replicas": 2}}}"#;

/// Two agents, and a task on each.
struct Waiters {
    fleet: Fleet,
    /// The name of the task on the first agent's node, and of the one on the second's.
    tasks: [String; 2],
}

impl Waiters {
    fn start(net: u8) -> Waiters {
        let fleet = Fleet::start(net, 2);
        assert_eq!(fleet.ask(1, "POST", "/services/create", WAITER).status, 201);
        fleet.until("both run", || fleet.running(1, "wait") == 2);
        let here = fleet.get(1, "/containers/json").json();
        assert_eq!(here.as_array().map(Vec::len), Some(1), "its own only: {here}");
        let name = here[0]["Names"][0].as_str().expect("a name").to_owned();
        let tasks =
            if name.starts_with("/wait.1.") { ["wait.1", "wait.2"] } else { ["wait.2", "wait.1"] };
        Waiters { tasks: tasks.map(str::to_owned), fleet }
    }

    /// A command that asks the first agent.
    fn edgectl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
        command.arg("-H").arg(self.fleet.socket(1)).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.edgectl(arguments).output().expect("edgectl runs")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The number of processes that were started with this word.
fn count(word: &str) -> usize {
    let is_it = |pid: &str| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|part| part == word.as_bytes())
    };
    let pids = fs::read_dir("/proc").expect("readable").flatten();
    pids.filter(|entry| is_it(&entry.file_name().to_string_lossy())).count()
}

#[test]
fn a_command_runs_in_a_task_of_any_node_and_its_code_comes_back() {
    let waiters = Waiters::start(91);
    for task in &waiters.tasks {
        let done = waiters.run(&[
            "exec",
            "-e",
            "A=1",
            "-w",
            "/tmp",
            task,
            "sh",
            "-c",
            "pwd; echo $COLOUR $A; echo err >&2; exit 3",
        ]);
        assert_eq!(text(&done.stdout), "/tmp\nblue 1\n", "{task}: {}", text(&done.stderr));
        assert_eq!((text(&done.stderr).as_str(), done.status.code()), ("err\n", Some(3)));
        for (words, code) in [
            (&["true"][..], 0),
            (&["/etc/passwd"], 126),
            (&["no-such-program"], 127),
            (&["sh", "-c", "kill -9 $$"], 137),
        ] {
            let done = waiters.run(&[&["exec", task.as_str()][..], words].concat());
            assert_eq!(done.status.code(), Some(code), "{task} {words:?}: {}", text(&done.stderr));
        }
    }
    let unknown = waiters.run(&["exec", "wiat.1", "true"]);
    assert!(text(&unknown.stderr).contains("did you mean wait.1?"), "{}", text(&unknown.stderr));
    let several = waiters.run(&["exec", "wait", "true"]);
    assert!(text(&several.stderr).contains("wait.1, wait.2"), "{}", text(&several.stderr));
}

#[test]
fn megabytes_pass_both_ways_unchanged() {
    let waiters = Waiters::start(92);
    let sent: Vec<u8> = (0..3_000_000_u32).map(|n| (n * 7 % 251) as u8).collect();
    for task in &waiters.tasks {
        let mut running = waiters
            .edgectl(&["exec", "-i", task, "cat"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("it runs");
        let mut stdin = running.stdin.take().expect("piped");
        let bytes = sent.clone();
        let writing = std::thread::spawn(move || stdin.write_all(&bytes).expect("taken"));
        let done = running.wait_with_output().expect("it ends");
        writing.join().expect("all was written");
        assert!(done.stdout == sent, "{task}: {} bytes: {}", done.stdout.len(), text(&done.stderr));
        assert_eq!(done.status.code(), Some(0));
    }
}

#[test]
fn a_command_ends_with_its_client_with_its_task_and_with_its_node() {
    let mut waiters = Waiters::start(93);
    let tasks = waiters.tasks.clone();
    for task in &tasks {
        let mut client =
            waiters.edgectl(&["exec", task, "sleep", "88801"]).spawn().expect("it runs");
        waiters.fleet.until("it runs", || count("88801") > 1);
        client.kill().expect("killed");
        client.wait().expect("ended");
        waiters.fleet.until("it ends with its client", || count("88801") == 0);
    }
    let running = waiters.edgectl(&["exec", &tasks[1], "sleep", "88802"]).spawn().expect("it runs");
    waiters.fleet.until("it runs", || count("88802") > 1);
    let stopped = waiters.fleet.ask(1, "POST", &format!("/containers/{}/stop", tasks[1]), "");
    assert_eq!(stopped.status, 204);
    let done = running.wait_with_output().expect("it ends");
    assert_eq!(done.status.code(), Some(137), "{}", text(&done.stderr));
    // As in Swarm, the fleet restarts a task that a person stopped.
    waiters.fleet.until("another attempt runs", || waiters.fleet.running(1, "wait") == 2);

    let running = waiters.edgectl(&["exec", &tasks[1], "sleep", "88803"]).spawn().expect("it runs");
    waiters.fleet.until("it runs", || count("88803") > 1);
    waiters.fleet.kill(2);
    let done = running.wait_with_output().expect("it ends");
    assert_eq!(done.status.code(), Some(125), "{}", text(&done.stderr));
    assert!(text(&done.stderr).contains("edgectl node ls"), "{}", text(&done.stderr));
    waiters.fleet.until("it ends with its agent", || count("88803") == 0);
    waiters.fleet.restart(93, 2);
}

#[test]
fn a_tree_is_copied_into_a_task_of_any_node_and_out_again() {
    let waiters = Waiters::start(94);
    let dir = tempfile::tempdir().expect("a folder");
    let from = dir.path().join("from");
    fs::create_dir_all(from.join("sub")).expect("folders");
    fs::write(from.join("sub/file"), vec![9; 200_000]).expect("a file");
    std::os::unix::fs::symlink("sub/file", from.join("link")).expect("a link");
    let path = |path: &Path| path.display().to_string();
    for task in &waiters.tasks {
        let there = dir.path().join(format!("there-{task}"));
        let done = waiters.run(&["cp", &path(&from), &format!("{task}:{}", path(&there))]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        let back = dir.path().join(format!("back-{task}"));
        let done = waiters.run(&["cp", &format!("{task}:{}", path(&there)), &path(&back)]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        let same = Command::new("diff").arg("-r").args([&from, &back]).output().expect("diff runs");
        assert_eq!(text(&same.stdout), "");
        assert_eq!(fs::read_link(back.join("link")).expect("a link"), Path::new("sub/file"));
        let piped = waiters.run(&["cp", &format!("{task}:{}/.", path(&there)), "-"]);
        assert!(piped.stdout.len() > 200_000 && piped.status.success());
        let link = there.join("to-file");
        std::os::unix::fs::symlink("sub/file", &link).expect("a link");
        let small = dir.path().join("small");
        fs::write(&small, task).expect("a file");
        let done = waiters.run(&["cp", &path(&small), &format!("{task}:{}", path(&link))]);
        assert!(done.status.success(), "{}", text(&done.stderr));
        assert_eq!(fs::read_link(&link).expect("it is still a link"), Path::new("sub/file"));
        assert_eq!(fs::read_to_string(there.join("sub/file")).expect("written"), *task);
        let none = waiters.run(&["cp", &format!("{task}:/no/such"), "-"]);
        assert!(text(&none.stderr).contains("there is no /no/such"), "{}", text(&none.stderr));
    }
}

#[test]
fn what_a_task_says_uses_and_runs_is_told_from_any_node() {
    let waiters = Waiters::start(95);
    for task in &waiters.tasks {
        let said = waiters.fleet.get(1, &format!("/containers/{task}/logs?stdout=1")).body;
        assert_eq!(said, b"\x01\0\0\0\0\0\0\x06hello\n");
        let shown = waiters.run(&["logs", "--raw", task]);
        assert_eq!(text(&shown.stdout), "hello\n", "{}", text(&shown.stderr));
        let top = text(&waiters.run(&["top", task]).stdout);
        assert!(top.starts_with("UID") && top.contains("sleep 1000"), "{top}");
        let stats =
            waiters.fleet.get(1, &format!("/containers/{task}/stats?stream=0&one-shot=1")).json();
        assert_eq!(stats["pids_stats"]["current"], 1, "{stats}");
        assert!(stats["memory_stats"]["limit"].as_u64() > Some(0));
        let whole = waiters.fleet.get(1, &format!("/containers/{task}/json")).json();
        assert_eq!(whole["State"]["Status"], "running");
        assert_eq!(whole["Config"]["Labels"]["com.docker.swarm.service.name"], "wait");
        let id = whole["Id"].as_str().expect("an id");
        assert_eq!(waiters.fleet.get(2, &format!("/containers/{id}/json")).status, 200);
        let of_task = waiters
            .fleet
            .get(2, &format!("/tasks/{}", whole["Edge"]["TaskID"].as_str().expect("an id")));
        assert_eq!(of_task.json()["Status"]["ContainerStatus"]["ContainerID"], id);
    }
    let stats = text(&waiters.run(&["stats", "--no-stream"]).stdout);
    assert!(stats.contains("wait.1") && stats.contains("wait.2") && stats.contains('%'), "{stats}");
}

#[test]
fn a_stream_is_taken_over_and_half_of_it_may_be_closed() {
    let waiters = Waiters::start(96);
    let fleet = &waiters.fleet;
    let body = r#"{"AttachStdin": true, "AttachStdout": true, "Cmd": ["cat"]}"#;
    let created = fleet.ask(1, "POST", &format!("/containers/{}/exec", waiters.tasks[1]), body);
    assert_eq!(created.status, 201);
    let id = created.json()["Id"].as_str().expect("an id").to_owned();
    let mut stream = UnixStream::connect(fleet.socket(1)).expect("it listens");
    stream.set_read_timeout(Some(DEADLINE)).expect("a deadline");
    write!(stream, "POST /v1.47/exec/{id}/start HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}").expect("sent");
    stream.write_all(b"word").expect("sent at once, before the answer");
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("an answer");
        answer.push(byte[0]);
    }
    let head = text(&answer);
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    assert!(
        head.to_lowercase().contains("content-type: application/vnd.docker.multiplexed-stream"),
        "{head}"
    );
    stream.shutdown(std::net::Shutdown::Write).expect("half closed");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the end");
    assert_eq!(rest, b"\x01\0\0\0\0\0\0\x04word");
    let ended = fleet.get(1, &format!("/exec/{id}/json")).json();
    assert_eq!((&ended["Running"], &ended["ExitCode"]), (&false.into(), &0.into()));
    assert_eq!(fleet.ask(1, "POST", &format!("/exec/{id}/start"), "{}").status, 409, "only once");
}

#[test]
fn dockers_own_client_enters_tasks() {
    if !Command::new("docker").arg("--version").output().is_ok_and(|output| output.status.success())
    {
        return;
    }
    let waiters = Waiters::start(97);
    let dir = tempfile::tempdir().expect("a folder");
    for task in &waiters.tasks {
        let docker = |arguments: &[&str]| waiters.fleet.docker(1, arguments);
        let done = docker(&["exec", task, "sh", "-c", "echo out; exit 3"]);
        assert_eq!((text(&done.stdout).as_str(), done.status.code()), ("out\n", Some(3)));
        assert_eq!(docker(&["exec", task, "no-such-program"]).status.code(), Some(127));
        let socket = waiters.fleet.socket(1).display().to_string();
        let typed = format!(
            "docker -H unix://{socket} exec -it {task} sh -c 'test -t 0 && stty size; exit 4'"
        );
        let pty = Command::new("script")
            .args(["-qec", &format!("stty rows 31 cols 97; {typed}"), "/dev/null"])
            .stdin(Stdio::null())
            .output();
        let pty = pty.expect("script is installed");
        assert_eq!(pty.status.code(), Some(4), "{}", text(&pty.stdout));
        assert!(text(&pty.stdout).contains("31 97"), "{}", text(&pty.stdout));
        assert_eq!(text(&docker(&["logs", task]).stdout), "hello\n");
        assert!(text(&docker(&["top", task]).stdout).contains("sleep 1000"));
        assert!(text(&docker(&["stats", "--no-stream", task]).stdout).contains('%'));
        fs::write(dir.path().join("in"), task).expect("a file");
        let (source, target) = (dir.path().join("in"), dir.path().join(format!("out-{task}")));
        let (source, target) = (source.display().to_string(), target.display().to_string());
        assert!(!docker(&["attach", "--no-stdin", task]).status.success(), "at once");
        let refused = waiters.fleet.ask(1, "POST", &format!("/containers/{task}/attach"), "");
        assert!(refused.message().contains(&format!("edgectl logs -f {task}")));
        let copied = docker(&["cp", &source, &format!("{task}:{target}")]);
        assert!(copied.status.success(), "{}", text(&copied.stderr));
        assert_eq!(fs::read_to_string(&target).expect("copied"), *task);
        assert!(docker(&["inspect", task]).status.success());
    }
    let events = ["events", "--since", "1", "--until", "2", "--format", "{{.Action}}"];
    let told = text(&waiters.fleet.docker(1, &events).stdout);
    for event in ["exec_create: sh -c echo out; exit 3", "exec_start: sh -c", "exec_die"] {
        assert!(told.contains(event), "{told}");
    }
    let listed = text(
        &waiters
            .fleet
            .docker(1, &["ps", "--filter", "label=com.docker.swarm.service.name=wait"])
            .stdout,
    );
    assert!(listed.contains(&waiters.tasks[0]) && !listed.contains(&waiters.tasks[1]), "{listed}");
}

#[test]
fn what_is_refused_is_said_however_much_was_sent() {
    let waiters = Waiters::start(90);
    let dir = tempfile::tempdir().expect("a folder");
    let large = dir.path().join("large");
    fs::write(&large, vec![7; 8_000_000]).expect("writable");
    let (large, task) = (large.display().to_string(), waiters.tasks[0].clone());
    let nowhere = format!("{task}:/no/such/folder/");
    for (words, reason) in [
        (&["cp", &large, &format!("{task}:/no/such/file")][..], "there is no /no/such"),
        (&["cp", &large, &nowhere], "there is no folder /no/such/folder/"),
        (&["cp", "/no/such/file", &nowhere], "/no/such/file"),
        (&["image", "import", &large, "Bad:1"], "Bad"),
        (&["image", "import", "-c", "FLY away", &large, "app:1"], "FLY away"),
    ] {
        let done = waiters.run(words);
        let said = text(&done.stderr);
        assert!(!done.status.success() && said.contains(reason), "{words:?}: {said}");
        assert!(!said.contains("the agent went away"), "{words:?}: {said}");
    }
}
