//! Agents that listen at all addresses of their machines, as is the default, and which of these the
//! others are told. As root only.

#[path = "lab/busybox_image.rs"]
mod busybox_image;
#[path = "lab/test_lab.rs"]
mod test_lab;

use std::process::Command;
use std::time::{Duration, Instant};

use busybox_image::IMAGE;
use serde_json::Value;
use test_lab::TestLab;

/// Enough for a machine that is busy with other tests.
const DEADLINE: Duration = Duration::from_secs(60);

/// Lower than every address of the lab, and than those of its nodes' sites.
const SUBNET: &str = "10.4.0.0/16";

/// Links that other machines are not reached by, with lower addresses than the lab's.
const INNER: [(&str, &str); 2] = [("docker0", "10.1.0.1/24"), ("lan0", "10.2.0.1/24")];

struct Site {
    lab: TestLab,
}

impl Site {
    fn try_edgectl(&self, node: u8, words: &[&str]) -> Result<String, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
        command.arg("-H").arg(self.lab.dir.join(format!("n{node}/edge.sock"))).args(words);
        let output = command.output().expect("edgectl was built for this test");
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn edgectl(&self, node: u8, words: &[&str]) -> String {
        self.try_edgectl(node, words).unwrap_or_else(|error| panic!("{words:?}: {error}"))
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let begun = Instant::now();
        while !holds() {
            let peers = (self.peers(1), self.peers(2));
            assert!(begun.elapsed() < DEADLINE, "waited in vain for: {what}; {peers:?}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn address(&self, node: usize) -> String {
        self.lab.state()["nodes"][node - 1]["address"].as_str().expect("text").to_owned()
    }

    /// The addresses between which a node sends the packets of the network, sorted.
    fn peers(&self, node: u8) -> Vec<String> {
        let said = self.try_edgectl(node, &["network", "inspect", "back"]).unwrap_or_default();
        let said: Value = serde_json::from_str(&said).unwrap_or_default();
        let peers = said[0]["Peers"].as_array().cloned().unwrap_or_default();
        let mut peers: Vec<String> =
            peers.iter().map(|peer| peer["IP"].as_str().unwrap_or_default().to_owned()).collect();
        peers.sort();
        peers
    }

    /// What a node says of the addresses that others are told.
    fn told(&self, node: u8) -> String {
        let ask = ["swarm", "join", "--advertise-addr", "192.0.2.7", "192.0.2.8"];
        self.try_edgectl(node, &ask).expect_err("it does not tell this one")
    }

    /// Is every node told the addresses of the lab's links, and do tasks reach each other by them?
    fn is_right(&self) -> bool {
        let addresses = [self.address(1), self.address(2)];
        let invitation = self.edgectl(1, &["swarm", "join-token", "worker"]);
        let invited = format!(" {}\n", addresses[0]);
        let reaches = |from: u8, to: &str| {
            let task = format!("t{from}.1");
            let ask = ["exec", task.as_str(), "/bin/busybox", "ping", "-c", "1", "-W", "2", to];
            self.try_edgectl(from, &ask).is_ok()
        };
        (1..=2).all(|node| self.peers(node) == addresses)
            && invitation.contains(&invited)
            && reaches(1, "t2")
            && reaches(2, "t1")
    }
}

#[test]
fn a_node_that_listens_anywhere_tells_the_address_that_leads_to_the_others() {
    let site = Site { lab: TestLab::up_with('q', 2, &["--listen-anywhere"]) };
    if !site.lab.has_namespaces() {
        eprintln!("SKIPPED without root: containers, network namespaces");
        return;
    }
    let tar = site.lab.dir.join("root.tar");
    busybox_image::write(&tar);
    for node in 1..=2 {
        site.edgectl(node, &["image", "import", &tar.display().to_string(), IMAGE]);
    }
    // The first network gives each node a link with an address of it.
    site.edgectl(1, &["network", "create", "--subnet", SUBNET, "back"]);
    site.until("n2 knows it", || site.try_edgectl(2, &["network", "inspect", "back"]).is_ok());
    for node in ["1", "2"] {
        let (name, at) = (format!("t{node}"), format!("node.hostname==n{node}"));
        let create = ["service", "create", "-d", "--no-resolve-image", "--network", "back"];
        let task = ["--name", &name, "--constraint", &at, "--init", "-p"];
        let port = format!("80{node}0:80");
        let program = [port.as_str(), IMAGE, "/bin/sleep", "100000"];
        site.edgectl(1, &[&create[..], &task, &program].concat());
    }
    site.until("both tasks reach each other", || site.is_right());
    for (link, address) in INNER {
        let ip = |words: &[&str]| site.lab.succeed(&[&["exec", "n1", "--", "ip"], words].concat());
        ip(&["link", "add", link, "type", "bridge"]);
        ip(&["address", "add", address, "dev", link]);
        ip(&["link", "set", link, "up"]);
    }
    // The bridge could be the way to others, so they are told of it, after the address that is one.
    let expected = format!("told {}:7946, 10.2.0.1:7946", site.address(1));
    site.until("the new link was seen", || site.told(1).contains(&expected));
    assert!(site.is_right(), "{:?}", site.peers(1));
    let pid = i32::try_from(site.lab.agents()[0]).expect("a process id");
    let pid = nix::unistd::Pid::from_raw(pid);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it runs");
    site.lab.succeed(&["start", "n1"]);
    site.until("the tasks reach each other again", || site.is_right());
}
