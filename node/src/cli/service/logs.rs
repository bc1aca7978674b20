//! `edgectl service logs`: what the tasks of a service print, from all nodes, each line under the
//! name of its task.

use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;

use crate::cli::client::{Client, Stream, escape, filters};
use crate::cli::failure::{Exit, Failure};
use crate::cli::output::short_id;
use crate::cli::value;
use crate::cli::{output, resolve};
use crate::docker::Timestamp;
use crate::docker::node::Node;
use crate::docker::service::Service;
use crate::docker::task::Task;

/// Flags and operand.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Service, by name or id, or a task: web, web.2
    service: String,
    /// Go on with what is printed from now on
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines of each task
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = tail)]
    tail: String,
    /// Only what was printed since then: 10m, 2026-05-01T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = value::moment)]
    since: Option<Timestamp>,
    /// Show when each line was printed
    #[arg(short, long)]
    timestamps: bool,
    /// The lines alone, without the names of the tasks
    #[arg(long)]
    raw: bool,
    /// Without the ids of the tasks
    #[arg(long)]
    no_task_ids: bool,
    /// Do not cut the ids
    #[arg(long)]
    no_trunc: bool,
    /// Ids of nodes instead of their names
    #[arg(long)]
    no_resolve: bool,
}

fn tail(text: &str) -> Result<String, String> {
    match text {
        "all" => Ok(text.to_owned()),
        _ => text
            .parse::<u32>()
            .map(|number| number.to_string())
            .map_err(|_| "not a number of lines: write it like 20, or all".to_owned()),
    }
}

