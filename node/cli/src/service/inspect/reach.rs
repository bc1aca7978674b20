//! How a service is reached, as far as Docker's lines do not say it: aliases and addresses.

use super::Lines;
use crate::service::networks::KnownNetworks;
use node_docker::service::Service;
use node_docker::task_spec::NetworkAttachment;

pub(super) fn push(lines: &mut Lines, service: &Service, known: &KnownNetworks) {
    let networks = service.spec.task_template.networks.iter();
    let shown = networks.filter_map(|network| aliases(network, known));
    lines.push("Aliases", shown.collect::<Vec<_>>().join(", "));
    let addresses = service.endpoint.virtual_ips.iter();
    let addresses: Vec<String> = addresses
        .map(|address| format!("{} {}", known.name(&address.network_id), address.addr))
        .collect();
    lines.push("Virtual IPs", addresses.join(", "));
}

/// `db and store on back`.
fn aliases(network: &NetworkAttachment, known: &KnownNetworks) -> Option<String> {
    let names = network.aliases.join(" and ");
    (!names.is_empty()).then(|| format!("{names} on {}", known.name(&network.target)))
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
    fn aliases_and_addresses_are_shown_with_the_names_of_their_networks() {
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
                "Aliases:        db and store on back",
                "Virtual IPs:    default 10.0.0.2/24, back 10.0.1.2/24",
            ]
        );
    }
}
