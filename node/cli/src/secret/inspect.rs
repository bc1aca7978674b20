//! `edgectl secret inspect`

use std::fmt::Write;

use clap::Args;

use super::hostnames;
use crate::client::{Client, escape};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::{Template, print, print_inspected};
use node_docker::config::Secret;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Secrets, by name or id
    #[arg(required = true, value_name = "SECRET")]
    secrets: Vec<String>,
    /// Go template: '{{.Spec.Name}}', '{{json .Spec.Labels}}'
    #[arg(short, long, value_name = "FORMAT", conflicts_with = "pretty")]
    format: Option<String>,
    /// For people, with the nodes that can read it
    #[arg(long)]
    pretty: bool,
}

/// Shows each.
pub async fn run(args: InspectArgs, mut client: Client) -> Result<Exit, Failure> {
    let format = args.format.as_deref().filter(|format| *format != "json");
    let template = format.map(Template::lenient).transpose()?;
    let mut secrets: Vec<Secret> = Vec::new();
    let mut each = Each::new();
    for name in &args.secrets {
        secrets.extend(each.take(client.get(&format!("/secrets/{}", escape(name))).await));
    }
    if args.pretty {
        for secret in &secrets {
            print(pretty(secret))?;
        }
    } else {
        print_inspected(&secrets, template.as_ref())?;
    }
    Ok(each.exit())
}

/// What Docker's client prints, and below it who uses it and who can read it.
fn pretty(secret: &Secret) -> String {
    let (one, nodes) = (&secret.secret, hostnames(&secret.nodes));
    let mut text = format!("ID:              {}\nName:              {}\n", one.id, one.spec.name);
    text.push_str("Labels:\n");
    for (name, value) in &one.spec.labels {
        let _ = writeln!(text, " - {name}={value}");
    }
    text.push_str("Driver:\n");
    let _ = writeln!(text, "Created at:        {}", one.created_at.to_rfc3339());
    let _ = writeln!(text, "Updated at:        {}", one.updated_at.to_rfc3339());
    let _ = writeln!(text, "Services:          {}", secret.services.join(", "));
    let _ = write!(text, "Nodes:             {nodes}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn people_see_who_can_read_it_and_not_what_is_in_it() {
        let secret: Secret = serde_json::from_value(json!({
            "ID": "x1", "CreatedAt": "2026-01-02T03:04:05Z", "UpdatedAt": "2026-01-02T03:04:06Z",
            "Spec": {"Name": "db", "Labels": {"a": "b"}, "Data": "bGV2ZWw9Nwo="},
            "Nodes": [{"ID": "n2", "Hostname": "b"}, {"ID": "n1", "Hostname": "a"}, {"ID": "n3"}],
            "Services": ["web"],
        }))
        .expect("a secret");
        let text = pretty(&secret);
        let lines: Vec<String> = text
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
            .collect();
        for line in ["ID: x1", "Name: db", "- a=b", "Services: web", "Nodes: a, b, n3"] {
            assert!(lines.iter().any(|one| one == line), "{line}: {text}");
        }
        assert!(!text.contains("level"), "{text}");
    }
}
