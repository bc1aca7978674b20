//! `edgectl config …`: makes configs of the fleet, shows them, and removes them.
//!
//! What a config may be is decided by the agent.

pub(crate) mod create;
mod inspect;
mod ls;
pub(crate) mod rm;

use clap::Subcommand;

use super::client::Client;
use super::failure::{Exit, Failure};
use crate::examples;

/// Configs: files that every node knows, and that services get by name.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Make a config of a file, or of what is on the standard input
    #[command(help_template = examples!(
        "edgectl config create app.conf ./app.conf",
        "generate | edgectl config create --label app=shop app-2 -",
        "edgectl service create --config source=app.conf,target=/etc/app.conf,mode=0440 shop:1",
    ))]
    Create(create::CreateArgs),
    /// List configs
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Show everything about configs, their data too
    #[command(help_template = examples!(
        "edgectl config inspect --pretty app.conf",
        "edgectl config inspect --format '{{.Spec.Labels}}' app.conf",
    ))]
    Inspect(inspect::InspectArgs),
    /// Remove configs that no service uses
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
}

/// Runs one of them.
pub async fn run(command: ConfigCommand, client: Client) -> Result<Exit, Failure> {
    match command {
        ConfigCommand::Create(args) => create::run(args, client).await,
        ConfigCommand::Ls(args) => ls::run(args, client).await,
        ConfigCommand::Inspect(args) => inspect::run(args, client).await,
        ConfigCommand::Rm(args) => rm::run(args, client).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{self, Answers};
    use crate::parse_for_tests;

    #[tokio::test]
    async fn a_config_is_made_of_a_file_by_one_request() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "level=7\n").expect("writable");
        let answers: Answers = &[("POST /configs/create", 201, r#"{"ID":"x1"}"#)];
        let (client, asked) = fake::agent(answers).await;
        let path = file.path().to_str().expect("UTF-8");
        let line = ["config", "create", "-l", "app=shop", "app.conf", path];
        let args = parse_for_tests(&line).expect("valid");
        assert_eq!(create::run(args, client).await, Ok(Exit::Done));
        let sent = r#"{"Name":"app.conf","Labels":{"app":"shop"},"Data":"bGV2ZWw9Nwo="}"#;
        assert_eq!(asked.lines(), [format!("POST /configs/create {sent}")]);
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_is_told_and_nothing_is_sent() {
        let (client, asked) = fake::agent(&[]).await;
        let args = parse_for_tests(&["config", "create", "a", "/nowhere/a"]).expect("valid");
        let said = create::run(args, client).await.expect_err("no file").to_string();
        assert!(said.contains("cannot read /nowhere/a"), "{said}");
        assert!(asked.lines().is_empty());
    }

    #[tokio::test]
    async fn a_config_that_cannot_be_removed_does_not_stop_the_others() {
        let answers: Answers = &[
            ("DELETE /configs/a", 204, ""),
            ("DELETE /configs/used", 400, r#"{"message":"config 'used' is in use; take it off"}"#),
        ];
        let (client, asked) = fake::agent(answers).await;
        let args = parse_for_tests(&["config", "rm", "gone", "used", "a"]).expect("valid");
        assert_eq!(rm::run(args, client).await, Ok(Exit::Failed));
        assert_eq!(asked.lines().len(), 3);
    }
}
