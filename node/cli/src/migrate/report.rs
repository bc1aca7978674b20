//! `REPORT.md`: what was written, what differs here, and what is left to do.

mod data;
mod fleet;
mod losses;

use super::stacks::Written;
use super::swarm::{Swarm, text};
use crate::output::count;

/// The name of the file.
pub const FILE: &str = "REPORT.md";

/// The report on a swarm and the stacks that were written.
pub fn text_of(swarm: &Swarm, stacks: &[Written]) -> String {
    let mut report = Report::default();
    report.title(&format!("Moving the swarm of {} to edgectl", text(&swarm.info, "/Name")));
    report.line(&format!(
        "Read from Docker {} on {}. Nothing was changed there, and nothing was deployed here.",
        text(&swarm.info, "/ServerVersion"),
        text(&swarm.info, "/Name"),
    ));
    files(&mut report, stacks);
    losses::write(&mut report, stacks);
    losses::files(&mut report, swarm, stacks);
    losses::images(&mut report, stacks);
    fleet::nodes(&mut report, swarm);
    fleet::constraints(&mut report, swarm, stacks);
    fleet::networks(&mut report, swarm, stacks);
    fleet::ports(&mut report, stacks);
    data::write(&mut report, swarm, stacks);
    order(&mut report, stacks);
    report.0
}

fn files(report: &mut Report, stacks: &[Written]) {
    report.heading("What was written");
    for stack in stacks {
        let services = count(stack.fitted.stack.services.len(), "service");
        let networks = count(stack.fitted.stack.networks.len(), "network");
        let of = match &stack.origin {
            Some(origin) if *origin == stack.name => "the stack of this name".to_owned(),
            Some(origin) => format!("the stack `{origin}`, whose name no stack can have here"),
            None => "the services of no stack".to_owned(),
        };
        report.item(&format!("`{}`: {of}, {services}, {networks}", stack.file()));
        for (path, data) in &stack.configs {
            let bytes = count(data.len(), "byte");
            report.item(&format!("`{}`: the data of a config, {bytes}", path.display()));
        }
    }
    let renamed: Vec<String> = stacks
        .iter()
        .flat_map(|stack| &stack.services)
        .filter(|one| one.name != one.here)
        .map(|one| format!("`{}` is `{}` here", one.name, one.here))
        .collect();
    if !renamed.is_empty() {
        report.line("Services of a stack have its name in front. The old names still answer:");
        renamed.iter().for_each(|line| report.item(line));
    }
}

fn order(report: &mut Report, stacks: &[Written]) {
    report.heading("Deploying");
    report.line("When the points above are done, on any node of the fleet, from this folder:");
    let mut lines = Vec::new();
    for stack in stacks {
        lines.push(format!("edgectl stack deploy --dry-run -c {} {}", stack.file(), stack.name));
        lines.push(format!(
            "edgectl stack deploy --detach=false -c {} {}",
            stack.file(),
            stack.name
        ));
    }
    report.code(&lines);
    report.line("When all of it runs, on a manager of the swarm:");
    let mut lines: Vec<String> = stacks
        .iter()
        .filter_map(|stack| stack.origin.as_ref())
        .map(|origin| format!("docker stack rm {origin}"))
        .collect();
    let single = stacks.iter().filter(|stack| stack.origin.is_none());
    lines.extend(
        single
            .flat_map(|stack| &stack.services)
            .map(|one| format!("docker service rm {}", one.name)),
    );
    report.code(&lines);
}

/// A text in Markdown.
#[derive(Debug, Default)]
pub struct Report(String);

impl Report {
    /// The title of the whole.
    pub fn title(&mut self, text: &str) {
        self.0.push_str(&format!("# {text}\n"));
    }

    /// The heading of a part.
    pub fn heading(&mut self, text: &str) {
        self.0.push_str(&format!("\n## {text}\n"));
    }

    /// The heading of a part of a part.
    pub fn subheading(&mut self, text: &str) {
        self.0.push_str(&format!("\n### {text}\n"));
    }

    /// A paragraph.
    pub fn line(&mut self, text: &str) {
        self.0.push_str(&format!("\n{text}\n"));
    }

    /// An item of a list.
    pub fn item(&mut self, text: &str) {
        let is_first = !self.0.lines().next_back().is_some_and(|line| line.starts_with("- "));
        self.0.push_str(&format!("{}- {text}\n", if is_first { "\n" } else { "" }));
    }

    /// Lines to type.
    pub fn code(&mut self, lines: &[String]) {
        self.0.push_str(&format!("\n```\n{}\n```\n", lines.join("\n")));
    }

    /// A table, its first row the head.
    pub fn table(&mut self, rows: &[Vec<String>]) {
        let Some((head, rows)) = rows.split_first() else { return };
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        self.0.push_str(&format!("\n{}|{}\n", line(head), "---|".repeat(head.len())));
        rows.iter().for_each(|row| self.0.push_str(&line(row)));
    }
}
