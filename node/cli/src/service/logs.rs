//! `edgectl service logs`: the output of a service's tasks, from all nodes, each line with the name
//! of its task.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write;

use clap::Args;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::client::{Client, Stream, escape};
use crate::each::Each;
use crate::failure::{Exit, Failure};
use crate::output::{natural, short_id};
use crate::resolve;
use crate::value::{self, Moment};
use node_docker::node::Node;
use node_docker::service::Service;
use node_docker::task::Task;

/// Flags and operands.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Services, by name or id, or tasks: web, web.2
    #[arg(required = true, value_name = "SERVICE")]
    services: Vec<String>,
    /// Go on with what is printed from now on, until the service is removed
    #[arg(short, long)]
    follow: bool,
    /// Only the last lines of each task
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = tail)]
    tail: String,
    /// Only what was printed since then: 10m, 2026-05-01, 2026-05-01T12:00:00Z, 1777636800
    #[arg(long, value_name = "TIME", value_parser = value::moment, allow_hyphen_values = true)]
    since: Option<Moment>,
    /// Only what was printed until then
    #[arg(long, value_name = "TIME", value_parser = value::moment, allow_hyphen_values = true)]
    until: Option<Moment>,
    /// Show when each line was printed
    #[arg(short, long)]
    timestamps: bool,
    /// The lines alone, without the names of the tasks
    #[arg(long)]
    raw: bool,
    /// What a log driver adds to its lines; those here add nothing
    #[arg(long)]
    details: bool,
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

