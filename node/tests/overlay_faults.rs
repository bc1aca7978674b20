//! What clients of a network notice when agents, links, rules and nodes fail, and what is left of a
//! fleet that ends. As root only.

#[path = "overlay_faults/agents.rs"]
mod agents;
#[path = "overlay_faults/churn.rs"]
mod churn;
#[path = "overlay_faults/data_path.rs"]
mod data_path;
#[path = "overlay_faults/dead_node.rs"]
mod dead_node;
#[path = "overlay_faults/fleet.rs"]
mod fleet;
#[path = "overlay_faults/leftovers.rs"]
mod leftovers;
#[path = "overlay_faults/load.rs"]
mod load;
#[path = "overlay_faults/moved.rs"]
mod moved;
#[path = "overlay_faults/multicast.rs"]
mod multicast;
#[path = "overlay_faults/partition.rs"]
mod partition;
#[path = "overlay_faults/refused.rs"]
mod refused;
#[path = "overlay_faults/repairs.rs"]
mod repairs;
#[path = "overlay_faults/shop.rs"]
mod shop;
#[path = "overlay_faults/silence.rs"]
mod silence;
#[path = "lab/test_lab.rs"]
mod test_lab;

use shop::Shop;

#[test]
fn clients_notice_no_agent_and_only_what_a_dead_node_had() {
    let Some(mut shop) = Shop::open('r') else { return };
    agents::check_agents_killed_under_load(&shop);
    repairs::check_repairs(&shop);
    churn::check_churn(&shop);
    dead_node::check_dead_node(&mut shop);
    leftovers::check_leave(&shop);
    leftovers::check_down(shop);
}

/// Nobody else makes the agents apply their plans again.
#[test]
fn what_the_kernel_refuses_is_told_and_tried_again_every_second() {
    let Some(shop) = Shop::open('t') else { return };
    refused::check_refused_table(&shop);
    refused::check_refused_links(&shop);
    refused::check_firewall(&shop);
}

#[test]
fn a_healed_fleet_has_one_task_for_every_address_and_finds_a_node_that_moved() {
    let Some((fleet, base)) = partition::open('s') else { return };
    partition::check_partition(&fleet, &base);
    moved::check_moved(&fleet, &base);
    silence::check_silence(&fleet, &base);
    multicast::check_multicast(&fleet);
}

#[test]
fn a_path_that_carries_nothing_is_told_where_operators_look_until_it_is_healed() {
    let Some(fleet) = data_path::open('v') else { return };
    data_path::check_families(&fleet);
    data_path::check_cut(&fleet);
}
