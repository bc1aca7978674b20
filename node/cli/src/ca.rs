//! `edgectl ca …`: certificates for clients on other machines.

use clap::Subcommand;

use crate::client::{Client, escape};
use crate::each::Each;
use crate::examples;
use crate::failure::{Exit, Failure};
use crate::output::print;

mod client;
mod ls;

/// Certificates for clients on other machines.
#[derive(Debug, Subcommand)]
pub enum CaCommand {
    /// Make the files with which a client on another machine uses the API over TLS
    #[command(help_template = examples!(
        "edgectl ca client --output laptop laptop             ca.pem, cert.pem and key.pem in a folder",
        "edgectl ca client --role reader -o grafana grafana   it can look, and change nothing",
    ))]
    Client(client::ClientArgs),
    /// List the certificates that clients have
    Ls(ls::LsArgs),
    /// Take certificates back
    #[command(help_template = examples!("edgectl ca revoke laptop"))]
    Revoke {
        /// Clients, by name or id
        #[arg(required = true, value_name = "NAME")]
        clients: Vec<String>,
    },
}

/// Runs one of them.
pub async fn run(command: CaCommand, mut client: Client) -> Result<Exit, Failure> {
    match command {
        CaCommand::Client(args) => client::run(&args, &mut client).await,
        CaCommand::Ls(args) => ls::run(args, client).await,
        CaCommand::Revoke { clients } => revoke(&clients, client).await,
    }
}

async fn revoke(clients: &[String], mut client: Client) -> Result<Exit, Failure> {
    let mut each = Each::new();
    for name in clients {
        let revoked = client.delete(&format!("/edge/clients/{}", escape(name))).await;
        if each.take(revoked).is_some() {
            print(name)?;
        }
    }
    Ok(each.exit())
}
