//! `edgectl network inspect`

use clap::Args;

use crate::client::{Client, escape};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::{Template, print_inspected};
use node_docker::network::Network;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Networks, by name or id
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
    /// Go template: '{{.IPAM.Config}}', '{{json .Labels}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Also the services on it, with the addresses of their tasks on all nodes
    #[arg(short, long)]
    verbose: bool,
}

/// Shows each.
pub async fn run(args: InspectArgs, mut client: Client) -> Result<Exit, Failure> {
    let format = args.format.as_deref().filter(|format| *format != "json");
    let template = format.map(Template::lenient).transpose()?;
    let query = if args.verbose { "?verbose=true" } else { "" };
    let mut networks: Vec<Network> = Vec::new();
    let mut each = Each::new();
    for name in &args.networks {
        let path = format!("/networks/{}{query}", escape(name));
        networks.extend(each.take(client.get(&path).await));
    }
    print_inspected(&networks, template.as_ref())?;
    Ok(each.exit())
}
