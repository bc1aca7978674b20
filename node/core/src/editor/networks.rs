//! Edits of networks: created with what is free, removed when nobody uses them.

use std::net::IpAddr;

use crdt_state::network::{
    AddressRange, Attachment, Attachments, Balancing, DEFAULT_NETWORK, NetworkSpec,
};
use crdt_state::service::Service;
use crdt_state::spec::{Facet, Life};
use crdt_state::stamp::Writer;
use crdt_state::{NetworkId, NodeId, RecordKey, ServiceId, Stamp, StoreId};
use ipnet::IpNet;
use overlay::blocks::Division;
use overlay::{pool, virtual_address};

use super::Editor;
use crate::edit::network::{BadNetwork, NetworkRequest, RangeRequest};
use crate::edit::{Edited, Refusal, ServiceSpec, check_size};
use crate::names::TASKS;

/// The age of the default network: older than every other, and the same wherever it is created.
const EVER: Stamp =
    Stamp { lamport: 0, writer: Writer { node: NodeId([0; 16]), store: StoreId(0) } };

impl Editor<'_> {
    pub(super) fn create_network(&mut self, request: &NetworkRequest) -> Result<Edited, Refusal> {
        request.check()?;
        check_size("the options", &request.options)?;
        check_size("the labels", &request.labels)?;
        if self.catalog().networks.named(&request.name).is_some() {
            return Err(BadNetwork::NameTaken(request.name.clone()).into());
        }
        let created = self.replica.next_stamp();
        let key = |id| RecordKey::network(NetworkId(id));
        let id = NetworkId(self.new_id("edgectl network id 1", &request.name, key));
        let spec = self.network_spec(id, request)?;
        check_size("the network", &spec)?;
        self.write_network(id, &request.name, created, &spec);
        if !request.labels.is_empty() {
            let key = RecordKey::network(id);
            self.replica.edit_labels(key, &request.labels, self.wall_ms);
        }
        Ok(Edited::Network(id))
    }

    fn write_network(&mut self, id: NetworkId, name: &str, created: Stamp, spec: &NetworkSpec) {
        let key = RecordKey::network(id);
        let life = Life::Present { name: name.to_owned(), created };
        self.replica.edit(key, Facet::LIFE, &life, self.wall_ms);
        self.replica.edit(key, Facet::NETWORK, spec, self.wall_ms);
    }

    pub(super) fn remove_network(&mut self, id: NetworkId) -> Result<Edited, Refusal> {
        let networks = &self.catalog().networks;
        let missing = || BadNetwork::Missing(id.to_string());
        let name = networks.networks.get(&id).map(|network| network.name.clone());
        let name = name.ok_or_else(missing)?;
        if id == NetworkId::default_network() {
            return Err(BadNetwork::Predefined(name).into());
        }
        let users = self.catalog().services.values();
        let users = users.filter(|service| service.networks.iter().any(|a| a.network == id));
        let users: Vec<&str> = users.map(|service| service.name.as_str()).collect();
        if !users.is_empty() {
            return Err(BadNetwork::InUse { name, services: users.join(", ") }.into());
        }
        if self.has_tasks(id) {
            return Err(BadNetwork::HasTasks { name }.into());
        }
        self.replica.remove(RecordKey::network(id), self.wall_ms).expect("it was just read");
        Ok(Edited::Done)
    }

    /// Is a task of a node that is there on the network? Those of a removed service end last.
    fn has_tasks(&self, id: NetworkId) -> bool {
        let records = self.catalog().networks.addresses.values().flatten();
        let here = records.filter(|((_, node), _)| self.planner.is_here(*node));
        let mut tasks = here.flat_map(|(_, record)| &record.tasks);
        tasks.any(|task| task.networks.contains_key(&id))
    }

    /// The networks of a service exist, or it `held` them before they were removed; and the default
    /// network is created when it is first used.
    pub(super) fn check_networks(
        &mut self,
        networks: &Attachments,
        held: &[Attachment],
    ) -> Result<(), Refusal> {
        let default = NetworkId::default_network();
        let known = &self.catalog().networks.networks;
        let mut asked = networks.iter().map(|attachment| attachment.network);
        let is_held = |id: &NetworkId| held.iter().any(|attachment| attachment.network == *id);
        let is_unknown = |id: &NetworkId| *id != default && !known.contains_key(id) && !is_held(id);
        if let Some(id) = asked.find(is_unknown) {
            return Err(BadNetwork::Missing(id.to_string()).into());
        }
        let uses_default = networks.iter().any(|attachment| attachment.network == default);
        if uses_default && !known.contains_key(&default) {
            let request = NetworkRequest { ipv4: true, ..NetworkRequest::default() };
            let spec = self.network_spec(default, &request)?;
            self.write_network(default, DEFAULT_NETWORK, EVER, &spec);
        }
        Ok(())
    }

    /// No alias hides another service, and no service an alias: clients that ask for one of two
    /// would be led to both. What an edit does not change stays as it is.
    pub(super) fn check_aliases(
        &self,
        id: ServiceId,
        spec: &ServiceSpec,
        held: Option<&Service>,
    ) -> Result<(), BadNetwork> {
        for attachment in &spec.networks {
            let network = attachment.network;
            let had = held.and_then(|service| on_network(service, network));
            let is_new = |alias: &&String| !had.is_some_and(|had| had.aliases.contains(alias));
            let has_name = had.is_some() && held.is_some_and(|service| service.name == spec.name);
            let services = self.catalog().services.values();
            // Containers that were made by hand may share names, as in Docker: Compose's client makes
            // the next container with the name of the last one as an alias.
            let is_standalone = spec.template.is_standalone();
            let shares = |other: &Service| is_standalone && other.template.is_standalone();
            for other in services.filter(|other| other.id != id && !shares(other)) {
                let Some(theirs) = on_network(other, network) else { continue };
                let hides = |alias: &&String| is_name_of(alias, &other.name);
                let service = other.name.clone();
                let network = self.network_name(network);
                if let Some(alias) = attachment.aliases.iter().filter(is_new).find(hides) {
                    return Err(BadNetwork::AliasTaken { alias: alias.clone(), service, network });
                }
                let is_hidden = theirs.aliases.iter().any(|alias| is_name_of(alias, &spec.name));
                if is_hidden && !has_name {
                    return Err(BadNetwork::NameIsAlias {
                        name: spec.name.clone(),
                        service,
                        network,
                    });
                }
            }
        }
        Ok(())
    }

    /// How a service is found on its networks. A virtual address that it has stays its own.
    pub(super) fn balancing(
        &self,
        id: ServiceId,
        spec: &ServiceSpec,
        held: Option<&Service>,
    ) -> Balancing {
        let mut balancing = Balancing { by_name: spec.by_name, ..Balancing::default() };
        if spec.by_name {
            return balancing;
        }
        let catalog = self.catalog();
        for attachment in &spec.networks {
            let network = attachment.network;
            let settled = catalog.networks.virtual_addresses(&catalog.services, network);
            let mine = held.and_then(|service| settled.get(&service.id)).cloned();
            let mine = mine.unwrap_or_else(|| {
                let ranges = self.ranges(network);
                let taken: Vec<IpAddr> = settled.values().flatten().copied().collect();
                let is_taken = |ip| taken.contains(&ip) || catalog.networks.is_claimed(network, ip);
                let chosen = ranges.iter().filter_map(|range| {
                    virtual_address::choose(&Division::of(range), id, is_taken)
                });
                chosen.collect()
            });
            balancing.virtual_addresses.insert(network, mine);
        }
        balancing
    }

    /// The ranges of a network, also of one that was created by this edit.
    fn ranges(&self, network: NetworkId) -> Vec<AddressRange> {
        match self.catalog().networks.settled.get(&network) {
            Some(settled) => settled.ranges.clone(),
            None => {
                let key = RecordKey::network(network);
                let spec = self.replica.facet::<NetworkSpec>(&key, Facet::NETWORK);
                spec.map(|(_, spec)| spec.ranges).unwrap_or_default()
            }
        }
    }

    /// The configuration that a request comes to: what it leaves open is chosen.
    fn network_spec(
        &self,
        id: NetworkId,
        request: &NetworkRequest,
    ) -> Result<NetworkSpec, BadNetwork> {
        let mut ranges = Vec::new();
        for range in &request.ranges {
            self.check_free(&range.subnet)?;
            ranges.push(address_range(range));
        }
        let taken: Vec<IpNet> = self
            .subnets()
            .map(|(subnet, _)| subnet)
            .chain(self.catalog().site_routes().map(|(_, route)| route))
            .collect();
        let has = |ranges: &[AddressRange], is_family: fn(&IpAddr) -> bool| {
            ranges.iter().any(|range| is_family(&range.gateway))
        };
        if request.ipv4 && !has(&ranges, IpAddr::is_ipv4) {
            let pools: Vec<String> = pool::POOLS.iter().map(ToString::to_string).collect();
            let exhausted = BadNetwork::PoolExhausted { pools: pools.join(" and ") };
            let subnet = pool::choose_ipv4(id, &taken).ok_or(exhausted)?;
            ranges.push(address_range(&whole(subnet)));
        }
        if request.ipv6 && !has(&ranges, IpAddr::is_ipv6) {
            ranges.push(address_range(&whole(pool::choose_ipv6(id, &taken))));
        }
        Ok(NetworkSpec {
            ranges,
            vni: self.vni(id, request.vni)?,
            internal: request.internal,
            attachable: request.attachable,
            encrypted: request.encrypted,
            mtu: request.mtu,
            options: request.options.clone(),
        })
    }

    fn vni(&self, id: NetworkId, asked: Option<u32>) -> Result<u32, BadNetwork> {
        let networks = &self.catalog().networks;
        let held = |vni| networks.settled.iter().find(|(_, settled)| settled.vni == vni);
        let Some(vni) = asked else {
            let taken: Vec<u32> = networks.settled.values().map(|settled| settled.vni).collect();
            return Ok(pool::choose_vni(id, &taken));
        };
        match held(vni) {
            Some((other, _)) => Err(BadNetwork::VniTaken { vni, name: self.network_name(*other) }),
            None => Ok(vni),
        }
    }

    fn check_free(&self, subnet: &IpNet) -> Result<(), BadNetwork> {
        if let Some((other, id)) = self.subnets().find(|(other, _)| pool::overlap(other, subnet)) {
            let name = self.network_name(id);
            return Err(BadNetwork::Overlap { subnet: *subnet, other, name });
        }
        let mut routes = self.catalog().site_routes();
        let met = routes.find(|(_, route)| pool::overlap(route, subnet));
        match met {
            Some((node, route)) => {
                let node = self.catalog().hostname(node);
                Err(BadNetwork::SiteRoute { subnet: *subnet, route, node })
            }
            None => Ok(()),
        }
    }

    fn subnets(&self) -> impl Iterator<Item = (IpNet, NetworkId)> {
        let settled = self.catalog().networks.settled.iter();
        settled.flat_map(|(id, network)| network.ranges.iter().map(|range| (range.subnet, *id)))
    }

    fn network_name(&self, id: NetworkId) -> String {
        let network = self.catalog().networks.networks.get(&id);
        network.map_or_else(|| id.to_string(), |network| network.name.clone())
    }
}

fn on_network(service: &Service, network: NetworkId) -> Option<&Attachment> {
    service.networks.iter().find(|attachment| attachment.network == network)
}

/// Is the alias a name that leads to the service of this name?
fn is_name_of(alias: &str, name: &str) -> bool {
    let alias = alias.to_ascii_lowercase();
    alias.strip_prefix(TASKS).unwrap_or(&alias) == name.to_ascii_lowercase()
}

fn whole(subnet: IpNet) -> RangeRequest {
    RangeRequest { subnet, gateway: None, range: None, reserved: Default::default() }
}

fn address_range(range: &RangeRequest) -> AddressRange {
    AddressRange {
        subnet: range.subnet,
        gateway: range.gateway.unwrap_or_else(|| pool::default_gateway(&range.subnet)),
        range: range.range,
        reserved: range.reserved.clone(),
    }
}
