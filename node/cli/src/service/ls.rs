//! `edgectl service ls`

use clap::Args;
use serde::Serialize;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::filter::Filters;
use crate::output::{self, Listing, Row, Shown, natural, say};
use node_docker::service::{Service, ServiceStatus};

/// Flags of every listing of services.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Show only what fits: id, label, mode, name
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ServiceRow {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    mode: String,
    replicas: String,
    image: String,
    ports: String,
}

impl Row for ServiceRow {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "ID"),
        ("Name", "NAME"),
        ("Mode", "MODE"),
        ("Replicas", "REPLICAS"),
        ("Image", "IMAGE"),
        ("Ports", "PORTS"),
    ];
    const TABLE: &'static str =
        "{{.ID}}\t{{.Name}}\t{{.Mode}}\t{{.Replicas}}\t{{.Image}}\t{{.Ports}}";
    const NONE: &'static str = "no services yet: edgectl service create --name web IMAGE";
    fn quiet(&self) -> &str {
        &self.id
    }
}

/// Lists all services.
pub async fn run(args: LsArgs, mut client: Client) -> Result<Exit, Failure> {
    let services: Vec<Service> = client.get("/services?status=true").await?;
    print(services, &args)?;
    Ok(Exit::Done)
}

/// Prints services as the flags say, by name.
pub fn print(mut services: Vec<Service>, flags: &LsArgs) -> Result<(), Failure> {
    let filters = Filters::parse(&flags.filter, &["id", "label", "mode", "name"])?;
    services.retain(|service| fits(&filters, service));
    services.sort_by_cached_key(|service| (natural(&service.spec.name), service.id.clone()));
    let rows: Vec<ServiceRow> =
        services.iter().map(|service| row(service, flags.listing.shown())).collect();
    flags.listing.print(&rows)?;
    services.iter().filter_map(name_note).for_each(say);
    Ok(())
}

/// A note for the younger of two services that were created with one name on two sides of a
/// partition.
fn name_note(service: &Service) -> Option<String> {
    let (name, id) = (&service.spec.name, &service.id);
    let is_shared = service.called() == id;
    is_shared.then(|| format!("! {name} means another service than {id}: edgectl why {id}"))
}

fn fits(filters: &Filters, service: &Service) -> bool {
    filters.any("id", |id| service.id.starts_with(id))
        && filters.any("name", |name| service.spec.name.starts_with(name))
        && filters.any("mode", |mode| mode == service.spec.mode.word())
        && filters.labels("label", &service.spec.labels)
}

fn row(service: &Service, shown: Shown) -> ServiceRow {
    let container = service.spec.task_template.container_spec.as_ref();
    let reference = container.map_or("", |container| container.image.as_str());
    ServiceRow {
        id: output::id(&service.id, shown),
        name: service.spec.name.clone(),
        // Docker's list writes the modes of jobs in two words.
        mode: service.spec.mode.word().replace('-', " "),
        replicas: replicas_text(service),
        image: output::image(output::without_digest(reference), shown),
        ports: output::ports(
            service.spec.endpoint_spec.iter().flat_map(|endpoint| &endpoint.ports),
        ),
    }
}

/// `2/3`, with the reason of a limit: `2/3 (max 1 per node)`; of a job how far it is: `2/3 (1/3
/// completed)`.
pub fn replicas_text(service: &Service) -> String {
    let status = service.service_status.unwrap_or(ServiceStatus {
        desired_tasks: service.spec.mode.replicated.and_then(|r| r.replicas).unwrap_or(0),
        ..ServiceStatus::default()
    });
    let counts = format!("{}/{}", status.running_tasks, status.desired_tasks);
    let mode = &service.spec.mode;
    if mode.is_job() {
        let job = mode.replicated_job.and_then(|job| job.total_completions);
        let all = job.unwrap_or(status.desired_tasks + status.completed_tasks);
        let next = service.edge.schedule.as_ref().map(|schedule| &schedule.next);
        let next = next.filter(|next| !next.is_empty());
        let next = next.map(|next| format!(", next run {next}")).unwrap_or_default();
        return format!("{counts} ({}/{all} completed{next})", status.completed_tasks);
    }
    match service.spec.task_template.placement.as_ref().map_or(0, |p| p.max_replicas) {
        0 => counts,
        max => format!("{counts} (max {max} per node)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service() -> Service {
        serde_json::from_value(json!({
            "ID": "1x2y3z4a5b6c7d8e9f0g1h2i3",
            "Spec": {
                "Name": "web", "Labels": {"tier": "front"},
                "Mode": {"Replicated": {"Replicas": 3}},
                "TaskTemplate": {"ContainerSpec": {"Image": "process:/usr/bin/busybox"},
                    "Placement": {"MaxReplicas": 2}},
                "EndpointSpec": {"Ports": [{"Protocol": "tcp", "TargetPort": 80,
                    "PublishedPort": 8080, "PublishMode": "host"}]}
            },
            "ServiceStatus": {"RunningTasks": 2, "DesiredTasks": 3}
        }))
        .expect("a service")
    }

    #[test]
    fn a_job_shows_how_far_it_is() {
        let mut job = service();
        let status = json!({"RunningTasks": 2, "DesiredTasks": 3, "CompletedTasks": 1});
        job.service_status = serde_json::from_value(status).expect("a status");
        for (mode, word, counts) in [
            (
                json!({"ReplicatedJob": {"TotalCompletions": 7}}),
                "replicated job",
                "2/3 (1/7 completed)",
            ),
            (json!({"GlobalJob": {}}), "global job", "2/3 (1/4 completed)"),
        ] {
            job.spec.mode = serde_json::from_value(mode).expect("a mode");
            let row = row(&job, Shown::Short);
            assert_eq!((row.mode.as_str(), row.replicas.as_str()), (word, counts));
        }
    }

    #[test]
    fn a_row_has_docker_s_columns() {
        let lines = Listing::default().lines(&[row(&service(), Shown::Short)]).expect("a table");
        assert_eq!(
            lines,
            [
                "ID             NAME   MODE         REPLICAS               IMAGE             PORTS",
                "1x2y3z4a5b6c   web    replicated   2/3 (max 2 per node)   process:busybox   *:8080->80/tcp",
            ]
        );
    }

    #[test]
    fn filters_are_docker_s() {
        let fits = |typed: &str| {
            let known = ["id", "label", "mode", "name"];
            fits(&Filters::parse(&[typed.to_owned()], &known).expect("valid"), &service())
        };
        assert!(fits("name=we") && fits("mode=replicated") && fits("label=tier=front"));
        assert!(!fits("name=eb") && !fits("mode=global") && !fits("label=tier=back"));
    }
}
