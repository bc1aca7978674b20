//! `edgectl secret …`: makes secrets of the fleet, shows who can read them, replaces and removes them.
//!
//! What a secret may be is decided by the agent. What is in one goes in, and never comes out here.

mod create;
mod inspect;
mod ls;
mod rotate;

use clap::Subcommand;

use super::client::{Client, escape};
use super::config::rm;
use super::failure::{Exit, Failure};
use crate::examples;
use node_docker::config::{Holder, Secret};

/// Secrets: files that only tasks get, and that only some nodes can read.
#[derive(Debug, Subcommand)]
pub enum SecretCommand {
    /// Make a secret of a file, or of what is on the standard input
    #[command(help_template = examples!(
        "edgectl secret create db-password ./password.txt",
        "printf %s \"$PASSWORD\" | edgectl secret create --label app=shop db-password -",
        "edgectl service create --secret db-password shop:1      the file /run/secrets/db-password",
        "edgectl service create --secret source=tls-key,target=/etc/tls/key,mode=0400,uid=101 web:1",
    ))]
    Create(create::CreateArgs),
    /// List secrets, and the nodes that can read them
    #[command(visible_alias = "list", help_template = examples!(
        "edgectl secret ls",
        "edgectl secret ls --exposed-by kiosk-7      what whoever has this machine can read",
    ))]
    Ls(ls::LsArgs),
    /// Show everything about secrets but what is in them
    #[command(help_template = examples!(
        "edgectl secret inspect --pretty db-password",
        "edgectl secret inspect --format '{{json .Nodes}}' db-password",
    ))]
    Inspect(inspect::InspectArgs),
    /// Replace what is in a secret, and give it to every service that uses the old one
    #[command(help_template = examples!(
        "edgectl secret rotate db-password ./new-password.txt",
        "edgectl secret rotate --exposed-by kiosk-7      what is to be rotated when it was lost",
    ))]
    Rotate(rotate::RotateArgs),
    /// Remove secrets that no service uses
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
}

/// Operands.
#[derive(Debug, clap::Args)]
pub struct RmArgs {
    /// Secrets, by name or id
    #[arg(required = true, value_name = "SECRET")]
    secrets: Vec<String>,
}

/// Runs one of them.
pub async fn run(command: SecretCommand, client: Client) -> Result<Exit, Failure> {
    match command {
        SecretCommand::Create(args) => create::run(args, client).await,
        SecretCommand::Ls(args) => ls::run(args, client).await,
        SecretCommand::Inspect(args) => inspect::run(args, client).await,
        SecretCommand::Rotate(args) => rotate::run(args, client).await,
        SecretCommand::Rm(args) => rm::each("secrets", &args.secrets, client).await,
    }
}

/// The secrets that a node can read, by its name or the beginning of its id. A node that was removed
/// from the fleet still can.
async fn exposed_by(
    client: &mut Client,
    secrets: Vec<Secret>,
    node: &str,
) -> Result<Vec<Secret>, Failure> {
    let is_it = |holder: &Holder| holder.hostname == node || holder.id.starts_with(node);
    let read: Vec<Secret> =
        secrets.into_iter().filter(|secret| secret.nodes.iter().any(is_it)).collect();
    if read.is_empty() {
        // Does it exist at all?
        let _: serde_json::Value = client.get(&format!("/nodes/{}", escape(node))).await?;
    }
    Ok(read)
}

/// The names of the secrets that a node can read, by name.
pub async fn readable_by(client: &mut Client, node: &str) -> Result<Vec<String>, Failure> {
    let secrets: Vec<Secret> = client.get("/secrets").await?;
    let read = exposed_by(client, secrets, node).await?;
    let mut names: Vec<String> = read.into_iter().map(|read| read.secret.spec.name).collect();
    names.sort();
    Ok(names)
}

/// What nodes are called.
fn hostnames(nodes: &[Holder]) -> String {
    let mut names: Vec<&str> = nodes
        .iter()
        .map(|node| if node.hostname.is_empty() { node.id.as_str() } else { &node.hostname })
        .collect();
    names.sort_unstable();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{self, Answers};
    use crate::parse_for_tests;

    #[tokio::test]
    async fn a_secret_is_made_of_a_file_by_one_request() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "level=7\n").expect("writable");
        let answers: Answers = &[("POST /secrets/create", 201, r#"{"ID":"x1"}"#)];
        let (client, asked) = fake::agent(answers).await;
        let path = file.path().to_str().expect("UTF-8");
        let line = ["secret", "create", "-l", "app=shop", "db", path];
        let args = parse_for_tests(&line).expect("valid");
        assert_eq!(create::run(args, client).await, Ok(Exit::Done));
        let sent = r#"{"Name":"db","Labels":{"app":"shop"},"Data":"bGV2ZWw9Nwo="}"#;
        assert_eq!(asked.lines(), [format!("POST /secrets/create {sent}")]);
    }

    #[tokio::test]
    async fn a_secret_is_rotated_by_one_request() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), "level=7\n").expect("writable");
        let answers: Answers =
            &[("POST /edge/secrets/db/rotate", 200, r#"{"ID":"x2","Services":["web"]}"#)];
        let (client, asked) = fake::agent(answers).await;
        let path = file.path().to_str().expect("UTF-8");
        let args = parse_for_tests(&["secret", "rotate", "db", path]).expect("valid");
        assert_eq!(rotate::run(args, client).await, Ok(Exit::Done));
        let sent = r#"{"Name":"","Labels":{},"Data":"bGV2ZWw9Nwo="}"#;
        assert_eq!(asked.lines(), [format!("POST /edge/secrets/db/rotate {sent}")]);
    }

    #[tokio::test]
    async fn a_node_that_nobody_knows_is_not_one_that_reads_nothing() {
        let answers: Answers = &[
            ("GET /secrets", 200, "[]"),
            ("GET /nodes/x", 404, r#"{"message":"node x not found"}"#),
        ];
        let (client, _) = fake::agent(answers).await;
        let args = parse_for_tests(&["secret", "ls", "--exposed-by", "x"]).expect("valid");
        let said = ls::run(args, client).await.expect_err("unknown").to_string();
        assert!(said.contains("node x not found"), "{said}");
    }
}
