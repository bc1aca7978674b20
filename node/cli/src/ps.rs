//! `edgectl ps`: the containers of a node, those of tasks and those that were made by hand.

use clap::Args;
use serde::Serialize;
use serde_json::Value;

use super::client::{Client, escape};
use super::failure::{Exit, Failure};
use super::filter::Filters;
use super::image::ls::since;
use super::output::{self, Listing, Row, Shown};
use node_docker::Timestamp;

const FILTERS: [&str; 10] = [
    "ancestor", "exited", "health", "id", "is-task", "label", "name", "network", "status", "volume",
];

/// Characters of a command in the table, as in Docker.
const COMMAND_CHARS_MAX: usize = 20;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct PsArgs {
    /// Show those that do not run, too
    #[arg(short, long)]
    all: bool,
    /// Show only what fits: name, id, status, label, ancestor, exited, health, network, volume,
    /// is-task
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Show this many of the latest, whatever they do
    #[arg(short = 'n', long, value_name = "NUMBER")]
    last: Option<u32>,
    /// Show the latest one, whatever it does
    #[arg(short, long, conflicts_with = "last")]
    latest: bool,
    /// Of this node: a host name or an id [default: the node that is asked]
    #[arg(long, value_name = "NODE")]
    node: Option<String>,
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerRow {
    #[serde(rename = "ID")]
    id: String,
    image: String,
    command: String,
    created_at: String,
    running_for: String,
    status: String,
    state: String,
    ports: String,
    names: String,
    labels: String,
    networks: String,
    mounts: String,
}

impl Row for ContainerRow {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("ID", "CONTAINER ID"),
        ("Image", "IMAGE"),
        ("Command", "COMMAND"),
        ("CreatedAt", "CREATED AT"),
        ("RunningFor", "CREATED"),
        ("Status", "STATUS"),
        ("State", "STATE"),
        ("Ports", "PORTS"),
        ("Names", "NAMES"),
        ("Labels", "LABELS"),
        ("Networks", "NETWORKS"),
        ("Mounts", "MOUNTS"),
    ];
    const TABLE: &'static str = "{{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t\
                                 {{.Ports}}\t{{.Names}}";
    const NONE: &'static str =
        "no container runs on this node; edgectl ps -a shows those that ended";
    fn quiet(&self) -> &str {
        &self.id
    }
}

/// Lists them, newest first.
pub async fn run(args: PsArgs, mut client: Client) -> Result<Exit, Failure> {
    Filters::parse(&args.filter, &FILTERS)?;
    let mut filters = serde_json::Map::new();
    for (key, value) in args.filter.iter().filter_map(|filter| filter.split_once('=')) {
        let values = filters.entry(key).or_insert_with(|| Value::Array(Vec::new()));
        values.as_array_mut().expect("only lists are put there").push(value.into());
    }
    let mut path =
        format!("/containers/json?filters={}", escape(&Value::Object(filters).to_string()));
    if args.all {
        path.push_str("&all=1");
    }
    if let Some(limit) = args.last.or(args.latest.then_some(1)) {
        path.push_str(&format!("&limit={limit}"));
    }
    if let Some(node) = &args.node {
        path.push_str(&format!("&node={}", escape(node)));
    }
    let containers: Vec<Value> = client.get(&path).await?;
    let shown = args.listing.shown();
    let rows: Vec<ContainerRow> = containers.iter().map(|found| row(found, shown)).collect();
    args.listing.print(&rows)?;
    Ok(Exit::Done)
}

fn row(found: &Value, shown: Shown) -> ContainerRow {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let keys = |value: &Value| {
        let keys: Vec<&str> =
            value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        keys.join(",")
    };
    let created = found["Created"].as_u64().unwrap_or(0);
    let names = found["Names"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let names: Vec<&str> = names.map(|name| name.trim_start_matches('/')).collect();
    ContainerRow {
        id: output::id(&text(&found["Id"]), shown),
        image: image(&text(&found["Image"]), shown),
        command: command(&text(&found["Command"]), shown),
        created_at: Timestamp(created.saturating_mul(1_000)).to_rfc3339(),
        running_for: since(created),
        status: text(&found["Status"]),
        state: text(&found["State"]),
        ports: ports(&found["Ports"]),
        names: names.join(","),
        labels: labels(&found["Labels"]),
        networks: keys(&found["NetworkSettings"]["Networks"]),
        mounts: mounts(&found["Mounts"]),
    }
}

/// In the table without its digest.
fn image(image: &str, shown: Shown) -> String {
    match (shown, image.split_once('@')) {
        (Shown::Short, Some((name, _))) => name.to_owned(),
        _ => image.to_owned(),
    }
}

fn command(command: &str, shown: Shown) -> String {
    let is_cut = shown == Shown::Short && command.chars().count() > COMMAND_CHARS_MAX;
    match is_cut {
        true => {
            let begin: String = command.chars().take(COMMAND_CHARS_MAX - 1).collect();
            format!("\"{begin}…\"")
        }
        false => format!("\"{command}\""),
    }
}

/// `0.0.0.0:8080->80/tcp`.
fn ports(ports: &Value) -> String {
    let shown = ports.as_array().into_iter().flatten().map(|port| {
        let address = port["IP"].as_str().unwrap_or_default();
        let address =
            if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let kind = port["Type"].as_str().unwrap_or("tcp");
        format!("{address}:{}->{}/{kind}", port["PublicPort"], port["PrivatePort"])
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn labels(labels: &Value) -> String {
    let pair =
        |(name, value): (&String, &Value)| format!("{name}={}", value.as_str().unwrap_or_default());
    labels.as_object().into_iter().flatten().map(pair).collect::<Vec<_>>().join(",")
}

fn mounts(mounts: &Value) -> String {
    let name = |mount: &Value| {
        let named = [&mount["Name"], &mount["Source"], &mount["Destination"]];
        let mut named = named.into_iter().filter_map(Value::as_str);
        named.find(|name| !name.is_empty()).unwrap_or_default().to_owned()
    };
    mounts.as_array().into_iter().flatten().map(name).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_row_is_docker_s() {
        let found = json!({
            "Id": "0123456789abcdef", "Names": ["/one"], "Image": "app:1@sha256:00",
            "Command": "sh -c 'sleep 1000; echo'", "Created": 0, "Status": "Up 5 seconds",
            "State": "running", "Labels": {"a": "b"}, "Mounts": [{"Name": "data", "Source": ""}],
            "Ports": [{"IP": "::", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"}],
        });
        let short = row(&found, Shown::Short);
        assert_eq!((short.id.as_str(), short.image.as_str()), ("0123456789ab", "app:1"));
        assert_eq!(short.command, "\"sh -c 'sleep 1000; …\"");
        assert_eq!((short.ports.as_str(), short.names.as_str()), ("[::]:8080->80/tcp", "one"));
        assert_eq!((short.labels.as_str(), short.mounts.as_str()), ("a=b", "data"));
        let whole = row(&found, Shown::Whole);
        assert!(whole.id.len() == 16 && whole.image.ends_with("00"), "{whole:?}");
    }
}
