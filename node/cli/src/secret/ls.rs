//! `edgectl secret ls`

use clap::Args;
use serde::Serialize;

use super::{exposed_by, hostnames};
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::filter::Filters;
use crate::output::{self, Listing, Row, Shown, age, ago, now};
use node_docker::Timestamp;
use node_docker::config::Secret;

const FILTERS: [&str; 4] = ["id", "label", "name", "names"];

/// Flags.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Show only what fits: id, label, name (its beginning), names (all of it)
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show only those that this node can read
    #[arg(long, value_name = "NODE")]
    exposed_by: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct SecretLine {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    driver: String,
    created_at: String,
    updated_at: String,
    labels: String,
    nodes: String,
}

impl Row for SecretLine {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "ID"),
        ("Name", "NAME"),
        ("Driver", "DRIVER"),
        ("CreatedAt", "CREATED"),
        ("UpdatedAt", "UPDATED"),
        ("Labels", "LABELS"),
        ("Nodes", "NODES"),
    ];
    const TABLE: &'static str =
        "{{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.CreatedAt}}\t{{.UpdatedAt}}\t{{.Nodes}}";
    const NONE: &'static str = "no secrets of this kind: edgectl secret create NAME FILE";
    fn quiet(&self) -> &str {
        &self.id
    }
}

/// Lists them, by name.
pub async fn run(args: LsArgs, mut client: Client) -> Result<Exit, Failure> {
    let query = Filters::parse(&args.filter, &FILTERS)?.query();
    let mut secrets: Vec<Secret> = client.get(&format!("/secrets{query}")).await?;
    if let Some(node) = &args.exposed_by {
        secrets = exposed_by(&mut client, secrets, node).await?;
    }
    let place = |one: &Secret| (one.secret.spec.name.clone(), one.secret.id.clone());
    secrets.sort_by_key(place);
    let shown = args.listing.shown();
    let rows: Vec<SecretLine> = secrets.iter().map(|secret| row(secret, shown)).collect();
    args.listing.print(&rows)?;
    Ok(Exit::Done)
}

fn row(one: &Secret, shown: Shown) -> SecretLine {
    let secret = &one.secret;
    let labels: Vec<String> = secret.spec.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let since = |then: Timestamp| age(now(), then).map(ago).unwrap_or_default();
    SecretLine {
        id: output::id(&secret.id, shown),
        name: secret.spec.name.clone(),
        created_at: since(secret.created_at),
        updated_at: since(secret.updated_at),
        labels: labels.join(","),
        driver: String::new(),
        nodes: hostnames(&one.nodes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_for_tests;
    use serde_json::json;

    #[test]
    fn a_secret_is_one_line_with_who_can_read_it() {
        let secrets: Vec<Secret> = serde_json::from_value(json!([
            {"ID": "0c8nve1xq2abcdefghijklmno", "Spec": {"Name": "app.conf",
                "Labels": {"a": "b", "c": ""}}, "Nodes": [{"ID": "n1", "Hostname": "a"}, {"ID": "n2"}]},
        ]))
        .expect("secrets");
        let lines = |flags: &[&str]| {
            let line = [&["secret", "ls"], flags].concat();
            let args: LsArgs = parse_for_tests(&line).expect("valid");
            let shown = args.listing.shown();
            let rows: Vec<SecretLine> = secrets.iter().map(|secret| row(secret, shown)).collect();
            args.listing.lines(&rows).expect("a valid format")
        };
        let title = lines(&[])[0].clone();
        let title: Vec<&str> = title.split_whitespace().collect();
        assert_eq!(title, ["ID", "NAME", "DRIVER", "CREATED", "UPDATED", "NODES"]);
        assert_eq!(lines(&["-q"]), ["0c8nve1xq2abcdefghijklmno"]);
        let format = ["--format", "{{.Name}} {{.Labels}} {{.Nodes}}"];
        assert_eq!(lines(&format), ["app.conf a=b,c= a, n2"]);
    }
}
