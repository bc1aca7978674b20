//! Prometheus, as it is packaged by Debian, with the configuration of `docs/prometheus.md`.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::test_lab::{TestLab, busybox_image::IMAGE};

/// Writes a page of figures and serves it.
const SERVE: &str = "busybox mkdir /tmp/w; echo 'answers 1' > /tmp/w/metrics; \
                     exec busybox httpd -f -p 80 -h /tmp/w";

/// The document whose configuration is tried.
const DOCUMENT: &str = include_str!("../../../docs/prometheus.md");

/// Two nodes with a service `web` on a network, one with ports of the nodes, and a program of every
/// node.
fn fleet() -> Option<TestLab> {
    let lab = TestLab::up('v', 2).with_namespaces()?;
    lab.import_image();
    lab.edgectl(1, &["network", "create", "back"]);
    lab.until("both know it", || lab.try_edgectl(2, &["network", "inspect", "back"]).is_ok());
    let create = ["service", "create", "-d", "--no-resolve-image", "--replicas-max-per-node", "1"];
    let serve = [IMAGE, "/bin/sh", "-c", SERVE];
    let web = ["--name", "web", "--replicas", "2", "--network", "back", "--publish", "8080:80"];
    let labels = ["--label", "prometheus.port=80", "--container-label", "team=shop"];
    lab.edgectl(1, &[&create[..], &web, &labels, &serve].concat());
    let port = ["--publish", "mode=host,target=80,published=9080", "--stop-grace-period", "1s"];
    let own = ["--name", "own", "--replicas", "2", "--network", "back"];
    lab.edgectl(2, &[&create[..], &own, &port, &serve].concat());
    let pages = lab.dir.join("pages");
    std::fs::create_dir(&pages).expect("made");
    std::fs::write(pages.join("metrics"), "node 1\n").expect("written");
    let exporter = ["--name", "exporter", "--mode", "global", "process:busybox", "httpd", "-f"];
    let pages = pages.display().to_string();
    let exporter = [&create[..4], &exporter, &["-p", "9100", "-h", &pages]].concat();
    lab.edgectl(1, &exporter);
    lab.until("all run", || {
        let shown = lab.edgectl(1, &["service", "ls", "--format", "{{.Replicas}}"]);
        shown.lines().filter(|replicas| replicas.starts_with("2/2")).count() == 3
    });
    Some(lab)
}

/// The server, as a task of the first node: the folder of the agent's socket is mounted, and the
/// program with its libraries is the node's own.
struct Prometheus<'a> {
    lab: &'a TestLab,
}

impl Prometheus<'_> {
    fn start(lab: &TestLab) -> Prometheus<'_> {
        let block = DOCUMENT.split("```").nth(1).and_then(|block| block.strip_prefix("yaml\n"));
        let config = block.expect("the document has one block of YAML");
        let config = config.replace("edgectl.sock", "edge.sock").replace("15s", "1s");
        let folder = lab.dir.join("prometheus");
        std::fs::create_dir(&folder).expect("made");
        std::fs::write(folder.join("prometheus.yml"), config).expect("written");
        let socket = lab.socket(1);
        let mount = |source: &Path, target: &str| {
            format!("type=bind,source={},target={target}", source.display())
        };
        let mounts = [
            mount(socket.parent().expect("a folder"), "/run/edgectl"),
            mount(&folder, "/etc/prometheus"),
            mount(&program().expect("it is there"), "/bin/prometheus"),
            mount(Path::new("/lib"), "/lib"),
            mount(Path::new("/lib64"), "/lib64"),
        ];
        let create = ["service", "create", "-d", "--no-resolve-image", "--name", "prometheus"];
        let place = ["--network", "back", "--constraint", "node.hostname==n1"];
        let publish = ["--publish", "9090:9090", "--stop-grace-period", "1s"];
        let mounts: Vec<&str> =
            mounts.iter().flat_map(|mount| ["--mount", mount.as_str()]).collect();
        let serve = [IMAGE, "/bin/prometheus", "--config.file=/etc/prometheus/prometheus.yml"];
        let data = ["--storage.tsdb.path=/tmp/data"];
        lab.edgectl(1, &[&create[..], &place, &publish, &mounts, &serve, &data].concat());
        Prometheus { lab }
    }

    fn ask(&self, path: &str) -> Option<Value> {
        let url = format!("http://{}:9090{path}", self.lab.address(1));
        let output = self.lab.run(&["exec", "n1", "--", "curl", "-gsS", "-m", "5", &url]);
        serde_json::from_slice(&output.stdout).ok()
    }

    /// The targets of a job: address, health, and a label of each.
    fn targets(&self, job: &str, label: &str) -> Vec<(String, String, String)> {
        let Some(answer) = self.ask("/api/v1/targets?state=active") else { return Vec::new() };
        let targets = answer["data"]["activeTargets"].as_array().cloned().unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut found: Vec<_> = targets
            .iter()
            .filter(|target| target["scrapePool"] == job)
            .map(|target| {
                let address = text(&target["discoveredLabels"]["__address__"]);
                (address, text(&target["health"]), text(&target["labels"][label]))
            })
            .collect();
        found.sort();
        found
    }

    /// Waits until a job has targets with these values of a label, in this health.
    fn until(&self, job: &str, label: &str, wanted: &[(&str, &str)]) {
        let last = std::cell::RefCell::new(Vec::new());
        let holds = || {
            let found = self.targets(job, label);
            let mut rows: Vec<_> =
                found.iter().map(|(_, health, value)| (health.as_str(), value.as_str())).collect();
            rows.sort_unstable();
            let is_so = rows == wanted;
            last.replace(found);
            is_so
        };
        let begun = std::time::Instant::now();
        while !holds() {
            let found = last.borrow();
            assert!(begun.elapsed() < crate::test_lab::DEADLINE, "{job}: {found:?}");
            drop(found);
            std::thread::sleep(std::time::Duration::from_millis(200));
        }
    }
}

