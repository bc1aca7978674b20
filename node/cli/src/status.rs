//! `edgectl status`: the fleet on one screen, as one node sees it, and what to type next.

use std::time::Duration;

use clap::Args;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::node::status_text;
use super::output::{Paint, Table, Tone, compact_age, count, print};
use super::service::replicas_text;
use node_docker::edge::Status;
use node_docker::node::Node;
use node_docker::service::Service;
use node_docker::task::Task;

/// A view counts as old when its oldest part is older than this: on `lan` a member is heard every
/// few seconds.
const VIEW_FRESH: Duration = Duration::from_secs(10);

/// Flags.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Show it again every second, until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// One line: `OK 5/5`, `DEGRADED 4/5: web 2/3`, `ISLAND`
    #[arg(long, conflicts_with = "format")]
    brief: bool,
    /// `json`: the answer as the agent gives it
    #[arg(long, value_name = "FORMAT", value_parser = ["json"])]
    format: Option<String>,
}

/// The data that is shown.
struct Fleet {
    status: Status,
    nodes: Vec<Node>,
    services: Vec<Service>,
    tasks: Vec<Task>,
}

/// Shows it; ends with 3 when degraded and with 4 on an island.
pub async fn run(args: StatusArgs, mut client: Client) -> Result<Exit, Failure> {
    loop {
        let fleet = Fleet::read(&mut client).await?;
        let text = match (&args.format, args.brief) {
            (Some(_), _) => serde_json::to_string(&fleet.status).expect("plain JSON"),
            (None, true) => fleet.brief(),
            (None, false) => fleet.lines(Paint::stdout()).join("\n"),
        };
        if !args.watch {
            print(text)?;
            return Ok(fleet.exit());
        }
        // Moves to the top left, and clears the screen below: no flicker, and no output if it is
        // not a terminal.
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stdout());
        print(if is_terminal { format!("\x1b[H\x1b[J{text}") } else { text })?;
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(fleet.exit()),
        }
    }
}

impl Fleet {
    async fn read(client: &mut Client) -> Result<Fleet, Failure> {
        let status = client.get("/edge/status").await?;
        let mut nodes: Vec<Node> = client.get("/nodes").await?;
        nodes.sort_by(|a, b| a.description.hostname.cmp(&b.description.hostname));
        let mut services: Vec<Service> = client.get("/services?status=true").await?;
        services.sort_by(|a, b| a.spec.name.cmp(&b.spec.name));
        let tasks = client.get("/tasks").await?;
        Ok(Fleet { status, nodes, services, tasks })
    }

    fn exit(&self) -> Exit {
        if self.status.island {
            return Exit::Island;
        }
        let is_well = self.unreachable() == 0
            && self.degraded().next().is_none()
            && self.status.held.is_empty();
        if is_well { Exit::Done } else { Exit::Degraded }
    }

    fn members(&self) -> usize {
        self.nodes.iter().filter(|node| node.edge.state != "left").count()
    }

    fn unreachable(&self) -> usize {
        self.nodes.iter().filter(|node| node.edge.state == "unreachable").count()
    }

    fn degraded(&self) -> impl Iterator<Item = &Service> {
        self.services.iter().filter(|service| {
            service.service_status.is_some_and(|status| status.running_tasks < status.desired_tasks)
        })
    }

    /// For a display without a terminal.
    fn brief(&self) -> String {
        let reached = format!("{}/{}", self.members() - self.unreachable(), self.members());
        let degraded: Vec<String> = self
            .degraded()
            .map(|service| format!("{} {}", service.spec.name, replicas_text(service)))
            .collect();
        match (self.exit(), degraded.as_slice()) {
            (Exit::Done, _) => format!("OK {reached}"),
            (Exit::Island, []) => format!("ISLAND {reached}"),
            (Exit::Island, degraded) => format!("ISLAND {reached}: {}", degraded.join(", ")),
            (_, []) => format!("DEGRADED {reached}"),
            (_, degraded) => format!("DEGRADED {reached}: {}", degraded.join(", ")),
        }
    }

    fn lines(&self, paint: Paint) -> Vec<String> {
        let mut lines = vec![self.headline(paint)];
        lines.extend(self.node_lines(paint));
        lines.extend(self.service_lines(paint));
        lines.extend(self.notes().iter().map(|note| paint.tone(Tone::Warning, note)));
        lines
    }

