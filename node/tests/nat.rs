//! Nodes behind routers that translate addresses: they dial out, nobody dials in, and their
//! containers are on the network like all others. As root only.

#[path = "lab/test_lab.rs"]
mod test_lab;

use std::collections::BTreeSet;
use std::ops::Deref;
use std::process::Command;
use std::time::{Duration, Instant};

use test_lab::{TestLab, busybox_image::IMAGE, until_or_say};

/// Enough for a machine that is busy with other tests: a path is given up after some 20 s.
const DEADLINE: Duration = Duration::from_secs(90);

/// Each request draws one of three tasks: so many miss one once in 60,000 times.
const ENOUGH: usize = 30;

const SERVE: &str = "hostname > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp";

/// Asks the service by its name so many times; a line for each answer.
const ASK: &str = "a=$(busybox nslookup web | busybox awk '/^Name:/ { named = 1 } \
                   named && /^Address/ { print $2; exit }'); \
                   for i in $(busybox seq $0); do \
                   busybox timeout 3 busybox wget -qO- http://$a/ || echo lost; done";

/// Three nodes, with a task of `web` on each; two of them are behind routers of their own.
struct Park {
    lab: TestLab,
}

impl Deref for Park {
    type Target = TestLab;

    fn deref(&self) -> &TestLab {
        &self.lab
    }
}

impl Park {
    /// `None` without root.
    fn open() -> Option<Park> {
        let park = Park { lab: TestLab::up('x', 3).with_namespaces()? };
        for node in ["n2", "n3"] {
            park.lab.succeed(&["nat", node]);
        }
        park.import_image();
        park.until("all are a fleet again", || {
            (1..=3).all(|node| park.edgectl(node, &["node", "ls"]).matches("Ready").count() == 3)
        });
        park.edgectl(2, &["network", "create", "back"]);
        let inspect = ["network", "inspect", "back"];
        park.until("every node knows the network", || {
            (1..=3).all(|node| park.try_edgectl(node, &inspect).is_ok())
        });
        let create = ["service", "create", "-d", "--no-resolve-image", "--network", "back"];
        let web = ["--name", "web", "--init", "--replicas", "3", "--replicas-max-per-node", "1"];
        let task = ["-p", "8080:80", IMAGE, "/bin/sh", "-c", SERVE];
        park.edgectl(2, &[&create[..], &web, &task].concat());
        Some(park)
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let say = || format!("{what}; {:?}", self.try_edgectl(2, &["net", "check"]));
        until_or_say(DEADLINE, say, holds);
    }

    /// What the task on a node is answered, by name.
    fn ask(&self, node: u8, times: usize) -> Vec<String> {
        let list = ["service", "ps", "web", "--format", "{{.Name}} {{.Node}}"];
        let listed = self.try_edgectl(node, &list).unwrap_or_default();
        let here = format!(" n{node}");
        let Some(task) = listed.lines().find_map(|line| line.strip_suffix(&here)) else {
            return Vec::new();
        };
        let times = times.to_string();
        let output = self.edgectl_output(node, &["exec", task, "/bin/sh", "-c", ASK, &times]);
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// What a client of a node is answered on the published port.
    fn ask_port(&self, node: u8) -> String {
        let words = ["curl", "-s", "-m", "3", "http://127.0.0.1:8080/"];
        let host = format!("--net={}", self.host(node).display());
        let output = Command::new("nsenter").arg(host).arg("--").args(words).output();
        String::from_utf8_lossy(&output.expect("nsenter is there").stdout).trim().to_owned()
    }

    /// Does every node reach all three tasks, by name and by port, and none of them in vain?
    fn is_whole(&self) -> bool {
        (1..=3).all(|node| {
            let answers: BTreeSet<String> = self.ask(node, ENOUGH).into_iter().collect();
            let ports: BTreeSet<String> = (0..ENOUGH).map(|_| self.ask_port(node)).collect();
            answers.len() == 3 && !answers.contains("lost") && ports == answers
        })
    }
}

#[test]
fn nodes_behind_routers_are_full_members() {
    let Some(park) = Park::open() else { return };
    park.until("every task is reached from every node", || park.is_whole());
    let way = ["net", "check", "--format", "{{.Node}} {{.Way}} {{.State}}"];
    for (node, others) in [(1, ["n2", "n3"]), (2, ["n1", "n3"]), (3, ["n1", "n2"])] {
        let paths = park.edgectl(node, &way);
        for other in others {
            assert!(paths.contains(&format!("{other} tunnel silent")), "n{node}: {paths}");
        }
    }
    // A later agent leads packets as before, before it has probed anything.
    let asks = std::thread::scope(|scope| {
        let asks = scope.spawn(|| {
            let (begun, mut answers) = (Instant::now(), Vec::new());
            while begun.elapsed() < Duration::from_secs(10) {
                answers.push(park.ask_port(1));
            }
            answers
        });
        park.kill_agent(2);
        park.lab.succeed(&["start", "n2"]);
        asks.join().expect("it asks")
    });
    let lost = asks.iter().filter(|answer| answer.is_empty()).count();
    assert!(lost == 0 && asks.len() > ENOUGH, "{lost} of {} lost", asks.len());
    assert!(park.is_whole());
}
