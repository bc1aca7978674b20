//! `edgectl volume inspect`

use clap::Args;

use crate::client::{Client, escape};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::{Template, print_inspected};
use node_docker::volume::Volume;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Volumes of this node, by name
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
    /// Go template: '{{.Mountpoint}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Shows each.
pub async fn run(args: InspectArgs, mut client: Client) -> Result<Exit, Failure> {
    let format = args.format.as_deref().filter(|format| *format != "json");
    let template = format.map(Template::lenient).transpose()?;
    let mut volumes: Vec<Volume> = Vec::new();
    let mut each = Each::new();
    for name in &args.volumes {
        volumes.extend(each.take(client.get(&format!("/volumes/{}", escape(name))).await));
    }
    print_inspected(&volumes, template.as_ref())?;
    Ok(each.exit())
}