    /// The node whose view this is, and its age.
    fn headline(&self, paint: Paint) -> String {
        let reached = self.members() - self.unreachable();
        let view_age = Duration::from_millis(self.status.view_age_ms);
        let head = format!(
            "fleet as seen from {}: {reached} of {} reachable, view {} old",
            self.status.hostname,
            count(self.members(), "node"),
            compact_age(view_age),
        );
        paint.tone(if view_age > VIEW_FRESH { Tone::Warning } else { Tone::Strong }, &head)
    }

    fn node_lines(&self, paint: Paint) -> Vec<String> {
        let mut table = Table::new();
        for node in self.nodes.iter().filter(|node| node.edge.state != "left") {
            let mine: Vec<&Task> =
                self.tasks.iter().filter(|task| task.node_id == node.id).collect();
            let running = mine.iter().filter(|task| task.status.state == "running").count();
            let status = status_text(node).to_lowercase();
            let (tone, mark) = match node.edge.state.as_str() {
                "alive" if node.edge.is_me => (Tone::Good, " (this node)"),
                "alive" => (Tone::Good, ""),
                "suspect" => (Tone::Warning, ""),
                _ => (Tone::Bad, ""),
            };
            let tasks = count(running, "task");
            let tasks = match node.edge.state.as_str() {
                "unreachable" => format!("last known {tasks}, may run on its own"),
                _ => tasks,
            };
            let availability = match node.spec.availability.as_str() {
                "active" => String::new(),
                other => format!(", {other}"),
            };
            table.row([
                node.description.hostname.clone(),
                format!("{}{mark}", paint.tone(tone, &status)),
                format!("{tasks}{availability}"),
            ]);
        }
        table.lines().into_iter().map(|line| format!("  {line}")).collect()
    }

    fn service_lines(&self, paint: Paint) -> Vec<String> {
        let degraded = self.degraded().count();
        let total = count(self.services.len(), "service");
        let mut lines = vec![match (self.services.len(), degraded) {
            (0, _) => "no services".to_owned(),
            (_, 0) if !self.status.held.is_empty() => format!("{total}, all run"),
            (_, 0) => format!("{total}, all healthy"),
            (all, degraded) => format!("{total}: {} healthy, {degraded} degraded", all - degraded),
        }];
        lines.extend(self.degraded().map(|service| {
            let (name, called) = (&service.spec.name, service.called());
            let text = format!("  {name} {}: edgectl why {called}", replicas_text(service));
            paint.tone(Tone::Warning, &text)
        }));
        lines
    }

    /// Points that need attention, with a command that shows more.
    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.status.island {
            notes.push(
                "! this node hears no other: changes made here are kept and will merge".into(),
            );
        }
        for node in self.nodes.iter().filter(|node| node.edge.state == "unreachable") {
            let name = &node.description.hostname;
            let age = compact_age(Duration::from_millis(node.edge.since_ms));
            notes.push(format!("! {name} is unreachable for {age}: edgectl why {name}"));
        }
        notes.extend(self.status.warnings.iter().map(|warning| format!("! {warning}")));
        for service in self.services.iter().filter(|service| service.called() == service.id) {
            let (name, id) = (&service.spec.name, &service.id);
            notes.push(format!("! {name} is also the name of {id}: edgectl why {id}"));
        }
        let mut holders: Vec<&str> = self.status.held.iter().map(|held| &*held.node).collect();
        holders.dedup();
        for node in holders {
            let names = self.status.held.iter().filter(|held| held.node == node);
            let names: Vec<&str> = names.map(|held| held.name.as_str()).collect();
            notes.push(format!(
                "! {} cannot move from {node}: edgectl why {node}",
                names_text(&names)
            ));
        }
        if self.status.conflicts > 0 {
            let conflicts =
                count(usize::try_from(self.status.conflicts).unwrap_or(usize::MAX), "edit");
            notes.push(format!("! {conflicts} lost against another one: edgectl conflicts"));
        }
        if self.status.quarantined > 0 {
            notes.push(format!(
                "! {} records are kept unread: edgectl doctor",
                self.status.quarantined
            ));
        }
        notes
    }
}

