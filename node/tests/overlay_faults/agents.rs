//! Agents are killed and started while clients ask.

use crate::fleet::first_processes;
use crate::load::Load;
use crate::shop::Shop;

/// All agents are killed and started again, while clients ask without a pause.
pub fn check_agents_killed_under_load(shop: &Shop) {
    let spaces: Vec<_> = shop.web.iter().chain(&shop.cli).map(|task| task.space.clone()).collect();
    let before = first_processes(&spaces);
    assert_eq!(before.len(), spaces.len());
    let mut loads: Vec<Load> = (1..=3).map(|node| shop.by_virtual_address(node)).collect();
    loads.extend((1..=3).map(|node| shop.by_port(node)));
    loads.extend((1..=3).map(|node| shop.udp_by_virtual_address(node)));
    loads.extend((1..=3).map(|node| shop.udp_to_task(node, node % 3 + 1)));
    let go_on = |what: &str| {
        let answered: Vec<usize> = loads.iter().map(Load::answered).collect();
        let is_more = |(load, before): (&Load, &usize)| load.answered() > before + 20;
        shop.fleet.until(what, || loads.iter().zip(&answered).all(is_more));
    };
    go_on("all clients are answered");
    for node in shop.fleet.nodes() {
        shop.fleet.kill_agent(node);
    }
    go_on("all clients are answered without agents");
    // A start complains about the agents that are still missing, except the last.
    for node in ["n1", "n2"] {
        shop.fleet.lab.run(&["start", node]);
    }
    shop.fleet.lab.succeed(&["start", "n3"]);
    for node in shop.fleet.nodes() {
        let is_up = |row: &str| row.split_whitespace().last() == Some("Ready");
        let rows = || shop.fleet.edgectl(node, &["node", "ls", "--format", "{{.Status}}"]);
        shop.fleet.until("the agents know each other", || {
            rows().lines().filter(|r| is_up(r)).count() == 3
        });
        shop.fleet
            .until("the agents know their tasks", || shop.fleet.tasks(node, "web").len() == 3);
    }
    go_on("all clients are answered after that");
    for load in loads {
        load.end_without_failure();
    }
    assert_eq!(first_processes(&spaces), before, "nothing was restarted");
}
