//! `edgectl service scale`

use clap::Args;

use super::{autoscale, replace, spec};
use crate::client::Client;
use crate::dry_run::DryRunFlags;
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::print;
use crate::progress::{self, Goal, WaitFlags};
use crate::resolve;
use node_docker::service::UpdateStatus;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct ScaleArgs {
    /// Services and their numbers of tasks
    #[arg(required = true, value_name = "SERVICE=REPLICAS", value_parser = target)]
    targets: Vec<Target>,
    #[command(flatten)]
    wait: WaitFlags,
    #[command(flatten)]
    dry_run: DryRunFlags,
}

/// How many tasks a service shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    service: String,
    replicas: u32,
}

fn target(text: &str) -> Result<Target, String> {
    let (service, replicas) =
        text.split_once('=').ok_or("the number is missing: write it like web=5")?;
    if service.is_empty() {
        return Err("the service is missing: write it like web=5".to_owned());
    }
    let replicas = replicas
        .parse()
        .map_err(|_| format!("{replicas:?} is not a number of tasks: write it like {service}=5"))?;
    Ok(Target { service: service.to_owned(), replicas })
}

/// Sends all the numbers, then waits for each service.
pub async fn run(args: ScaleArgs, mut client: Client) -> Result<Exit, Failure> {
    client.change_by(&args.dry_run);
    let mut targets = Vec::new();
    let mut each = Each::new();
    for target in &args.targets {
        if let Some(id) = each.take(scale(&mut client, target).await) {
            print(format!("{} scaled to {}", target.service, target.replicas))?;
            targets.push(id);
        }
    }
    for (id, before) in targets {
        each.take(progress::wait(&mut client, &id, &args.wait, Goal::Change(before)).await);
    }
    Ok(each.exit())
}

/// Sends one number; returns the id of the service, and the state of its rollout.
async fn scale(
    client: &mut Client,
    target: &Target,
) -> Result<(String, Option<UpdateStatus>), Failure> {
    let service = resolve::service(client, &target.service).await?;
    let mut changed = service.spec.clone();
    autoscale::check_by_hand(&service, &changed)?;
    spec::set_replicas(&mut changed, target.replicas)?;
    replace::send(client, &service, &changed, "changed").await?;
    Ok((service.id, service.update_status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_a_service_and_a_number() {
        assert_eq!(target("web=5"), Ok(Target { service: "web".to_owned(), replicas: 5 }));
        for (text, words) in [
            ("web", "the number is missing"),
            ("=5", "the service is missing"),
            ("web=", "\"\" is not a number"),
            ("web=-1", "\"-1\" is not a number"),
            ("web=five", "\"five\" is not a number"),
        ] {
            assert!(target(text).expect_err("refused").contains(words), "{text}");
        }
    }
}
