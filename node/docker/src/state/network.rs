//! Translates a network that Docker's client asks for, and refuses what would be lost.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crdt_state::network::MULTICAST_OPTION;
use ipnet::IpNet;
use node_core::edit::network::{NetworkRequest, RangeRequest};

use super::BadSpec;
use super::unknown::refuse_unknown;
use crate::network::{IpamConfig, NetworkCreate};

/// The driver of the fleet's networks.
pub const OVERLAY: &str = "overlay";
/// The option that has a network encrypted.
const ENCRYPTED: &str = "encrypted";
/// The option that gives the size of packets outside.
const MTU: &str = "com.docker.network.driver.mtu";
/// The option that gives the number in VXLAN.
pub const VNI: &str = "com.docker.network.driver.overlay.vxlanid_list";

/// Reads a network.
pub fn accept_network(sent: NetworkCreate) -> Result<NetworkRequest, BadSpec> {
    refuse_unknown("", &sent.unknown)?;
    refuse_kind(&sent)?;
    let ipam = sent.ipam.unwrap_or_default();
    if !matches!(ipam.driver.as_str(), "" | "default") {
        return Err(bad(
            "IPAM.Driver",
            &ipam.driver,
            "there is only the driver default; leave it out",
        ));
    }
    if let Some(option) = ipam.options.unwrap_or_default().keys().next() {
        return Err(bad("IPAM.Options", option, "addresses take no options; leave it out"));
    }
    let ranges = ipam.config.iter().map(accept_range).collect::<Result<Vec<_>, _>>()?;
    let has_ipv6 = ranges.iter().any(|range| range.subnet.addr().is_ipv6());
    let mut request = NetworkRequest {
        name: sent.name,
        ipv4: sent.enable_ipv4.unwrap_or(true),
        ipv6: sent.enable_ipv6.unwrap_or(has_ipv6),
        ranges,
        internal: sent.internal,
        attachable: sent.attachable,
        labels: sent.labels,
        ..NetworkRequest::default()
    };
    for (name, value) in &sent.options {
        accept_option(&mut request, name, value)?;
    }
    request.options = sent.options;
    for range in &request.ranges {
        let (family, is_on) = match range.subnet {
            IpNet::V4(_) => ("IPv4", request.ipv4),
            IpNet::V6(_) => ("IPv6", request.ipv6),
        };
        if !is_on {
            let hint = format!("the network has no {family} addresses; leave this subnet out");
            return Err(bad("IPAM.Config.Subnet", &range.subnet.to_string(), &hint));
        }
    }
    Ok(request)
}

fn refuse_kind(sent: &NetworkCreate) -> Result<(), BadSpec> {
    match sent.driver.as_str() {
        "" | OVERLAY => {}
        other => {
            let hint = "networks of the fleet have the driver overlay, which reaches all nodes: \
                        type --driver overlay";
            return Err(bad("Driver", other, hint));
        }
    }
    match sent.scope.as_str() {
        "" | "swarm" => {}
        other => {
            let hint = "a network of the fleet is known on every node: leave --scope out";
            return Err(bad("Scope", other, hint));
        }
    }
    if sent.ingress {
        let hint = "ports are published by the network that a service is on, and need no network \
                    of their own; leave --ingress out";
        return Err(bad("Ingress", "true", hint));
    }
    let from = sent.config_from.as_ref().map_or("", |from| from.network.as_str());
    if sent.config_only || !from.is_empty() {
        let hint = "a network of the fleet has its own configuration; leave --config-only and \
                    --config-from out";
        return Err(bad("ConfigFrom", from, hint));
    }
    Ok(())
}

fn accept_option(request: &mut NetworkRequest, name: &str, value: &str) -> Result<(), BadSpec> {
    let number = |hint: &str| value.parse::<u32>().map_err(|_| bad("Options", value, hint));
    match name {
        ENCRYPTED => {
            request.encrypted = match value {
                "" | "true" | "1" => true,
                "false" | "0" => false,
                other => return Err(bad("Options.encrypted", other, "write true or false")),
            };
        }
        MULTICAST_OPTION => {
            if !matches!(value, "" | "true" | "1" | "false" | "0") {
                return Err(bad("Options.edge.multicast", value, "write true or false"));
            }
        }
        MTU => {
            let mtu = number("the size of packets is a number of bytes")?;
            request.mtu = (mtu != 0).then_some(mtu);
        }
        VNI => request.vni = Some(number("a network has one VXLAN network identifier: a number")?),
        other => {
            let hint = format!(
                "there is no such option of networks; there are {ENCRYPTED}, {MTU}, {VNI} and \
                 {MULTICAST_OPTION}"
            );
            return Err(bad("Options", other, &hint));
        }
    }
    Ok(())
}

