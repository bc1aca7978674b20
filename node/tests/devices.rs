//! Devices with real agents, each with a `/dev` of its own: found when they are plugged in, given to a
//! container, and missed when they are unplugged.

#[allow(dead_code, reason = "the API's tests use the rest of it")]
#[path = "docker_api/fleet.rs"]
mod fleet;

#[path = "lab/busybox_image.rs"]
mod busybox_image;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use busybox_image::IMAGE;
use fleet::Fleet;
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::Value;

/// An adapter's name, as udev makes it.
const ADAPTER: &str = "usb-Acme_Meter_A50285BI-if00-port0";

/// Begins an agent with the folder of its host name below `$0` as its `/dev`: `$4` of
/// `edgectl agent --hostname NAME …`.
const OWN_DEV: &str = r#"mount --bind "$0/$4" /dev && exec "$@""#;

/// What an agent and its containers use of `/dev`.
const STANDARD: [(&str, u64, u64); 7] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
    ("console", 5, 1),
];

/// Prints what it reads from its device, then waits. Busybox as the first process ignores no signal.
const METER: &str = "busybox head -c 3 $EDGECTL_DEVICE_SERIAL | busybox wc -c; \
    echo $DOCKER_RESOURCE_SERIAL at $EDGECTL_DEVICE_SERIAL; exec busybox sleep 1000";

struct Machines {
    fleet: Fleet,
    /// With a folder for the `/dev` of each.
    dir: PathBuf,
}

impl Machines {
    /// `None` without root.
    fn start(net: u8) -> Option<Machines> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED without root: containers, mounts");
            return None;
        }
        let folder = tempfile::tempdir().expect("a directory");
        let dir = folder.path().to_owned();
        for machine in ["shop-1", "shop-2"] {
            for folder in ["pts", "shm", "mqueue"] {
                fs::create_dir_all(dir.join(machine).join(folder)).expect("made");
            }
            for (name, major, minor) in STANDARD {
                make_device(&dir.join(machine).join(name), major, minor);
            }
            symlink("/proc/self/fd", dir.join(machine).join("fd")).expect("linked");
        }
        let launcher = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            OWN_DEV,
            &dir.display().to_string(),
        ];
        let fleet = Fleet::start_by(&launcher, folder, (net, 2), &[]);
        let machines = Machines { fleet, dir };
        let tar = machines.dir.join("root.tar");
        busybox_image::write(&tar);
        for number in 1..=2 {
            machines.edgectl(number, &["image", "import", &tar.display().to_string(), IMAGE]);
        }
        Some(machines)
    }

    fn edgectl(&self, number: usize, words: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_edgectl"));
        let output = command.arg("-H").arg(self.fleet.socket(number)).args(words).output();
        let output = output.expect("edgectl runs");
        // `why` ends with 1 for what does not run.
        String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr)
    }

    /// As udev does, for an adapter that gives as many zeroes as one asks for.
    fn plug(&self, number: usize, file: &str) {
        let dev = self.dir.join(format!("shop-{number}"));
        make_device(&dev.join(file), 1, 5);
        fs::create_dir_all(dev.join("serial/by-id")).expect("made");
        symlink(format!("../../{file}"), dev.join("serial/by-id").join(ADAPTER)).expect("linked");
    }

    fn unplug(&self, number: usize, file: &str) {
        let dev = self.dir.join(format!("shop-{number}"));
        fs::remove_dir_all(dev.join("serial")).expect("removed");
        fs::remove_file(dev.join(file)).expect("removed");
    }

    fn create(&self, name: &str) {
        let create = ["service", "create", "-d", "--name", name, "--init"];
        let task = ["--generic-resource", "serial=1", "--stop-grace-period", "1s", IMAGE];
        self.edgectl(1, &[&create[..], &task, &["sh", "-c", METER]].concat());
    }

    /// The containers of a node: their ids.
    fn containers(&self, number: usize) -> Vec<String> {
        let listed = self.fleet.get(number, "/containers/json").json();
        let listed = listed.as_array().expect("a list").clone();
        listed.iter().filter_map(|one| one["Id"].as_str().map(str::to_owned)).collect()
    }

    fn runs_on(&self, number: usize) -> bool {
        let others = self.containers(3 - number);
        self.containers(number).len() == 1 && others.is_empty()
    }

    /// The adapters that a node offers, as Docker's client lists them.
    fn offered(&self, number: usize) -> Vec<Value> {
        let nodes = self.fleet.get(1, "/nodes").json();
        let nodes = nodes.as_array().expect("a list").clone();
        let name = format!("shop-{number}");
        let node = nodes.iter().find(|node| node["Description"]["Hostname"] == name.as_str());
        let resources = &node.expect("it is there")["Description"]["Resources"]["GenericResources"];
        resources.as_array().cloned().unwrap_or_default()
    }
}

