//! `edgectl service …`

mod autoscale;
mod change;
mod container;
mod create;
mod endpoint;
mod files;
mod flags;
mod inspect;
mod lists;
mod logs;
mod ls;
mod networks;
mod partition;
pub mod placement;
mod ps;
mod relations;
mod rename;
mod replace;
mod rm;
mod rollout;
#[cfg(test)]
mod round_trip;
mod scale;
mod schedule;
mod spec;
mod update;

use clap::Subcommand;

use super::client::Client;
use super::failure::{Exit, Failure};
use crate::examples;

pub use logs::{LogsArgs, run as run_logs};
pub use ls::{LsArgs as ServiceListFlags, print as print_services, replicas_text};
pub use partition::resolve_anchors;
pub use ps::{TaskFlags, print as print_tasks};
pub use replace::send as replace;
pub use schedule::wait_for;

/// Services: what shall run.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Create a service and wait until it runs
    #[command(
        override_usage = "edgectl service create [OPTIONS] IMAGE [ARG]...",
        help_template = examples!(
            "edgectl service create --name web --replicas 3 --network front -p 8080:80 nginx:1.27",
            "edgectl service create --name db --mount source=pgdata,target=/var/lib/postgresql/data \\",
            "    --env-file db.env --limit-memory 512m --stop-grace-period 1m postgres:16",
            "edgectl service create --name modem --mode global --device /dev/ttyUSB0 --read-only \\",
            "    --cap-drop ALL --constraint node.labels.modem==yes team/modem:3 --port /dev/ttyUSB0",
            "edgectl service create --name backup --mode replicated-job --schedule '0 3 * * *' \\",
            "    --schedule-timezone Europe/Berlin team/backup:2",
            "edgectl service create --name shop --autoscale min=2,max=10,cpu=60% --limit-cpu 1 team/shop:5",
            "edgectl service create --name probe --runtime process --mode global /opt/probe --quiet",
        )
    )]
    Create(Box<create::CreateArgs>),
    /// Change a service, task by task
    #[command(help_template = examples!(
        "edgectl service update --image nginx:1.28 web",
        "edgectl service update --env-add LEVEL=debug --mount-rm /scratch web",
        "edgectl service update --network-add name=back,alias=shop --publish-rm 80 web",
        "edgectl service update --args 'httpd -f -p 8081' web",
        "edgectl service update --constraint-add node.labels.zone==a --force web",
    ))]
    Update(Box<update::UpdateArgs>),
    /// List services
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// List the tasks of services, with those that were before
    #[command(help_template = examples!(
        "edgectl service ps web",
        "edgectl service ps --no-trunc -f desired-state=running web",
    ))]
    Ps(ps::PsArgs),
    /// Show everything about services
    Inspect(inspect::InspectArgs),
    /// Show what tasks print, from all nodes
    #[command(help_template = examples!(
        "edgectl service logs -f --tail 20 web",
        "edgectl service logs --since 10m --timestamps web",
    ))]
    Logs(logs::LogsArgs),
    /// Change how many tasks services have
    #[command(help_template = examples!(
        "edgectl service scale web=5",
        "edgectl service scale -d web=5 api=2",
    ))]
    Scale(scale::ScaleArgs),
    /// Go back to what a service was before its last update; twice goes forward again
    #[command(help_template = examples!(
        "edgectl service rollback web",
        "edgectl service update --rollback-parallelism 0 web   # all at once from now on",
    ))]
    Rollback(rollout::RollbackArgs),
    /// Let no further task take the new version
    Pause(rollout::SteerArgs),
    /// Go on with a paused update; tasks that failed are tried again
    Resume(rollout::SteerArgs),
    /// Let all tasks follow the first ones of an update that waits (--update-canary)
    #[command(help_template = examples!(
        "edgectl service update --update-canary 1 --image nginx:1.28 web",
        "edgectl service ps web        # are they well?",
        "edgectl service promote web",
    ))]
    Promote(rollout::SteerArgs),
    /// Give a service another name; its tasks go on running
    #[command(help_template = examples!(
        "edgectl service rename web shop",
        "edgectl service rename 0c8nve1xq2 web-2    # one of two that were made with one name",
    ))]
    Rename(rename::RenameArgs),
    /// Remove services; their tasks are stopped
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
}

/// Runs one of them.
pub async fn run(command: ServiceCommand, client: Client) -> Result<Exit, Failure> {
    match command {
        ServiceCommand::Create(args) => create::run(*args, client).await,
        ServiceCommand::Update(args) => update::run(*args, client).await,
        ServiceCommand::Ls(args) => ls::run(args, client).await,
        ServiceCommand::Ps(args) => ps::run(args, client).await,
        ServiceCommand::Inspect(args) => inspect::run(args, client).await,
        ServiceCommand::Logs(args) => logs::run(args, client).await,
        ServiceCommand::Scale(args) => scale::run(args, client).await,
        ServiceCommand::Rollback(args) => rollout::run(args, client).await,
        ServiceCommand::Pause(args) => rollout::steer(args, "pause", client).await,
        ServiceCommand::Resume(args) => rollout::steer(args, "resume", client).await,
        ServiceCommand::Promote(args) => rollout::steer(args, "promote", client).await,
        ServiceCommand::Rename(args) => rename::run(args, client).await,
        ServiceCommand::Rm(args) => rm::run(args, client).await,
    }
}
