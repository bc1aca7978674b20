//! The requests of Traefik's provider for Swarm, and what it makes of their answers: addresses at
//! which tasks must answer.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::test_lab::{TestLab, busybox_image::IMAGE};

/// Serves the name of its own host.
const SERVE: &str = "mkdir() { busybox mkdir $1; }; mkdir /tmp/w; hostname > /tmp/w/index.html; \
                     exec busybox httpd -f -p 80 -h /tmp/w";

/// The answer of the first node's agent.
fn ask(lab: &TestLab, path: &str, filters: &Value) -> Value {
    let socket = lab.socket(1).display().to_string();
    let output = std::process::Command::new("curl")
        .args(["-sS", "--fail-with-body", "-G", "--unix-socket", &socket])
        .args(["--data-urlencode", &format!("filters={filters}")])
        .arg(format!("http://docker/v1.47{path}"))
        .output()
        .expect("curl is there");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn list(found: &Value) -> impl Iterator<Item = &Value> {
    found.as_array().into_iter().flatten()
}

fn text(found: &Value) -> String {
    found.as_str().expect("a text").to_owned()
}

/// The networks that the provider knows, name by id.
fn networks(lab: &TestLab) -> BTreeMap<String, String> {
    let found = ask(lab, "/networks", &json!({"scope": {"swarm": true}}));
    list(&found).map(|network| (text(&network["Id"]), text(&network["Name"]))).collect()
}

fn address(prefix: &Value) -> String {
    let prefix = text(prefix);
    let (address, bits) = prefix.split_once('/').expect("a prefix");
    let whole = if address.parse::<IpAddr>().expect("an address").is_ipv4() { "32" } else { "128" };
    assert_eq!(bits, whole, "{prefix}");
    address.to_owned()
}

/// Where the load balancer of the fleet answers, by the names of networks: `lbswarm=true`.
fn virtual_addresses(lab: &TestLab, service: &Value) -> BTreeMap<String, String> {
    let endpoint = &service["Spec"]["EndpointSpec"];
    assert!(endpoint.is_object(), "without it the service is skipped: {service}");
    if endpoint["Mode"] != "vip" {
        return BTreeMap::new();
    }
    let known = networks(lab);
    let found = list(&service["Endpoint"]["VirtualIPs"]);
    found.map(|ip| (known[&text(&ip["NetworkID"])].clone(), address(&ip["Addr"]))).collect()
}

/// The running tasks of a service, with their addresses by the names of networks.
fn task_addresses(lab: &TestLab, service: &str) -> Vec<(Value, BTreeMap<String, String>)> {
    let known = networks(lab);
    let filters = json!({"service": {service: true}, "desired-state": {"running": true}});
    let tasks = ask(lab, "/tasks", &filters);
    let running = list(&tasks).filter(|task| task["Status"]["State"] == "running");
    let with_addresses = running.map(|task| {
        let named = list(&task["NetworksAttachments"]).map(|attachment| {
            let name = known[&text(&attachment["Network"]["ID"])].clone();
            (name, address(&attachment["Addresses"][0]))
        });
        (task.clone(), named.collect())
    });
    with_addresses.collect()
}

/// What answers at an address, asked from the first node and from a task of the network.
fn answers(lab: &TestLab, address: &str) -> BTreeSet<String> {
    let line = format!("for i in 1 2 3 4 5 6 7 8; do busybox wget -qO- http://{address}:80/; done");
    let node = lab.run(&["exec", "n1", "--", "sh", "-c", &line]);
    let node = String::from_utf8_lossy(&node.stdout).into_owned();
    let task = lab.edgectl(1, &["exec", "proxy.1", "/bin/sh", "-c", &line]);
    let from = |text: &str| -> BTreeSet<String> { text.lines().map(str::to_owned).collect() };
    assert_eq!(from(&node), from(&task), "{address}");
    from(&node)
}

#[test]
fn what_traefik_reads_leads_to_tasks_that_answer() {
    let Some(lab) = TestLab::up('w', 2).with_namespaces() else { return };
    lab.import_image();
    lab.edgectl(1, &["network", "create", "proxy"]);
    lab.until("both know it", || lab.try_edgectl(2, &["network", "inspect", "proxy"]).is_ok());
    let create = ["service", "create", "-d", "--no-resolve-image", "--network", "proxy"];
    let serve = [IMAGE, "/bin/sh", "-c", SERVE];
    let two = ["--replicas", "2", "--replicas-max-per-node", "1"];
    let label = "traefik.http.services.web.loadbalancer.server.port=80";
    let web = ["--name", "web", "--label", label, "--label", "traefik.swarm.network=proxy"];
    lab.edgectl(2, &[&create[..], &two, &web, &serve].concat());
    let by_name = ["--name", "named", "--endpoint-mode", "dnsrr", "--mode", "global"];
    lab.edgectl(1, &[&create[..], &by_name, &serve].concat());
    let proxy =
        ["--name", "proxy", "--constraint", "node.hostname==n1", IMAGE, "/bin/sleep", "999"];
    lab.edgectl(1, &[&create[..], &proxy].concat());
    lab.until("all run", || {
        let shown = lab.edgectl(1, &["service", "ls", "--format", "{{.Replicas}}"]);
        shown.lines().filter(|line| line.starts_with("2/2") || line.starts_with("1/1")).count() == 3
    });

    let version = text(&ask(&lab, "/version", &json!({}))["ApiVersion"]);
    let minor: u8 = version.split('.').nth(1).and_then(|minor| minor.parse().ok()).expect("1.x");
    assert!(minor >= 29, "older ones are asked for networks by their driver");
    let services = ask(&lab, "/services", &json!({}));
    let find = |name: &str| {
        list(&services).find(|service| service["Spec"]["Name"] == name).expect("it is listed")
    };
    let (web, named) = (find("web"), find("named"));
    assert_eq!(web["Spec"]["Labels"]["traefik.swarm.network"], "proxy");
    assert!(web["Spec"]["Mode"]["Replicated"].is_object());
    assert!(named["Spec"]["Mode"]["Global"].is_object());

    let virtual_address = virtual_addresses(&lab, web);
    assert_eq!(virtual_address.keys().collect::<Vec<_>>(), ["proxy"]);
    assert!(virtual_addresses(&lab, named).is_empty());
    lab.until("both answer at the virtual address", || {
        answers(&lab, &virtual_address["proxy"]).len() == 2
    });
    for (service, slots) in [(web, json!([1, 2])), (named, json!([null, null]))] {
        let tasks = task_addresses(&lab, &text(&service["ID"]));
        let found: BTreeSet<_> = tasks.iter().map(|(task, _)| task["Slot"].to_string()).collect();
        let slots: BTreeSet<_> = list(&slots).map(ToString::to_string).collect();
        assert_eq!(found, slots);
        let hosts: BTreeSet<_> =
            tasks.iter().flat_map(|(_, addresses)| answers(&lab, &addresses["proxy"])).collect();
        assert_eq!((tasks.len(), hosts.len()), (2, 2), "each answers at its own address");
        for (task, _) in &tasks {
            let node = ask(&lab, &format!("/nodes/{}", text(&task["NodeID"])), &json!({}));
            let at = text(&node["Status"]["Addr"]);
            assert!([lab.address(1), lab.address(2)].iter().any(|known| known.to_string() == at));
            let networks = &task["Spec"]["Networks"];
            assert_eq!(networks, &service["Spec"]["TaskTemplate"]["Networks"]);
            assert_eq!(networks[0]["Target"], web["Endpoint"]["VirtualIPs"][0]["NetworkID"]);
        }
    }
}
