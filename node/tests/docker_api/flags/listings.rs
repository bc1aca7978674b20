//! `service ls`, `ps`, `logs`, `inspect`, `scale` and `rm`, over several services.

use super::super::has_docker;
use super::{Client, Fleet, text};

/// Each of the services prints a line and waits in short sleeps, so that it ends quickly.
const TALK: [&str; 3] = ["process:/bin/sh", "-c", "echo hello; while :; do sleep 1; done"];

fn make(fleet: &Fleet, name: &str, flags: &[&str]) {
    let head = ["service", "create", "-d", "--stop-grace-period", "1s", "--name", name];
    let made = Client::Ours.run(fleet, &[&head[..], flags, &TALK].concat());
    assert!(made.status.success(), "{}", text(&made.stderr));
}

fn fleet(net: u8) -> Fleet {
    let fleet = Fleet::start(net, 1);
    make(&fleet, "web10", &["--mode", "global"]);
    make(&fleet, "web2", &["--label", "tier=back"]);
    make(&fleet, "web", &["--label", "tier=front", "--replicas", "2"]);
    fleet.until("all run", || {
        let listed = lines(&fleet, Client::Ours, "ls --format {{.Name}}:{{.Replicas}}");
        listed == ["web:2/2", "web2:1/1", "web10:1/1"]
    });
    fleet
}

/// The lines that a client prints; it ends well.
fn lines(fleet: &Fleet, client: Client, line: &str) -> Vec<String> {
    let words: Vec<&str> = ["service"].into_iter().chain(line.split(' ')).collect();
    let output = client.run(fleet, &words);
    assert!(output.status.success(), "{client:?} {line}: {}", text(&output.stderr));
    text(&output.stdout).lines().map(str::to_owned).collect()
}

/// What a client says when it ends with 1, after the lines that it prints even so.
fn refused(fleet: &Fleet, client: Client, line: &str) -> (Vec<String>, String) {
    let words: Vec<&str> = ["service"].into_iter().chain(line.split(' ')).collect();
    let output = client.run(fleet, &words);
    assert_eq!(output.status.code(), Some(1), "{client:?} {line}: {}", text(&output.stdout));
    (text(&output.stdout).lines().map(str::to_owned).collect(), text(&output.stderr))
}

