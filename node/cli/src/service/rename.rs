//! `edgectl service rename`, and the flag of `service update` that does the same.

use clap::Args;

use super::replace;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::resolve;
use node_docker::service::ServiceSpec;

/// Operands.
#[derive(Debug, Args)]
pub struct RenameArgs {
    /// Service, by name or id
    service: String,
    /// Its new name
    #[arg(value_name = "NEW")]
    name: String,
}

/// The flag of an update.
#[derive(Debug, Args)]
pub struct NewName {
    /// New name; its tasks go on running
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl NewName {
    /// Writes it into the spec.
    pub fn apply(&self, spec: &mut ServiceSpec) {
        if let Some(name) = &self.name {
            spec.name.clone_from(name);
        }
    }
}

/// Sets the new name. There is nothing to wait for: no task changes.
pub async fn run(args: RenameArgs, mut client: Client) -> Result<Exit, Failure> {
    let service = resolve::service(&mut client, &args.service).await?;
    let spec = ServiceSpec { name: args.name, ..service.spec.clone() };
    replace::send(&mut client, &service, &spec, "never").await?;
    print(&spec.name)?;
    Ok(Exit::Done)
}
