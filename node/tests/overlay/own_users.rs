//! A task with user and group ids of its own on a network: it is found and finds others, by name and by port.

use super::test_lab::busybox_image::IMAGE;
use super::{SERVE, Shop, found};

pub(super) fn check(shop: &Shop) {
    let create = ["service", "create", "-d", "--no-resolve-image", "--network", "back", "--init"];
    let task = ["--name", "lone", "--userns", "auto", "--publish", "8090:80"];
    shop.edgectl(2, &[&create[..], &task, &[IMAGE, "/bin/sh", "-c", SERVE]].concat());
    shop.until("it runs", || shop.runs("lone") == 1);
    let inside = |words: &[&str]| shop.edgectl(1, &[&["exec", "lone.1"], words].concat());
    let map = inside(&["busybox", "cat", "/proc/self/uid_map"]);
    assert_ne!(map.split_whitespace().nth(1), Some("0"), "root inside is root outside: {map}");
    shop.until("others find it", || shop.answers(None, "lone", 2).len() == 1);
    for node in 1..=3 {
        assert_eq!(shop.answers(Some(node), "127.0.0.1:8090", 2).len(), 1, "node {node}");
    }
    assert_eq!(found(&inside(&["nslookup", "tasks.web"])), 3);
    let others = inside(&["/bin/sh", "-c", "busybox wget -qO- http://web.2/"]);
    assert!(!others.trim().is_empty());
    shop.edgectl(3, &["service", "rm", "lone"]);
}
