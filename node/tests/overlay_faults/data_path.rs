//! Two nodes that hear each other while no packet of their networks passes: operators are told where
//! they look, also by Docker's own client, until it passes again.

use std::process::Command;

use crate::fleet::{Fleet, run_in};

/// How a service's task on the other node is shown.
const ROW: &str = "{{.Node}} {{.CurrentState}} {{.Error}}";

const TABLE: &str = "uplink";

/// Two nodes with a task each of a service in clear, an encrypted one, and one on the nodes' own
/// network.
pub fn open(letter: char) -> Option<Fleet> {
    let fleet = Fleet::open(letter, 2)?;
    fleet.create_network(&["--ipv6", "back"]);
    fleet.create_network(&["--opt", "encrypted", "safe"]);
    for (name, network) in [("plain", "back"), ("secret", "safe"), ("bare", "host")] {
        fleet.create_idle(1, name, &["--mode", "global", "--network", network]);
    }
    for (asked, name) in [(1, "plain"), (2, "plain"), (1, "secret"), (2, "secret")] {
        fleet.await_tasks(asked, name, 2);
    }
    fleet.until("the path answers", || path(&fleet).starts_with("direct answers"));
    Some(fleet)
}

pub fn check_cut(fleet: &Fleet) {
    let untold = || {
        ["plain", "secret", "bare"].iter().all(|name| error(fleet, name).is_empty())
            && ["back", "safe"].iter().all(|network| failures(fleet, network).is_empty())
            && !why(fleet, "plain").contains("edgectl net check")
    };
    assert!(untold());
    cut(fleet, "4789, 7947");
    // A check probes at once.
    let lost = "nor through the tunnel by UDP 7947 (for ";
    fleet.until("the cut is told", || {
        path(fleet);
        failures(fleet, "back").contains(lost)
    });
    assert!(failures(fleet, "safe").contains(lost), "{}", failures(fleet, "safe"));
    assert!(failures(fleet, "back").contains("from node n2 by UDP 4789"));
    for name in ["plain", "secret"] {
        let shown = error(fleet, name);
        assert!(shown.starts_with("not reached from n1 for "), "{shown}");
        assert!(shown.contains("edgectl net check"), "{shown}");
        assert!(why(fleet, name).contains(lost), "{}", why(fleet, name));
    }
    // The task here is reached, and one on the nodes' own network never needed the path.
    let own = task_of(fleet, "plain", "n1");
    assert!(!why(fleet, &own).contains(lost));
    assert!(why(fleet, &task_of(fleet, "plain", "n2")).contains(lost));
    assert_eq!((row(fleet, "plain", "n1"), error(fleet, "bare")), (String::new(), String::new()));
    let replicas = fleet.edgectl(1, &["service", "ls", "--format", "{{.Name}} {{.Replicas}}"]);
    assert!(replicas.contains("plain 2/2"), "{replicas}");
    assert_eq!(path(fleet), "tunnel silent degraded");
    check_docker(fleet);
    assert_eq!((told(fleet, " failure "), told(fleet, " recovery ")), (1, 0));

    // Only the tunnel stays closed: what is in clear passes.
    cut(fleet, "7947");
    fleet.until("the direct way is taken again", || {
        path(fleet);
        failures(fleet, "back").is_empty()
    });
    let tunnel = "node n2 does not answer through the tunnel (for ";
    fleet.until("the tunnel is told", || failures(fleet, "safe").contains(tunnel));
    assert!(error(fleet, "secret").starts_with("not reached from n1"));
    assert_eq!(error(fleet, "plain"), "");
    assert_eq!(path(fleet), "direct answers degraded");

    heal(fleet);
    fleet.until("nothing is told any more", untold);
    assert_eq!(path(fleet), "direct answers");
    let both = (told(fleet, " failure "), told(fleet, " recovery "));
    assert_eq!(both, (2, 2), "{}", fleet.events(1));

    // A link in the middle swallows large packets.
    filter(fleet, "udp dport 4789 meta length > 1400 drop");
    let narrow = "packets to node n2 have at most 1350 bytes";
    fleet.until("small packets are told", || {
        path(fleet);
        failures(fleet, "back").contains(narrow)
    });
    assert!(why(fleet, "plain").contains(narrow));
    assert_eq!(error(fleet, "plain"), "", "it is reached");
    heal(fleet);
    fleet.until("nothing is told any more", || {
        path(fleet);
        untold()
    });
}

