//! How a service is reached, in lines for people: networks by name, addresses, ports.

use super::Lines;
use crate::output::ports_with_mode;
use crate::service::networks::KnownNetworks;
use node_docker::service::Service;
use node_docker::task_spec::NetworkAttachment;

pub(super) fn push(lines: &mut Lines, service: &Service, known: &KnownNetworks) {
    let networks = &service.spec.task_template.networks;
    let shown: Vec<String> = networks.iter().map(|network| show(network, known)).collect();
    lines.push("Networks", shown.join(", "));
    let endpoint = service.spec.endpoint_spec.clone().unwrap_or_default();
    // The node's own network has no names.
    if networks.iter().any(|network| !matches!(network.target.as_str(), "host" | "none")) {
        lines.push("Endpoint mode", endpoint.mode.as_str());
    }
    let addresses = service.endpoint.virtual_ips.iter();
    let addresses: Vec<String> = addresses
        .map(|address| format!("{} {}", known.name(&address.network_id), address.addr))
        .collect();
    lines.push("Virtual IPs", addresses.join(", "));
    lines.push("Ports", ports_with_mode(&endpoint.ports));
}

/// `back (db, store)`.
fn show(network: &NetworkAttachment, known: &KnownNetworks) -> String {
    let name = known.name(&network.target);
    match network.aliases.as_slice() {
        [] => name.to_owned(),
        aliases => format!("{name} ({})", aliases.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines(service: serde_json::Value) -> Vec<String> {
        let service: Service = serde_json::from_value(service).expect("a service");
        let mut lines = Lines::default();
        push(&mut lines, &service, &KnownNetworks::of(&[("id-0", "default"), ("id-1", "back")]));
        lines.lines
    }

    #[test]
    fn networks_are_shown_by_name_and_ports_with_their_mode() {
        let service = json!({
            "Spec": {
                "TaskTemplate": {"Networks": [
                    {"Target": "id-0"}, {"Target": "id-1", "Aliases": ["db", "store"]},
                    {"Target": "id-gone"}]},
                "EndpointSpec": {"Mode": "vip", "Ports": [
                    {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 8080,
                        "PublishMode": "ingress"},
                    {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 53,
                        "PublishMode": "host"}]},
            },
            "Endpoint": {"VirtualIPs": [{"NetworkID": "id-0", "Addr": "10.0.0.2/24"},
                {"NetworkID": "id-1", "Addr": "10.0.1.2/24"}]},
        });
        assert_eq!(
            lines(service),
            [
                "Networks:       default, back (db, store), id-gone",
                "Endpoint mode:  vip",
                "Virtual IPs:    default 10.0.0.2/24, back 10.0.1.2/24",
                "Ports:          *:8080->80/tcp (ingress), *:53->53/udp (host)",
            ]
        );
    }

    #[test]
    fn the_node_s_own_network_has_no_mode() {
        let service = json!({"Spec": {"TaskTemplate": {"Networks": [{"Target": "host"}]},
            "EndpointSpec": {"Mode": "vip"}}});
        assert_eq!(lines(service), ["Networks:       host"]);
    }
}