/// At most two names, and the number of the others.
fn names_text(names: &[&str]) -> String {
    match names {
        [first, second, _, ..] => format!("{first}, {second} and {} more", names.len() - 2),
        _ => names.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fleet(states: &[(&str, &str, u64)], running: u64) -> Fleet {
        let node = |(name, state, since_ms): &(&str, &str, u64)| {
            serde_json::from_value(json!({
                "ID": format!("{name}-id"), "Spec": {"Availability": "active"},
                "Description": {"Hostname": name},
                "Edge": {"State": state, "SinceMs": since_ms, "IsMe": *name == "n1"}
            }))
            .expect("a node")
        };
        let service = serde_json::from_value(json!({
            "ID": "s", "Spec": {"Name": "web", "Mode": {"Replicated": {"Replicas": 3}}},
            "ServiceStatus": {"RunningTasks": running, "DesiredTasks": 3}
        }));
        let task = |node: &str| {
            let mut task = Task { node_id: format!("{node}-id"), ..Task::default() };
            task.status.state = "running".to_owned();
            task
        };
        Fleet {
            status: Status { hostname: "n1".to_owned(), view_age_ms: 1_200, ..Status::default() },
            nodes: states.iter().map(node).collect(),
            services: vec![service.expect("a service")],
            tasks: vec![task("n1"), task("n2"), task("n1")],
        }
    }

    #[test]
    fn a_healthy_fleet_is_three_facts() {
        let fleet = fleet(&[("n1", "alive", 0), ("n2", "alive", 0)], 3);
        assert_eq!(
            fleet.lines(Paint::off()),
            [
                "fleet as seen from n1: 2 of 2 nodes reachable, view 1s old",
                "  n1   ready (this node)   2 tasks",
                "  n2   ready               1 task",
                "1 service, all healthy",
            ]
        );
        assert_eq!((fleet.exit(), fleet.brief().as_str()), (Exit::Done, "OK 2/2"));
    }

    #[test]
    fn a_drain_that_cannot_end_is_not_well() {
        let mut fleet = fleet(&[("n1", "alive", 0), ("n2", "alive", 0)], 3);
        fleet.status.held = vec![node_docker::edge::WhyRow {
            name: "web.1".to_owned(),
            node: "n2".to_owned(),
            ..Default::default()
        }];
        assert_eq!(fleet.exit(), Exit::Degraded);
        let lines = fleet.lines(Paint::off());
        let end = ["1 service, all run", "! web.1 cannot move from n2: edgectl why n2"];
        assert_eq!(lines[lines.len() - 2..], end);
    }

    #[test]
    fn what_is_wrong_names_the_next_command_and_fits_80_columns() {
        let states =
            [("n1", "alive", 0), ("n2", "unreachable", 11_520_000), ("n3", "suspect", 4_000)];
        let mut fleet = fleet(&states, 2);
        fleet.status.conflicts = 1;
        let lines = fleet.lines(Paint::off());
        assert_eq!(
            lines,
            [
                "fleet as seen from n1: 2 of 3 nodes reachable, view 1s old",
                "  n1   ready (this node)   2 tasks",
                "  n2   unreachable 3h12m   last known 1 task, may run on its own",
                "  n3   suspect 4s          0 tasks",
                "1 service: 0 healthy, 1 degraded",
                "  web 2/3: edgectl why web",
                "! n2 is unreachable for 3h12m: edgectl why n2",
                "! 1 edit lost against another one: edgectl conflicts",
            ]
        );
        assert!(lines.iter().all(|line| line.chars().count() <= 80));
        assert_eq!(
            (fleet.exit(), fleet.brief().as_str()),
            (Exit::Degraded, "DEGRADED 2/3: web 2/3")
        );
        let held = |name: &str| node_docker::edge::WhyRow {
            name: name.to_owned(),
            node: "n2".to_owned(),
            ..Default::default()
        };
        fleet.status.held = vec![held("web.1"), held("web.3")];
        let note = "! web.1, web.3 cannot move from n2: edgectl why n2".to_owned();
        assert!(fleet.notes().contains(&note));
        fleet.status.island = true;
        assert_eq!(fleet.exit(), Exit::Island);
    }
}