/// A network of both families shows both addresses of a service, where Docker has a place and beside.
pub fn check_families(fleet: &Fleet) {
    let show = |format: &str| {
        let words = ["network", "inspect", "-v", "--format", format, "back"];
        fleet.edgectl(1, &words).trim().to_owned()
    };
    let first = show("{{.Services.plain.VIP}}");
    let both = show("{{range .Edge.VirtualIPs.plain}}{{.}} {{end}}");
    let both: Vec<&str> = both.split_whitespace().collect();
    assert!(both.len() == 2 && both[0] == first && both[1].contains(':'), "{first}: {both:?}");
    let tasks = show("{{range .Services.plain.Tasks}}{{.EndpointIP}} {{.Info.IPv6}} {{end}}");
    let families = tasks.split_whitespace().map(|ip| ip.contains(':'));
    assert_eq!(families.collect::<Vec<_>>(), [false, true, false, true], "{tasks}");
}

fn heal(fleet: &Fleet) {
    run_in(&fleet.host(1), &["nft", "delete", "table", "inet", TABLE]);
}

/// Drops these UDP ports of the first node in both directions, and no others.
fn cut(fleet: &Fleet, ports: &str) {
    filter(fleet, &format!("udp dport {{ {ports} }} drop"));
}

/// Applies a rule to what the first node sends and receives, and no other rule.
fn filter(fleet: &Fleet, rule: &str) {
    let chain =
        |hook: &str| format!("chain {hook} {{ type filter hook {hook} priority 0; {rule}; }}");
    let (input, output) = (chain("input"), chain("output"));
    let rules = format!(
        "table inet {TABLE} {{}}; delete table inet {TABLE}; table inet {TABLE} {{ {input}; {output}; }}"
    );
    run_in(&fleet.host(1), &["nft", &rules]);
}

/// The way to the other node and its state, as a check finds it.
fn path(fleet: &Fleet) -> String {
    let words = ["net", "check", "--format", "{{.Way}} {{.State}}"];
    let output = fleet.edgectl_output(1, &words);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let words: Vec<&str> = shown.split_whitespace().take(2).collect();
    let end = if output.status.success() { "" } else { " degraded" };
    format!("{}{end}", words.join(" "))
}

fn failures(fleet: &Fleet, network: &str) -> String {
    let format = "{{range .Edge.Failures}}{{.}}\n{{end}}";
    fleet.edgectl(1, &["network", "inspect", "--format", format, network]).trim().to_owned()
}

fn why(fleet: &Fleet, what: &str) -> String {
    fleet.edgectl(1, &["why", what])
}

/// The error of a service's task on the second node.
fn error(fleet: &Fleet, service: &str) -> String {
    row(fleet, service, "n2")
}

fn row(fleet: &Fleet, service: &str, node: &str) -> String {
    let rows = fleet.edgectl(1, &["service", "ps", "--no-trunc", "--format", ROW, service]);
    let own = rows.lines().find(|row| row.starts_with(node)).expect("a task");
    let (state, error) = own.split_once(" ago ").unwrap_or((own, ""));
    assert!(state.contains("Running"), "{own}");
    error.trim().trim_matches('"').to_owned()
}

fn task_of(fleet: &Fleet, service: &str, node: &str) -> String {
    let words = ["service", "ps", "--no-trunc", "--format", "{{.ID}} {{.Node}}", service];
    let rows = fleet.edgectl(1, &words);
    let own = rows.lines().find_map(|row| row.strip_suffix(&format!(" {node}")));
    own.expect("a task").to_owned()
}

/// How many such events tell of the other node.
fn told(fleet: &Fleet, action: &str) -> usize {
    let events = fleet.events(1);
    events.lines().filter(|row| row.contains(action) && row.contains("node n2")).count()
}

/// Docker's own client, where it is installed.
fn check_docker(fleet: &Fleet) {
    let host = format!("unix://{}", fleet.socket(1).display());
    let words = ["service", "ps", "--no-trunc", "--format", ROW, "plain"];
    match Command::new("docker").args(["-H", &host]).args(words).output() {
        Err(_) => eprintln!("SKIPPED: no program docker"),
        Ok(output) => {
            let shown = String::from_utf8_lossy(&output.stdout).into_owned();
            let own = shown.lines().find(|row| row.starts_with("n2")).unwrap_or_default();
            assert!(own.contains("Running") && own.contains("not reached from n1 for "), "{shown}");
        }
    }
}
