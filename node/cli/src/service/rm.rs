//! `edgectl service rm`

use clap::Args;

use crate::client::Client;
use crate::dry_run::DryRunFlags;
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::resolve;

/// Operands.
#[derive(Debug, Args)]
pub struct RmArgs {
    /// Services, by name or id
    #[arg(required = true, value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    dry_run: DryRunFlags,
}

/// Removes each service; a failure does not stop the others.
pub async fn run(args: RmArgs, mut client: Client) -> Result<Exit, Failure> {
    client.change_by(&args.dry_run);
    let mut each = Each::new();
    for typed in &args.services {
        if each.take(remove(&mut client, typed).await).is_some() {
            print(typed)?;
        }
    }
    Ok(each.exit())
}

async fn remove(client: &mut Client, typed: &str) -> Result<(), Failure> {
    let service = match resolve::service(client, typed).await {
        Ok(service) => service.id,
        // A service that no node can read is in no list, but can be removed.
        Err(failure) if is_plain(typed) => {
            let removed = client.delete(&format!("/services/{typed}")).await;
            return removed.map_err(|_| failure).map(|_| ());
        }
        Err(failure) => return Err(failure),
    };
    client.delete(&format!("/services/{service}")).await?;
    Ok(())
}

/// Is it safe in a path without escaping?
fn is_plain(typed: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    !typed.is_empty() && typed.chars().all(is_inner) && typed.chars().any(char::is_alphanumeric)
}
