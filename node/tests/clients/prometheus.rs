//! Prometheus, as it is packaged by Debian, with the configuration of `docs/prometheus.md`.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::test_lab::{TestLab, busybox_image::IMAGE};

/// Writes a page of figures and serves it.
const SERVE: &str = "busybox mkdir /tmp/w; echo 'answers 1' > /tmp/w/metrics; \
                     exec busybox httpd -f -p 80 -h /tmp/w";

/// The document whose configuration is tried.
const DOCUMENT: &str = include_str!("../../../docs/prometheus.md");

/// Where the server listens, in the namespace of the first node.
const LISTEN: &str = "127.0.0.1:9090";

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

/// A server that ends with its test.
struct Prometheus<'a> {
    lab: &'a TestLab,
    server: Child,
}

impl Prometheus<'_> {
    /// Starts it on the first node.
    fn start(lab: &TestLab) -> Prometheus<'_> {
        let block = DOCUMENT.split("```").nth(1).and_then(|block| block.strip_prefix("yaml\n"));
        let socket = lab.socket(1).display().to_string();
        let config = block
            .expect("the document has one block of YAML")
            .replace("/run/edgectl/edgectl.sock", &socket)
            .replace("15s", "1s");
        let path = lab.dir.join("prometheus.yml");
        std::fs::write(&path, config).expect("written");
        let log = File::create(lab.dir.join("prometheus.log")).expect("made");
        // Without the program between, so that the server itself is the child.
        let namespace = format!("--net={}", lab.host(1).display());
        let server = Command::new("nsenter")
            .args([&namespace, "prometheus", &format!("--config.file={}", path.display())])
            .arg(format!("--storage.tsdb.path={}", lab.dir.join("tsdb").display()))
            .arg(format!("--web.listen-address={LISTEN}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("another handle"))
            .stderr(log)
            .spawn()
            .expect("nsenter is there");
        Prometheus { lab, server }
    }

    fn ask(&self, path: &str) -> Option<Value> {
        let url = format!("http://{LISTEN}{path}");
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

impl Drop for Prometheus<'_> {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn prometheus_is_there() -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        std::env::split_paths(&folders).any(|dir: PathBuf| dir.join("prometheus").exists());
    if !is_there {
        eprintln!("SKIPPED without prometheus: type `cargo xtask setup`");
    }
    is_there
}

#[test]
fn prometheus_finds_and_scrapes_tasks_ports_and_nodes() {
    if !prometheus_is_there() {
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

    // What is not heard is a target, and down.
    lab.kill_agent(2);
    lab.succeed(&["cut", "n2"]);
    server.until("nodes", "node", &[("down", "n2"), ("up", "n1")]);
    server.until("host-ports", "node", &[("down", "n2"), ("up", "n1")]);
}
