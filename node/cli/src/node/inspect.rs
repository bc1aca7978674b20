//! `edgectl node inspect`

use clap::Args;

use super::status_text;
use crate::client::Client;
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::{Template, print, print_inspected};
use crate::resolve;
use crate::service::placement;
use crate::value::{show_bytes, show_cpus};
use node_docker::node::Node;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Nodes, by host name or id; `self` is the one that answers
    #[arg(required = true, value_name = "NODE")]
    nodes: Vec<String>,
    /// Go template: '{{.Description.Hostname}}', '{{json .Spec.Labels}}'
    #[arg(short, long, value_name = "FORMAT", conflicts_with = "pretty")]
    format: Option<String>,
    /// For people
    #[arg(long)]
    pretty: bool,
}

/// Shows each.
pub async fn run(args: InspectArgs, mut client: Client) -> Result<Exit, Failure> {
    let format = args.format.as_deref().filter(|format| *format != "json");
    let template = format.map(Template::lenient).transpose()?;
    let mut nodes = Vec::new();
    let mut each = Each::new();
    for typed in &args.nodes {
        nodes.extend(each.take(resolve::node(&mut client, typed).await));
    }
    if args.pretty && !nodes.is_empty() {
        let texts: Vec<String> = nodes.iter().map(pretty).collect();
        print(texts.join("\n\n"))?;
    } else {
        print_inspected(&nodes, template.as_ref())?;
    }
    Ok(each.exit())
}

fn pretty(node: &Node) -> String {
    let labels = |labels: &std::collections::BTreeMap<String, String>| {
        let texts: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        texts.join(", ")
    };
    let description = &node.description;
    let resources = &description.resources;
    let lines = [
        ("ID", node.id.clone()),
        ("Hostname", description.hostname.clone()),
        ("Status", status_text(node)),
        ("Availability", node.spec.availability.clone()),
        ("Address", node.status.addr.clone()),
        ("Labels", labels(&node.spec.labels)),
        ("Engine labels", labels(&description.engine.labels)),
        ("Platform", format!("{}/{}", description.platform.os, description.platform.architecture)),
        ("CPUs", show_cpus(resources.nano_cpus)),
        ("Memory", show_bytes(resources.memory_bytes)),
        ("Resources", placement::in_words(&resources.generic_resources).join(", ")),
        ("Version", description.engine.engine_version.clone()),
    ];
    let lines: Vec<String> = lines
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{:<16}{value}", format!("{name}:")))
        .collect();
    lines.join("\n")
}
