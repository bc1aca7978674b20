//! The servers that are asked for a container's other names: those of its service, or those of its
//! node.
//!
//! The servers of a service are asked as the container itself would ask them, so that one may be a
//! task of its networks, or listen in the container. Those of a node are asked from the node, which
//! may be the only one that they answer.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;

use overlay::plan::TaskPlan;
use overlay_dns::{Dialer, HostDialer, Upstream};
use overlay_linux::balancing::NAME_SERVER;
use overlay_linux::links::TaskNamespace;
use tokio::net::TcpSocket;

use super::resolv_conf::{DNS_PORT, HostServers};

/// The servers to ask. None for a container that reaches none: on internal networks only, that is
/// every server that is not on one of them.
pub(super) fn of_task(
    task: &TaskPlan,
    host: &HostServers,
    namespace: &TaskNamespace,
) -> Vec<Upstream> {
    let has_way_out = task.interfaces.iter().any(|interface| interface.is_default);
    let own = own_servers(task);
    if own.is_empty() {
        let servers = if has_way_out { host.servers() } else { &[] };
        return servers.iter().map(|address| Upstream::from_host(*address)).collect();
    }
    let reached = own.into_iter().filter(|ip| has_way_out || is_near(task, *ip));
    let dialer: Arc<dyn Dialer> = Arc::new(TaskDialer(namespace.clone()));
    let upstream = |ip| Upstream { address: (ip, DNS_PORT).into(), dialer: dialer.clone() };
    reached.map(upstream).collect()
}

/// One that is given its own name server as `--dns` would ask itself for ever.
fn own_servers(task: &TaskPlan) -> Vec<IpAddr> {
    task.name_servers.iter().copied().filter(|ip| *ip != IpAddr::V4(NAME_SERVER)).collect()
}

/// Does the container reach the address without a way out?
fn is_near(task: &TaskPlan, ip: IpAddr) -> bool {
    let mut subnets = task.interfaces.iter().flat_map(|interface| &interface.subnets);
    ip.is_loopback() || subnets.any(|subnet| subnet.contains(&ip))
}

/// Asks from inside of a container. That costs a short thread for each query.
struct TaskDialer(TaskNamespace);

impl Dialer for TaskDialer {
    fn udp(&self, server: SocketAddr) -> io::Result<UdpSocket> {
        self.0.enter(|| HostDialer.udp(server))
    }

    fn tcp(&self, server: SocketAddr) -> io::Result<TcpSocket> {
        self.0.enter(|| HostDialer.tcp(server))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crdt_state::NetworkId;
    use crdt_state::interface::TaskInterface;

    fn interface(subnet: &str, is_default: bool) -> TaskInterface {
        TaskInterface {
            network: NetworkId([1; 16]),
            name: "eth0".to_owned(),
            addresses: Vec::new(),
            mac: [2; 6],
            gateways: Vec::new(),
            subnets: vec![subnet.parse().expect("a subnet")],
            is_default,
            settings: Vec::new(),
        }
    }

    fn asked(task: &TaskPlan) -> Vec<String> {
        let host = HostServers::of("nameserver 192.0.2.1\nnameserver 127.0.0.53\n");
        let servers = of_task(task, &host, &TaskNamespace::at("/nowhere".into()));
        servers.iter().map(|server| server.address.to_string()).collect()
    }

    #[test]
    fn a_container_asks_its_own_servers_else_those_of_the_node_and_only_what_it_reaches() {
        let servers = ["127.0.0.11", "192.0.2.53", "10.1.2.3", "127.0.0.1"];
        let servers: Vec<IpAddr> = servers.map(|ip| ip.parse().expect("an address")).to_vec();
        let (inner, outer) = (interface("10.1.0.0/16", false), interface("10.2.0.0/16", true));
        let mut task = TaskPlan { interfaces: vec![inner.clone(), outer], ..TaskPlan::default() };
        assert_eq!(asked(&task), ["192.0.2.1:53", "127.0.0.53:53"]);
        task.name_servers = servers;
        assert_eq!(asked(&task), ["192.0.2.53:53", "10.1.2.3:53", "127.0.0.1:53"]);
        task.interfaces = vec![inner];
        assert_eq!(asked(&task), ["10.1.2.3:53", "127.0.0.1:53"]);
        task.name_servers.clear();
        assert!(asked(&task).is_empty());
    }
}