fn make_device(path: &std::path::Path, major: u64, minor: u64) {
    let mode = Mode::from_bits_truncate(0o666);
    mknod(path, SFlag::S_IFCHR, mode, makedev(major, minor)).expect("root makes devices");
}

#[test]
fn a_container_follows_its_adapter_from_node_to_node() {
    let Some(machines) = Machines::start(160) else { return };
    let fleet = &machines.fleet;
    machines.create("meter");
    let why = machines.edgectl(1, &["why", "meter"]);
    assert!(why.contains("has no serial"), "{why}");

    machines.plug(2, "ttyUSB0");
    fleet.until("it runs where the adapter is", || machines.runs_on(2));
    let expected = serde_json::json!([{"NamedResourceSpec": {"Kind": "serial", "Value": ADAPTER}}]);
    assert_eq!(Value::Array(machines.offered(2)), expected);
    assert!(machines.offered(1).is_empty());
    let doctor = machines.edgectl(2, &["doctor"]);
    assert!(doctor.contains(&format!("offers serial {ADAPTER}")), "{doctor}");
    let printed = || machines.edgectl(1, &["service", "logs", "--raw", "meter"]);
    let line = format!("{ADAPTER} at /dev/ttyUSB0");
    fleet.until("it has read its device", || printed().contains(&line));
    assert!(printed().starts_with('3'), "{}", printed());

    // There is one adapter, and it is taken.
    machines.create("second");
    let why = machines.edgectl(1, &["why", "second"]);
    assert!(why.contains("needs 1 of serial, 0 are not set aside"), "{why}");
    machines.edgectl(1, &["service", "rm", "second"]);

    // It resets itself.
    let before = machines.containers(2);
    machines.unplug(2, "ttyUSB0");
    let reset = Instant::now();
    while reset.elapsed() < Duration::from_secs(5) {
        assert_eq!(machines.containers(2), before);
        std::thread::sleep(Duration::from_millis(100));
    }
    machines.plug(2, "ttyUSB0");
    let back = Instant::now();
    while back.elapsed() < Duration::from_secs(8) {
        assert_eq!(machines.containers(2), before, "a reset ends nothing");
        std::thread::sleep(Duration::from_millis(100));
    }

    // It is carried to the other node, where it gets another file.
    machines.unplug(2, "ttyUSB0");
    fleet.until("the task ends without its adapter", || machines.containers(2).is_empty());
    let ps = machines.edgectl(1, &["service", "ps", "--no-trunc", "meter"]);
    assert!(ps.contains(&format!("its serial {ADAPTER} (/dev/ttyUSB0) was unplugged")), "{ps}");
    assert!(machines.edgectl(1, &["why", "meter"]).contains("has no serial"));
    machines.plug(1, "ttyUSB3");
    fleet.until("it runs on the other node", || machines.runs_on(1));
    let line = format!("{ADAPTER} at /dev/ttyUSB3");
    fleet.until("it has read its device there", || printed().contains(&line));
}
