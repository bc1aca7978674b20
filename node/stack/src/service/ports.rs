//! `ports`: each a text like Docker's `--publish`, or a map.

use node_docker::service::{EndpointSpec, PortConfig, ServiceSpec};
use node_values::{self as values, Published};

use crate::fields::{Fields, as_text};
use crate::tree::{Node, Value};

pub fn read(fields: &mut Fields<'_>, spec: &mut ServiceSpec) {
    let path = fields.path("ports");
    let mut ports: Vec<PortConfig> = Vec::new();
    for item in fields.items("ports").unwrap_or_default() {
        let place = item.place.clone();
        for port in of_item(item, &path, fields).unwrap_or_default() {
            let is_same = |other: &&PortConfig| {
                port.published_port > 0
                    && (other.published_port, &other.protocol)
                        == (port.published_port, &port.protocol)
            };
            match ports.iter().find(is_same) {
                Some(other) if *other == port => {}
                Some(_) => fields.log().refuse(
                    &place,
                    format!(
                        "`{path}`: port {}/{} is published twice",
                        port.published_port, port.protocol
                    ),
                ),
                None => ports.push(port),
            }
        }
    }
    if !ports.is_empty() {
        spec.endpoint_spec.get_or_insert_with(EndpointSpec::default).ports = ports;
    }
}

fn of_item(item: Node, path: &str, fields: &Fields<'_>) -> Option<Vec<PortConfig>> {
    let log = fields.log();
    let place = item.place.clone();
    let mut name = String::new();
    let text = match item.value {
        Value::Map(_) => {
            let mut long = Fields::of(item, path.to_owned(), log)?;
            if let Some(address) = long.text("host_ip") {
                let what = format!(
                    "`{path}`: a service has its ports on all addresses of a node: leave out \
                     `host_ip`, and close the port to {} by a firewall",
                    if address.text.starts_with("127.") { "others" } else { "other networks" }
                );
                log.refuse(&address.place, what);
            }
            name = long.string("name").unwrap_or_default();
            long.ignore(&[("app_protocol", "nothing here speaks for the application")]);
            let keys = ["mode", "published", "target", "protocol"];
            let parts: Vec<String> = keys
                .into_iter()
                .filter_map(|key| long.string(key).map(|value| format!("{key}={value}")))
                .collect();
            long.finish();
            parts.join(",")
        }
        _ => as_text(item, path, log)?.text,
    };
    let read = values::published(&text).map_err(|bad| format!("`{path}`: {bad}"));
    let Published(ports) = log.ok(&place, read)?;
    Some(ports.into_iter().map(|port| PortConfig { name: name.clone(), ..port }).collect())
}
