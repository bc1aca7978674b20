//! `edgectl network ls`

use clap::Args;
use serde::Serialize;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::filter::Filters;
use crate::output::{self, Listing, Row, Shown};
use node_docker::network::Network;

const FILTERS: [&str; 7] = ["dangling", "driver", "id", "label", "name", "scope", "type"];

/// Flags.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Show only what fits: dangling (true: no service is on it), driver, id, label, name, scope,
    /// type (builtin, custom)
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NetworkLine {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    driver: String,
    scope: String,
    subnet: String,
    created_at: String,
    labels: String,
    #[serde(rename = "IPv4")]
    ipv4: String,
    #[serde(rename = "IPv6")]
    ipv6: String,
    internal: String,
}

impl Row for NetworkLine {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "NETWORK ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Subnet", "SUBNET"),
        ("CreatedAt", "CREATED AT"),
        ("Labels", "LABELS"),
        ("IPv4", "IPV4"),
        ("IPv6", "IPV6"),
        ("Internal", "INTERNAL"),
    ];
    const TABLE: &'static str = "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}\t{{.Subnet}}";
    const NONE: &'static str = "no networks of this kind: edgectl network create NAME";
    fn quiet(&self) -> &str {
        &self.id
    }
}

/// Lists them, by name. Only the agent knows which of them are in use, so it filters.
pub async fn run(args: LsArgs, mut client: Client) -> Result<Exit, Failure> {
    let query = Filters::parse(&args.filter, &FILTERS)?.query();
    let mut networks: Vec<Network> = client.get(&format!("/networks{query}")).await?;
    networks.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    let shown = args.listing.shown();
    let rows: Vec<NetworkLine> = networks.iter().map(|network| row(network, shown)).collect();
    args.listing.print(&rows)?;
    Ok(Exit::Done)
}

fn row(network: &Network, shown: Shown) -> NetworkLine {
    let subnets: Vec<&str> = network.ipam.config.iter().map(|c| c.subnet.as_str()).collect();
    let labels: Vec<String> = network.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    NetworkLine {
        id: output::id(&network.id, shown),
        name: network.name.clone(),
        driver: network.driver.clone(),
        scope: network.scope.clone(),
        subnet: subnets.join(", "),
        // The predefined ones were never created.
        created_at: match network.created.0 {
            0 => String::new(),
            _ => network.created.to_rfc3339(),
        },
        labels: labels.join(","),
        ipv4: network.enable_ipv4.to_string(),
        ipv6: network.enable_ipv6.to_string(),
        internal: network.internal.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_for_tests;
    use serde_json::json;

    fn lines(flags: &[&str]) -> Vec<String> {
        let networks: Vec<Network> = serde_json::from_value(json!([
            {"Name": "back", "Id": "0c8nve1xq2abcdefghijklmno", "Scope": "swarm",
                "Driver": "overlay", "EnableIPv4": true, "Labels": {"a": "b", "c": ""},
                "IPAM": {"Driver": "default", "Config": [
                    {"Subnet": "10.0.1.0/24", "Gateway": "10.0.1.1"}, {"Subnet": "fd12::/64"}]}},
            {"Name": "host", "Id": "host", "Scope": "swarm", "Driver": "host"},
        ]))
        .expect("networks");
        let args: LsArgs = parse_for_tests(&[&["network", "ls"], flags].concat()).expect("valid");
        let shown = args.listing.shown();
        let rows: Vec<NetworkLine> = networks.iter().map(|network| row(network, shown)).collect();
        args.listing.lines(&rows).expect("a valid format")
    }

    #[test]
    fn a_network_is_one_line_with_docker_s_columns_and_its_subnets() {
        assert_eq!(
            lines(&[]),
            [
                "NETWORK ID     NAME   DRIVER    SCOPE   SUBNET",
                "0c8nve1xq2ab   back   overlay   swarm   10.0.1.0/24, fd12::/64",
                "host           host   host      swarm",
            ]
        );
        assert_eq!(lines(&["-q"]), ["0c8nve1xq2abcdefghijklmno", "host"]);
        assert_eq!(
            lines(&["--format", "{{.Name}} {{.IPv4}} {{.Labels}}"]),
            ["back true a=b,c=", "host false "]
        );
    }
}
