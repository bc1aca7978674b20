//! A blue-green update and its rollback, as a client sees them that asks without a pause.

use super::Shop;
use super::test_lab::busybox_image::IMAGE;

/// Serves the number of its release.
const SERVE: &str = "echo $RELEASE > /tmp/index.html; exec busybox httpd -f -p 80 -h /tmp";

/// One request after the other by the virtual address, from the first that is answered on; what
/// each is answered is a line. (The name is there before this node knows a task that is ready.)
const CLIENT: &str = "until [ -n \"$to\" ]; do to=$(resolve store); done; \
                      until busybox timeout 5 busybox wget -qO- http://$to/; do :; done; \
                      while [ ! -e /tmp/stop ]; do \
                      busybox timeout 5 busybox wget -qO- http://$to/ >> /tmp/answers \
                      || echo none >> /tmp/answers; done";

#[test]
fn a_blue_green_update_reaches_a_client_in_one_step_and_leaves_it_in_one() {
    let Some(shop) = Shop::open('w') else { return };
    let create = ["service", "create", "-d", "--no-resolve-image", "--network", "back", "--init"];
    let policy = ["--update-order", "blue-green", "--update-monitor", "2s", "--replicas", "4"];
    let check = ["--health-cmd", super::CHECK, "--health-interval", "200ms"];
    let task = ["--name", "store", "--env", "RELEASE=1", IMAGE, "/bin/sh", "-c", SERVE];
    shop.edgectl(1, &[&create[..], &policy, &check, &task].concat());
    shop.until("all run", || shop.runs("store") == 4);
    let script = format!("{}; {CLIENT}", super::RESOLVE);
    shop.edgectl(1, &["exec", "-d", "cli.1", "/bin/sh", "-c", &script]);
    let answers = || shop.in_cli(&["busybox", "cat", "/tmp/answers"]);
    shop.until("the client is answered", || answers().lines().count() > 20);

    let update = ["service", "update", "-d", "--no-resolve-image", "--env-add", "RELEASE=2"];
    shop.edgectl(2, &[&update[..], &["store"]].concat());
    shop.until("both releases run", || shop.runs("store") == 8);
    let is_over = |word: &str| {
        let inspect = ["service", "inspect", "--format", "{{.UpdateStatus.State}}", "store"];
        shop.edgectl(1, &inspect).trim() == word && shop.runs("store") == 4
    };
    shop.until("the old release ends", || is_over("completed"));
    shop.edgectl(3, &["service", "rollback", "-d", "store"]);
    shop.until("the new release ends", || is_over("rollback_completed"));
    shop.in_cli(&["/bin/sh", "-c", "echo > /tmp/stop"]);

    let answers = answers();
    let mut steps: Vec<(&str, usize)> = Vec::new();
    for answer in answers.lines() {
        match steps.last_mut().filter(|(last, _)| *last == answer) {
            Some((_, count)) => *count += 1,
            None => steps.push((answer, 1)),
        }
    }
    let releases: Vec<&str> = steps.iter().map(|(release, _)| *release).collect();
    assert_eq!(releases, ["1", "2", "1"], "each release in one piece, and no failure: {steps:?}");
}
