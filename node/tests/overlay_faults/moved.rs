//! A node gets another address while its agent runs: all reach its tasks again.

use std::fs::OpenOptions;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::fleet::{Fleet, Task, address_in, run_in, until_within};
use crate::load;

/// Within this time: the node notices its address within a second and calls the others, who take it
/// from the source of its packets. That takes one second in most runs, and took more than five in
/// two of some forty; why is not known.
const REACHED_MAX: Duration = Duration::from_secs(30);

/// The third node moves. Its agent listens on every address, as installed agents do.
pub fn check_moved(fleet: &Fleet, base: &[Task]) {
    fleet.kill_agent(3);
    start_on_all_addresses(fleet);
    fleet.until("the agent knows its tasks", || fleet.tasks(3, "base").len() == 3);
    let before = fleet.address(3);
    let [a, b, c, _] = before.octets();
    let after = Ipv4Addr::new(a, b, c, 203);
    assert!(is_reached(fleet, base, before), "it is reached at {before}");

    let host = fleet.host(3);
    run_in(&host, &["ip", "address", "flush", "dev", "eth0"]);
    run_in(&host, &["ip", "address", "add", &format!("{after}/24"), "dev", "eth0"]);
    let took =
        until_within(REACHED_MAX, "the moved node is reached", || is_reached(fleet, base, after));
    eprintln!("reached {took:?} after it moved");
    for node in [1, 2] {
        let shown = || fleet.edgectl(node, &["node", "ls"]);
        fleet.until("the new address is shown", || shown().contains(&after.to_string()));
    }
    assert!(fleet.events(1).contains(" moved "), "it is told");
}

/// From every node to every task, and by the third node's port.
fn is_reached(fleet: &Fleet, base: &[Task], address: Ipv4Addr) -> bool {
    let addresses = base.iter().filter_map(|task| address_in(&task.space));
    let to: Vec<SocketAddr> = addresses.map(|ip| SocketAddr::new(IpAddr::V4(ip), 80)).collect();
    let port = SocketAddr::new(address.into(), 8081);
    to.len() == base.len()
        && base.iter().all(|task| to.iter().all(|to| load::answers(&task.space, *to)))
        && [1, 2].iter().all(|node| load::answers(&fleet.host(*node), port))
}

fn start_on_all_addresses(fleet: &Fleet) {
    let (lab, node) = (&fleet.lab.dir, fleet.lab.dir.join("n3"));
    let log = OpenOptions::new().append(true).open(node.join("agent.log")).expect("its log");
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={}", fleet.host(3).display())).args(["--", "setsid"]);
    command.arg(env!("CARGO_BIN_EXE_edgectl")).arg("agent");
    command.arg("--config").arg(lab.join("edge.toml")).arg("--data-dir").arg(node.join("data"));
    command.arg("--socket").arg(node.join("edge.sock")).args([
        "--listen",
        "0.0.0.0",
        "--hostname",
        "n3",
    ]);
    command.stdin(Stdio::null()).stdout(log.try_clone().expect("another")).stderr(log);
    // It is ended with the lab.
    drop(command.spawn().expect("nsenter is there"));
}
