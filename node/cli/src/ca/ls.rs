//! `edgectl ca ls`

use clap::Args;
use serde::Serialize;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{self, Listing, Row, Shown, age, ago, now};
use node_docker::client::ClientRow;

/// Flags.
#[derive(Debug, Args)]
pub struct LsArgs {
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ClientLine {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    role: String,
    created_at: String,
    issuer: String,
}

impl Row for ClientLine {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "ID"),
        ("Name", "NAME"),
        ("Role", "ROLE"),
        ("CreatedAt", "CREATED"),
        ("Issuer", "ISSUED ON"),
    ];
    const TABLE: &'static str = "{{.ID}}\t{{.Name}}\t{{.Role}}\t{{.CreatedAt}}\t{{.Issuer}}";
    const NONE: &'static str = "no client has a certificate: edgectl ca client --output DIR NAME";
    fn quiet(&self) -> &str {
        &self.id
    }
}

/// Lists them, by name.
pub async fn run(args: LsArgs, mut client: Client) -> Result<Exit, Failure> {
    let clients: Vec<ClientRow> = client.get("/edge/clients").await?;
    let shown = args.listing.shown();
    let rows: Vec<ClientLine> = clients.iter().map(|client| row(client, shown)).collect();
    args.listing.print(&rows)?;
    Ok(Exit::Done)
}

fn row(client: &ClientRow, shown: Shown) -> ClientLine {
    ClientLine {
        id: output::id(&client.id, shown),
        name: client.name.clone(),
        role: client.role.clone(),
        created_at: age(now(), client.created_at).map(ago).unwrap_or_default(),
        issuer: client.issuer.clone(),
    }
}
