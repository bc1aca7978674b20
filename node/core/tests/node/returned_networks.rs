//! A slot that goes back from a failed update of the runtime is on its networks again.

use std::net::IpAddr;

use crdt_state::rollout::FailureAction;
use crdt_state::spec::Runtime;
use node_core::{Edit, ServiceSpec};

use crate::host::Host;
use crate::networks::{network, on};
use crate::rollback::{follow_for, rules};

/// The update from a container to a process fails in its first slot, and stops. The service asks for
/// a process from now on; both slots run in containers.
#[test]
fn a_slot_that_goes_back_to_a_container_has_its_address_and_its_name() {
    let mut host = Host::new();
    let back = network(&mut host, "back", "");
    let containers =
        ServiceSpec { update_rules: rules(FailureAction::Pause, 0), ..on(back, "web", 2) };
    let id = host.create(containers.clone());
    follow_for(&mut host, "nothing", 2);
    host.wait(60_000);
    let mut processes = containers;
    processes.template.runtime = Runtime::Process;
    processes.template.image.clear();
    processes.template.command = vec!["/bin/till".into()];
    processes.template.env.push("BROKEN=1".to_owned());
    let update = Edit::UpdateService { id, version: None, spec: Box::new(processes) };
    host.edit(update).expect("updated");
    follow_for(&mut host, "BROKEN=1", 2);

    let service = host.node.service(id).expect("it is there");
    assert_eq!(service.template.runtime, Runtime::Process, "the update stopped");
    let plan = host.node.overlay_plan();
    let on_networks: Vec<&Vec<IpAddr>> =
        plan.tasks.values().flat_map(|task| &task.interfaces).map(|one| &one.addresses).collect();
    assert_eq!(on_networks.len(), 2, "both containers are on the network: {:?}", host.tasks());
    let names = host.node.network_names(back, |run| run.task.to_string());
    let found = names.addresses("tasks.web").expect("a name");
    assert_eq!(found.len(), 2, "both take connections: {found:?}");
}
