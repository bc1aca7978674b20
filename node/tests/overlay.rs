//! Containers of one network on three nodes: names, virtual addresses and published ports, while
//! agents die and links are cut. As root only.

#[path = "overlay/blue_green.rs"]
mod blue_green;
#[path = "overlay/interfaces.rs"]
mod interfaces;
#[path = "lab/test_lab.rs"]
mod test_lab;

use std::collections::BTreeSet;
use std::fs::File;
use std::net::TcpListener;
use std::ops::Deref;

use nix::sched::{CloneFlags, setns};
use test_lab::{TestLab, busybox_image::IMAGE};

/// Each request draws one of three tasks: so many miss one once in 60,000 times.
const ENOUGH: usize = 30;

/// Resolves a name as a client does, and takes the first address.
const RESOLVE: &str = "resolve() { busybox nslookup $1 | busybox awk \
                       '/^Name:/ { named = 1 } named && /^Address/ { print $2; exit }'; }";

/// Serves its own host name.
const SERVE: &str = "hostname > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp";

/// Does it answer?
const CHECK: &str = "busybox wget -qO /dev/null http://127.0.0.1/";

/// Three nodes with an image, a network, a service `web` with a task on each node, and a task `cli`
/// on the first.
struct Shop {
    lab: TestLab,
}

impl Deref for Shop {
    type Target = TestLab;

    fn deref(&self) -> &TestLab {
        &self.lab
    }
}

impl Shop {
    /// `None` without root.
    fn open(letter: char) -> Option<Shop> {
        let shop = Shop { lab: TestLab::up(letter, 3).with_namespaces()? };
        shop.import_image();
        shop.edgectl(1, &["network", "create", "back"]);
        for node in 1..=3 {
            let inspect = ["network", "inspect", "back"];
            shop.until("every node knows it", || shop.try_edgectl(node, &inspect).is_ok());
        }
        let create = ["service", "create", "-d", "--no-resolve-image", "--network", "back"];
        let web = ["--name", "web", "--init", "--replicas", "3", "--replicas-max-per-node", "1"];
        // Without a check a task takes connections from the moment its program runs, which is before
        // it listens.
        let check = ["--health-cmd", CHECK, "--health-interval", "200ms", "--health-retries", "1"];
        let port = ["--publish", "8080:80", IMAGE, "/bin/sh", "-c", SERVE];
        shop.edgectl(2, &[&create[..], &web, &check, &port].concat());
        let cli = ["--name", "cli", "--constraint", "node.hostname==n1", IMAGE];
        shop.edgectl(3, &[&create[..], &cli, &["/bin/sleep", "100000"]].concat());
        shop.until("all tasks run", || shop.runs("web") == 3 && shop.runs("cli") == 1);
        Some(shop)
    }

    /// How many tasks run; none while the first node has not heard of the service.
    fn runs(&self, service: &str) -> usize {
        let ps = ["service", "ps", "--format", "{{.CurrentState}}", service];
        let shown = self.try_edgectl(1, &ps).unwrap_or_default();
        shown.lines().filter(|state| state.starts_with("Running")).count()
    }

    /// How many tasks of `web` take connections, as the task `cli` sees it.
    fn ready(&self) -> usize {
        found(&self.in_cli(&["nslookup", "tasks.web"]))
    }

    /// A command in the task `cli`; empty if it fails.
    fn in_cli(&self, words: &[&str]) -> String {
        self.try_edgectl(1, &[&["exec", "cli.1"], words].concat()).unwrap_or_default()
    }

    /// Who answers a number of requests that a task or, with `from`, a node sends.
    fn answers(&self, from: Option<u8>, host: &str, requests: usize) -> BTreeSet<String> {
        let each =
            format!("for i in $(busybox seq {requests}); do busybox timeout 3 busybox wget -qO-");
        let said = match from {
            None => {
                let line = format!("{RESOLVE}; {each} http://$(resolve {host})/; done");
                self.in_cli(&["/bin/sh", "-c", &line])
            }
            Some(node) => {
                let (at, line) = (format!("n{node}"), format!("{each} http://{host}/; done"));
                let output = self.lab.run(&["exec", &at, "--", "sh", "-c", &line]);
                String::from_utf8_lossy(&output.stdout).into_owned()
            }
        };
        said.lines().map(str::to_owned).collect()
    }

