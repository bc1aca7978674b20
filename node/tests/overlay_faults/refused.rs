//! What the kernel refuses is told, and tried again until it takes it.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::fleet::{run_in, until_within};
use crate::shop::Shop;

/// Once nothing is in the way any more: the agent tries every second, and the machine may be busy.
const AGAIN_MAX: Duration = Duration::from_millis(4_000);

/// A program takes the name of the first node's table, and lets nobody else change it.
pub fn check_refused(shop: &Shop) {
    let (fleet, host) = (&shop.fleet, shop.fleet.host(1));
    let tables = run_in(&host, &["nft", "list", "tables"]);
    let own = tables.split_whitespace().find(|word| word.starts_with("edgectl-"));
    let own = own.expect("the table of published ports");
    let failures =
        || fleet.edgectl(1, &["network", "inspect", "--format", "{{.Edge.Failures}}", "back"]);
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
