//! Agents that listen at all addresses of their machines, as is the default, and which of these the
//! others are told. As root only.

#[path = "lab/test_lab.rs"]
mod test_lab;

use std::ops::Deref;

use serde_json::Value;
use test_lab::{DEADLINE, TestLab, busybox_image::IMAGE, until_or_say};

/// Lower than every address of the lab, and than those of its nodes' sites.
const SUBNET: &str = "10.4.0.0/16";

/// Links that other machines are not reached by, with lower addresses than the lab's.
const INNER: [(&str, &str); 2] = [("docker0", "10.1.0.1/24"), ("lan0", "10.2.0.1/24")];

struct Site {
    lab: TestLab,
}

impl Deref for Site {
    type Target = TestLab;

    fn deref(&self) -> &TestLab {
        &self.lab
    }
}

impl Site {
    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let say = || format!("{what}; {:?}", (self.peers(1), self.peers(2)));
        until_or_say(DEADLINE, say, holds);
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
        let addresses = [1, 2].map(|node| self.address(node).to_string());
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
    let lab = TestLab::up_with('q', 2, &["--listen-anywhere"]);
    let Some(lab) = lab.with_namespaces() else { return };
    let site = Site { lab };
    site.import_image();
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
    site.kill_agent(1);
    site.lab.succeed(&["start", "n1"]);
    site.until("the tasks reach each other again", || site.is_right());
}
