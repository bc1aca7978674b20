//! `edgectl volume ls`

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::filter::Filters;
use crate::output::{Listing, Row, compact_age};
use node_docker::volume::EdgeVolume;

const FILTERS: [&str; 4] = ["name", "node", "service", "state"];

/// Flags.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Show only what fits: name, node, service, state (here, missing, given-up)
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct VolumeRow {
    name: String,
    node: String,
    state: String,
    services: String,
    created_at: String,
    driver: &'static str,
    scope: &'static str,
    links: &'static str,
    size: &'static str,
}

impl Row for VolumeRow {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("Name", "VOLUME NAME"),
        ("Node", "NODE"),
        ("State", "STATE"),
        ("Services", "SERVICES"),
        ("CreatedAt", "CREATED"),
        ("Driver", "DRIVER"),
        ("Scope", "SCOPE"),
        ("Links", "LINKS"),
        ("Size", "SIZE"),
    ];
    const TABLE: &'static str = "{{.Name}}\t{{.Node}}\t{{.State}}\t{{.Services}}\t{{.CreatedAt}}";
    const NONE: &'static str = "no volumes";
    fn quiet(&self) -> &str {
        &self.name
    }
}

/// Lists them, by name, then by node.
pub async fn run(args: LsArgs, mut client: Client) -> Result<Exit, Failure> {
    let filters = Filters::parse(&args.filter, &FILTERS)?;
    let mut volumes: Vec<EdgeVolume> = client.get("/edge/volumes").await?;
    volumes.retain(|volume| {
        filters.any("name", |name| volume.name.contains(name))
            && filters.any("node", |node| volume.hostname == node || volume.node_id == node)
            && filters.any("service", |name| volume.services.iter().any(|s| s == name))
            && filters.any("state", |state| volume.state == state)
    });
    let rows: Vec<VolumeRow> = volumes.iter().map(row).collect();
    args.listing.print(&rows)?;
    Ok(Exit::Done)
}

fn row(volume: &EdgeVolume) -> VolumeRow {
    let node = if volume.hostname.is_empty() { &volume.node_id } else { &volume.hostname };
    VolumeRow {
        name: volume.name.clone(),
        node: node.clone(),
        state: state(volume),
        services: volume.services.join(", "),
        created_at: volume.created_at.to_rfc3339(),
        driver: "local",
        scope: "local",
        // Docker's word for a figure that a plain listing does not compute.
        links: "N/A",
        size: "N/A",
    }
}

/// The state of a volume, with the problem if there is one.
fn state(volume: &EdgeVolume) -> String {
    let word = match volume.state.as_str() {
        "here" => "ok",
        "missing" => "missing on disk",
        "given-up" => "given up",
        other => other,
    };
    match volume.unreachable_ms {
        Some(silent) => {
            format!("{word}, unreachable {}", compact_age(Duration::from_millis(silent)))
        }
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_says_when_its_node_is_silent() {
        let volume = |state: &str, unreachable_ms| EdgeVolume {
            state: state.to_owned(),
            unreachable_ms,
            ..EdgeVolume::default()
        };
        assert_eq!(state(&volume("here", None)), "ok");
        assert_eq!(state(&volume("missing", None)), "missing on disk");
        assert!(state(&volume("here", Some(7_200_000))).starts_with("ok, unreachable 2"));
    }
}
