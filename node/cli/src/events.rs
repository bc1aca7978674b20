//! `edgectl events`: events, as the answering node learns of them; `--audit`: who changed what.

mod audit;

use clap::Args;

use super::client::{Client, escape};
use super::failure::{Exit, Failure};
use super::output::{Template, print};
use super::value::{self, Moment};
use node_docker::Timestamp;
use node_docker::event::Event;

/// Flags.
#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Show only what fits: type, event, service, network, config, node, task, container, image, volume
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// Also what happened since then, as far as the agent remembers: 10m, 2026-05-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    since: Option<Moment>,
    /// Nothing that happens after this
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    until: Option<Moment>,
    /// What was changed through which node, and by whom: each node keeps its last thousands of changes
    #[arg(long, conflicts_with = "filter")]
    audit: bool,
    /// `json` with one object per line, or a Go template: '{{.Type}} {{.Action}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Prints them until Ctrl-C, or until the agent ends.
pub async fn run(args: EventsArgs, client: Client) -> Result<Exit, Failure> {
    let format = args.format.as_deref().filter(|format| *format != "json");
    let template = format.map(Template::strict).transpose()?;
    if args.audit {
        return audit::run(&args, template.as_ref(), client).await;
    }
    let mut stream = client.stream(&path(&args)?).await?;
    let mut bytes = Vec::new();
    loop {
        let news = tokio::select! {
            news = stream.next() => news?,
            _ = tokio::signal::ctrl_c() => None,
        };
        let Some(news) = news else { return Ok(Exit::Done) };
        bytes.extend_from_slice(&news);
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = bytes.drain(..=end).collect();
            print(shown(&line, &args, template.as_ref())?)?;
        }
    }
}

fn path(args: &EventsArgs) -> Result<String, Failure> {
    let mut filters = serde_json::Map::new();
    for filter in &args.filter {
        let (key, value) = filter.split_once('=').ok_or_else(|| {
            Failure::new(format!("--filter: {filter:?} has no \"=\""))
                .hint("--filter type=container")
        })?;
        let values = filters.entry(key).or_insert_with(|| serde_json::Value::Array(Vec::new()));
        values.as_array_mut().expect("inserted as an array").push(value.into());
    }
    let filters = escape(&serde_json::Value::Object(filters).to_string());
    let mut path = format!("/events?filters={filters}");
    for (name, at) in [("since", args.since), ("until", args.until)] {
        if let Some(at) = at {
            path = format!("{path}&{name}={}", value::show_moment(at));
        }
    }
    Ok(path)
}

fn shown(line: &[u8], args: &EventsArgs, template: Option<&Template>) -> Result<String, Failure> {
    let Ok(event) = node_docker::read::<Event>(line) else {
        return Ok(String::from_utf8_lossy(line).trim_end().to_owned());
    };
    match template {
        Some(template) => template.render(&event),
        None if args.format.is_some() => Ok(serde_json::to_string(&event).expect("plain JSON")),
        None => Ok(text(&event)),
    }
}

/// `2026-05-01T12:00:00.25Z service create 1x2y3z… (name=web)`, in Docker's form.
fn text(event: &Event) -> String {
    let at = Timestamp(u64::try_from(event.time_nano / 1_000_000).unwrap_or(0));
    let attributes: Vec<String> =
        event.actor.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let attributes = match attributes.as_slice() {
        [] => String::new(),
        some => format!(" ({})", some.join(", ")),
    };
    format!("{} {} {} {}{attributes}", at.to_rfc3339(), event.kind, event.action, event.actor.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_event_is_one_line() {
        let event: Event = serde_json::from_value(json!({
            "Type": "service", "Action": "create", "scope": "swarm",
            "Actor": {"ID": "x1", "Attributes": {"name": "web", "b": "2"}},
            "time": 1_777_636_800, "timeNano": 1_777_636_800_250_000_000_i64
        }))
        .expect("an event");
        assert_eq!(text(&event), "2026-05-01T12:00:00.25Z service create x1 (b=2, name=web)");
    }
}
