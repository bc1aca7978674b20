//! `edgectl why`: the recorded reasons, grouped, the closest to fitting first, and what to type.

use clap::Args;

use super::client::{CallError, Client, escape};
use super::failure::{Exit, Failure};
use super::output::{Paint, Table, Tone, count, print};
use super::resolve;
use node_docker::edge::{ExcludedNode, Why, WhyRow};
use node_docker::node::Node;
use node_docker::service::Service;

/// Flags and operand.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// A service, a task (web.2, or an id) or a node
    #[arg(value_name = "TASK|SERVICE|NODE")]
    subject: String,
    /// Every task of a service, also those that run
    #[arg(short, long)]
    all: bool,
    /// `json`: the answer as the agent gives it
    #[arg(long, value_name = "FORMAT", value_parser = ["json"])]
    format: Option<String>,
}

/// Which tasks of a service are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    All,
    /// Those that do not run, if there are any.
    Waiting,
}

impl WhyArgs {
    fn rows(&self) -> Rows {
        if self.all { Rows::All } else { Rows::Waiting }
    }
}

/// Asks, and prints the answer.
pub async fn run(args: WhyArgs, mut client: Client) -> Result<Exit, Failure> {
    let why = ask(&mut client, &args.subject).await?;
    if args.format.is_some() {
        print(serde_json::to_string(&why).expect("plain JSON"))?;
    } else {
        print(text(&why, args.rows(), Paint::stdout()).join("\n"))?;
    }
    Ok(Exit::Done)
}

/// A service, else a node, else a task.
async fn ask(client: &mut Client, typed: &str) -> Result<Why, Failure> {
    let services: Vec<Service> = client.get("/services").await?;
    let unknown = match resolve::one(typed, services) {
        Ok(service) => return Ok(client.get(&format!("/edge/why/service/{}", service.id)).await?),
        Err(unknown) => unknown,
    };
    let nodes: Vec<Node> = client.get("/nodes").await?;
    if let Ok(node) = resolve::one(typed, nodes) {
        return Ok(client.get(&format!("/edge/why/node/{}", node.id)).await?);
    }
    match client.get(&format!("/edge/why/task/{}", escape(typed))).await {
        Err(CallError::Refused { status: 404, .. }) if typed.contains('.') => {
            Err(Failure::new(format!("no service, node or task {typed:?}"))
                .hint("edgectl service ps SERVICE, for its tasks"))
        }
        Err(CallError::Refused { status: 404, .. }) => {
            let nodes = Failure::new(format!("no service, node or task {typed:?}"));
            Err(unknown.hints().iter().fold(nodes, |failure, hint| failure.hint(hint)))
        }
        answer => Ok(answer?),
    }
}

fn text(why: &Why, shown: Rows, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    let running = why.rows.iter().filter(|row| is_well(row)).count();
    if !why.summary.is_empty() {
        lines.push(paint.tone(Tone::Strong, &why.summary));
    } else if why.kind == "service" {
        let head = format!("{}: {running} of {} run", why.name, count(why.rows.len(), "task"));
        lines.push(paint.tone(Tone::Strong, &head));
    }
    let is_shown = |row: &&WhyRow| {
        let is_all = shown == Rows::All || why.kind != "service" || running == why.rows.len();
        is_all || !is_well(row)
    };
    if why.kind != "task" || why.summary.is_empty() {
        lines.extend(rows(why.rows.iter().filter(is_shown), &why.name, paint));
    }
    lines.extend(why.notes.iter().map(|note| paint.tone(Tone::Warning, &format!("! {note}"))));
    if !why.excluded.is_empty() {
        lines.push(String::new());
        lines.push(match running == why.rows.len() {
            true => "The other nodes:".to_owned(),
            false => "Nodes that cannot take it, the closest to fitting first:".to_owned(),
        });
        lines.extend(grouped(&why.excluded).into_iter().map(|line| format!("  {line}")));
    }
    if !why.fixes.is_empty() {
        lines.push(String::new());
        lines.push("What would change it:".to_owned());
        lines.extend(why.fixes.iter().map(|fix| format!("  {fix}")));
    }
    lines
}

/// Tasks with the same reason share a line.
fn rows<'a>(rows: impl Iterator<Item = &'a WhyRow>, subject: &str, paint: Paint) -> Vec<String> {
    let mut groups: Vec<(&WhyRow, Vec<&str>)> = Vec::new();
    for row in rows {
        let same = |known: &&mut (&WhyRow, Vec<&str>)| {
            (&known.0.node, &known.0.state, reason(known.0)) == (&row.node, &row.state, reason(row))
        };
        match groups.iter_mut().find(same) {
            Some((_, names)) => names.push(&row.name),
            None => groups.push((row, vec![&row.name])),
        }
    }
    let mut table = Table::new();
    for (row, names) in &groups {
        let place = match row.node.as_str() {
            "" => row.state.clone(),
            node if node == subject => row.state.clone(),
            node => format!("{} on {node}", row.state),
        };
        let tone = if is_well(row) { Tone::Good } else { Tone::Warning };
        table.row([names.join(", "), place, paint.tone(tone, reason(row))]);
    }
    table.lines().into_iter().map(|line| format!("  {line}")).collect()
}