/// Prints them; with `--follow` until Ctrl-C.
pub async fn run(args: LogsArgs, mut client: Client) -> Result<Exit, Failure> {
    let names = Names::read(&mut client, &args).await?;
    let path = names.path(&args);
    let stream = client.stream(&path).await?;
    tokio::select! {
        done = copy(stream, &names, &args) => done?,
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(Exit::Done)
}

/// What the ids in the stream stand for.
struct Names {
    subject: String,
    tasks: BTreeMap<String, String>,
    nodes: BTreeMap<String, String>,
}

impl Names {
    async fn read(client: &mut Client, args: &LogsArgs) -> Result<Names, Failure> {
        let services: Vec<Service> = client.get("/services").await?;
        let is_task_of = |service: &&Service| {
            let rest = args.service.strip_prefix(service.spec.name.as_str());
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        let owner = services.iter().find(is_task_of).map(|service| service.id.clone());
        let is_service = services.iter().any(|service| service.spec.name == args.service);
        let (kind, service) = match owner {
            Some(owner) if !is_service => ("tasks", owner),
            _ => ("services", resolve::one(&args.service, services)?.id),
        };
        let query = filters(&[("service", service.as_str())]);
        let tasks: Vec<Task> = client.get(&format!("/tasks?{query}")).await?;
        let nodes: Vec<Node> = client.get("/nodes").await?;
        let subject = if kind == "tasks" { escape(&args.service) } else { service };
        Ok(Names {
            subject: format!("/{kind}/{subject}"),
            tasks: tasks.into_iter().map(|task| (task.id, task.edge.name)).collect(),
            nodes: nodes.into_iter().map(|node| (node.id, node.description.hostname)).collect(),
        })
    }

    fn path(&self, args: &LogsArgs) -> String {
        let since = value::show_moment(args.since.unwrap_or_default());
        format!(
            "{}/logs?stdout=1&stderr=1&details={}&follow={}&timestamps={}&tail={}&since={since}",
            self.subject,
            u8::from(!args.raw),
            u8::from(args.follow),
            u8::from(args.timestamps),
            args.tail,
        )
    }

    /// `web.1.0123456789ab@pi-1`, as Docker writes it.
    fn source(&self, details: &str, args: &LogsArgs) -> String {
        let mut node = "";
        let mut task = "";
        for detail in details.split(',') {
            match detail.split_once('=') {
                Some(("com.docker.swarm.node.id", id)) => node = id,
                Some(("com.docker.swarm.task.id", id)) => task = id,
                _ => {}
            }
        }
        let shown = |id| if args.no_trunc { id } else { short_id(id) };
        let node_name = self.nodes.get(node).filter(|_| !args.no_resolve);
        let node_name = node_name.map_or(shown(node), String::as_str);
        let task_name = self.tasks.get(task).map_or("", String::as_str);
        match (args.no_task_ids, task_name) {
            (true, name) if !name.is_empty() => format!("{name}@{node_name}"),
            (_, "") => format!("{}@{node_name}", shown(task)),
            (_, name) => format!("{name}.{}@{node_name}", shown(task)),
        }
    }
}

/// Splits Docker's multiplexed stream into its frames.
#[derive(Debug, Default)]
struct Frames {
    bytes: Vec<u8>,
}

const HEADER_BYTES: usize = 8;
const STDERR: u8 = 2;

impl Frames {
    /// The next whole frame: which stream, and what was printed.
    fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let header = self.bytes.get(..HEADER_BYTES)?;
        let stream = header[0];
        let length = u32::from_be_bytes([header[4], header[5], header[6], header[7]]) as usize;
        let end = HEADER_BYTES.checked_add(length)?;
        let payload = self.bytes.get(HEADER_BYTES..end)?.to_vec();
        self.bytes.drain(..end);
        Some((stream, payload))
    }
}

async fn copy(mut stream: Stream, names: &Names, args: &LogsArgs) -> Result<(), Failure> {
    let mut frames = Frames::default();
    let mut width = 0;
    while let Some(bytes) = stream.next().await? {
        frames.bytes.extend_from_slice(&bytes);
        while let Some((stream, payload)) = frames.next() {
            let line = line(&payload, names, args, &mut width);
            let written = match stream {
                STDERR => std::io::stderr().lock().write_all(&line),
                _ => std::io::stdout().lock().write_all(&line),
            };
            written?;
        }
        std::io::stdout().flush()?;
    }
    if !frames.bytes.is_empty() {
        output::say("warning: the log ends in the middle of a line");
    }
    Ok(())
}

/// `web.1.0123456789ab@pi-1    | hello`; `width` grows with the longest name so far.
fn line(payload: &[u8], names: &Names, args: &LogsArgs, width: &mut usize) -> Vec<u8> {
    if args.raw {
        return payload.to_vec();
    }
    let mut rest = payload;
    let mut word = || {
        let end = rest.iter().position(|byte| *byte == b' ').unwrap_or(rest.len());
        let word = String::from_utf8_lossy(&rest[..end]).into_owned();
        rest = rest.get(end + 1..).unwrap_or_default();
        word
    };
    let time = if args.timestamps { format!("{} ", word()) } else { String::new() };
    let source = names.source(&word(), args);
    *width = source.chars().count().max(*width);
    let mut line = format!("{time}{source:<width$}    | ", width = *width).into_bytes();
    line.extend_from_slice(rest);
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse_for_tests;

    fn names() -> Names {
        let pair = |id: &str, name: &str| BTreeMap::from([(id.to_owned(), name.to_owned())]);
        Names {
            subject: "/services/s".to_owned(),
            tasks: pair("t123456789abcdef", "web.1"),
            nodes: pair("n1", "pi-1"),
        }
    }

    fn shown(flags: &[&str], payload: &str) -> String {
        let line_typed = [&["service", "logs"], flags, &["web"]].concat();
        let args: LogsArgs = parse_for_tests(&line_typed).expect("valid");
        String::from_utf8(line(payload.as_bytes(), &names(), &args, &mut 0)).expect("text")
    }

    #[test]
    fn each_line_stands_under_the_name_of_its_task() {
        let payload = "com.docker.swarm.node.id=n1,com.docker.swarm.service.id=s,\
                       com.docker.swarm.task.id=t123456789abcdef hello world\n";
        assert_eq!(shown(&[], payload), "web.1.t123456789ab@pi-1    | hello world\n");
        assert_eq!(shown(&["--no-task-ids"], payload), "web.1@pi-1    | hello world\n");
        assert_eq!(
            shown(&["--no-trunc", "--no-resolve"], payload),
            "web.1.t123456789abcdef@n1    | hello world\n"
        );
        assert_eq!(
            shown(&["-t", "--no-task-ids"], &format!("2026-05-01T12:00:00Z {payload}")),
            "2026-05-01T12:00:00Z web.1@pi-1    | hello world\n"
        );
        assert_eq!(shown(&["--raw"], "hello\n"), "hello\n");
    }

    #[test]
    fn frames_are_split_wherever_the_bytes_are_cut() {
        let whole = b"\x01\0\0\0\0\0\0\x02a\n\x02\0\0\0\0\0\0\x03bc\n";
        let mut frames = Frames::default();
        let mut found = Vec::new();
        for byte in whole {
            frames.bytes.push(*byte);
            found.extend(frames.next());
        }
        assert_eq!(found, [(1, b"a\n".to_vec()), (2, b"bc\n".to_vec())]);
        assert!(frames.bytes.is_empty());
    }

    #[test]
    fn numbers_of_lines_are_checked() {
        assert_eq!(tail("20"), Ok("20".to_owned()));
        assert!(tail("-1").is_err() && tail("some").is_err());
    }
}