#[test]
fn listings_of_services_are_docker_s() {
    if !has_docker() {
        return;
    }
    let fleet = fleet(124);
    let node = fleet.get(1, "/nodes").json()[0]["ID"].as_str().expect("an id").to_owned();
    let global = format!("web10.{node}");
    for client in Client::BOTH {
        let same = |line: &str, expected: &[&str]| {
            assert_eq!(lines(&fleet, client, line), expected, "{client:?} {line}");
        };
        same("ls --format {{.Name}}", &["web", "web2", "web10"]);
        same("ls -f name=web2 --format {{.Name}}", &["web2"]);
        same("ls -f mode=global --format {{.Name}}", &["web10"]);
        same("ls -f label=tier --format {{.Name}}", &["web", "web2"]);
        same("ls -f label=tier=back --format {{.Name}}", &["web2"]);
        same("ls -f id=nothing --format {{.Name}}", &[]);
        let row = "{{.Name}}:{{.Mode}}:{{.Replicas}}:{{.Image}}:{{.Ports}}";
        same(&format!("ls -f name=web10 --format {row}"), &["web10:global:1/1:process:/bin/sh:"]);
        let ids = lines(&fleet, client, "ls -q");
        let of = format!("ls -q -f id={}", ids[0]);
        same(&of, &[ids[0].as_str()]);
        let json = lines(&fleet, client, "ls --format json -f name=web10");
        assert!(json[0].contains(r#""Replicas":"1/1""#), "{json:?}");

        same("ps --format {{.Name}} web", &["web.1", "web.2"]);
        same("ps -f name=web.2 --format {{.Name}} web", &["web.2"]);
        same(&format!("ps -f node={node} -f name=web.1 --format {{{{.Name}}}} web"), &["web.1"]);
        same("ps -f node=shop-1 --format {{.Name}} web10", &[global.as_str()]);
        same("ps -f desired-state=running --format {{.Name}} web2", &["web2.1"]);
        same("ps -f desired-state=accepted --format {{.Name}} web2", &["web2.1"]);
        same("ps -f desired-state=shutdown --format {{.Name}} web2", &[]);
        let row = "{{.Image}}:{{.Node}}:{{.DesiredState}}:{{.Error}}:{{.Ports}}";
        same(&format!("ps --format {row} web2"), &["process:/bin/sh:shop-1:Running::"]);
        let ids = lines(&fleet, client, "ps -q --no-trunc web2");
        same(&format!("ps -q --no-trunc -f id={} web2", ids[0]), &[ids[0].as_str()]);
        let nodes = lines(&fleet, client, "ps --no-resolve --format {{.Node}} web2");
        assert!(node.starts_with(&nodes[0]), "{nodes:?}");
        let json = lines(&fleet, client, "ps --format json web2");
        assert!(json[0].contains(r#""DesiredState":"Running""#), "{json:?}");

        same("inspect --format {{.Spec.Name}} web web2", &["web", "web2"]);
        let pretty = lines(&fleet, client, "inspect --pretty web").join("\n");
        assert!(pretty.contains("process:/bin/sh"), "{pretty}");

        for (line, words) in [
            ("ls -f nope=1", "id, label, mode, name"),
            ("ps -f nope=1 web", "id"),
            ("ps -f desired-state=bogus web", "running, shutdown, accepted"),
        ] {
            let (_, said) = refused(&fleet, client, line);
            assert!(said.contains(words), "{client:?} {line}: {said}");
        }
        let (shown, said) = refused(&fleet, client, "ps --format {{.Name}} web2 nope web");
        assert!(said.contains("nope"), "{said}");
        let mut shown = shown;
        shown.sort();
        assert_eq!(shown, ["web.1", "web.2", "web2.1"]);
        let (shown, said) = refused(&fleet, client, "inspect --format {{.Spec.Name}} web nope");
        assert!(said.contains("nope") && shown == ["web"], "{shown:?} {said}");
    }
    let several = "ps --format {{.Name}} web10 web2 web";
    assert_eq!(lines(&fleet, Client::Ours, several), ["web.1", "web.2", "web2.1", &global]);
}

#[test]
fn logs_of_services_are_docker_s() {
    if !has_docker() {
        return;
    }
    let fleet = fleet(125);
    let node = fleet.get(1, "/nodes").json()[0]["ID"].as_str().expect("an id").to_owned();
    let id = lines(&fleet, Client::Ours, "ps -q web2").remove(0);
    for client in Client::BOTH {
        fleet.until("it has spoken", || !lines(&fleet, client, "logs web2").is_empty());
        // Behind the dash there is whatever else a log driver adds: nothing here.
        let said = |flags: &str| {
            let line = lines(&fleet, client, &format!("logs {flags}web2")).remove(0);
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let short = format!("web2.1.{}@shop-1 | hello", &id[..12]);
        for flags in ["", "--details ", "--tail 1 ", "-n 5 ", "--since 10m "] {
            assert_eq!(said(flags), short, "{client:?} {flags}");
        }
        assert_eq!(said("--raw "), "hello", "{client:?}");
        assert_eq!(said("--no-task-ids "), "web2.1@shop-1 | hello", "{client:?}");
        let whole = format!("web2.1.{id}@shop-1 | hello");
        assert_eq!(said("--no-trunc "), whole, "{client:?}");
        assert!(said("--no-resolve --no-trunc ").contains(&node), "{client:?}");
        assert!(said("-t ").ends_with(&format!("Z {short}")), "{client:?}");
        let (_, said) = refused(&fleet, client, "logs nope");
        assert!(said.contains("nope"), "{client:?}: {said}");
    }
    let both = lines(&fleet, Client::Ours, "logs --no-task-ids web2 web.1");
    assert_eq!(both, ["web.1@shop-1    | hello", "web2.1@shop-1    | hello"]);
    let (shown, said) = refused(&fleet, Client::Ours, "logs --raw nope web2");
    assert!(said.contains("nope") && shown == ["hello"], "{shown:?} {said}");
}

#[test]
fn several_services_are_scaled_and_removed_at_once() {
    if !has_docker() {
        return;
    }
    let fleet = fleet(126);
    for (client, number) in [(Client::Docker, 3), (Client::Ours, 4)] {
        let line = format!("scale -d web={number} web2={number}");
        assert_eq!(lines(&fleet, client, &line).len(), 2, "{client:?}");
        let wanted = |service: &str| {
            let spec = fleet.get(1, &format!("/services/{service}")).json()["Spec"].clone();
            spec["Mode"]["Replicated"]["Replicas"].as_u64()
        };
        assert_eq!([wanted("web"), wanted("web2")], [Some(number), Some(number)]);
        let (_, said) = refused(&fleet, client, "scale -d web10=2 web=1 nope=1");
        assert!(said.contains("web10") || said.contains("global"), "{client:?}: {said}");
        assert!(said.contains("nope"), "{client:?}: {said}");
        assert_eq!(wanted("web"), Some(1), "{client:?}: the others are scaled");
        refused(&fleet, client, "scale -d web");
    }
    for (client, name) in [(Client::Docker, "web2"), (Client::Ours, "web10")] {
        let (shown, said) = refused(&fleet, client, &format!("rm nope {name}"));
        assert!(said.contains("nope") && shown == [name], "{client:?}: {shown:?} {said}");
    }
    assert_eq!(lines(&fleet, Client::Ours, "ls --format {{.Name}}"), ["web"]);
}
