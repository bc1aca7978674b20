//! `edgectl node ls`

use clap::Args;
use serde::Serialize;

use super::status_text;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::filter::Filters;
use crate::output::{self, Listing, Row, Shown, capital};
use node_docker::node::Node;

const FILTERS: [&str; 6] = ["id", "label", "node.label", "membership", "name", "role"];

/// Flags.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Show only what fits: id, name, label (of the engine), node.label, role, membership
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct NodeRow {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Self")]
    is_self: bool,
    hostname: String,
    status: String,
    availability: String,
    manager_status: String,
    #[serde(rename = "TLSStatus")]
    tls_status: &'static str,
    address: String,
    engine_version: String,
    /// The output of `-q`: the id without the mark.
    #[serde(skip)]
    whole_id: String,
}

impl Row for NodeRow {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "ID"),
        ("Self", "SELF"),
        ("Hostname", "HOSTNAME"),
        ("Status", "STATUS"),
        ("Availability", "AVAILABILITY"),
        ("ManagerStatus", "MANAGER STATUS"),
        ("TLSStatus", "TLS STATUS"),
        ("Address", "ADDRESS"),
        ("EngineVersion", "ENGINE VERSION"),
    ];
    const TABLE: &'static str = "{{.ID}}\t{{.Hostname}}\t{{.Status}}\t{{.Availability}}\t\
                                 {{.Address}}\t{{.EngineVersion}}";
    const NONE: &'static str = "no nodes";
    fn quiet(&self) -> &str {
        &self.whole_id
    }
}

/// Lists them, by host name.
pub async fn run(args: LsArgs, mut client: Client) -> Result<Exit, Failure> {
    let filters = Filters::parse(&args.filter, &FILTERS)?;
    let mut nodes: Vec<Node> = client.get("/nodes").await?;
    nodes.retain(|node| fits(&filters, node));
    let name = |node: &Node| (node.description.hostname.clone(), node.id.clone());
    nodes.sort_by_key(name);
    let rows: Vec<NodeRow> = nodes.iter().map(|node| row(node, args.listing.shown())).collect();
    args.listing.print(&rows)?;
    Ok(Exit::Done)
}

fn fits(filters: &Filters, node: &Node) -> bool {
    filters.any("id", |id| node.id.starts_with(id))
        && filters.any("name", |name| node.description.hostname.starts_with(name))
        && filters.any("role", |role| role == "manager")
        && filters.any("membership", |membership| membership == "accepted")
        && filters.labels("node.label", &node.spec.labels)
        && filters.labels("label", &node.description.engine.labels)
}

fn row(node: &Node, shown: Shown) -> NodeRow {
    let mark = match (shown, node.edge.is_me) {
        (Shown::Short, true) => " *",
        _ => "",
    };
    NodeRow {
        id: format!("{}{mark}", output::id(&node.id, shown)),
        is_self: node.edge.is_me,
        hostname: node.description.hostname.clone(),
        status: status_text(node),
        availability: capital(&node.spec.availability),
        manager_status: node
            .manager_status
            .as_ref()
            .map(|status| capital(&status.reachability))
            .unwrap_or_default(),
        // Every member has proved its key; there are no certificates that could expire.
        tls_status: "Ready",
        address: node.status.addr.clone(),
        engine_version: node.description.engine.engine_version.clone(),
        whole_id: node.id.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(hostname: &str, state: &str, since_ms: u64, is_me: bool) -> Node {
        serde_json::from_value(json!({
            "ID": format!("{hostname}0123456789abcdefghi"),
            "Spec": {"Availability": "active", "Role": "manager"},
            "Description": {"Hostname": hostname, "Engine": {"EngineVersion": "0.1.0"}},
            "Status": {"State": "ready", "Addr": "10.0.0.1"},
            "Edge": {"State": state, "SinceMs": since_ms, "IsMe": is_me}
        }))
        .expect("a node")
    }

    #[test]
    fn nothing_that_may_be_alive_is_called_down() {
        let nodes = [
            node("pi-1", "alive", 9_000, true),
            node("pi-2", "suspect", 4_000, false),
            node("pi-3", "unreachable", 850_000, false),
            node("pi-4", "left", 0, false),
        ];
        let rows: Vec<NodeRow> = nodes.iter().map(|node| row(node, Shown::Short)).collect();
        assert_eq!(
            Listing::default().lines(&rows).expect("a table"),
            [
                "ID               HOSTNAME   STATUS            AVAILABILITY   ADDRESS    ENGINE VERSION",
                "pi-101234567 *   pi-1       Ready             Active         10.0.0.1   0.1.0",
                "pi-201234567     pi-2       Suspect 4s        Active         10.0.0.1   0.1.0",
                "pi-301234567     pi-3       Unreachable 14m   Active         10.0.0.1   0.1.0",
                "pi-401234567     pi-4       Left              Active         10.0.0.1   0.1.0",
            ]
        );
    }
}
