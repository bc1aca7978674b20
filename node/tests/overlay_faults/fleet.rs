//! Nodes with an image and a network, and what the kernel says of the tasks that run there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Deref;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use nix::sched::{CloneFlags, setns};
use serde_json::Value;

pub use crate::test_lab::until_within;
use crate::test_lab::{TestLab, busybox_image::IMAGE};

/// Serves its own host name.
const SERVE: &str = "hostname > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp";

/// Does it answer?
const CHECK: &str = "busybox wget -qO /dev/null http://127.0.0.1/";

/// A lab whose nodes have the image.
pub struct Fleet {
    pub lab: TestLab,
}

impl Deref for Fleet {
    type Target = TestLab;

    fn deref(&self) -> &TestLab {
        &self.lab
    }
}

/// A task that runs.
#[derive(Debug, Clone)]
pub struct Task {
    pub node: u8,
    /// The namespace of its network, as its node keeps it.
    pub space: PathBuf,
}

impl Fleet {
    /// `None` without root.
    pub fn open(letter: char, nodes: u8) -> Option<Fleet> {
        let lab = TestLab::up(letter, nodes).with_namespaces()?;
        lab.import_image();
        Some(Fleet { lab })
    }

    pub fn nodes(&self) -> impl Iterator<Item = u8> + use<> {
        1..=self.lab.node_count()
    }

    /// A network that all nodes know.
    pub fn create_network(&self, words: &[&str]) {
        let name = words.last().expect("a name");
        self.edgectl(1, &[&["network", "create"], words].concat());
        for node in self.nodes() {
            let is_known = || self.try_edgectl(node, &["network", "inspect", name]).is_ok();
            self.until("every node knows the network", is_known);
        }
    }

    /// A service of tasks that answer HTTP with their host name; in its names when they do.
    pub fn create_web(&self, node: u8, name: &str, more: &[&str]) {
        let create = ["service", "create", "-d", "--no-resolve-image", "--init", "--name", name];
        // Without a check a task takes connections from the moment its program runs, which is before
        // it listens.
        let check = ["--health-cmd", CHECK, "--health-interval", "200ms", "--health-retries", "3"];
        let run = [IMAGE, "/bin/sh", "-c", SERVE];
        self.edgectl(node, &[&create[..], &check, more, &run].concat());
    }

    /// A service of tasks that do nothing.
    pub fn create_idle(&self, node: u8, name: &str, more: &[&str]) {
        let create = ["service", "create", "-d", "--no-resolve-image", "--name", name];
        self.edgectl(node, &[&create[..], more, &[IMAGE, "/bin/sleep", "100000"]].concat());
    }

    /// The running tasks of a service, as a node shows them.
    pub fn tasks(&self, asked: u8, service: &str) -> Vec<Task> {
        let columns = "{{.ID}} {{.Node}} {{.CurrentState}}";
        let words = ["service", "ps", "--no-trunc", "--format", columns, service];
        let shown = self.try_edgectl(asked, &words).unwrap_or_default();
        let task = |row: &str| {
            let [id, node, state] = row.splitn(3, ' ').collect::<Vec<_>>().try_into().ok()?;
            let node: u8 = node.strip_prefix('n')?.parse().ok()?;
            let space = self.spaces(node).into_iter().find(|space| is_of(space, id))?;
            state.starts_with("Running").then_some(Task { node, space })
        };
        shown.lines().filter_map(task).collect()
    }

    pub fn await_tasks(&self, asked: u8, service: &str, count: usize) -> Vec<Task> {
        self.until("its tasks run", || self.tasks(asked, service).len() == count);
        self.tasks(asked, service)
    }

    /// The namespaces of all tasks of a node.
    pub fn spaces(&self, node: u8) -> Vec<PathBuf> {
        let mut all = files(&self.networks(node).join("task"));
        all.retain(|space| space.extension().is_none_or(|extension| extension != "json"));
        all
    }

    /// The namespaces of all networks of a node.
    pub fn network_spaces(&self, node: u8) -> Vec<PathBuf> {
        files(&self.networks(node).join("net"))
    }

    /// The events that a node remembers.
    pub fn events(&self, node: u8) -> String {
        self.edgectl(node, &["events", "--since", "10m", "--until", "0s"])
    }
}

/// The address of the only interface of a task, as the kernel has it.
pub fn address_in(space: &Path) -> Option<Ipv4Addr> {
    let shown = run_in(space, &["ip", "-j", "-4", "address", "show", "scope", "global"]);
    let shown: Value = serde_json::from_str(&shown).ok()?;
    shown[0]["addr_info"][0]["local"].as_str()?.parse().ok()
}

/// The first process of each of these tasks' containers. Health checks and requests have others.
pub fn first_processes(spaces: &[PathBuf]) -> BTreeMap<PathBuf, u32> {
    let first = |space: &PathBuf| {
        let all = processes_in(space).into_iter();
        all.filter_map(|pid| Some((started(pid)?, pid))).min().map(|(_, pid)| (space.clone(), pid))
    };
    spaces.iter().filter_map(first).collect()
}

/// The processes whose network is this namespace.
fn processes_in(space: &Path) -> BTreeSet<u32> {
    let wanted = std::fs::metadata(space).map(|file| file.ino()).expect("a namespace");
    let processes = std::fs::read_dir("/proc").expect("readable").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_in = |pid: &u32| {
        let own = std::fs::metadata(format!("/proc/{pid}/ns/net"));
        own.is_ok_and(|own| own.ino() == wanted)
    };
    pids.filter(is_in).collect()
}

/// When a process began, in ticks of the kernel: the 20th field behind the name (proc_pid_stat(5)).
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Moves this thread into a namespace.
pub fn enter(space: &Path) {
    let file = File::open(space).unwrap_or_else(|error| panic!("{}: {error}", space.display()));
    setns(file, CloneFlags::CLONE_NEWNET).expect("entered, as root");
}

/// What a command prints that runs in a namespace.
pub fn run_in(space: &Path, words: &[&str]) -> String {
    let net = format!("--net={}", space.display());
    let output = Command::new("nsenter").arg(net).arg("--").args(words).output();
    succeeded(output, &words.join(" "))
}

/// The virtual address of a service on a network, as a node shows it.
pub fn virtual_address(fleet: &Fleet, service: &str) -> IpAddr {
    let format = "{{range .Endpoint.VirtualIPs}}{{.Addr}} {{end}}";
    let shown = fleet.edgectl(1, &["service", "inspect", "--format", format, service]);
    let first = shown.split_whitespace().next().expect("a virtual address");
    first.split('/').next().and_then(|text| text.parse().ok()).expect("an address")
}

fn succeeded(output: std::io::Result<Output>, what: &str) -> String {
    let output = output.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn is_of(space: &Path, task: &str) -> bool {
    space.file_stem().is_some_and(|stem| stem == task)
}
