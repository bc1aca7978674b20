//! `inspect --pretty`: what Docker's client prints, byte by byte, and below it what that leaves out.

use super::super::has_docker;
use super::{Client, Fleet, text};

/// Without ages, which go on between two calls.
fn printed(fleet: &Fleet, client: Client, words: &[&str]) -> String {
    let shown = client.run(fleet, words);
    assert!(shown.status.success(), "{client:?} {words:?}: {}", text(&shown.stderr));
    let shown = text(&shown.stdout);
    let line = |line: &str| match line.rsplit_once('\t') {
        Some((name, age)) if age.ends_with(" ago") => format!("{name}\tago\n"),
        _ => format!("{line}\n"),
    };
    shown.lines().map(line).collect()
}

fn compare(fleet: &Fleet, kind: &str, name: &str, more: &[&str]) {
    let words = [kind, "inspect", "--pretty", name];
    let [docker, ours] = Client::BOTH.map(|client| printed(fleet, client, &words));
    let docker = docker.trim_end_matches('\n');
    let ours = ours.as_str();
    let below = ours.split_once("\nMore:").unwrap_or_else(|| panic!("{name}: {ours}")).1;
    assert_eq!(ours.len() - below.len() - "\nMore:".len(), docker.len(), "{docker}\n---\n{ours}");
    assert!(ours.starts_with(docker), "{docker}\n---\n{ours}");
    for words in more {
        assert!(below.contains(words), "{name}, {words}: {below}");
    }
}

#[test]
fn services_are_shown_as_docker_shows_them_and_with_what_it_leaves_out() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(149, 1);
    let all = "--label a=b --label empty --constraint node.labels.a==b --constraint \
        node.labels.c!=d --placement-pref spread=node.labels.zone --replicas-max-per-node 2 \
        --update-delay 90s --update-monitor 1m30s --update-max-failure-ratio 0.25 \
        --rollback-delay 500ms --env A=1 --env B=2 --workdir /srv --init --user 1000:20 \
        --cap-add NET_ADMIN --cap-drop KILL --sysctl kernel.shmmax=9 --ulimit nofile=10:20 \
        --mount type=volume,src=data,dst=/data --mount type=tmpfs,dst=/t --log-driver local \
        --log-opt max-size=1m --limit-cpu 0.5 --limit-memory 100000000 --limit-pids 9 \
        --reserve-cpu 1.25 --reserve-memory 1536m --health-cmd true --health-interval 90s \
        --health-start-period 3s --publish mode=host,target=80,published=8080 \
        --memory-swap 1g --pre-start true --priority 7 --hostname till --affinity service!=bare";
    let more = ["1GiB", "Pre-start", "true", "Priority", "till", "service!=bare", "any after 5s"];
    for (name, flags, more) in [
        ("bare", "", &["any after 5s"][..]),
        ("all", all, &more),
        ("everywhere", "--mode global --constraint node.labels.none==here", &[]),
        ("job", "--mode replicated-job --constraint node.labels.none==here", &["replicated-job"]),
        ("limited", "--limit-pids 3", &[]),
        ("host", "--network host", &[]),
    ] {
        let made = super::create(&fleet, Client::Ours, name, flags);
        assert!(made.status.success(), "{name}: {}", text(&made.stderr));
        compare(&fleet, "service", name, more);
    }
    let update = ["service", "update", "-d", "--args", "a b", "--no-resolve-image", "bare"];
    assert!(Client::Ours.run(&fleet, &update).status.success());
    compare(&fleet, "service", "bare", &[]);
    let both = printed(&fleet, Client::Docker, &["service", "inspect", "--pretty", "bare", "host"]);
    let ours = printed(&fleet, Client::Ours, &["service", "inspect", "--pretty", "bare", "host"]);
    assert_eq!(both.matches("\n\nID:").count(), ours.matches("\n\nID:").count(), "{ours}");
}

#[test]
fn nodes_are_shown_as_docker_shows_them_and_with_what_it_leaves_out() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(150, 1);
    compare(&fleet, "node", "shop-1", &["Ready"]);
    let labels = ["node", "update", "--label-add", "a=b", "--label-add", "empty", "shop-1"];
    assert!(Client::Ours.run(&fleet, &labels).status.success());
    let drain = ["node", "update", "--availability", "drain", "shop-1"];
    assert!(Client::Ours.run(&fleet, &drain).status.success());
    compare(&fleet, "node", "shop-1", &["Ready"]);
}
