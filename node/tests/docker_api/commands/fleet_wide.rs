//! `docker node`, `network`, `config`, `secret`, `swarm`: what is of the whole fleet.

use super::{said, type_all};
use crate::fleet::Fleet;
use crate::has_docker;

#[test]
fn nodes_are_listed_labelled_drained_and_removed_as_docker_types_it() {
    if !has_docker() {
        return;
    }
    let mut fleet = Fleet::start(151, 2);
    let program = ["process:/bin/sleep", "1000"];
    let create = ["service", "create", "-d", "--name", "web", "--mode", "global"];
    assert!(fleet.docker(1, &[&create[..], &program].concat()).status.success());
    fleet.until("both run", || fleet.running(1, "web") == 2);
    type_all(
        &fleet,
        &[
            ("node ls", 0, "Reachable"),
            ("node ls --filter role=worker -q", 0, ""),
            ("node ls --filter x=1", 1, "invalid filter 'x'"),
            ("node inspect shop-2 --format {{.Status.State}}", 0, "ready"),
            ("node inspect nothing", 1, "node nothing not found"),
            ("node ps shop-2", 0, "web."),
            ("node ps nothing", 1, "node nothing not found"),
            ("node update --label-add rack=1 shop-2", 0, "shop-2"),
            ("node ls --filter node.label=rack=1 --format {{.Hostname}}", 0, "shop-2"),
            ("node update --availability soon shop-2", 1, "`soon` is none of active, pause, drain"),
            ("node update --availability drain shop-2", 0, "shop-2"),
            ("node update --role worker shop-2", 1, "every node takes commands"),
            ("node promote shop-2", 0, "is already a manager"),
            ("node demote shop-2", 1, "every node takes commands"),
            ("node rm shop-2", 1, "node shop-2 is reachable; drain it and let it leave first"),
            ("node rm nothing", 1, "node nothing not found"),
        ],
    );
    fleet.until("the drained node has none", || fleet.running(1, "web") == 1);
    fleet.kill(2);
    type_all(&fleet, &[("node rm --force shop-2", 0, "shop-2")]);
    fleet.until("it is gone", || {
        !said(&fleet.docker(1, &["node", "ls", "--format", "{{.Hostname}}"])).contains("shop-2")
    });
}

#[test]
fn networks_are_made_and_removed_as_docker_types_it() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(152, 2);
    type_all(
        &fleet,
        &[
            ("network ls --format {{.Name}}", 0, "ingress"),
            ("network create back", 1, "type --driver overlay"),
            ("network create -d macvlan back", 1, "type --driver overlay"),
            (
                "network create -d overlay --attachable --label a=b --subnet 10.91.0.0/24 back",
                0,
                "",
            ),
            ("network create -d overlay back", 1, "network with name back already exists"),
            ("network create -d overlay --subnet 10.1.2.3/33 bad", 1, "10.1.2.3/33"),
            ("network ls --filter driver=overlay --filter label=a -q", 0, ""),
            ("network ls --filter x=1", 1, "invalid filter 'x'"),
            ("network inspect back --format {{.IPAM.Config}}", 0, "10.91.0.0/24"),
            ("network inspect -v back", 0, r#""Scope": "swarm""#),
            ("network inspect nothing", 1, "network nothing not found"),
            ("network connect back x", 1, "edgectl service update --network-add back SERVICE"),
            ("network disconnect back x", 1, "edgectl service update --network-rm back SERVICE"),
            ("network rm nothing", 1, "network nothing not found"),
        ],
    );
    assert_eq!(fleet.ask(1, "DELETE", "/networks/ingress", "").status, 403);
    let status = &fleet.get(1, "/networks/back").json()["Status"]["IPAM"]["Subnets"];
    let of = &status["10.91.0.0/24"];
    assert_eq!((&of["IPsInUse"], &of["DynamicIPsAvailable"]), (&3.into(), &253.into()));
    fleet.until("the other node has it", || fleet.get(2, "/networks/back").status == 200);
    type_all(
        &fleet,
        &[
            ("network rm back", 0, "back"),
            ("network create -d overlay unused", 0, ""),
            ("network prune --force --filter label=x", 0, ""),
            ("network inspect unused --format {{.Name}}", 0, "unused"),
            ("network prune --force", 0, "unused"),
        ],
    );
}

#[test]
fn a_swarm_is_shown_and_keeps_what_it_is() {
    if !has_docker() {
        return;
    }
    let fleet = Fleet::start(153, 2);
    type_all(
        &fleet,
        &[
            ("swarm init", 1, "this node is already part of a swarm of 2 nodes"),
            ("swarm join --token x 127.0.0.1:1", 1, "a token begins with EDGE-2-"),
            ("swarm join-token -q worker", 0, "EDGE-2-"),
            ("swarm join-token manager", 0, "docker swarm join --token EDGE-2-"),
            ("swarm join-token --rotate worker", 0, "Successfully rotated worker join token"),
            ("swarm join-token nothing", 1, "unknown role nothing"),
            ("swarm unlock-key", 1, "no unlock key is set"),
            ("swarm unlock-key --rotate", 1, "cannot rotate because autolock is not turned on"),
            ("swarm ca", 0, "-----BEGIN CERTIFICATE-----"),
            ("swarm ca --rotate --detach", 1, "the key of this fleet is in the configuration"),
            ("node ls --format {{.TLSStatus}}", 0, "Ready"),
            ("swarm update --autolock=true", 1, "the key of this fleet is in the configuration"),
            ("swarm update --cert-expiry 48h", 1, "--cert-expiry would have no effect"),
            ("swarm update --task-history-limit 3", 0, "Swarm updated."),
            ("info --format {{.Swarm.Nodes}}", 0, "2"),
            ("system info --format {{.Swarm.LocalNodeState}}", 0, "active"),
            ("secret ls -q", 0, ""),
            ("secret create key /etc/hostname", 0, ""),
            ("secret create key /etc/hostname", 1, "secret key already exists"),
            ("secret ls --format {{.Name}}", 0, "key"),
            ("secret inspect nothing", 1, "secret nothing not found"),
            ("secret rm nothing key", 1, "secret nothing not found"),
            ("secret inspect key", 1, "secret key not found"),
            ("config create page /etc/hostname", 0, ""),
            ("config create page /etc/hostname", 1, "config page already exists"),
            ("config ls --format {{.Name}}", 0, "page"),
            ("config inspect nothing", 1, "config nothing not found"),
            ("config rm nothing page", 1, "config nothing not found"),
            ("config inspect page", 1, "config page not found"),
        ],
    );
    let unlock = fleet.ask(1, "POST", "/swarm/unlock", r#"{"UnlockKey": "x"}"#);
    assert!(unlock.message().contains("swarm is not locked"), "{}", unlock.message());
}
