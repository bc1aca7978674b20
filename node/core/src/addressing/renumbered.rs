//! What is told when a running task gets other addresses: which, and who has the old ones.

use std::net::IpAddr;

use crdt_state::{NetworkId, NodeId};

use super::{Lease, Leased, LiveTask};
use crate::catalog::Catalog;
use crate::event::{Event, Subject};
use crate::expand::task_name;

/// The events of a task of this node whose addresses were `held` and now are those of its lease.
pub(super) fn events(
    (me, live): (NodeId, LiveTask),
    held: &[Leased],
    lease: &Lease,
    catalog: &Catalog,
    wall_ms: u64,
) -> Vec<Event> {
    let now = |network| lease.interfaces.iter().find(|leased| leased.network == network);
    let changed = held.iter().filter_map(|before| {
        let after = now(before.network)?;
        let is_changed = live.has_begun && !before.addresses.is_empty();
        (is_changed && before.addresses != after.addresses).then_some((before, after))
    });
    let service = catalog.services.get(&live.service);
    let called = service.map_or("", |service| service.name.as_str());
    let event = |(before, after): (&Leased, &Leased)| {
        let network = catalog.networks.networks.get(&before.network);
        let gone = before.addresses.iter().find(|ip| !after.addresses.contains(ip));
        let holder = gone.and_then(|ip| holder(me, before.network, *ip, catalog));
        let mut attributes = vec![
            ("attempt", live.attempt.to_string()),
            ("service", live.service.to_string()),
            ("service_name", called.to_owned()),
            ("network", network.map(|network| network.name.clone()).unwrap_or_default()),
            ("from", texts(&before.addresses)),
            ("to", texts(&after.addresses)),
        ];
        attributes.extend(holder.map(|holder| ("because", format!("{holder} has it"))));
        let subject = Subject::Task { id: live.task, name: task_name(called, live.slot) };
        Event { subject, action: "renumber", attributes, wall_ms }
    };
    changed.map(event).collect()
}

/// Who has an address that this node's task had.
fn holder(me: NodeId, network: NetworkId, ip: IpAddr, catalog: &Catalog) -> Option<String> {
    let mut others = catalog.networks.blocks_of_others(me, network);
    if let Some((node, _)) = others.find(|(_, block)| block.subnet.contains(&ip)) {
        return Some(format!("node {}", catalog.hostname(node)));
    }
    let virtual_addresses = catalog.networks.virtual_addresses(&catalog.services, network);
    let service = virtual_addresses.iter().find(|(_, all)| all.contains(&ip))?.0;
    Some(format!("service {}", catalog.services.get(service)?.name))
}

fn texts(addresses: &[IpAddr]) -> String {
    let texts: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(" ") }
}
