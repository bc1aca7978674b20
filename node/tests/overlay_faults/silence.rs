//! Long silence between two tasks makes neither forget the other: nothing on the way ages.

use std::time::Duration;

use serde_json::Value;

use crate::fleet::{Fleet, Task, address_in, run_in};

/// So many seconds of real silence are tried if this is set: the kernel forgets what it learned
/// itself after 300.
const SECONDS: &str = "EDGECTL_TEST_SILENCE_S";

pub fn check_silence(fleet: &Fleet, base: &[Task]) {
    for node in fleet.nodes() {
        for space in fleet.network_spaces(node) {
            let device = run_in(&space, &["ip", "-d", "link", "show", "vxlan0"]);
            assert!(device.contains(" nolearning "), "{device}");
            let rows = |words: &[&str]| -> Vec<Value> {
                serde_json::from_str(&run_in(&space, words)).expect("JSON")
            };
            for neighbour in rows(&["ip", "-j", "neighbour", "show", "dev", "vxlan0"]) {
                // Nobody answered for one without a link address: a packet for the node itself that
                // came while its device was made anew leaves such an entry.
                let is_known = neighbour.get("lladdr").is_some();
                assert!(!is_known || neighbour["state"][0] == "PERMANENT", "{neighbour}");
            }
            for entry in rows(&["bridge", "-j", "fdb", "show", "dev", "vxlan0"]) {
                assert_eq!(entry["state"], "permanent", "{entry}");
            }
        }
    }
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    std::thread::sleep(Duration::from_secs(seconds));
    for from in base {
        for to in base {
            let address = address_in(&to.space).expect("an address").to_string();
            // One packet, and its answer.
            run_in(&from.space, &["ping", "-n", "-c", "1", "-W", "1", &address]);
        }
    }
}
