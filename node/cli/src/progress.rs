//! Waits until a service is in its requested state, with Docker's progress view.
//!
//! ```text
//! going ──all tasks run──▶ verifying ──for STABLE──▶ converged
//!   ├──the rest fits on no node──▶ exit 2, with the reasons
//!   └──a task keeps failing──────▶ exit 1, with its last error
//! ```
//! Waiting changes nothing: if it is stopped by Ctrl-C or an error, the fleet continues its work.

mod goal;
mod snapshot;
mod view;

use std::time::{Duration, Instant};

use clap::Args;

use super::client::{CallError, Client, filters};
use super::failure::{Exit, Failure};
use super::output::say;
use super::why;
use goal::Outcome;
use node_docker::edge::Why;
use node_docker::node::Node;
use node_docker::service::Service;
use node_docker::task::Task;
use snapshot::{Baseline, Snapshot, Verdict};
use view::View;

pub use goal::Goal;

/// For how long all tasks must run, without a replacement, before they count as stable: a program
/// that cannot work (a port in use, a wrong flag) mostly ends well within a second.
const STABLE: Duration = Duration::from_secs(1);
/// How long to wait when tasks fit on no node: a node may still be discovered, or an older task may
/// end.
const UNPLACED_WAIT: Duration = Duration::from_millis(1_500);
/// Pause between two polls at first, when a person waits for something that takes a fraction of a
/// second.
const POLL_INTERVAL_MIN: Duration = Duration::from_millis(50);
/// Pause between two polls later on.
const POLL_INTERVAL_MAX: Duration = Duration::from_millis(250);

/// Whether a command waits, and says so.
#[derive(Debug, Default, Args)]
pub struct WaitFlags {
    /// Return at once, do not wait until all tasks run
    #[arg(short, long)]
    pub detach: bool,
    /// Wait, but do not show the progress
    #[arg(short, long)]
    pub quiet: bool,
}

/// Waits until the service is as its spec says, or reports why it will not be.
pub async fn wait(
    client: &mut Client,
    id: &str,
    flags: &WaitFlags,
    goal: Goal,
) -> Result<Exit, Failure> {
    if flags.detach {
        return Ok(Exit::Done);
    }
    let nodes: Vec<Node> = client.get("/nodes").await?;
    let hostnames = nodes.into_iter().map(|node| (node.id, node.description.hostname)).collect();
    let mut view = if flags.quiet { View::silent() } else { View::for_stderr(hostnames) };
    let mut name = id.to_owned();
    let watched = tokio::select! {
        result = watch(client, id, &mut view, &mut name, &goal) => result,
        _ = tokio::signal::ctrl_c() => {
            say("\nOperation continuing in background.");
            say(format!("Use `edgectl service ps {name}` to look at it."));
            return Ok(Exit::Done);
        }
    };
    let last = watched?;
    if !flags.quiet {
        say(match last.concurrent {
            Some(_) => "job complete".to_owned(),
            None => format!("verify: Service {name} converged"),
        });
    }
    for note in last.notes() {
        say(format!("warning: {note}"));
    }
    Ok(Exit::Done)
}

async fn watch(
    client: &mut Client,
    id: &str,
    view: &mut View,
    name: &mut String,
    goal: &Goal,
) -> Result<Snapshot, Failure> {
    let began = Instant::now();
    let mut baseline: Option<Baseline> = None;
    let mut last: Option<(Snapshot, Instant)> = None;
    loop {
        let (service, tasks) =
            query(client, id).await.map_err(|error| while_waiting(error, name))?;
        name.clone_from(&service.spec.name);
        let baseline = baseline.get_or_insert_with(|| Baseline::of(&tasks));
        let counts = goal.counts(&service);
        let snapshot = Snapshot::of(&service, &tasks, baseline, counts);
        let rollout = goal.outcome(&service)?;
        let verdict = match snapshot.verdict() {
            Verdict::AllRun | Verdict::Failing { .. } if rollout == Outcome::Going => {
                Verdict::Going
            }
            verdict => verdict,
        };
        let is_verified = verdict == Verdict::AllRun && snapshot.concurrent.is_none();
        view.show(&snapshot, is_verified.then_some(STABLE));
        if let Outcome::Waits(message) = rollout {
            say(message);
            return Ok(snapshot);
        }
        let since = match &last {
            Some((same, since)) if *same == snapshot => *since,
            _ => Instant::now(),
        };
        match verdict {
            // A job that is complete stays so.
            Verdict::AllRun if snapshot.concurrent.is_some() => return Ok(snapshot),
            Verdict::AllRun if since.elapsed() >= STABLE => return Ok(snapshot),
            Verdict::Unplaced(number) if since.elapsed() >= UNPLACED_WAIT => {
                return Err(cannot_place(client, &service, number).await);
            }
            Verdict::Failing { what, error } => return Err(failing(&service, &what, &error)),
            Verdict::AllRun | Verdict::Unplaced(_) | Verdict::Going => {}
        }
        last = Some((snapshot, since));
        let is_young = began.elapsed() < Duration::from_secs(2);
        tokio::time::sleep(if is_young { POLL_INTERVAL_MIN } else { POLL_INTERVAL_MAX }).await;
    }
}

async fn query(client: &mut Client, id: &str) -> Result<(Service, Vec<Task>), CallError> {
    let query = filters(&[("id", id)]);
    let services: Vec<Service> = client.get(&format!("/services?status=true&{query}")).await?;
    let gone = "the service was removed meanwhile; edgectl service ls".to_owned();
    let service =
        services.into_iter().next().ok_or(CallError::Refused { status: 404, message: gone })?;
    let query = filters(&[("service", id)]);
    let tasks = client.get(&format!("/tasks?{query}")).await?;
    Ok((service, tasks))
}

/// The request is stored already: typing it again would make it twice.
fn while_waiting(error: CallError, name: &str) -> Failure {
    match error {
        CallError::HalfAnswer | CallError::Silent => {
            Failure::new("the agent went away while it was waited for")
                .why("the change itself is stored, and goes on")
                .hint(format!(
                    "edgectl service ps {name}, once the agent is back or on another node"
                ))
        }
        other => other.into(),
    }
}

fn failing(service: &Service, what: &str, error: &str) -> Failure {
    let name = &service.spec.name;
    let mut failure = Failure::new(format!("service {name} does not converge: {what}"));
    if !error.is_empty() {
        failure = failure.why(error);
    }
    failure
        .hint(format!("edgectl service logs {name}"))
        .hint(format!("edgectl service ps --no-trunc {name}"))
}

async fn cannot_place(client: &mut Client, service: &Service, number: usize) -> Failure {
    let name = &service.spec.name;
    let wanted = service.service_status.map_or(0, |status| status.desired_tasks);
    let mut failure = Failure::new(format!("{number} of {wanted} tasks of {name} fit on no node"))
        .exit(Exit::CannotPlace);
    if let Ok(why) = client.get::<Why>(&format!("/edge/why/service/{}", service.id)).await {
        for line in why::grouped(&why.excluded) {
            failure = failure.why(line);
        }
        for fix in why.fixes {
            failure = failure.hint(fix);
        }
    }
    failure
        .hint(format!("leave it: what is missing starts as soon as it fits (edgectl why {name})"))
}
