//! `edgectl stack …`: the services, networks, secrets and configs that were deployed together, by
//! the label that Docker's client gives them. Nothing else says that there is a stack: whoever
//! deployed it, from whichever node, sees it here.

mod config;
mod deploy;
mod files;
mod ls;
mod ps;
mod rm;
mod services;
mod sync;

pub use deploy::{DeployFlags, deploy};
pub use files::{Disk, failure, shell_variables};

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser;

use super::client::{Client, filters};
use super::failure::{Exit, Failure};
use crate::examples;
use node_docker::service::Service;

/// The label with the name of the stack.
const NAMESPACE: &str = "com.docker.stack.namespace";

/// Stacks: services that are deployed together.
#[derive(Debug, Subcommand)]
pub enum StackCommand {
    /// Show the files of a stack as one, with variables and includes resolved
    Config(config::ConfigArgs),
    /// Create or change a stack as Compose files say
    #[command(visible_alias = "up", help_template = examples!(
        "edgectl stack deploy -c compose.yaml vote",
        "edgectl stack deploy -c compose.yaml -c site.yaml --prune vote",
        "edgectl stack deploy --dry-run -c compose.yaml vote",
    ))]
    Deploy(deploy::DeployArgs),
    /// List stacks
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// List the tasks of a stack, with those that were before
    #[command(help_template = examples!(
        "edgectl stack ps vote",
        "edgectl stack ps --no-trunc -f desired-state=running vote",
    ))]
    Ps(ps::PsArgs),
    /// Remove stacks: their services, secrets, configs and networks
    #[command(visible_aliases = ["remove", "down"], help_template = examples!(
        "edgectl stack rm vote",
        "edgectl stack rm --detach=false vote      wait until its tasks have ended",
    ))]
    Rm(rm::RmArgs),
    /// Make the fleet as a folder of Compose files says that every node has
    #[command(help_template = examples!(
        "edgectl stack sync /etc/edgectl/stacks",
    ))]
    Sync(sync::SyncArgs),
    /// List the services of a stack
    #[command(help_template = examples!(
        "edgectl stack services vote",
        "edgectl stack services --format '{{.Name}} {{.Replicas}}' vote",
    ))]
    Services(services::ServicesArgs),
}

/// Runs one of them. Only `config` does without an agent.
pub async fn run(command: StackCommand, client: Result<Client, Failure>) -> Result<Exit, Failure> {
    match command {
        StackCommand::Config(args) => config::run(&args),
        StackCommand::Deploy(args) => deploy::run(args, client).await,
        StackCommand::Ls(args) => ls::run(args, client?).await,
        StackCommand::Ps(args) => ps::run(args, client?).await,
        StackCommand::Rm(args) => rm::run(args, client?).await,
        StackCommand::Sync(args) => sync::run(args, client?).await,
        StackCommand::Services(args) => services::run(args, client?).await,
    }
}

/// The name of a stack is never empty: services with an empty label are of no stack.
fn name() -> NonEmptyStringValueParser {
    NonEmptyStringValueParser::new()
}

/// The parameter that selects what belongs to a stack.
fn of_stack(stack: &str) -> String {
    filters(&[("label", &format!("{NAMESPACE}={stack}"))])
}

/// The services of a stack, with how many of their tasks run.
async fn services_of(client: &mut Client, stack: &str) -> Result<Vec<Service>, Failure> {
    Ok(client.get(&format!("/services?status=true&{}", of_stack(stack))).await?)
}

