//! `edgectl lab` with real agents: what it creates, and that nothing is left of it.
//!
//! As root these tests use network namespaces, otherwise 127.0.0.0/8; features that need namespaces
//! are tested only there.

#[path = "lab/test_lab.rs"]
mod test_lab;

use std::process::Command;

use serde_json::Value;
use test_lab::{DEADLINE, TestLab, busybox_image::IMAGE, until_or_say};

fn namespaces(name: &str) -> usize {
    let prefix = format!("edgelab-{name}-");
    let names = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    names.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix)).count()
}

/// A process that has ended but was not yet reaped by its parent is not alive.
fn is_alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

#[test]
fn a_lab_that_is_taken_down_leaves_nothing_behind() {
    let lab = TestLab::up('a', 2);
    let agents = lab.agents();
    assert!(agents.iter().all(|pid| is_alive(*pid)));
    assert_eq!(namespaces(&lab.name), if lab.has_namespaces() { 3 } else { 0 });
    lab.succeed(&["down"]);
    assert!(!agents.iter().any(|pid| is_alive(*pid)));
    assert_eq!(namespaces(&lab.name), 0);
    assert!(!lab.dir.exists());
    // A second time there is nothing to do, and that is no error.
    lab.succeed(&["down"]);
}

#[test]
fn a_node_that_was_killed_starts_again_as_the_same_node() {
    let lab = TestLab::up('b', 2);
    let before = lab.agents();
    lab.succeed(&["kill", "n2"]);
    assert!(!is_alive(before[1]) && is_alive(before[0]));
    assert!(
        lab.succeed(&["ls"]).lines().any(|line| line.starts_with("n2") && line.contains("killed"))
    );
    lab.succeed(&["start", "2"]);
    let after = lab.agents();
    assert_eq!(after[0], before[0]);
    assert!(after[1] != before[1] && is_alive(after[1]));
}

#[test]
fn nodes_join_by_a_token_and_need_neither_it_nor_the_first_node_afterwards() {
    let lab = TestLab::up('h', 4);
    let config = std::fs::read_to_string(lab.dir.join("edge.toml")).expect("a config");
    assert!(config.contains("join_token_file") && !config.contains("key"), "{config}");
    let listed = ["swarm", "join-token", "ls", "--format", "{{.State}} {{.Uses}}"];
    let tokens = lab.edgectl(4, &listed);
    assert!(tokens.lines().any(|line| line == "open 3"), "all but the first used it: {tokens}");
    let key = |node: u8| std::fs::read(lab.dir.join(format!("n{node}/data/fleet.key")));
    let first = key(1).expect("the first node made the key");
    assert!((2..=4).all(|node| key(node).expect("it was given the key") == first));

    // With the first node and the token gone, those that are left find each other again.
    std::fs::remove_file(lab.dir.join("join.token")).expect("a token");
    for node in ["n1", "n2", "n3", "n4"] {
        lab.succeed(&["kill", node]);
    }
    for node in ["n3", "n4"] {
        lab.succeed(&["start", node]);
    }
    let ready = ["node", "ls", "--filter", "name=n3", "--format", "{{.Status}}"];
    lab.until("n4 hears n3 again", || lab.edgectl(4, &ready).trim() == "Ready");
}

#[test]
fn a_cut_drops_packets_in_silence_and_a_heal_lets_them_pass() {
    let lab = TestLab::up('c', 3);
    if !lab.has_namespaces() {
        let refused = lab.run(&["cut", "n1"]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("sudo"), "{said}");
        return;
    }
    let address = lab.state()["nodes"][1]["address"].as_str().unwrap().to_owned();
    let known = lab.succeed(&["exec", "n1", "--", "ip", "neigh", "show", "nud", "permanent"]);
    assert!(known.contains(&address), "the kernel's one table must not fill: {known}");
    // Nothing listens on this port: an open link refuses at once, a cut link gives no answer.
    let url = format!("http://{address}:1/");
    let request = ["exec", "n1", "--", "curl", "--silent", "--max-time", "1", &url];
    let (refused, silent) = (Some(7), Some(28));
    assert_eq!(lab.run(&request).status.code(), refused);
    lab.succeed(&["cut", "n1", "--from", "n2,n3"]);
    assert_eq!(lab.run(&request).status.code(), silent);
    lab.succeed(&["heal"]);
    assert_eq!(lab.run(&request).status.code(), refused);
}

#[test]
fn a_second_lab_of_the_same_name_is_refused_and_the_first_stays() {
    let lab = TestLab::up('d', 1);
    let agents = lab.agents();
    let refused = lab.run(&["up", "-n", "1"]);
    assert!(!refused.status.success());
    assert!(String::from_utf8_lossy(&refused.stderr).contains("lab down"));
    assert!(is_alive(agents[0]));
}

/// A node whose uplink exists and never answers, and whose packets to it are counted.
struct Uplink<'a>(&'a TestLab);