/// Where Debian's package puts it.
fn program() -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    let program = std::env::split_paths(&folders).map(|folder| folder.join("prometheus"));
    let program = { program }.find(|path| path.exists());
    if program.is_none() {
        eprintln!("SKIPPED without prometheus: type `cargo xtask setup`");
    }
    program
}

#[test]
fn prometheus_finds_and_scrapes_tasks_ports_and_nodes() {
    if program().is_none() {
        return;
    }
    let Some(lab) = fleet() else { return };
    let server = Prometheus::start(&lab);
    server.until("tasks", "task", &[("up", "web.1"), ("up", "web.2")]);
    server.until("host-ports", "node", &[("up", "n1"), ("up", "n2")]);
    server.until("nodes", "node", &[("up", "n1"), ("up", "n2")]);
    // What it tells of a task is what Swarm would tell.
    let answer = server.ask("/api/v1/targets?state=active").expect("it answers");
    let targets = answer["data"]["activeTargets"].as_array().expect("a list");
    let task = targets.iter().find(|target| target["scrapePool"] == "tasks").expect("one of two");
    for (label, value) in [
        ("network_name", "back"),
        ("network_ingress", "false"),
        ("network_scope", "swarm"),
        ("service_name", "web"),
        ("service_mode", "replicated"),
        ("container_label_team", "shop"),
        ("task_state", "running"),
        ("node_status", "ready"),
        ("node_availability", "active"),
        ("node_platform_os", "linux"),
    ] {
        let found = &task["discoveredLabels"][format!("__meta_dockerswarm_{label}")];
        assert_eq!(found, value, "{label}: {task}");
    }
    let figures = server.ask("/api/v1/query?query=sum(answers)").expect("it answers");
    assert_eq!(figures["data"]["result"][0]["value"][1], "4", "{figures}");

    // Past tasks are no targets.
    lab.edgectl(2, &["service", "update", "-d", "--no-resolve-image", "--force", "own"]);
    lab.edgectl(2, &["service", "scale", "-d", "web=1"]);
    lab.until("one is left", || {
        let replicas = ["service", "ls", "-f", "name=web", "--format", "{{.Replicas}}"];
        lab.edgectl(1, &replicas).starts_with("1/1")
    });
    server.until("tasks", "task", &[("up", "web.1")]);
    server.until("host-ports", "node", &[("up", "n1"), ("up", "n2")]);

    // An agent that starts again makes its socket anew.
    lab.kill_agent(1);
    lab.succeed(&["start", "n1"]);
    lab.edgectl(2, &["service", "scale", "-d", "web=2"]);
    server.until("tasks", "task", &[("up", "web.1"), ("up", "web.2")]);

    // What is not heard is a target, and down.
    lab.kill_agent(2);
    lab.succeed(&["cut", "n2"]);
    server.until("nodes", "node", &[("down", "n2"), ("up", "n1")]);
}
