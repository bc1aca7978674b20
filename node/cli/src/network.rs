//! `edgectl network …`: makes networks of the fleet, shows who is on them, and removes them.
//!
//! What a network may be is decided by the agent; only what Docker's client decides by itself is
//! decided here: to which subnet a gateway, a range or a reserved address belongs.

mod check;
mod create;
mod inspect;
mod ipam;
mod ls;
mod prune;
mod rm;

use clap::Subcommand;

use super::client::Client;
use super::failure::{Exit, Failure};
use crate::examples;

/// Networks: every node knows them, and services are put on them by name.
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Make a network of the fleet
    #[command(help_template = examples!(
        "edgectl network create back                              a free subnet is chosen",
        "edgectl network create --subnet 10.7.0.0/16 --aux-address printer=10.7.0.9 shop",
        "edgectl network create --internal --label tier=data db   without a way out",
    ))]
    Create(Box<create::CreateArgs>),
    /// Probe the paths from this node to those that it shares networks with
    #[command(
        after_help = "Exit codes: 0 all answer, 3 one is silent.",
        help_template = examples!(
            "edgectl network check                    takes some seconds",
            "edgectl network check --format json",
        )
    )]
    Check(check::CheckArgs),
    /// List networks
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Show everything about networks
    #[command(help_template = examples!(
        "edgectl network inspect back",
        "edgectl network inspect -v back      also its services, with the addresses of their tasks",
    ))]
    Inspect(inspect::InspectArgs),
    /// Remove networks that no service is on
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
    /// Remove all networks that no service is on
    Prune(prune::PruneArgs),
}

/// Runs one of them.
pub async fn run(command: NetworkCommand, client: Client) -> Result<Exit, Failure> {
    match command {
        NetworkCommand::Create(args) => create::run(*args, client).await,
        NetworkCommand::Check(args) => check::run(args, client).await,
        NetworkCommand::Ls(args) => ls::run(args, client).await,
        NetworkCommand::Inspect(args) => inspect::run(args, client).await,
        NetworkCommand::Rm(args) => rm::run(args, client).await,
        NetworkCommand::Prune(args) => prune::run(args, client).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{self, Answers};
    use crate::parse_for_tests;

    #[tokio::test]
    async fn a_network_is_made_by_one_request() {
        let answers: Answers = &[("POST /networks/create", 201, r#"{"Id":"x1","Warning":""}"#)];
        let (client, asked) = fake::agent(answers).await;
        let args = parse_for_tests(&["network", "create", "back"]).expect("valid");
        assert_eq!(create::run(args, client).await, Ok(Exit::Done));
        let lines = asked.lines();
        assert!(lines[0].starts_with(r#"POST /networks/create {"Name":"back","#), "{lines:?}");
        assert_eq!(lines.len(), 1);
    }

    #[tokio::test]
    async fn a_network_that_cannot_be_removed_does_not_stop_the_others() {
        let answers: Answers = &[
            ("DELETE /networks/back", 204, ""),
            ("DELETE /networks/used", 403, r#"{"message":"network used is in use; take it off"}"#),
        ];
        let run = async |flags: &[&str]| {
            let (client, asked) = fake::agent(answers).await;
            let line = [&["network", "rm"], flags].concat();
            let exit = rm::run(parse_for_tests(&line).expect("valid"), client).await;
            (exit.expect("each failure is reported"), asked.lines().len())
        };
        assert_eq!(run(&["gone", "used", "back"]).await, (Exit::Failed, 3));
        assert_eq!(run(&["-f", "gone", "back"]).await, (Exit::Done, 2));
        assert_eq!(run(&["-f", "used"]).await, (Exit::Failed, 1), "it exists");
    }

    #[tokio::test]
    async fn those_that_exist_are_shown_and_the_missing_one_fails() {
        let answers: Answers = &[("GET /networks/back?verbose=true", 200, r#"{"Name":"back"}"#)];
        let (client, asked) = fake::agent(answers).await;
        let args = parse_for_tests(&["network", "inspect", "-v", "gone", "back"]).expect("valid");
        assert_eq!(inspect::run(args, client).await, Ok(Exit::Failed));
        let expected = ["GET /networks/gone?verbose=true", "GET /networks/back?verbose=true"];
        assert_eq!(asked.lines(), expected);
    }

    /// The standard input of a test is no terminal.
    #[tokio::test]
    async fn nothing_is_pruned_where_nobody_can_be_asked() {
        let (client, asked) = fake::agent(&[]).await;
        let args = parse_for_tests(&["network", "prune"]).expect("valid");
        let refused = prune::run(args, client).await.expect_err("nobody agreed").to_string();
        assert!(refused.contains("edgectl network prune --force"), "{refused}");
        assert!(asked.lines().is_empty());
    }

    #[tokio::test]
    async fn the_agent_filters_what_is_pruned() {
        const ASKED: &str = "POST /networks/prune?filters=%7B%22label%22%3A%5B%22tier%22%5D%2C\
                             %22label%21%22%3A%5B%22keep%22%5D%7D";
        let (client, asked) = fake::agent(&[(ASKED, 200, r#"{"NetworksDeleted":["back"]}"#)]).await;
        let line = ["network", "prune", "-f", "--filter", "label=tier", "--filter", "label!=keep"];
        let args = parse_for_tests(&line).expect("valid");
        assert_eq!(prune::run(args, client).await, Ok(Exit::Done));
        assert_eq!(asked.lines(), [format!("{ASKED} null")]);
    }
}
