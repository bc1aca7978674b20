//! Finds the container of a task for what a person types: `web.2`, the id of a task or container,
//! or a service that has one task.

use serde_json::Value;

use super::client::{Client, escape};
use super::failure::Failure;
use super::output::{count, nearest};
use node_docker::service::Service;
use node_docker::task::Task;

/// A task that a command works on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its id in the API: the task's id.
    pub id: String,
    /// `web.2`.
    pub name: String,
}

/// Finds the task. The agent checks whether it runs.
pub async fn find(client: &mut Client, typed: &str) -> Result<Found, Failure> {
    let tasks: Vec<Task> = client.get("/tasks").await?;
    let services: Vec<Service> = client.get("/services").await?;
    match choose(typed, &tasks, &services) {
        Ok(found) => Ok(found),
        // Not of a task, then one that was made by hand.
        Err(failure) => made_by_hand(client, typed).await.ok_or(failure),
    }
}

/// A container that was made by hand, by its name or id.
pub async fn made_by_hand(client: &mut Client, typed: &str) -> Option<Found> {
    let found: Value = client.get(&format!("/containers/{}/json", escape(typed))).await.ok()?;
    let (id, name) = (found["Id"].as_str()?, found["Name"].as_str()?);
    let name = name.trim_start_matches('/').to_owned();
    Some(Found { id: id.to_owned(), name })
}

/// The running tasks of the whole fleet.
pub async fn running(client: &mut Client) -> Result<Vec<Found>, Failure> {
    let tasks: Vec<Task> = client.get("/tasks").await?;
    let runs = |task: &&Task| task.status.state == "running" && task.edge.unreachable_ms.is_none();
    let mut found: Vec<Found> = tasks.iter().filter(runs).map(found).collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

fn choose(typed: &str, tasks: &[Task], services: &[Service]) -> Result<Found, Failure> {
    let container = |task: &Task| {
        task.status.container_status.as_ref().map(|status| status.container_id.clone())
    };
    let exact = |task: &&Task| task.id == typed || container(task).is_some_and(|id| id == typed);
    if let Some(task) = tasks.iter().find(exact) {
        return Ok(found(task));
    }
    let wanted: Vec<&Task> = tasks.iter().filter(|task| task.is_wanted()).collect();
    let called: Vec<&&Task> = wanted.iter().filter(|task| task.edge.name == typed).collect();
    // A surplus task after a heal, or a start-first update: any of them is right.
    let runs = called.iter().find(|task| task.status.state == "running");
    if let Some(task) = runs.or(called.first()) {
        return Ok(found(task));
    }
    if let Some(service) = services.iter().find(|service| service.called() == typed) {
        return of_service(service, &wanted);
    }
    let begins = |task: &&Task| !typed.is_empty() && task.id.starts_with(typed);
    let mut begins = tasks.iter().filter(begins);
    match (begins.next(), begins.next()) {
        (Some(task), None) => Ok(found(task)),
        (Some(_), Some(_)) => Err(Failure::new(format!("{typed:?} means several tasks"))
            .hint("the id of the task, as far as it is unique")),
        (None, _) => Err(unknown(typed, &wanted, services)),
    }
}

fn of_service(service: &Service, wanted: &[&Task]) -> Result<Found, Failure> {
    let name = service.called();
    let of_it: Vec<&&Task> = wanted.iter().filter(|task| task.service_id == service.id).collect();
    match of_it.as_slice() {
        [task] => Ok(found(task)),
        [] => Err(Failure::new(format!("service {name} has no task"))
            .hint(format!("edgectl service scale {name}=1"))),
        several => {
            let mut names: Vec<&str> = several.iter().map(|task| task.edge.name.as_str()).collect();
            names.sort_unstable();
            names.truncate(5);
            Err(Failure::new(format!("service {name} has {}", count(several.len(), "task")))
                .why(format!("name one of them: {}", names.join(", ")))
                .hint(format!("edgectl service ps {name}")))
        }
    }
}

fn unknown(typed: &str, wanted: &[&Task], services: &[Service]) -> Failure {
    let failure = Failure::new(format!("no task {typed:?}"))
        .why(format!("this node knows {}, none of this name or id", count(wanted.len(), "task")));
    let names = wanted.iter().map(|task| task.edge.name.as_str());
    let names = names.chain(services.iter().map(|service| service.spec.name.as_str()));
    match nearest(typed, names) {
        Some(name) => failure.hint(format!("did you mean {name}?")),
        None => failure.hint("edgectl service ps SERVICE"),
    }
}

fn found(task: &Task) -> Found {
    Found { id: task.id.clone(), name: task.edge.name.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use node_docker::service::ServiceSpec;

    fn task(id: &str, service: &str, name: &str, state: &str) -> Task {
        let mut task =
            Task { id: id.to_owned(), service_id: service.to_owned(), ..Task::default() };
        task.edge.name = name.to_owned();
        task.status.state = state.to_owned();
        task.desired_state = if state == "failed" { "shutdown" } else { "running" }.to_owned();
        task
    }

    fn look(typed: &str) -> Result<String, String> {
        let tasks = [
            task("aa1", "s1", "web.1", "running"),
            task("aa2", "s1", "web.2", "running"),
            task("ab3", "s1", "web.2", "failed"),
            task("cc4", "s2", "db.1", "running"),
        ];
        let service = |id: &str, name: &str| Service {
            id: id.to_owned(),
            spec: ServiceSpec { name: name.to_owned(), ..ServiceSpec::default() },
            ..Service::default()
        };
        let services = [service("s1", "web"), service("s2", "db"), service("s3", "none")];
        choose(typed, &tasks, &services).map(|task| task.id).map_err(|failure| failure.to_string())
    }

    #[test]
    fn a_task_is_found_by_name_id_or_the_service_that_has_only_it() {
        for (typed, id) in [("web.2", "aa2"), ("ab3", "ab3"), ("db", "cc4"), ("cc", "cc4")] {
            assert_eq!(look(typed), Ok(id.to_owned()), "{typed}");
        }
    }

    #[test]
    fn what_is_not_there_is_answered_with_the_nearest_and_several_are_listed() {
        assert!(look("wbe.2").is_err_and(|error| error.ends_with("try: did you mean web.2?")));
        assert!(look("web").is_err_and(|error| error.contains("web.1, web.2")));
        assert!(look("none").is_err_and(|error| error.contains("edgectl service scale none=1")));
        assert!(look("a").is_err_and(|error| error.contains("several tasks")));
        assert!(look("").is_err());
    }
}
