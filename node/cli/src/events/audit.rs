//! `edgectl events --audit`

use node_docker::audit::{AuditAnswer, AuditRow};

use super::EventsArgs;
use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{Template, print, say};
use crate::value::show_moment;

/// Prints what the nodes wrote down that answer, and names the others.
pub async fn run(
    args: &EventsArgs,
    template: Option<&Template>,
    mut client: Client,
) -> Result<Exit, Failure> {
    let since = args.since.map(|at| format!("?since={}", show_moment(at)));
    let path = format!("/edge/audit{}", since.unwrap_or_default());
    let AuditAnswer { entries, missing } = client.get(&path).await?;
    let is_before =
        |row: &&AuditRow| args.until.is_none_or(|until| row.time.0 <= until.0 / 1_000_000);
    for row in entries.iter().filter(is_before) {
        print(match template {
            Some(template) => template.render(row)?,
            None if args.format.is_some() => serde_json::to_string(row).expect("plain JSON"),
            None => text(row),
        })?;
    }
    for node in missing {
        say(format!("what was changed through {node}"));
    }
    Ok(Exit::Done)
}

/// `2026-05-01T12:00:00.25Z n1 anna (operator): service update web`
fn text(row: &AuditRow) -> String {
    let AuditRow { time, node, client, action, status, .. } = row;
    let refused = match status {
        400.. => format!(", refused ({status})"),
        _ => String::new(),
    };
    format!("{} {node} {client}: {action}{refused}", time.to_rfc3339())
}

#[cfg(test)]
mod tests {
    use node_docker::Timestamp;

    use super::*;

    #[test]
    fn a_change_is_one_line() {
        let mut row = AuditRow {
            time: Timestamp(1_777_636_800_250),
            node: "n1".into(),
            client: "anna (operator)".into(),
            action: "service update web".into(),
            request: "POST /services/web/update".into(),
            status: 200,
        };
        assert_eq!(text(&row), "2026-05-01T12:00:00.25Z n1 anna (operator): service update web");
        row.status = 403;
        assert!(text(&row).ends_with("service update web, refused (403)"));
    }
}