impl Uplink<'_> {
    fn lay(lab: &TestLab) -> Uplink<'_> {
        let link = lab.succeed(&["exec", "n1", "--", "ip", "-o", "-4", "addr", "show", "up"]);
        let link = link.lines().filter(|line| !line.contains(" lo ")).find_map(|line| {
            let mut words = line.split_whitespace().skip(1);
            Some((words.next()?.to_owned(), words.nth(1)?.to_owned()))
        });
        let (link, _) = link.expect("the node has a link");
        lab.succeed(&["exec", "n1", "--", "ip", "route", "add", "default", "dev", &link]);
        let rules = "add table inet uplink; \
             add chain inet uplink out { type filter hook output priority 0; }; \
             add rule inet uplink out ip daddr 10.99.0.0/16 accept; \
             add rule inet uplink out meta l4proto { tcp, udp } counter";
        lab.succeed(&["exec", "n1", "--", "nft", rules]);
        Uplink(lab)
    }

    /// Packets that left the fleet so far.
    fn packets(&self) -> u64 {
        let list = self.0.succeed(&["exec", "n1", "--", "nft", "list", "table", "inet", "uplink"]);
        let count = list.split("counter packets ").nth(1).and_then(|rest| rest.split(' ').next());
        count.and_then(|count| count.parse().ok()).expect("a counter")
    }
}

/// The image's name contains a registry; an image that is here runs without a request to it or to a
/// name server.
#[test]
fn a_node_that_boots_alone_runs_what_it_has_and_asks_nobody() {
    let lab = TestLab::up('e', 1);
    if !lab.has_namespaces() {
        eprintln!("SKIPPED without root: containers, network namespaces");
        return;
    }
    let uplink = Uplink::lay(&lab);
    let edgectl = |words: &[&str]| lab.edgectl(1, words);
    lab.import_image();
    let waits = ["/bin/busybox", "sleep", "1000"];
    let create = ["service", "create", "--no-resolve-image", "--name", "till", IMAGE];
    edgectl(&[&create[..], &waits].concat());

    lab.succeed(&["kill", "n1"]);
    let before = uplink.packets();
    lab.succeed(&["start", "n1"]);
    let begun = std::time::Instant::now();
    loop {
        // The running task comes first, after it the one that ended with the power.
        let shown = edgectl(&["service", "ps", "--format", "{{.CurrentState}}", "till"]);
        let states: Vec<&str> = shown.lines().collect();
        if states.len() == 2 && states[0].starts_with("Running") {
            break;
        }
        assert!(begun.elapsed().as_secs() < 15, "it runs 15 s after power is back: {states:?}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(uplink.packets(), before, "nobody was asked");
    // Proves that the counter works: with a name that must be resolved.
    let _ = lab.try_edgectl(1, &["image", "pull", "registry.invalid/other:1"]);
    assert!(uplink.packets() > before, "a pull asks a name server");
}

/// The node keeps the tasks that run there, because they need no new files.
#[test]
fn a_node_that_has_no_files_left_says_so_and_tasks_go_elsewhere() {
    let lab = TestLab::up('f', 2);
    // A warning is no failure, and has a code of its own.
    let edgectl =
        |words: &[&str]| String::from_utf8_lossy(&lab.edgectl_output(1, words).stdout).into_owned();
    let until = |what: &str, words: &[&str], holds: &dyn Fn(&str) -> bool| {
        let say = || format!("{what}: {}", edgectl(words));
        until_or_say(DEADLINE, say, || holds(&edgectl(words)));
    };
    let create = ["service", "create", "-d", "--replicas"];
    let nodes = ["service", "ps", "--format", "{{.Node}} {{.CurrentState}}"];
    until("they know each other", &["node", "ls", "-q"], &|ids| ids.lines().count() == 2);
    edgectl(&[&create[..], &["2", "--name", "old", "process:sleep", "1000"]].concat());
    let both =
        |shown: &str| shown.matches("n1 Running").count() == 1 && shown.contains("n2 Running");
    until("one on each", &[&nodes[..], &["old"]].concat(), &both);

    let pid = lab.agents()[1];
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it lives").count();
    let limit = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("--nofile={open}:{open}")])
        .status();
    assert!(limit.expect("prlimit, of Debian's util-linux").success());
    until("it says so", &["status"], &|shown| shown.contains("! n2 cannot start tasks now"));
    assert!(edgectl(&["why", "n2"]).contains("may open no more files"));
    edgectl(&[&create[..], &["3", "--name", "new", "process:sleep", "1000"]].concat());
    let all_here = |shown: &str| shown.matches("n1 Running").count() == 3;
    until("all run on n1", &[&nodes[..], &["new"]].concat(), &all_here);
    until("what ran there stays", &[&nodes[..], &["old"]].concat(), &both);
}

/// Without the socket's option, sending such a datagram would report success.
#[test]
fn a_datagram_that_the_machine_throws_away_is_counted_as_not_sent() {
    let lab = TestLab::up('g', 2);
    if !lab.has_namespaces() {
        return;
    }
    let address = lab.state()["nodes"][1]["address"].as_str().expect("an address").to_owned();
    let route = lab.succeed(&["exec", "n1", "--", "ip", "route", "get", &address]);
    let link = route.split_whitespace().skip_while(|word| *word != "dev").nth(1).expect("a link");
    let queue = ["tc", "qdisc", "replace", "dev", link, "root", "pfifo", "limit", "0"];
    lab.succeed(&[&["exec", "n1", "--"][..], &queue[..]].concat());
    let socket = lab.state()["nodes"][0]["socket"].as_str().expect("a path").to_owned();
    let ask = ["exec", "n1", "--", "curl", "--silent", "--unix-socket", &socket];
    let ask = [&ask[..], &["http://localhost/edge/counters"]].concat();
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let counted: Value = serde_json::from_str(&lab.succeed(&ask)).expect("an answer in JSON");
        if counted["Counters"]["transport.unsent.enobufs"].as_u64().is_some_and(|count| count > 0) {
            break;
        }
        assert!(std::time::Instant::now() < deadline, "{counted}");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}
