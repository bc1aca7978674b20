//! What the kernel refuses is told, and tried again until it takes it. So is what the host's own rules
//! would drop.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::fleet::{run_in, until_within};
use crate::load;
use crate::shop::Shop;

/// Once nothing is in the way any more: the agent tries every second, and the machine may be busy.
const AGAIN_MAX: Duration = Duration::from_millis(4_000);

/// An agent reads the host's rules every ten seconds.
const SEEN_MAX: Duration = Duration::from_secs(20);

/// A program takes the name of the first node's table, and lets nobody else change it.
pub fn check_refused_table(shop: &Shop) {
    let (fleet, host) = (&shop.fleet, shop.fleet.host(1));
    let tables = run_in(&host, &["nft", "list", "tables"]);
    let own = tables.split_whitespace().find(|word| word.starts_with("edgectl-"));
    let own = own.expect("the table of published ports");
    let failures = || fleet.network_failures(1, "back");
    let enter = format!("--net={}", host.display());
    let mut holder = Command::new("nsenter");
    holder.args([&enter, "nft", "-i"]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut holder = holder.spawn().expect("nft is installed");
    let taken = format!("delete table inet {own}\nadd table inet {own} {{ flags owner; }}\n");
    holder.stdin.as_mut().expect("a pipe").write_all(taken.as_bytes()).expect("written");
    fleet.until("the refusal is told", || {
        failures().contains("published ports: the kernel refuses")
    });
    let told = |action: &str| {
        let row = |row: &str| row.contains(action) && row.contains("published ports");
        fleet.events(1).lines().any(row)
    };
    fleet.until("it is an event", || told(" failure "));
    assert!(!told(" recovery "), "{}", fleet.events(1));
    // The table ends with the program that has it.
    drop(holder.stdin.take());
    holder.wait().expect("it ends with its input");
    until_within(AGAIN_MAX, "the table is there again", || shop.is_whole());
    until_within(AGAIN_MAX, "nothing is told any more", || !failures().contains("published ports"));
    until_within(AGAIN_MAX, "that is an event", || told(" recovery "));
}

/// A folder; no lab can be taken down that has it.
struct InTheWay(PathBuf);

impl InTheWay {
    fn make(path: PathBuf) -> InTheWay {
        std::fs::create_dir(&path).expect("nothing is there");
        InTheWay(path)
    }
}

impl Drop for InTheWay {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Where the first node would keep the namespace of a network there is something else, which no
/// message of the kernel tells the end of. The node publishes a port of the network.
pub fn check_refused_links(shop: &Shop) {
    let fleet = &shop.fleet;
    fleet.create_network(&["blocked"]);
    let id = fleet.edgectl(1, &["network", "inspect", "--format", "{{.Id}}", "blocked"]);
    let in_the_way = InTheWay::make(fleet.networks(1).join("net").join(id.trim()));
    let at = ["--network", "blocked", "--constraint", "node.hostname==n2"];
    fleet.create_web(1, "late", &[&at[..], &["--publish", "8082:80"]].concat());
    let answers = |node: u8| {
        let to = SocketAddr::new(fleet.address(node).into(), 8082);
        load::answers(&fleet.host(3), to)
    };
    fleet.until("the other nodes publish it", || answers(2));
    fleet.until("it is told", || fleet.network_failures(1, "blocked").contains("network blocked"));
    assert!(!answers(1));
    drop(in_the_way);
    until_within(AGAIN_MAX, "the first node publishes it", || answers(1));
    let told = || fleet.network_failures(1, "blocked").contains("network blocked");
    until_within(AGAIN_MAX, "nothing is told any more", || !told());
    fleet.edgectl(1, &["service", "rm", "late"]);
    fleet.until("its network is removed", || {
        fleet.try_edgectl(1, &["network", "rm", "blocked"]).is_ok()
    });
}

/// Somebody turns a firewall on that drops what is forwarded, and then types what is told to type.
pub fn check_firewall(shop: &Shop) {
    let (fleet, host) = (&shop.fleet, shop.fleet.host(1));
    let failures = || fleet.network_failures(1, "back");
    let chain = "add table inet wall; add chain inet wall f \
                 { type filter hook forward priority 0; policy drop; }";
    run_in(&host, &["nft", chain]);
    until_within(SEEN_MAX, "the chain is told", || {
        failures().contains("chain `inet wall f` drops")
    });
    let said = failures();
    let remedy = said.split('`').nth(3).expect("what to type");
    run_in(&host, &["sh", "-c", remedy]);
    until_within(SEEN_MAX, "it is not told any more", || !failures().contains("wall"));
    run_in(&host, &["nft", "delete table inet wall"]);
}