/// Docker's words, so that scripts find them.
fn nothing_found(stack: &str) -> String {
    format!("Nothing found in stack: {stack}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{self, Answers};
    use crate::parse_for_tests;

    /// What `label=com.docker.stack.namespace=vote` is in a query.
    macro_rules! vote {
        ($before:literal) => {
            concat!(
                $before,
                "filters=%7B%22label%22%3A%5B%22com.docker.stack.namespace%3Dvote%22%5D%7D"
            )
        };
    }

    const SERVICES: &str = r#"[
        {"ID": "s2", "Spec": {"Name": "vote_web", "Labels": {"com.docker.stack.namespace": "vote"}}},
        {"ID": "s1", "Spec": {"Name": "vote_db", "Labels": {"com.docker.stack.namespace": "vote"}}}]"#;

    #[tokio::test]
    async fn a_stack_is_removed_in_docker_s_order_and_no_failure_stops_the_rest() {
        let answers: Answers = &[
            (vote!("GET /services?status=true&"), 200, SERVICES),
            (vote!("GET /secrets?"), 200, r#"[{"ID": "k1", "Spec": {"Name": "vote_key"}}]"#),
            (vote!("GET /configs?"), 200, r#"[{"ID": "c1", "Spec": {"Name": "vote_conf"}}]"#),
            (vote!("GET /networks?"), 200, r#"[{"Id": "n1", "Name": "vote_back"}]"#),
            ("DELETE /services/s1", 200, ""),
            ("DELETE /services/s2", 500, r#"{"message": "its disk is full"}"#),
            ("DELETE /secrets/k1", 204, ""),
            ("DELETE /configs/c1", 204, ""),
            ("DELETE /networks/n1", 204, ""),
        ];
        let (client, asked) = fake::agent(answers).await;
        let args = parse_for_tests(&["stack", "rm", "vote"]).expect("valid");
        assert_eq!(rm::run(args, client).await, Ok(Exit::Failed), "vote_web is refused");
        assert_eq!(
            asked.lines(),
            [
                vote!("GET /services?status=true&"),
                vote!("GET /secrets?"),
                vote!("GET /configs?"),
                vote!("GET /networks?"),
                "DELETE /services/s1",
                "DELETE /services/s2",
                "DELETE /secrets/k1",
                "DELETE /configs/c1",
                "DELETE /networks/n1",
            ]
        );
    }

    #[tokio::test]
    async fn a_removal_waits_for_the_tasks_if_it_is_told_to() {
        let answers: Answers = &[
            (vote!("GET /services?status=true&"), 200, SERVICES),
            (vote!("GET /secrets?"), 200, "[]"),
            (vote!("GET /configs?"), 200, "[]"),
            (vote!("GET /networks?"), 200, "[]"),
            ("DELETE /services/s1", 200, ""),
            ("DELETE /services/s2", 200, ""),
            (
                "GET /tasks",
                200,
                r#"[{"ID": "t1", "ServiceID": "other", "Status": {"State": "running"}},
                    {"ID": "t2", "ServiceID": "s1", "Status": {"State": "shutdown"}},
                    {"ID": "t3", "ServiceID": "s2", "Status": {"State": "running"},
                     "Edge": {"Name": "vote_web.1", "UnreachableMs": 5}}]"#,
            ),
        ];
        for (flag, asks) in [("--detach=false", 1), ("--detach", 0), ("-d", 0)] {
            let (client, asked) = fake::agent(answers).await;
            let args = parse_for_tests(&["stack", "down", flag, "vote"]).expect("valid");
            assert_eq!(rm::run(args, client).await, Ok(Exit::Done), "{flag}");
            let polls = asked.lines().iter().filter(|line| *line == "GET /tasks").count();
            assert_eq!(polls, asks, "{flag}");
        }
    }

    #[tokio::test]
    async fn an_unknown_stack_removes_nothing() {
        let answers: Answers = &[
            (vote!("GET /services?status=true&"), 200, "[]"),
            (vote!("GET /secrets?"), 200, "[]"),
            (vote!("GET /configs?"), 200, "[]"),
            (vote!("GET /networks?"), 200, "[]"),
        ];
        let (client, asked) = fake::agent(answers).await;
        let args = parse_for_tests(&["stack", "remove", "vote"]).expect("valid");
        assert_eq!(rm::run(args, client).await, Ok(Exit::Done));
        assert!(asked.lines().iter().all(|line| line.starts_with("GET ")), "{:?}", asked.lines());
    }

    #[tokio::test]
    async fn the_tasks_of_no_stack_are_a_failure_with_docker_s_words() {
        let answers: Answers = &[(vote!("GET /services?status=true&"), 200, "[]")];
        let (client, _) = fake::agent(answers).await;
        let args = parse_for_tests(&["stack", "ps", "vote"]).expect("valid");
        let failure = ps::run(args, client).await.expect_err("there is none").to_string();
        assert!(failure.starts_with("Nothing found in stack: vote"), "{failure}");
        assert!(parse_for_tests::<ps::PsArgs>(&["stack", "ps", ""]).is_err());
        assert!(parse_for_tests::<ps::PsArgs>(&["stack", "ps", "a", "b"]).is_err());
        assert!(parse_for_tests::<rm::RmArgs>(&["stack", "rm", ""]).is_err());
    }
}