    /// The tasks of a service and since when each runs: nothing is restarted while this stays.
    fn attempts(&self, service: &str) -> BTreeSet<String> {
        let shown = self.edgectl(1, &["service", "ps", "-q", "--no-trunc", service]);
        shown.lines().map(str::to_owned).collect()
    }
}

/// The lines of an answer of nslookup that are addresses of the name.
fn found(said: &str) -> usize {
    let behind = said.split_once("Name:").map_or("", |(_, behind)| behind);
    behind.lines().filter(|line| line.trim_start().starts_with("Address")).count()
}

#[test]
fn a_network_spans_nodes_by_name_by_virtual_address_and_by_port() {
    let Some(shop) = Shop::open('o') else { return };
    // By name, through the virtual address: every task gets its share.
    shop.until("all three answer", || shop.answers(None, "web", 12).len() == 3);
    assert_eq!(found(&shop.in_cli(&["nslookup", "web"])), 1);
    assert_eq!(found(&shop.in_cli(&["nslookup", "tasks.web"])), 3);
    let one = shop.answers(None, "web.2", 2);
    assert_eq!(one.len(), 1);
    assert!(shop.in_cli(&["nslookup", "nothing.back"]).is_empty(), "there is no such name");
    // What each node answers, as their own servers say.
    let said = |name: &str| -> serde_json::Value {
        // It fails while nodes answer differently.
        let json = shop.try_edgectl(1, &["dns", "--json", "--all", name]).unwrap_or_default();
        let found: serde_json::Value = serde_json::from_str(&json).unwrap_or_default();
        found["Networks"][0].clone()
    };
    let count = |rows: &serde_json::Value, key: &str, word: &str| {
        rows.as_array().into_iter().flatten().filter(|row| row[key] == word).count()
    };
    shop.until("all nodes answer alike", || {
        count(&said("web.back")["Nodes"], "Outcome", "answers") == 3
    });
    assert!(shop.in_cli(&["ping", "-c", "1", "-W", "2", "web"]).contains("1 packets received"));
    // By the port, on every node, from each and from itself.
    for node in 1..=3 {
        assert_eq!(shop.answers(Some(node), "127.0.0.1:8080", ENOUGH).len(), 3, "node {node}");
        let other = format!("{}:8080", shop.address(node));
        assert_eq!(shop.answers(Some(1), &other, ENOUGH).len(), 3, "node {node} from the first");
    }

    let before = shop.attempts("web");
    check_taken_port(&shop);
    check_picked_ports(&shop);

    // Without agents everything goes on.
    for node in 1..=3 {
        shop.kill_agent(node);
    }
    assert_eq!(shop.answers(Some(2), "127.0.0.1:8080", ENOUGH).len(), 3);
    // A start complains about the agents that are still missing, except the last.
    for node in ["n1", "n2"] {
        shop.lab.run(&["start", node]);
    }
    shop.lab.succeed(&["start", "n3"]);
    shop.until("names answer again", || shop.answers(None, "web", 12).len() == 3);
    assert_eq!(shop.attempts("web"), before, "nothing was restarted");

    // A cut: what is left on this side answers, and nobody else is asked.
    shop.lab.succeed(&["cut", "n1"]);
    shop.until("only its own task answers", || {
        let answers = shop.answers(None, "web", 12);
        !answers.is_empty() && answers.len() < 3 && shop.answers(None, "web", 6) == answers
    });
    shop.until("the others are silent, and last in the answer", || {
        let found = said("tasks.web");
        let last = count(&found["Services"][0]["Tasks"], "Standing", "last");
        last == 2 && count(&found["Nodes"], "Outcome", "silent") == 2
    });
    shop.lab.succeed(&["heal"]);
    shop.until("all three answer", || shop.answers(None, "web", 12).len() == 3);

    // Somebody flushes the rules of a node and removes a link of ours: both come back.
    let host = |words: &[&str]| shop.lab.succeed(&[&["exec", "n1", "--"], words].concat());
    let links = host(&["ip", "-o", "link"]);
    let name = links.split_whitespace().find(|word| word.starts_with("ec")).expect("one of ours");
    let name = name.split('@').next().expect("a name");
    host(&["nft", "flush", "ruleset"]);
    host(&["ip", "link", "delete", name]);
    shop.until("the port answers again", || shop.answers(Some(1), "127.0.0.1:8080", 12).len() == 3);
    assert_eq!(shop.attempts("web"), before, "nothing was restarted");

    let dir = shop.lab.dir.clone();
    shop.lab.succeed(&["down"]);
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("readable");
    assert!(!mounts.contains(&dir.display().to_string()), "a namespace is left: {mounts}");
}

