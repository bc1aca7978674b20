//! `edgectl service rollback`, `pause`, `resume` and `promote`.

use clap::Args;

use crate::client::Client;
use crate::dry_run::DryRunFlags;
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::progress::{self, Goal, WaitFlags};
use crate::resolve;
use node_docker::service::ServiceUpdated;

/// Flags and operand of a rollback.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Service, by name or id
    service: String,
    #[command(flatten)]
    wait: WaitFlags,
    #[command(flatten)]
    dry_run: DryRunFlags,
}

/// Flags and operand of the others.
#[derive(Debug, Args)]
pub struct SteerArgs {
    /// Service, by name or id
    service: String,
    #[command(flatten)]
    wait: WaitFlags,
}

/// Goes back, and waits.
pub async fn run(args: RollbackArgs, mut client: Client) -> Result<Exit, Failure> {
    client.change_by(&args.dry_run);
    roll_back(&args.service, &args.wait, client).await
}

/// Goes back, and waits. The agent knows to what.
pub async fn roll_back(typed: &str, wait: &WaitFlags, mut client: Client) -> Result<Exit, Failure> {
    let service = resolve::service(&mut client, typed).await?;
    let (id, version) = (&service.id, service.version.index);
    let path = format!("/services/{id}/update?version={version}&rollback=previous");
    let _: ServiceUpdated = client.post(&path, &service.spec).await?;
    print(typed)?;
    progress::wait(&mut client, &service.id, wait, Goal::Rollback).await
}

/// Pauses, resumes or promotes. Who resumes or promotes waits for the rest.
pub async fn steer(args: SteerArgs, word: &str, mut client: Client) -> Result<Exit, Failure> {
    let service = resolve::service(&mut client, &args.service).await?;
    let path = format!("/edge/services/{}/rollout?steer={word}", service.id);
    client.send(&path, &()).await?;
    print(&args.service)?;
    match word {
        "pause" => Ok(Exit::Done),
        _ => progress::wait(&mut client, &service.id, &args.wait, Goal::Change(None)).await,
    }
}