/// The reason without the name and the state that stand before it in the same line, and without the
/// reasons of the nodes, which follow on lines of their own.
fn reason(row: &WhyRow) -> &str {
    let reason = match row.reason.split_once(": ") {
        Some((head, rest)) if head.starts_with(&row.name) => rest,
        _ => &row.reason,
    };
    match reason.split_once(" (") {
        Some((short, _)) if row.node.is_empty() => short,
        _ => reason,
    }
}

fn is_well(row: &WhyRow) -> bool {
    matches!(row.state.as_str(), "running" | "complete" | "alive" | "not here")
}

/// Nodes by their reason: `n1, n2: drained`.
pub fn grouped(excluded: &[ExcludedNode]) -> Vec<String> {
    let mut groups: Vec<(usize, &str, Vec<&str>)> = Vec::new();
    for node in excluded {
        match groups.iter_mut().find(|(_, reason, _)| *reason == node.reason) {
            Some((_, _, names)) => names.push(&node.node),
            None => groups.push((distance(&node.code), &node.reason, vec![&node.node])),
        }
    }
    groups.sort_by_key(|(distance, ..)| *distance);
    let line = |(_, reason, mut names): (usize, &str, Vec<&str>)| {
        names.sort_unstable();
        format!("{}: {reason}", names.join(", "))
    };
    groups.into_iter().map(line).collect()
}

/// How far a node is from fitting: first reasons that another number would change, last those that
/// nothing can.
fn distance(code: &str) -> usize {
    const CLOSEST_FIRST: [&str; 10] = [
        "max-per-node",
        "memory",
        "cpu",
        "generic-resource",
        "host-port",
        "paused",
        "drained",
        "constraint",
        "unreadable-constraint",
        "unreachable",
    ];
    CLOSEST_FIRST.iter().position(|known| *known == code).unwrap_or(CLOSEST_FIRST.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excluded(node: &str, code: &str, reason: &str) -> ExcludedNode {
        ExcludedNode {
            node_id: String::new(),
            node: node.to_owned(),
            code: code.to_owned(),
            reason: reason.to_owned(),
        }
    }

    fn row(name: &str, node: &str, state: &str, reason: &str) -> WhyRow {
        WhyRow {
            name: name.to_owned(),
            node: node.to_owned(),
            state: state.to_owned(),
            code: String::new(),
            reason: reason.to_owned(),
        }
    }

    #[test]
    fn the_answer_groups_reasons_and_ends_with_what_to_type() {
        let why = Why {
            kind: "service".to_owned(),
            name: "cam".to_owned(),
            rows: vec![
                row("cam.1", "n1", "running", "it was there already"),
                row("cam.2", "", "pending", "cam.2 is NOT RUNNING: no node can take it (drained)"),
                row("cam.3", "", "pending", "no node can take it"),
            ],
            excluded: vec![
                excluded("n5", "unreachable", "unreachable for 3 h"),
                excluded("n2", "drained", "drained"),
                excluded("n1", "max-per-node", "has 1 of this service, its most per node"),
                excluded("n3", "drained", "drained"),
            ],
            fixes: vec!["edgectl service update --replicas-max-per-node 2 cam".to_owned()],
            ..Why::default()
        };
        assert_eq!(
            text(&why, Rows::Waiting, Paint::off()),
            [
                "cam: 1 of 3 tasks run",
                "  cam.2, cam.3   pending   no node can take it",
                "",
                "Nodes that cannot take it, the closest to fitting first:",
                "  n1: has 1 of this service, its most per node",
                "  n2, n3: drained",
                "  n5: unreachable for 3 h",
                "",
                "What would change it:",
                "  edgectl service update --replicas-max-per-node 2 cam",
            ]
        );
    }

    #[test]
    fn a_service_that_runs_says_why_each_task_is_where_it_is() {
        let why = Why {
            kind: "service".to_owned(),
            name: "web".to_owned(),
            rows: vec![row("web.1", "n1", "running", "it was there already")],
            ..Why::default()
        };
        assert_eq!(
            text(&why, Rows::Waiting, Paint::off()),
            ["web: 1 of 1 task run", "  web.1   running on n1   it was there already"]
        );
    }
}