/// A program of a node keeps its port, and only there the port is missing, for as long.
fn check_taken_port(shop: &Shop) {
    let agent = shop.lab.agents()[1];
    let namespace = File::open(format!("/proc/{agent}/ns/net")).expect("the agent runs");
    let bound = std::thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).expect("it is a namespace");
        TcpListener::bind("127.0.0.1:8081").expect("nobody has the port yet")
    });
    let program = bound.join().expect("it is bound");
    let publish = ["service", "update", "-d", "--no-resolve-image", "--publish-add", "8081:80"];
    shop.edgectl(3, &[&publish[..], &["web"]].concat());
    let why = |node| shop.edgectl(node, &["why", "web"]);
    let answers = |node: u8| shop.answers(Some(1), &format!("{}:8081", shop.address(node)), 6);
    shop.until("others publish it", || answers(3).len() > 1);
    let holder = format!("(process {}) has it; stop it", std::process::id());
    shop.until("the program is named", || why(2).contains(&holder));
    assert!(!why(3).contains("not published"));
    assert!(answers(2).is_empty(), "nobody listens at that address");
    drop(program);
    shop.until("it is published", || answers(2).len() > 1);
    assert!(!why(2).contains("not published"));
}

/// Each task has a port of its own, on its node only.
fn check_picked_ports(shop: &Shop) {
    let publish = ["service", "update", "-d", "--no-resolve-image", "--publish-add"];
    shop.edgectl(1, &[&publish[..], &["mode=host,target=80", "web"]].concat());
    let shown = || -> Vec<(u8, String)> {
        let rows = shop.edgectl(3, &["service", "ps", "--format", "{{.Node}} {{.Ports}}", "web"]);
        let row = |row: &str| {
            let (node, ports) = row.split_once(" *:")?;
            let (number, _) = ports.split_once("->80/tcp")?;
            Some((node.strip_prefix('n')?.parse().ok()?, number.to_owned()))
        };
        rows.lines().filter_map(row).collect()
    };
    shop.until("all numbers are shown", || shown().len() == 3);
    for (node, number) in shown() {
        let of = |node: u8| shop.answers(Some(1), &format!("{}:{number}", shop.address(node)), 3);
        shop.until("the task answers", || of(node).len() == 1);
        let other = node % 3 + 1;
        assert!(of(other).is_empty(), "{number} is a port of n{node} only, and n{other} answers");
    }
}

#[test]
fn clients_notice_nothing_when_a_service_is_scaled_and_updated() {
    let Some(shop) = Shop::open('p') else { return };
    shop.until("all three answer", || shop.answers(None, "web", 12).len() == 3);
    // One request after the other; every failure leaves a line.
    let script = format!(
        "{RESOLVE}; i=0; while [ ! -e /tmp/stop ]; do \
         busybox timeout 5 busybox wget -qO /tmp/answer http://$(resolve web)/ || echo $i >> /tmp/failures; \
         i=$((i+1)); echo $i > /tmp/requests; done"
    );
    let client = ["exec", "-d", "cli.1", "/bin/sh", "-c", &script];
    shop.edgectl(1, &client);
    shop.edgectl(1, &["service", "scale", "-d", "web=1"]);
    shop.until("one is left", || shop.ready() == 1);
    shop.edgectl(2, &["service", "scale", "-d", "web=3"]);
    shop.until("three are ready", || shop.ready() == 3);
    let update = ["service", "update", "-d", "--no-resolve-image", "--env-add", "V=2"];
    shop.edgectl(3, &[&update[..], &["--update-monitor", "1s", "web"]].concat());
    shop.until("the new version runs", || {
        let shown =
            shop.edgectl(1, &["service", "inspect", "--format", "{{.UpdateStatus.State}}", "web"]);
        shown.trim() == "completed" && shop.ready() == 3
    });
    shop.in_cli(&["/bin/sh", "-c", "echo > /tmp/stop"]);
    let failures = shop.in_cli(&["/bin/sh", "-c", "busybox cat /tmp/failures"]);
    let requests = shop.in_cli(&["/bin/sh", "-c", "busybox cat /tmp/requests"]);
    let requests: usize = requests.trim().parse().expect("a number");
    assert!(requests > 100, "only {requests} requests were sent");
    assert_eq!(failures.lines().count(), 0, "of {requests} requests");
}
