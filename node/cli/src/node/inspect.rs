//! `edgectl node inspect`

mod docker_form;

use clap::Args;

use super::status_text;
use crate::client::Client;
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::{Template, print, print_inspected};
use crate::resolve;
use crate::service::placement;
use crate::value::show_cpus;
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
        print(texts.join("\n"))?;
    } else {
        print_inspected(&nodes, template.as_ref())?;
    }
    Ok(each.exit())
}

/// What Docker's client prints, and below it what that leaves out.
fn pretty(node: &Node) -> String {
    let generic = placement::in_words(&node.description.resources.generic_resources);
    let more = [
        ("Seen", status_text(node)),
        ("Cores", show_cpus(node.description.resources.nano_cpus)),
        ("Resources", generic.join(", ")),
    ];
    let mut text = docker_form::text(node);
    text.push_str("\nMore:");
    for (name, value) in more.into_iter().filter(|(_, value)| !value.is_empty()) {
        text.push_str(&format!("\n {:<16}{value}", format!("{name}:")));
    }
    text
}
