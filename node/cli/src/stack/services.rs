//! `edgectl stack services`

use clap::Args;

use super::{name, nothing_found, services_of};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::say;
use crate::service::{ServiceListFlags, print_services};

/// Flags and operand.
#[derive(Debug, Args)]
pub struct ServicesArgs {
    /// The stack
    #[arg(value_name = "STACK", value_parser = name())]
    stack: String,
    #[command(flatten)]
    services: ServiceListFlags,
}

/// Lists them, by name. Without any it says so and is done, as Docker's client is.
pub async fn run(args: ServicesArgs, mut client: Client) -> Result<Exit, Failure> {
    let services = services_of(&mut client, &args.stack).await?;
    if services.is_empty() {
        say(nothing_found(&args.stack));
        return Ok(Exit::Done);
    }
    print_services(services, &args.services)?;
    Ok(Exit::Done)
}
