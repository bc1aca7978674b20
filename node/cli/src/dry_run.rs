//! `--dry-run` and `--expect`: what a change would do, shown and not made, or made only if it still
//! does what was shown.

use clap::Args;
use node_docker::dry_run::{CutRow, DryRun, TaskChange, ValueChange};

use crate::failure::{Exit, Failure};
use crate::output::{Table, count};

/// The flags of every command that changes a service or a node.
#[derive(Debug, Args, Clone, Default)]
pub struct DryRunFlags {
    /// Show what it would do, and change nothing
    #[arg(long, value_name = "FORM", num_args = 0..=1, require_equals = true,
        default_missing_value = "text", value_parser = ["text", "json"],
        conflicts_with = "expect", help_heading = "Trying it first")]
    dry_run: Option<String>,
    /// Refuse it unless it does what the dry run with this digest showed
    #[arg(long, value_name = "DIGEST", value_parser = digest, help_heading = "Trying it first")]
    expect: Option<String>,
}

fn digest(text: &str) -> Result<String, String> {
    match text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("it has 12 hexadecimal digits: --dry-run prints it".to_owned()),
    }
}

/// How the answer to a dry run is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl DryRunFlags {
    /// Those of a command that makes several changes, which no single digest stands for.
    pub fn tried(form: Option<String>) -> DryRunFlags {
        DryRunFlags { dry_run: form, expect: None }
    }

    /// What comes before the paths of changes.
    pub fn prefix(&self) -> String {
        match (&self.dry_run, &self.expect) {
            (Some(_), _) => "/edge/dry-run".to_owned(),
            (None, Some(digest)) => format!("/edge/expect/{digest}"),
            (None, None) => String::new(),
        }
    }

    /// The form of the answer, if the change is only to be tried.
    pub fn form(&self) -> Option<Form> {
        self.dry_run.as_deref().map(|form| if form == "json" { Form::Json } else { Form::Text })
    }
}

/// The end of a command that only tried its change.
pub fn end(run: &DryRun, form: Form) -> Failure {
    let is_placed = run.tasks.iter().all(|task| task.fate != "waits");
    let text = match form {
        Form::Json => serde_json::to_string_pretty(run).unwrap_or_default(),
        Form::Text => text(run),
    };
    Failure::answer(text).exit(if is_placed { Exit::Done } else { Exit::CannotPlace })
}

fn text(run: &DryRun) -> String {
    let mut lines = vec![match run.action.as_str() {
        "create" => format!("{} would be created", run.name),
        "remove" => format!("{} would be removed", run.name),
        "none" => format!("{}: nothing would change", run.name),
        _ => format!("{} would change", run.name),
    }];
    if run.action == "update" {
        lines.extend(values(&run.changes));
    }
    lines.extend(tasks(&run.tasks));
    if matches!(run.action.as_str(), "create" | "update") {
        lines.extend(run.cuts.iter().map(cut));
    }
    lines.push(match run.digest.as_str() {
        "" => "nothing was changed".to_owned(),
        digest => format!(
            "nothing was changed; to do exactly this, type the same with --expect {digest} in place \
             of --dry-run"
        ),
    });
    lines.join("\n")
}

fn values(changes: &[ValueChange]) -> Vec<String> {
    let mut table = Table::new();
    for change in changes {
        let value = |value: &Option<serde_json::Value>| match value {
            None => "(none)".to_owned(),
            Some(value) => value.to_string(),
        };
        let (before, after) = (value(&change.before), value(&change.after));
        table.row([format!("  {}", change.path), format!("{before} -> {after}")]);
    }
    table.lines()
}

