//! `edgectl config inspect`

use std::fmt::Write;

use clap::Args;

use crate::client::{Client, escape};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::{Template, print, print_inspected};
use node_docker::config::Config;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// Configs, by name or id
    #[arg(required = true, value_name = "CONFIG")]
    configs: Vec<String>,
    /// Go template: '{{.Spec.Name}}', '{{json .Spec.Labels}}'
    #[arg(short, long, value_name = "FORMAT", conflicts_with = "pretty")]
    format: Option<String>,
    /// For people, with the data as text
    #[arg(long)]
    pretty: bool,
}

/// Shows each.
pub async fn run(args: InspectArgs, mut client: Client) -> Result<Exit, Failure> {
    let format = args.format.as_deref().filter(|format| *format != "json");
    let template = format.map(Template::lenient).transpose()?;
    let mut configs: Vec<Config> = Vec::new();
    let mut each = Each::new();
    for name in &args.configs {
        configs.extend(each.take(client.get(&format!("/configs/{}", escape(name))).await));
    }
    if args.pretty {
        for config in &configs {
            print(pretty(config))?;
        }
    } else {
        print_inspected(&configs, template.as_ref())?;
    }
    Ok(each.exit())
}

/// What Docker's client prints.
fn pretty(config: &Config) -> String {
    let mut text = format!("ID:\t\t\t{}\nName:\t\t\t{}\n", config.id, config.spec.name);
    if !config.spec.labels.is_empty() {
        text.push_str("Labels:\n");
    }
    for (name, value) in &config.spec.labels {
        let _ = writeln!(text, " - {name}={value}");
    }
    let _ = writeln!(text, "Created at:\t\t{}", config.created_at.to_rfc3339());
    let _ = writeln!(text, "Updated at:\t\t{}", config.updated_at.to_rfc3339());
    let data = String::from_utf8_lossy(&config.spec.data.0);
    // As it is: what it ends with shows.
    let _ = write!(text, "Data:\n{data}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn people_see_the_data_as_text() {
        let config: Config = serde_json::from_value(json!({
            "ID": "x1", "CreatedAt": "2026-01-02T03:04:05Z", "UpdatedAt": "2026-01-02T03:04:06Z",
            "Spec": {"Name": "app.conf", "Labels": {"a": "b"}, "Data": "bGV2ZWw9Nwo="},
        }))
        .expect("a config");
        let lines = pretty(&config);
        let expected = [
            "ID:\t\t\tx1",
            "Name:\t\t\tapp.conf",
            "Labels:",
            " - a=b",
            "Created at:\t\t2026-01-02T03:04:05Z",
            "Updated at:\t\t2026-01-02T03:04:06Z",
            "Data:",
            "level=7",
        ];
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    }
}
