//! `edgectl stack ls`

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::NAMESPACE;
use crate::client::{Client, filters};
use crate::failure::{Exit, Failure};
use crate::output::{Listing, Row, natural};
use node_docker::service::Service;

/// Flags.
#[derive(Debug, Args)]
pub struct LsArgs {
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct StackRow {
    name: String,
    services: String,
}

impl Row for StackRow {
    const FIELDS: &'static [(&'static str, &'static str)] =
        &[("Name", "NAME"), ("Services", "SERVICES")];
    const TABLE: &'static str = "{{.Name}}\t{{.Services}}";
    const NONE: &'static str = "no stacks yet: edgectl stack deploy -c FILE NAME";
    fn quiet(&self) -> &str {
        &self.name
    }
}

/// Lists the stacks that have services, by name.
pub async fn run(args: LsArgs, mut client: Client) -> Result<Exit, Failure> {
    let query = filters(&[("label", NAMESPACE)]);
    let services: Vec<Service> = client.get(&format!("/services?{query}")).await?;
    args.listing.print(&rows(&services))?;
    Ok(Exit::Done)
}

fn rows(services: &[Service]) -> Vec<StackRow> {
    let mut stacks: BTreeMap<_, usize> = BTreeMap::new();
    let named = services.iter().filter_map(|service| service.spec.labels.get(NAMESPACE));
    for stack in named.filter(|stack| !stack.is_empty()) {
        *stacks.entry((natural(stack), stack)).or_default() += 1;
    }
    let row = |((_, stack), count): ((_, &String), usize)| StackRow {
        name: stack.clone(),
        services: count.to_string(),
    };
    stacks.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn services_are_counted_by_the_name_of_their_stack() {
        let service = |name: &str, stack: &str| -> Service {
            let labels = json!({NAMESPACE: stack});
            serde_json::from_value(json!({"Spec": {"Name": name, "Labels": labels}})).expect("one")
        };
        let services = [
            service("b10_x", "b10"),
            service("b2_y", "b2"),
            service("b10_z", "b10"),
            service("n", ""),
        ];
        let lines = Listing::default().lines(&rows(&services)).expect("a table");
        assert_eq!(lines, ["NAME   SERVICES", "b2     1", "b10    2"]);
    }
}
