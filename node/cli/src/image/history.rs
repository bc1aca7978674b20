//! `edgectl image history`

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::ls::since;
use super::size::size;
use crate::client::{Client, escape};
use crate::failure::{Exit, Failure};
use crate::output::{self, Listing, Row, Shown, cut};

/// Characters of a command in the table, as in Docker.
const COMMAND_CHARS: usize = 45;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// An image, by name or id
    #[arg(value_name = "IMAGE")]
    image: String,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct HistoryRow {
    #[serde(rename = "ID")]
    id: String,
    created_since: String,
    created_by: String,
    size: String,
    comment: String,
}

impl Row for HistoryRow {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "IMAGE"),
        ("CreatedSince", "CREATED"),
        ("CreatedBy", "CREATED BY"),
        ("Size", "SIZE"),
        ("Comment", "COMMENT"),
    ];
    const TABLE: &'static str =
        "{{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
    const NONE: &'static str = "the image does not say how it came to be";
    fn quiet(&self) -> &str {
        &self.id
    }
}

/// Newest first.
pub async fn run(args: HistoryArgs, mut client: Client) -> Result<Exit, Failure> {
    let path = format!("/images/{}/history", escape(&args.image));
    let lines: Vec<Value> = client.get(&path).await?;
    let shown = args.listing.shown();
    let rows: Vec<HistoryRow> = lines.iter().map(|line| row(line, shown)).collect();
    args.listing.print(&rows)?;
    Ok(Exit::Done)
}

fn row(line: &Value, shown: Shown) -> HistoryRow {
    let text = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let command = text("CreatedBy");
    let id = text("Id");
    HistoryRow {
        id: output::id(id.strip_prefix("sha256:").unwrap_or(&id), shown),
        created_since: since(line["Created"].as_u64().unwrap_or(0)),
        created_by: if shown == Shown::Short { cut(&command, COMMAND_CHARS) } else { command },
        size: size(line["Size"].as_u64().unwrap_or(0)),
        comment: text("Comment"),
    }
}
