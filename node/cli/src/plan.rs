//! `edgectl plan`: which node should run which task, as this node computes it.

use clap::Args;
use serde::Serialize;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::output::{Listing, Row, say};
use super::{cut_off, resolve};
use node_docker::edge::PlanRow;
use node_docker::node::Node;
use node_docker::service::Service;

/// Flags and operand.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Only this service
    service: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SlotRow {
    name: String,
    node: String,
    code: String,
    reason: String,
}

impl Row for SlotRow {
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("Name", "NAME"), ("Node", "NODE"), ("Code", "CODE"), ("Reason", "REASON")];
    const TABLE: &'static str = "{{.Name}}\t{{.Node}}\t{{.Reason}}";
    const NONE: &'static str = "nothing is planned: there are no services";
    fn quiet(&self) -> &str {
        &self.name
    }
}

/// Lists it.
pub async fn run(args: PlanArgs, mut client: Client) -> Result<Exit, Failure> {
    let wanted = match &args.service {
        Some(typed) => Some(resolve::service(&mut client, typed).await?.id),
        None => None,
    };
    let plan: Vec<PlanRow> = client.get("/edge/plan").await?;
    let rows: Vec<SlotRow> = plan
        .iter()
        .filter(|row| wanted.as_ref().is_none_or(|id| *id == row.service_id))
        .map(|row| SlotRow {
            name: row.name.clone(),
            node: if row.node.is_empty() { "-".to_owned() } else { row.node.clone() },
            code: row.code.clone(),
            reason: row.reason.clone(),
        })
        .collect();
    args.listing.print(&rows)?;
    if args.listing.is_for_people() {
        let services: Vec<Service> = client.get("/services").await?;
        let is_wanted = |service: &Service| wanted.as_ref().is_none_or(|id| *id == service.id);
        let services: Vec<Service> = services.into_iter().filter(is_wanted).collect();
        let nodes: Vec<Node> = client.get("/nodes").await?;
        let shown = |id: &str| {
            let node = nodes.iter().find(|node| node.id == id);
            node.map_or(id, |node| &node.description.hostname).to_owned()
        };
        cut_off::lines(&services, &plan, shown).into_iter().for_each(say);
    }
    Ok(Exit::Done)
}
