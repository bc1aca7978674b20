//! `edgectl network rm`

use clap::Args;

use crate::client::{CallError, Client, escape};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::print;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Networks, by name or id
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
    /// One that does not exist is no error
    #[arg(short, long)]
    force: bool,
}

/// Removes each network; a failure does not stop the others.
pub async fn run(args: RmArgs, mut client: Client) -> Result<Exit, Failure> {
    let mut each = Each::new();
    for name in &args.networks {
        match client.delete_without_timeout(&format!("/networks/{}", escape(name))).await {
            Err(CallError::Refused { status: 404, .. }) if args.force => {}
            removed => {
                if each.take(removed).is_some() {
                    print(name)?;
                }
            }
        }
    }
    Ok(each.exit())
}
