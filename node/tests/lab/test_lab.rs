//! A lab that ends with its test, and what all tests of labs ask of it.

#![allow(dead_code, reason = "every test that has this file uses a part of it")]

#[path = "busybox_image.rs"]
pub mod busybox_image;

use std::ffi::OsStr;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use busybox_image::IMAGE;
use serde_json::Value;

/// Enough for a machine that is busy with other tests.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks whether something holds.
const PAUSE: Duration = Duration::from_millis(50);

/// A lab of this test alone, removed when the test ends.
pub struct TestLab {
    pub name: String,
    pub dir: PathBuf,
}

impl TestLab {
    pub fn up(letter: char, nodes: u8) -> TestLab {
        TestLab::up_with(letter, nodes, &[])
    }

    pub fn up_with(letter: char, nodes: u8, flags: &[&str]) -> TestLab {
        let name = format!("{letter}{}", std::process::id());
        let dir = PathBuf::from(format!("/tmp/edgelab-{name}"));
        let lab = TestLab { name, dir };
        let up = lab.run(&[&["up", "-n", &nodes.to_string()], flags].concat());
        assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
        lab
    }

    /// The lab, if its nodes can have containers and networks.
    pub fn with_namespaces(self) -> Option<TestLab> {
        if self.has_namespaces() {
            return Some(self);
        }
        eprintln!("SKIPPED without root: containers, network namespaces");
        None
    }

    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
        let (before, after) = match words.iter().position(|word| *word == "--") {
            Some(at) => words.split_at(at),
            None => (words, &[][..]),
        };
        command.arg("lab").args(before).args(["--name", &self.name]).args(after);
        command.output().expect("edgectl was built for this test")
    }

    pub fn succeed(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "lab {}: {said}", words.join(" "));
        String::from_utf8(output.stdout).expect("the output is text")
    }

    /// A command of an operator, with what it prints.
    pub fn edgectl(&self, node: u8, words: &[&str]) -> String {
        self.try_edgectl(node, words).unwrap_or_else(|error| panic!("n{node} {words:?}: {error}"))
    }

    /// The same; if it fails, what it says of that.
    pub fn try_edgectl(&self, node: u8, words: &[&str]) -> Result<String, String> {
        let output = self.edgectl_output(node, words);
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// The same, whether or not it succeeds.
    pub fn edgectl_output(&self, node: u8, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
        let output = command.arg("-H").arg(self.socket(node)).args(words).output();
        output.expect("edgectl was built for this test")
    }

    /// Where a node's agent listens for operators.
    pub fn socket(&self, node: u8) -> PathBuf {
        self.dir.join(format!("n{node}/edge.sock"))
    }

    /// Gives every node the image [`IMAGE`]. One and the same: an import on each would make as many, and a
    /// service that is pinned to one of them could start nowhere else without its node.
    pub fn import_image(&self) {
        let (root, image) = (self.dir.join("root.tar"), self.dir.join("image.tar"));
        busybox_image::write(&root);
        self.edgectl(1, &["image", "import", &root.display().to_string(), IMAGE]);
        let image = image.display().to_string();
        self.edgectl(1, &["image", "save", "--output", &image, IMAGE]);
        for node in 2..=self.node_count() {
            self.edgectl(node, &["image", "load", "--input", &image]);
        }
    }

    pub fn state(&self) -> Value {
        let text =
            std::fs::read_to_string(self.dir.join("lab.json")).expect("a lab has a state file");
        serde_json::from_str(&text).expect("the state is JSON")
    }

    pub fn has_namespaces(&self) -> bool {
        self.state()["links"] == "namespaces"
    }

    /// How many nodes it was made with.
    pub fn node_count(&self) -> u8 {
        let nodes = self.state()["nodes"].as_array().expect("a list of nodes").len();
        u8::try_from(nodes).expect("few")
    }

    /// The agents' process ids, in the order of the nodes.
    pub fn agents(&self) -> Vec<u64> {
        let nodes = self.state()["nodes"].as_array().expect("a list of nodes").clone();
        nodes.iter().map(|node| node["process"]["pid"].as_u64().expect("a process id")).collect()
    }

    pub fn address(&self, node: u8) -> Ipv4Addr {
        let state = self.state();
        let address = &state["nodes"][usize::from(node) - 1]["address"];
        address.as_str().and_then(|text| text.parse().ok()).expect("an address")
    }

    /// The namespace of a node.
    pub fn host(&self, node: u8) -> PathBuf {
        self.namespace(&format!("n{node}"))
    }

    /// A namespace of the lab by its name: that of a node, or `switch`, which lies between them.
    pub fn namespace(&self, name: &str) -> PathBuf {
        format!("/run/netns/edgelab-{}-{name}", self.name).into()
    }

    /// Kills a node's agent, and waits until it has ended.
    pub fn kill_agent(&self, node: u8) {
        let agent = self.agents()[usize::from(node) - 1].to_string();
        let killed = Command::new("kill").args(["-9", &agent]).status();
        assert!(killed.expect("kill is there").success(), "the agent of n{node} was not there");
        // Its sockets are closed when the last of its threads has ended.
        self.until("the agent has ended", || {
            let threads = std::fs::read_dir(format!("/proc/{agent}/task"));
            let threads = threads.map_or(0, Iterator::count);
            let stat = std::fs::read_to_string(format!("/proc/{agent}/stat")).unwrap_or_default();
            threads == 0 || threads == 1 && stat.contains(") Z ")
        });
    }

    /// A process that a node's agent has beside it, and that outlives it: `keeper` or `tunnel`.
    pub fn process_beside(&self, node: u8, word: &str) -> Option<u32> {
        let directory = self.networks(node);
        let own: [&OsStr; 3] = ["edgectl".as_ref(), word.as_ref(), directory.as_ref()];
        let processes = std::fs::read_dir("/proc").expect("readable").flatten();
        let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.find(|pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words = line.split(|byte| *byte == 0);
            words.take(own.len()).eq(own.map(OsStr::as_encoded_bytes))
        })
    }

    /// Kills it, and waits until it is gone: who looks for another one must not find this one.
    pub fn kill_beside(&self, node: u8, word: &str) {
        let found = self.process_beside(node, word).expect("the agent has it");
        let pid = nix::unistd::Pid::from_raw(i32::try_from(found).expect("a process id"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it runs");
        self.until("it is gone", || self.process_beside(node, word) != Some(found));
    }

    /// Where a node keeps its namespaces.
    pub fn networks(&self, node: u8) -> PathBuf {
        self.dir.join(format!("n{node}/edge.networks"))
    }

    /// What a node tells of a network that is not as planned.
    pub fn network_failures(&self, node: u8, network: &str) -> String {
        let inspect = ["network", "inspect", "--format", "{{.Edge.Failures}}", network];
        self.try_edgectl(node, &inspect).unwrap_or_default()
    }

    pub fn until(&self, what: &str, holds: impl Fn() -> bool) {
        until_within(DEADLINE, what, holds);
    }
}

impl Drop for TestLab {
    fn drop(&mut self) {
        self.run(&["down"]);
    }
}

/// Waits until something holds, and returns how long that took.
pub fn until_within(deadline: Duration, what: &str, holds: impl Fn() -> bool) -> Duration {
    until_or_say(deadline, || what.to_owned(), holds)
}

/// The same, with more to say when it was in vain.
pub fn until_or_say(
    deadline: Duration,
    say: impl Fn() -> String,
    holds: impl Fn() -> bool,
) -> Duration {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < deadline, "waited {deadline:?} in vain for: {}", say());
        std::thread::sleep(PAUSE);
    }
    begun.elapsed()
}
