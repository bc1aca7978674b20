//! `edgectl image pulls`: the running pulls of this node; `pause` and `resume`.

use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{Listing, Row, Shown, compact_age, say};

/// Flags.
#[derive(Debug, Args)]
pub struct PullsArgs {
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    paused: bool,
    pulls: Vec<Pull>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Pull {
    digest: String,
    image: String,
    size: u64,
    received: u64,
    from: String,
    elapsed_ms: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PullRow {
    digest: String,
    image: String,
    received: String,
    size: String,
    from: String,
    elapsed: String,
}

impl Row for PullRow {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Digest", "DIGEST"),
        ("Image", "IMAGE"),
        ("Received", "RECEIVED"),
        ("Size", "SIZE"),
        ("From", "FROM"),
        ("Elapsed", "ELAPSED"),
    ];
    const TABLE: &'static str =
        "{{.Digest}}\t{{.Image}}\t{{.Received}}\t{{.Size}}\t{{.From}}\t{{.Elapsed}}";
    const NONE: &'static str = "nothing is being fetched";
    fn quiet(&self) -> &str {
        &self.digest
    }
}

/// Lists them.
pub async fn run(args: PullsArgs, mut client: Client) -> Result<Exit, Failure> {
    let answer: Answer = client.get("/edge/pulls").await?;
    let shown = args.listing.shown();
    let rows: Vec<PullRow> = answer.pulls.iter().map(|pull| row(pull, shown)).collect();
    args.listing.print(&rows)?;
    if answer.paused {
        say("fetching is paused on this node; go on with: edgectl image resume");
    }
    Ok(Exit::Done)
}

fn row(pull: &Pull, shown: Shown) -> PullRow {
    let digest = match shown {
        Shown::Whole => pull.digest.clone(),
        Shown::Short => pull.digest.trim_start_matches("sha256:").chars().take(12).collect(),
    };
    let looking = if pull.from.is_empty() { "looking for a source" } else { &pull.from };
    PullRow {
        digest,
        image: pull.image.clone(),
        received: bytes(pull.received),
        size: if pull.size == 0 { "?".to_owned() } else { bytes(pull.size) },
        from: looking.to_owned(),
        elapsed: compact_age(Duration::from_millis(pull.elapsed_ms)),
    }
}

fn bytes(count: u64) -> String {
    super::size::size(count)
}

/// `edgectl image pause`.
pub async fn pause(mut client: Client) -> Result<Exit, Failure> {
    client.send("/edge/pulls/pause", &()).await?;
    say("this node fetches no images until: edgectl image resume");
    Ok(Exit::Done)
}

/// `edgectl image resume`.
pub async fn resume(mut client: Client) -> Result<Exit, Failure> {
    client.send("/edge/pulls/resume", &()).await?;
    say("this node fetches images again");
    Ok(Exit::Done)
}
