//! An encrypted network of two nodes: what passes between them, and what an agent that dies
//! interrupts. As root only.

#[path = "../../overlay/tunnel/tests/tunnel/capture.rs"]
mod capture;
#[path = "lab/test_lab.rs"]
mod test_lab;

use std::ops::Deref;
use std::path::Path;
use std::process::Command;

use capture::Capture;
use test_lab::{DEADLINE, TestLab, busybox_image::IMAGE, until_or_say};

const SECRET: &str = "what-only-the-two-may-read";

const SERVE: &str =
    "echo what-only-the-two-may-read > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp";

/// Asks the server, by its name on a network.
const ASK: &str = "a=$(busybox nslookup $0 | busybox awk '/^Name:/ { named = 1 } \
                   named && /^Address/ { print $2; exit }'); \
                   busybox timeout 3 busybox wget -qO- http://$a/";

struct Safe {
    lab: TestLab,
    /// Everything that has passed between the nodes.
    wire: Capture,
}

impl Deref for Safe {
    type Target = TestLab;

    fn deref(&self) -> &TestLab {
        &self.lab
    }
}

impl Safe {
    /// `None` without root. A network in clear, and an encrypted one; a server on the second node and
    /// a client on the first are on both.
    fn open() -> Option<Safe> {
        let lab = TestLab::up('q', 2).with_namespaces()?;
        let wire = Capture::begin(&lab.namespace("switch"));
        let safe = Safe { lab, wire };
        safe.import_image();
        safe.edgectl(1, &["network", "create", "plain"]);
        safe.create_as_docker_does();
        let create = ["service", "create", "-d", "--no-resolve-image", "--init"];
        let networks = ["--network", "plain", "--network", "safe"];
        for (name, node, command) in [("server", "n2", SERVE), ("cli", "n1", "sleep 100000")] {
            let constraint = format!("node.hostname=={node}");
            let task =
                ["--name", name, "--constraint", &constraint, IMAGE, "/bin/sh", "-c", command];
            safe.edgectl(1, &[&create[..], &networks, &task].concat());
        }
        safe.until("both run and answer", || {
            safe.ask("server.plain").contains(SECRET) && safe.ask("server.safe").contains(SECRET)
        });
        Some(safe)
    }

    /// Docker's own client makes the network where it is installed.
    fn create_as_docker_does(&self) {
        let words = ["network", "create", "-d", "overlay", "--opt", "encrypted", "safe"];
        let host = format!("unix://{}", self.socket(1).display());
        match Command::new("docker").args(["-H", &host]).args(words).output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr);
                assert!(output.status.success(), "docker network create: {said}");
            }
            Err(_) => {
                eprintln!("SKIPPED: no program docker; edgectl makes the network");
                self.edgectl(1, &words);
            }
        }
        let inspect = ["network", "inspect", "--format", "{{.Options}}", "safe"];
        self.until("every node knows it is encrypted", || {
            (1..=2).all(|node| self.edgectl(node, &inspect).contains("encrypted"))
        });
    }

    /// What the client is answered.
    fn ask(&self, name: &str) -> String {
        let output = self.edgectl_output(1, &["exec", "cli.1", "/bin/sh", "-c", ASK, name]);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let say = || format!("{what}; {:?}", self.try_edgectl(1, &["why", "cli.1"]));
        until_or_say(DEADLINE, say, holds);
    }

    fn vni(&self, network: &str) -> u32 {
        let number = "{{index .Options \"com.docker.network.driver.overlay.vxlanid_list\"}}";
        let shown = self.edgectl(1, &["network", "inspect", "--format", number, network]);
        shown.trim().parse().expect("a number")
    }
}

