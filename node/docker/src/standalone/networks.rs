//! `--network`, and what is asked of a container's interfaces.

use serde_json::{Value, json};

use super::{Fields, bad, list, object, refuse_rest, text};
use crate::state::BadSpec;

/// Docker's words for the network that a container gets without asking.
const DEFAULT: [&str; 4] = ["", "default", "bridge", "nat"];

/// The networks by name; none: the fleet's default network.
pub(super) fn read(host: &mut Fields, networking: &mut Fields) -> Result<Value, BadSpec> {
    let mode = text(host, "NetworkMode");
    if mode.starts_with("container:") {
        let hint = "a container has a network of its own; put both on one network (--network)";
        return Err(bad("HostConfig.NetworkMode", &mode, hint));
    }
    let mut networks: Vec<Value> = Vec::new();
    let mut endpoints = object(networking, "EndpointsConfig")?;
    // The network of the mode comes first: it leads out.
    let first = endpoints.remove_entry(&mode);
    for (name, endpoint) in first.into_iter().chain(endpoints) {
        networks.push(of_endpoint(&name, endpoint)?);
    }
    if !networks.iter().any(|network| network["Target"] == mode) {
        networks.insert(0, json!({"Target": mode}));
    }
    networks.retain(|network| {
        network["Target"].as_str().is_none_or(|target| !DEFAULT.contains(&target))
    });
    Ok(json!(networks))
}

fn of_endpoint(name: &str, endpoint: Value) -> Result<Value, BadSpec> {
    let Value::Object(mut sent) = endpoint else { return Ok(json!({"Target": name})) };
    // What an endpoint is, not what is asked of it: clients send back what they read.
    for told in [
        "NetworkID",
        "EndpointID",
        "Gateway",
        "IPAddress",
        "IPPrefixLen",
        "IPv6Gateway",
        "DNSNames",
    ] {
        sent.remove(told);
    }
    for told in ["GlobalIPv6Address", "GlobalIPv6PrefixLen"] {
        sent.remove(told);
    }
    let mut ipam = object(&mut sent, "IPAMConfig")?;
    for (field, flag) in [("IPv4Address", "--ip"), ("IPv6Address", "--ip6")] {
        let address = text(&mut ipam, field);
        if !address.is_empty() {
            let hint = format!("the fleet gives addresses; leave {flag} out, and use the name");
            return Err(bad("EndpointsConfig.IPAMConfig", &address, &hint));
        }
    }
    refuse_rest("EndpointsConfig.IPAMConfig.", &ipam)?;
    let mut aliases = list(sent.remove("Aliases"), "EndpointsConfig.Aliases")?;
    aliases.sort();
    aliases.dedup();
    let options = sent.remove("DriverOpts").filter(|options| !options.is_null());
    refuse_rest("EndpointsConfig.", &sent)?;
    let mut network = json!({"Target": name});
    if !DEFAULT.contains(&name) {
        network["Aliases"] = json!(aliases);
        network["DriverOpts"] = options.unwrap_or_else(|| json!({}));
    } else if let Some(alias) = aliases.first() {
        let hint = "only a network that you made has names for one container; name one: --network";
        return Err(bad("EndpointsConfig.Aliases", alias, hint));
    } else if let Some(Value::Object(options)) = options {
        refuse_rest("EndpointsConfig.DriverOpts.", &options)?;
    }
    Ok(network)
}
