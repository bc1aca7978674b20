//! `edgectl swarm join-token`: the standing token of each role, tokens for a purpose, and their list.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;

use super::{me, without_usual_port};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{Listing, Row, ago, now, print, say};
use node_docker::edge::{JoinTokenRow, TokenAnswer, TokenRequest};
use node_docker::node::Node;
use node_docker::system::{Swarm, SwarmSpec};
use node_values::{duration, show_duration};

/// Flags and operand, or a command.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: Option<TokenCommand>,
    /// As Docker has it: each role has a token of its own, and nodes that join are equal
    #[arg(value_name = "worker|manager", default_value = "worker", hide_default_value = true)]
    role: Role,
    /// Only the token
    #[arg(short, long)]
    quiet: bool,
    /// Put another token in the place of this role's: the one before is refused from now on
    #[arg(long, conflicts_with_all = ["uses", "site", "expires_after"])]
    rotate: bool,
    /// A new token, for this many nodes; shown once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    uses: Option<u32>,
    /// A new token, whose nodes get the label site=NAME; shown once
    #[arg(long, value_name = "NAME")]
    site: Option<String>,
    /// A new token, which is refused after this time; shown once
    #[arg(long, value_name = "TIME", value_parser = duration)]
    expires_after: Option<Duration>,
}

/// Docker's roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// The role of a worker.
    Worker,
    /// The role of a manager.
    Manager,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// List join tokens, without their secrets
    #[command(visible_alias = "list")]
    Ls(Listing),
    /// Revoke join tokens: nobody joins with them any more, who joined stays
    #[command(visible_aliases = ["remove", "revoke"])]
    Rm {
        /// Their numbers, or the first digits of them
        #[arg(required = true, value_name = "TOKEN")]
        tokens: Vec<String>,
    },
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TokenLine {
    #[serde(rename = "ID")]
    id: String,
    role: String,
    state: String,
    uses: String,
    site: String,
    expires: String,
    made: String,
    joiners: String,
}

impl Row for TokenLine {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "TOKEN"),
        ("Role", "ROLE"),
        ("State", "STATE"),
        ("Uses", "USES"),
        ("Site", "SITE"),
        ("Expires", "EXPIRES AFTER"),
        ("Made", "MADE ON (ITS CLOCK)"),
        ("Joiners", "JOINED"),
    ];
    const TABLE: &'static str = "{{.ID}}\t{{.Role}}\t{{.State}}\t{{.Uses}}\t{{.Site}}\t\
                                 {{.Expires}}\t{{.Made}}\t{{.Joiners}}";
    const NONE: &'static str = "no join tokens: edgectl swarm join-token makes one";
    fn quiet(&self) -> &str {
        &self.id
    }
}

/// Runs it.
pub async fn run(args: TokenArgs, client: &mut Client) -> Result<(), Failure> {
    match &args.command {
        Some(TokenCommand::Ls(listing)) => return list(client, listing).await,
        Some(TokenCommand::Rm { tokens }) => return remove(client, tokens).await,
        None => {}
    }
    if args.rotate {
        rotate(client, args.role).await?;
    }
    let is_own = args.uses.is_some() || args.site.is_some() || args.expires_after.is_some();
    let token = match is_own {
        true => issue(client, &args).await?,
        false => standing(client, args.role).await?,
    };
    if args.quiet {
        return print(token);
    }
    if args.rotate {
        let role = args.role.as_str();
        print(format!("The token for {role}s was replaced; the one before is refused.\n"))?;
    }
    let me = me(client).await?;
    invite(&me, &token)?;
    if is_own {
        say("the token is shown this once; edgectl swarm join-token ls shows what becomes of it");
    }
    Ok(())
}

/// The standing token of a role, the same on every member.
pub async fn standing(client: &mut Client, role: Role) -> Result<String, Failure> {
    let fleet: Swarm = client.get("/swarm").await?;
    let tokens = fleet.join_tokens.unwrap_or_default();
    Ok(match role {
        Role::Worker => tokens.worker,
        Role::Manager => tokens.manager,
    })
}

async fn rotate(client: &mut Client, role: Role) -> Result<(), Failure> {
    let fleet: Swarm = client.get("/swarm").await?;
    let which = match role {
        Role::Worker => "rotateWorkerToken",
        Role::Manager => "rotateManagerToken",
    };
    let path = format!("/swarm/update?version={}&{which}=1", fleet.version.index);
    client.send(&path, &SwarmSpec::default()).await.map_err(Failure::from)
}

async fn issue(client: &mut Client, args: &TokenArgs) -> Result<String, Failure> {
    let after = args.expires_after.unwrap_or_default();
    let request = TokenRequest {
        role: args.role.as_str().to_owned(),
        uses_max: args.uses.unwrap_or_default(),
        site: args.site.clone().unwrap_or_default(),
        expires_after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
    };
    let answer: TokenAnswer = client.post("/edge/tokens", &request).await?;
    Ok(answer.token)
}

async fn remove(client: &mut Client, tokens: &[String]) -> Result<(), Failure> {
    for token in tokens {
        // The secret of a token does not belong into a path.
        let digits = token.strip_prefix("EDGE-2-").unwrap_or(token);
        let digits: String = digits.chars().take(16).collect();
        client.delete(&format!("/edge/tokens/{digits}")).await?;
        print(&digits)?;
    }
    Ok(())
}

async fn list(client: &mut Client, listing: &Listing) -> Result<(), Failure> {
    let rows: Vec<JoinTokenRow> = client.get("/edge/tokens").await?;
    let lines: Vec<TokenLine> = rows.iter().map(line).collect();
    listing.print(&lines)
}

fn line(row: &JoinTokenRow) -> TokenLine {
    let used = row.joiners.len();
    TokenLine {
        id: row.id.clone(),
        role: row.role.clone(),
        state: row.state.clone(),
        uses: match row.uses_max {
            0 => used.to_string(),
            most => format!("{used} of {most}"),
        },
        site: row.site.clone(),
        expires: match row.expires_after_ms {
            0 => "never".to_owned(),
            ms => show_duration(Duration::from_millis(ms)),
        },
        made: match crate::output::age(now(), row.made_at) {
            Some(age) => format!("{}, {}", row.made_on, ago(age)),
            None => row.made_on.clone(),
        },
        joiners: row.joiners.join(", "),
    }
}

/// Prints the command for another machine.
pub fn invite(me: &Node, token: &str) -> Result<(), Failure> {
    let told = me.manager_status.as_ref().map(|status| status.addr.as_str()).unwrap_or_default();
    let address = without_usual_port(told);
    print(format!(
        "To add a machine, start an agent on it, and there run:\n\n    \
         edgectl swarm join --token {token} {address}\n\n\
         Whoever has the token can become a member. The machines must reach each other by UDP, port {}.",
        told.rsplit_once(':').map_or("7946", |(_, port)| port)
    ))?;
    if told.starts_with("127.") || told.starts_with("[::1]") {
        say(format!("warning: {address} is an address that only this machine reaches"));
        say(
            "  try: start the agent with --listen 0.0.0.0, or --advertise and an address of the network",
        );
    }
    Ok(())
}

impl Role {
    fn as_str(self) -> &'static str {
        match self {
            Role::Worker => "worker",
            Role::Manager => "manager",
        }
    }
}