fn tasks(tasks: &[TaskChange]) -> Vec<String> {
    let stay = tasks.iter().filter(|task| task.fate == "stays").count();
    let mut table = Table::new();
    table.row(["TASK", "NOW", "THEN", "WHAT HAPPENS"]);
    for task in tasks.iter().filter(|task| task.fate != "stays") {
        let node = |name: &str| if name.is_empty() { "-".to_owned() } else { name.to_owned() };
        let what = match task.fate.as_str() {
            "updates" => "takes the new template when it is its turn".to_owned(),
            "waits" => format!("no node can take it: {}", task.reason),
            "later" => format!("starts later: {}", task.reason),
            fate => fate.to_owned(),
        };
        table.row([task.name.clone(), node(&task.before), node(&task.after), what]);
    }
    let mut lines = if stay == tasks.len() { Vec::new() } else { table.lines() };
    if stay > 0 {
        let (tasks, stay_as) = match stay {
            1 => ("1 task".to_owned(), "stays as it is"),
            _ => (count(stay, "task"), "stay as they are"),
        };
        lines.push(format!("{tasks} {stay_as}"));
    }
    lines
}

fn cut(cut: &CutRow) -> String {
    let sides = cut.services.iter().map(|service| {
        let (here, there) = match cut.is_here {
            true => (service.alone, service.others),
            false => (service.others, service.alone),
        };
        let side = if cut.is_here { "on the others" } else { "on it" };
        format!("{} {here} here, {there} {side}", service.name)
    });
    let sides = sides.collect::<Vec<_>>().join("; ");
    match cut.is_here {
        true => format!("if this node, {}, is cut off from all others: {sides}", cut.node),
        false => format!("if {} is cut off: {sides}", cut.node),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use node_docker::dry_run::CutService;
    use serde_json::json;

    fn task(name: &str, before: &str, after: &str, fate: &str) -> TaskChange {
        let [name, before, after, fate] = [name, before, after, fate].map(str::to_owned);
        TaskChange { name, before, after, fate, reason: String::new() }
    }

    fn scaled() -> DryRun {
        let counts = |alone, others| vec![CutService { name: "web".to_owned(), alone, others }];
        let cut =
            |node: &str, is_here| CutRow { node: node.to_owned(), is_here, services: counts(2, 4) };
        DryRun {
            name: "web".to_owned(),
            action: "update".to_owned(),
            changes: vec![ValueChange {
                path: "Mode.Replicated.Replicas".to_owned(),
                before: Some(json!(1)),
                after: Some(json!(3)),
            }],
            tasks: vec![
                task("web.1", "n1", "n1", "stays"),
                task("web.2", "", "n2", "starts"),
                TaskChange {
                    reason: "no room on 2 nodes".to_owned(),
                    ..task("web.3", "", "", "waits")
                },
            ],
            cuts: vec![cut("n1", true), cut("n2", false)],
            digest: "0123456789ab".to_owned(),
        }
    }

    #[test]
    fn a_dry_run_says_what_changes_where_and_what_a_cut_does() {
        let said = text(&scaled());
        assert_eq!(
            said.lines().collect::<Vec<_>>(),
            [
                "web would change",
                "  Mode.Replicated.Replicas   1 -> 3",
                "TASK    NOW   THEN   WHAT HAPPENS",
                "web.2   -     n2     starts",
                "web.3   -     -      no node can take it: no room on 2 nodes",
                "1 task stays as it is",
                "if this node, n1, is cut off from all others: web 2 here, 4 on the others",
                "if n2 is cut off: web 4 here, 2 on it",
                "nothing was changed; to do exactly this, type the same with --expect 0123456789ab in place of --dry-run",
            ]
        );
    }

    #[test]
    fn what_can_be_placed_only_in_part_ends_with_2() {
        let mut run = scaled();
        assert_eq!(end(&run, Form::Text).code(), Exit::CannotPlace);
        run.tasks.pop();
        assert_eq!(end(&run, Form::Json).code(), Exit::Done);
    }

    #[test]
    fn a_digest_is_checked_before_anything_is_sent() {
        assert_eq!(digest("0123456789AB"), Ok("0123456789ab".to_owned()));
        for text in ["", "8f3a", "0123456789ag", "../../x/12ab"] {
            assert!(digest(text).is_err(), "{text}");
        }
    }
}
