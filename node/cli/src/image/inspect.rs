//! `edgectl image inspect`

use clap::Args;
use serde_json::Value;

use crate::client::{Client, escape};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::{Template, print_inspected};

/// Flags and operands.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Images, by name or id
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Go template: '{{.Id}}', '{{json .Config.Env}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Shows each.
pub async fn run(args: InspectArgs, mut client: Client) -> Result<Exit, Failure> {
    let format = args.format.as_deref().filter(|format| *format != "json");
    let template = format.map(Template::lenient).transpose()?;
    let mut images: Vec<Value> = Vec::new();
    let mut each = Each::new();
    for typed in &args.images {
        let path = format!("/images/{}/json", escape(typed));
        images.extend(each.take(client.get(&path).await));
    }
    print_inspected(&images, template.as_ref())?;
    Ok(each.exit())
}