fn accept_range(sent: &IpamConfig) -> Result<RangeRequest, BadSpec> {
    let subnet = net("IPAM.Config.Subnet", &sent.subnet)?;
    let given = |text: &String| !text.is_empty();
    let range = Some(&sent.ip_range).filter(|text| given(text));
    let gateway = Some(&sent.gateway).filter(|text| given(text));
    let mut reserved = BTreeMap::new();
    for (name, address) in &sent.auxiliary_addresses {
        reserved.insert(name.clone(), ip("IPAM.Config.AuxiliaryAddresses", address)?);
    }
    Ok(RangeRequest {
        subnet,
        gateway: gateway.map(|text| ip("IPAM.Config.Gateway", text)).transpose()?,
        range: range.map(|text| net("IPAM.Config.IPRange", text)).transpose()?,
        reserved,
    })
}

fn net(field: &'static str, text: &str) -> Result<IpNet, BadSpec> {
    let hint = "write an address and the length of its prefix: 10.1.0.0/16";
    text.parse().map_err(|_| bad(field, text, hint))
}

fn ip(field: &'static str, text: &str) -> Result<IpAddr, BadSpec> {
    text.parse().map_err(|_| bad(field, text, "write an address: 10.1.0.1"))
}

fn bad(field: &'static str, value: &str, hint: &str) -> BadSpec {
    BadSpec::BadValue { field, value: value.to_owned(), hint: hint.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(json: &str) -> Result<NetworkRequest, BadSpec> {
        accept_network(crate::read(json.as_bytes()).expect("JSON"))
    }

    #[test]
    fn what_dockers_client_sends_is_read() {
        let request = accepted(
            r#"{"CheckDuplicate": true, "Name": "back", "Driver": "overlay", "Scope": "",
                "EnableIPv6": true, "IPAM": {"Driver": "default", "Options": {}, "Config": [
                    {"Subnet": "10.7.0.0/16", "IPRange": "10.7.1.0/24", "Gateway": "10.7.0.9",
                     "AuxiliaryAddresses": {"printer": "10.7.1.7"}}]},
                "Internal": true, "Attachable": true, "Ingress": false, "ConfigOnly": false,
                "ConfigFrom": null, "Labels": {"a": "b"},
                "Options": {"com.docker.network.driver.mtu": "1400", "encrypted": "false",
                    "edge.multicast": "true",
                    "com.docker.network.driver.overlay.vxlanid_list": "5000"}}"#,
        );
        let request = request.expect("all of it is known");
        assert!(request.ipv4 && request.ipv6 && request.internal && request.attachable);
        assert_eq!(
            (request.vni, request.mtu, request.encrypted),
            (Some(5_000), Some(1_400), false)
        );
        assert_eq!(request.ranges[0].gateway, "10.7.0.9".parse().ok());
        assert_eq!(request.ranges[0].reserved["printer"].to_string(), "10.7.1.7");
        assert_eq!(request.check(), Ok(()));
    }

    #[test]
    fn what_would_be_lost_is_refused_with_what_to_type() {
        for (json, told) in [
            (r#"{"Name": "a", "Driver": "bridge"}"#, "--driver overlay"),
            (r#"{"Name": "a", "Scope": "local"}"#, "leave --scope out"),
            (r#"{"Name": "a", "Ingress": true}"#, "leave --ingress out"),
            (r#"{"Name": "a", "ConfigOnly": true}"#, "--config-only"),
            (r#"{"Name": "a", "Options": {"encrypted": "yes"}}"#, "true or false"),
            (r#"{"Name": "a", "Options": {"edge.multicast": "yes"}}"#, "true or false"),
            (r#"{"Name": "a", "Options": {"parent": "eth0"}}"#, "no such option"),
            (r#"{"Name": "a", "IPAM": {"Driver": "dhcp"}}"#, "driver default"),
            (r#"{"Name": "a", "IPAM": {"Config": [{"Subnet": "10.1"}]}}"#, "10.1.0.0/16"),
            (
                r#"{"Name": "a", "EnableIPv4": false, "IPAM": {"Config": [{"Subnet": "10.1.0.0/16"}]}}"#,
                "no IPv4 addresses",
            ),
            (r#"{"Name": "a", "Sauce": 1}"#, "Sauce"),
        ] {
            let refused = accepted(json).expect_err(json).to_string();
            assert!(refused.contains(told), "{json}: {refused}");
        }
    }
}
