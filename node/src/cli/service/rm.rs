//! `edgectl service rm`

use clap::Args;

use crate::cli::client::Client;
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::{print, say};
use crate::cli::resolve;

/// Operands.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Services, by name or id
    #[arg(required = true, value_name = "SERVICE")]
    services: Vec<String>,
}

/// Removes each; what cannot be removed does not stop the others.
pub async fn run(args: RmArgs, mut client: Client) -> Result<Exit, Failure> {
    let mut last = None;
    for typed in &args.services {
        if let Some(failure) = last.take() {
            say(format!("error: {failure}"));
        }
        match remove(&mut client, typed).await {
            Ok(()) => print(typed)?,
            Err(failure) => last = Some(failure),
        }
    }
    last.map_or(Ok(Exit::Done), Err)
}

async fn remove(client: &mut Client, typed: &str) -> Result<(), Failure> {
    let service = resolve::service(client, typed).await?;
    client.delete(&format!("/services/{}", service.id)).await?;
    Ok(())
}
