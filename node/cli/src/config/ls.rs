//! `edgectl config ls`

use clap::Args;
use serde::Serialize;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::filter::Filters;
use crate::output::{self, Listing, Row, Shown, age, ago, now};
use node_docker::Timestamp;
use node_docker::config::Config;

const FILTERS: [&str; 4] = ["id", "label", "name", "names"];

/// Flags.
#[derive(Debug, Args)]
pub struct LsArgs {
    /// Show only what fits: id, label, name (its beginning), names (all of it)
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ConfigLine {
    #[serde(rename = "ID")]
    id: String,
    name: String,
    created_at: String,
    updated_at: String,
    labels: String,
}

impl Row for ConfigLine {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "ID"),
        ("Name", "NAME"),
        ("CreatedAt", "CREATED"),
        ("UpdatedAt", "UPDATED"),
        ("Labels", "LABELS"),
    ];
    const TABLE: &'static str = "{{.ID}}\t{{.Name}}\t{{.CreatedAt}}\t{{.UpdatedAt}}";
    const NONE: &'static str = "no configs of this kind: edgectl config create NAME FILE";
    fn quiet(&self) -> &str {
        &self.id
    }
}

/// Lists them, by name.
pub async fn run(args: LsArgs, mut client: Client) -> Result<Exit, Failure> {
    let query = Filters::parse(&args.filter, &FILTERS)?.query();
    let mut configs: Vec<Config> = client.get(&format!("/configs{query}")).await?;
    configs.sort_by(|a, b| (&a.spec.name, &a.id).cmp(&(&b.spec.name, &b.id)));
    let shown = args.listing.shown();
    let rows: Vec<ConfigLine> = configs.iter().map(|config| row(config, shown)).collect();
    args.listing.print(&rows)?;
    Ok(Exit::Done)
}

fn row(config: &Config, shown: Shown) -> ConfigLine {
    let labels: Vec<String> = config.spec.labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let since = |then: Timestamp| age(now(), then).map(ago).unwrap_or_default();
    ConfigLine {
        id: output::id(&config.id, shown),
        name: config.spec.name.clone(),
        created_at: since(config.created_at),
        updated_at: since(config.updated_at),
        labels: labels.join(","),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_for_tests;
    use serde_json::json;

    #[test]
    fn a_config_is_one_line_with_docker_s_columns() {
        let configs: Vec<Config> = serde_json::from_value(json!([
            {"ID": "0c8nve1xq2abcdefghijklmno", "Spec": {"Name": "app.conf",
                "Labels": {"a": "b", "c": ""}, "Data": "bGV2ZWw9Nwo="}},
        ]))
        .expect("configs");
        let lines = |flags: &[&str]| {
            let line = [&["config", "ls"], flags].concat();
            let args: LsArgs = parse_for_tests(&line).expect("valid");
            let shown = args.listing.shown();
            let rows: Vec<ConfigLine> = configs.iter().map(|config| row(config, shown)).collect();
            args.listing.lines(&rows).expect("a valid format")
        };
        let title = lines(&[])[0].clone();
        let title: Vec<&str> = title.split_whitespace().collect();
        assert_eq!(title, ["ID", "NAME", "CREATED", "UPDATED"]);
        assert_eq!(lines(&["-q"]), ["0c8nve1xq2abcdefghijklmno"]);
        let format = ["--format", "{{.Name}} {{.Labels}}"];
        assert_eq!(lines(&format), ["app.conf a=b,c="]);
    }
}