/// Is it a packet of VXLAN of this network, in clear? Behind Ethernet and IP come the ports, and the
/// number of the network after UDP's header and four bytes.
fn is_vxlan(frame: &[u8], vni: u32) -> bool {
    let (ip, protocol) = match frame.get(12..14) {
        Some([0x08, 0x00]) => (20, frame.get(14 + 9)),
        Some([0x86, 0xdd]) => (40, frame.get(14 + 6)),
        _ => return false,
    };
    let udp = frame.get(14 + ip..).unwrap_or_default();
    protocol == Some(&17)
        && udp.get(2..4) == Some(&4789_u16.to_be_bytes())
        && udp.get(12..15) == Some(&vni.to_be_bytes()[1..])
}

#[test]
fn an_encrypted_network_shows_nothing_of_itself_and_outlives_the_agent() {
    let Some(safe) = Safe::open() else { return };
    let (plain, encrypted) = (safe.vni("plain"), safe.vni("safe"));
    safe.wire.await_bytes(SECRET.as_bytes());
    let shows_plain = safe.wire.any(|frame| is_vxlan(frame, plain));
    assert!(shows_plain, "this is what a network in clear shows");

    let wire = Capture::begin(&safe.namespace("switch"));
    assert!(safe.ask("server.safe").contains(SECRET));
    // Who comes last in clear: when this is captured, so is everything before.
    assert!(safe.ask("server.plain").contains(SECRET));
    wire.await_bytes(SECRET.as_bytes());
    let is_clear = |frame: &[u8]| {
        let shows = frame.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        is_vxlan(frame, encrypted) || shows && !is_vxlan(frame, plain)
    };
    assert!(!wire.any(is_clear), "something passed in clear");
    let is_tunnel = |frame: &[u8]| frame.get(36..38) == Some(&7947_u16.to_be_bytes());
    assert!(wire.any(is_tunnel));
    drop(wire);

    // Fifty packets a second, while the agent is killed and started again.
    let ping = "ping -i 0.02 -w 6 server.safe > /tmp/pings; echo done >> /tmp/pings";
    safe.edgectl(1, &["exec", "-d", "cli.1", "/bin/sh", "-c", ping]);
    let read = || {
        let cat = ["exec", "cli.1", "/bin/sh", "-c", "busybox cat /tmp/pings"];
        safe.try_edgectl(1, &cat).unwrap_or_default()
    };
    safe.until("the pings are answered", || read().contains("seq=20"));
    safe.kill_agent(1);
    safe.lab.succeed(&["start", "n1"]);
    safe.until("the pings are over", || read().contains("done"));
    let said = read();
    let answered = |line: &str| line.split("seq=").nth(1)?.split(' ').next()?.parse::<u32>().ok();
    let answered: Vec<u32> = said.lines().filter_map(answered).collect();
    let all: Vec<u32> = (0..answered.len() as u32).collect();
    assert_eq!(answered, all, "some were lost: {}", said.lines().last().unwrap_or_default());
    assert!(answered.len() > 200, "{}", answered.len());

    // The tunnel itself is killed: the agent makes another one, and meanwhile nothing passes.
    safe.kill_beside(1, "tunnel");
    safe.until("the server answers again", || safe.ask("server.safe").contains(SECRET));
    let is_clear = |frame: &[u8]| is_vxlan(frame, encrypted);
    assert!(!safe.wire.any(is_clear), "from the first packet to the last");

    let (dir, name) = (safe.lab.dir.clone(), safe.lab.name.clone());
    safe.lab.succeed(&["down"]);
    assert_eq!(process_named_by(&dir), None, "a process is left");
    let namespaces = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let mut left = namespaces.filter(|entry| entry.file_name().to_string_lossy().contains(&name));
    assert!(left.next().is_none(), "a namespace is left");
}

/// A process that has this in its command line.
fn process_named_by(path: &Path) -> Option<String> {
    let path = path.display().to_string();
    let processes = std::fs::read_dir("/proc").expect("readable").flatten();
    let mut found = processes.filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&path)
    });
    found.next().map(|entry| entry.file_name().to_string_lossy().into_owned())
}