/// Prints them, one service after the other; with `--follow` all at once, until they are gone, or
/// Ctrl-C. A failure does not stop the others.
pub async fn run(args: LogsArgs, mut client: Client) -> Result<Exit, Failure> {
    let mut each = Each::new();
    let mut typed: Vec<&String> = args.services.iter().collect();
    // `web.1` belongs to `web`, which comes before `web2`.
    typed.sort_by_cached_key(|name| name.split('.').map(natural).collect::<Vec<_>>());
    typed.dedup();
    let mut subjects = Vec::new();
    for name in typed {
        subjects.extend(each.take(subject(&mut client, name).await));
    }
    let width = Cell::new(0);
    let all = async {
        if args.follow {
            let copies = subjects.iter().map(|subject| copy_of(subject, &client, &args, &width));
            let mut copies: FuturesUnordered<_> = copies.collect();
            while let Some(done) = copies.next().await {
                each.take(done);
            }
        } else {
            for subject in &subjects {
                each.take(copy_of(subject, &client, &args, &width).await);
            }
        }
    };
    tokio::select! {
        () = all => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    Ok(each.exit())
}

async fn copy_of(
    subject: &str,
    client: &Client,
    args: &LogsArgs,
    width: &Cell<usize>,
) -> Result<(), Failure> {
    let names = Names::read(client.again().await?).await?;
    let stream = client.again().await?.stream(&path(subject, args)).await?;
    copy(stream, names, args, width).await
}

/// The subject of the request: `/services/ID` or `/tasks/NAME`.
async fn subject(client: &mut Client, typed: &str) -> Result<String, Failure> {
    let services: Vec<Service> = client.get("/services").await?;
    let is_task_of = |service: &Service| {
        typed.strip_prefix(service.spec.name.as_str()).is_some_and(|rest| rest.starts_with('.'))
    };
    let is_service = services.iter().any(|service| service.spec.name == typed);
    let task = format!("/tasks/{}", escape(typed));
    if !is_service && services.iter().any(is_task_of) {
        return Ok(task);
    }
    match resolve::one(typed, services) {
        Ok(service) => Ok(format!("/services/{}", service.id)),
        Err(unknown) => match client.get::<Task>(&task).await {
            Ok(_) => Ok(task),
            // A container that was made by hand.
            Err(_) => match crate::task::made_by_hand(client, typed).await {
                Some(found) => Ok(format!("/containers/{}", found.id)),
                None => Err(unknown),
            },
        },
    }
}

fn path(subject: &str, args: &LogsArgs) -> String {
    let mut path = format!(
        "{subject}/logs?stdout=1&stderr=1&_framed=1&details={}&follow={}&timestamps={}&tail={}",
        u8::from(!args.raw),
        u8::from(args.follow),
        u8::from(args.timestamps),
        args.tail,
    );
    for (name, at) in [("since", args.since), ("until", args.until)] {
        if let Some(at) = at {
            path = format!("{path}&{name}={}", value::show_moment(at));
        }
    }
    path
}

/// The names for the ids in the stream.
struct Names {
    /// Used for tasks and nodes that appear later; `None` once the agent is gone.
    client: Option<Client>,
    tasks: BTreeMap<String, String>,
    nodes: BTreeMap<String, String>,
}

impl Names {
    async fn read(client: Client) -> Result<Names, Failure> {
        let mut names =
            Names { client: Some(client), tasks: BTreeMap::new(), nodes: BTreeMap::new() };
        names.refresh().await?;
        Ok(names)
    }

    async fn refresh(&mut self) -> Result<(), Failure> {
        let Some(client) = self.client.as_mut() else { return Ok(()) };
        let tasks: Vec<Task> = client.get("/tasks").await?;
        let nodes: Vec<Node> = client.get("/nodes").await?;
        // Removed objects keep their names, because more of their lines may come.
        self.tasks.extend(tasks.into_iter().map(|task| (task.id, task.edge.name)));
        self.nodes.extend(nodes.into_iter().map(|node| (node.id, node.description.hostname)));
        Ok(())
    }

    /// Looks up the names of a line's ids, with at most one request for each id.
    async fn learn(&mut self, payload: &[u8], args: &LogsArgs) {
        let details = payload.split(|byte| *byte == b' ').nth(usize::from(args.timestamps));
        let details = String::from_utf8_lossy(details.unwrap_or_default());
        let (node, task) = ids(&details);
        let is_known = |known: &BTreeMap<_, _>, id: &str| id.is_empty() || known.contains_key(id);
        if args.raw || is_known(&self.tasks, task) && is_known(&self.nodes, node) {
            return;
        }
        if self.refresh().await.is_err() {
            self.client = None;
        }
        self.tasks.entry(task.to_owned()).or_default();
        self.nodes.entry(node.to_owned()).or_default();
    }

    /// `web.1.0123456789ab@pi-1`, in Docker's form.
    fn source(&self, details: &str, args: &LogsArgs) -> String {
        let (node, task) = ids(details);
        let shown = |id| if args.no_trunc { id } else { short_id(id) };
        let is_shown = |name: &&String| !args.no_resolve && !name.is_empty();
        let node_name = self.nodes.get(node).filter(is_shown);
        let node_name = node_name.map_or(shown(node), String::as_str);
        let task_name = self.tasks.get(task).map_or("", String::as_str);
        match (args.no_task_ids, task_name) {
            (true, name) if !name.is_empty() => format!("{name}@{node_name}"),
            (_, "") => format!("{}@{node_name}", shown(task)),
            (_, name) => format!("{name}.{}@{node_name}", shown(task)),
        }
    }
}

/// The ids of node and task in the details of a line.
fn ids(details: &str) -> (&str, &str) {
    let (mut node, mut task) = ("", "");
    for detail in details.split(',') {
        match detail.split_once('=') {
            Some(("com.docker.swarm.node.id", id)) => node = id,
            Some(("com.docker.swarm.task.id", id)) => task = id,
            _ => {}
        }
    }
    (node, task)
}

/// Splits Docker's multiplexed stream into its frames.
#[derive(Debug, Default)]
struct Frames {
    bytes: Vec<u8>,
}

const HEADER_BYTES: usize = 8;
const STDERR: u8 = 2;
/// The stream of the final error: what is missing.
const ERROR: u8 = 3;

impl Frames {
    /// The next whole frame: the stream, and its bytes.
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

async fn copy(
    mut stream: Stream,
    mut names: Names,
    args: &LogsArgs,
    width: &Cell<usize>,
) -> Result<(), Failure> {
    let mut frames = Frames::default();
    while let Some(bytes) = stream.next().await? {
        frames.bytes.extend_from_slice(&bytes);
        while let Some((stream, payload)) = frames.next() {
            if stream == ERROR {
                std::io::stdout().flush()?;
                return Err(incomplete(&payload));
            }
            names.learn(&payload, args).await;
            let line = line(&payload, &names, args, width);
            let written = match stream {
                STDERR => std::io::stderr().lock().write_all(&line),
                _ => std::io::stdout().lock().write_all(&line),
            };
            written?;
        }
        std::io::stdout().flush()?;
    }
    if !frames.bytes.is_empty() {
        let what = "the logs end in the middle of a line";
        return Err(Failure::new(what).why("the agent went away").hint("the same command again"));
    }
    Ok(())
}

fn incomplete(payload: &[u8]) -> Failure {
    let what = String::from_utf8_lossy(payload);
    let (what, why) = what.split_once(": ").unwrap_or((&what, ""));
    let failure = Failure::new(what.trim());
    let failure = if why.is_empty() { failure } else { failure.why(why.trim()) };
    failure.hint("edgectl node ls")
}

/// `web.1.0123456789ab@pi-1    | hello`; `width` grows with the longest name so far.
fn line(payload: &[u8], names: &Names, args: &LogsArgs, width: &Cell<usize>) -> Vec<u8> {
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
    width.set(source.chars().count().max(width.get()));
    let mut line = format!("{time}{source:<width$}    | ", width = width.get()).into_bytes();
    line.extend_from_slice(rest);
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_for_tests;

    fn names() -> Names {
        let pair = |id: &str, name: &str| BTreeMap::from([(id.to_owned(), name.to_owned())]);
        Names { client: None, tasks: pair("t123456789abcdef", "web.1"), nodes: pair("n1", "pi-1") }
    }

    fn shown(flags: &[&str], payload: &str) -> String {
        let line_typed = [&["service", "logs"], flags, &["web"]].concat();
        let args: LogsArgs = parse_for_tests(&line_typed).expect("valid");
        String::from_utf8(line(payload.as_bytes(), &names(), &args, &Cell::new(0))).expect("text")
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
    fn what_is_missing_is_a_failure_that_names_the_node() {
        let failure = incomplete(b"the logs are incomplete: not read on pi-2");
        let shown = failure.to_string();
        assert!(shown.starts_with("the logs are incomplete\n  why: not read on pi-2"), "{shown}");
    }

    #[tokio::test]
    async fn an_id_that_nobody_knows_is_asked_for_once_and_shown_as_it_is() {
        let args: LogsArgs = parse_for_tests(&["service", "logs", "web"]).expect("valid");
        let payload = b"com.docker.swarm.node.id=n2,com.docker.swarm.service.id=s,\
                        com.docker.swarm.task.id=later hello\n";
        let mut names = names();
        names.learn(payload, &args).await;
        assert!(names.tasks.contains_key("later") && names.nodes.contains_key("n2"));
        let shown = line(payload, &names, &args, &Cell::new(0));
        assert_eq!(String::from_utf8_lossy(&shown), "later@n2    | hello\n");
    }

    #[test]
    fn times_are_sent_with_all_their_decimals() {
        let typed = ["service", "logs", "--since", "1777636800.000000007", "--until", "9", "web"];
        let args: LogsArgs = parse_for_tests(&typed).expect("valid");
        let path = path("/services/s", &args);
        assert!(path.ends_with("&since=1777636800.000000007&until=9.000000000"), "{path}");
    }

    #[test]
    fn numbers_of_lines_are_checked() {
        assert_eq!(tail("20"), Ok("20".to_owned()));
        assert!(tail("-1").is_err() && tail("some").is_err());
    }
}
