//! `edgectl swarm update` and `edgectl swarm inspect`: the settings of the fleet.

use clap::Args;

use super::unlock;
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Template, print, print_inspected};
use node_docker::system::{EncryptionConfig, Orchestration, Swarm, SwarmSpec};

/// Flags.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct UpdateArgs {
    /// Past tasks of a slot that are kept and shown, from 0 to 50
    #[arg(long, value_name = "N", value_parser = limit, allow_negative_numbers = true)]
    task_history_limit: Option<i64>,
    /// Nodes seal what they keep on their disks, and are locked after a restart
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    autolock: Option<bool>,
}

/// Flags.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Go template: '{{.Spec.Orchestration.TaskHistoryRetentionLimit}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// The agent knows which numbers are possible.
pub fn limit(text: &str) -> Result<i64, String> {
    let bad = |_| "not a number of tasks: write it like 5, or 0 for none".to_owned();
    text.trim().parse().map_err(bad)
}

/// Settings as they are asked for.
pub fn asked(task_history_retention_limit: Option<i64>) -> SwarmSpec {
    let orchestration = Orchestration { task_history_retention_limit };
    SwarmSpec { orchestration, ..SwarmSpec::default() }
}

/// Changes the settings, unless somebody else did since they were read.
pub async fn update(client: &mut Client, args: &UpdateArgs) -> Result<(), Failure> {
    let held: Swarm = client.get("/swarm").await?;
    let path = format!("/swarm/update?version={}", held.version.index);
    let request = SwarmSpec {
        encryption_config: EncryptionConfig { auto_lock_managers: args.autolock },
        ..asked(args.task_history_limit)
    };
    client.send(&path, &request).await?;
    print("Swarm updated.")?;
    match (held.spec.encryption_config.auto_lock_managers, args.autolock) {
        (Some(true), _) | (_, None | Some(false)) => Ok(()),
        (_, Some(true)) => unlock::show_new(client).await,
    }
}

/// Shows the fleet, without its token.
pub async fn inspect(client: &mut Client, args: &InspectArgs) -> Result<(), Failure> {
    let format = args.format.as_deref().filter(|format| *format != "json");
    let template = format.map(Template::lenient).transpose()?;
    let fleet: Swarm = client.get("/swarm").await?;
    print_inspected(&[Swarm { join_tokens: None, ..fleet }], template.as_ref())
}
