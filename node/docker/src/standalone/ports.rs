//! `-p` and `-P`: ports of this node.

use serde_json::Value;

use super::{Fields, bad, object};
use crate::service::PortConfig;
use crate::state::BadSpec;

/// Addresses that mean all of the node's.
const EVERYWHERE: [&str; 4] = ["", "0.0.0.0", "::", "[::]"];

/// The published ports, and those that are only exposed.
pub(super) fn read(
    sent: &mut Fields,
    host: &mut Fields,
) -> Result<(Vec<PortConfig>, Vec<String>), BadSpec> {
    let exposed = object(sent, "ExposedPorts")?.into_iter().map(|(port, _)| port).collect();
    let mut ports: Vec<PortConfig> = Vec::new();
    for (target, bindings) in object(host, "PortBindings")? {
        let Value::Array(bindings) = bindings else { continue };
        for binding in bindings {
            let field = |name: &str| binding[name].as_str().unwrap_or_default();
            let address = field("HostIp");
            if !EVERYWHERE.contains(&address) {
                let hint = "ports are published on all addresses of the node; leave the address \
                            out, and keep others away with a firewall";
                return Err(bad("HostConfig.PortBindings.HostIp", address, hint));
            }
            let port = PortConfig {
                published_port: number("HostConfig.PortBindings.HostPort", field("HostPort"))?,
                ..exposed_port(&target)?
            };
            // Clients send one binding for each family of addresses.
            if !ports.contains(&port) {
                ports.push(port);
            }
        }
    }
    Ok((ports, exposed))
}

/// A port of `-P`: the node picks the number.
pub(super) fn exposed(port: &str) -> Result<PortConfig, BadSpec> {
    exposed_port(port)
}

/// `80/tcp`.
fn exposed_port(port: &str) -> Result<PortConfig, BadSpec> {
    let (target, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
    Ok(PortConfig {
        name: String::new(),
        protocol: protocol.to_owned(),
        target_port: number("HostConfig.PortBindings", target)?,
        published_port: 0,
        publish_mode: "host".to_owned(),
    })
}

fn number(field: &'static str, text: &str) -> Result<u16, BadSpec> {
    if text.is_empty() {
        return Ok(0);
    }
    text.parse().map_err(|_| bad(field, text, "it is one number from 0 to 65535 (--publish)"))
}
