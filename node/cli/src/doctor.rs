//! `edgectl doctor`: checks of this node and its agent, each with advice.

mod devices;
mod neighbours;
mod networks;

use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::client::Client;
use super::failure::{Exit, Failure};
use super::output::{Paint, Table, Template, Tone, now, print};
use node_docker::edge::{Counters, Status, UnfitRecord};
use node_docker::node::Node;
use node_docker::system::{Info, VersionInfo};

/// 1 January 2026: a clock before that was never set.
const CLOCK_MS_MIN: u64 = 1_767_225_600_000;

/// Unread records that are listed by name.
const RECORDS_NAMED_MAX: usize = 5;

/// Datagrams that could not be sent are reported above this share: one in this number.
const UNSENT_SHARE: u64 = 20;

/// Flags.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// `json` with one object per check and line, or a Go template: '{{.Check}} {{.Outcome}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// The outcome of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Ok(String),
    Warning(String, String),
    Fault(String, String),
}

type Check = (&'static str, Outcome);

/// Runs all checks; ends with 1 if one finds a fault.
pub async fn run(
    args: DoctorArgs,
    socket: &Path,
    client: Result<Client, Failure>,
) -> Result<Exit, Failure> {
    let template = match args.format.as_deref() {
        None | Some("json") => None,
        Some(format) => Some(Template::strict(format)?),
    };
    let mut checks = vec![("clock", clock(now().0))];
    match client {
        Ok(mut client) => {
            checks.push(("agent", Outcome::Ok(format!("answers at {}", socket.display()))));
            checks.extend(ask(&mut client).await?);
        }
        Err(failure) => {
            let what = failure.to_string().lines().next().unwrap_or_default().to_owned();
            let hint = failure.hints().first().cloned().unwrap_or_default();
            checks.push(("agent", Outcome::Fault(what, hint)));
        }
    }
    let lines = match (args.format.is_some(), template) {
        (false, _) => text(&checks, Paint::stdout()),
        (true, None) => checks
            .iter()
            .map(|check| serde_json::to_string(&CheckRow::of(check)).expect("plain JSON"))
            .collect(),
        (true, Some(template)) => checks
            .iter()
            .map(|check| template.render(&CheckRow::of(check)))
            .collect::<Result<_, _>>()?,
    };
    print(lines.join("\n"))?;
    let has_fault = checks.iter().any(|(_, outcome)| matches!(outcome, Outcome::Fault(..)));
    Ok(if has_fault { Exit::Failed } else { Exit::Done })
}

async fn ask(client: &mut Client) -> Result<Vec<Check>, Failure> {
    let version: VersionInfo = client.get("/version").await?;
    let info: Info = client.get("/info").await?;
    let status: Status = client.get("/edge/status").await?;
    let nodes: Vec<Node> = client.get("/nodes").await?;
    let counted: Counters = client.get("/edge/counters").await?;
    let mut checks = vec![
        ("version", same_version(env!("CARGO_PKG_VERSION"), &version.version)),
        ("cgroups", cgroups(&info)),
        ("members", members(&nodes)),
        ("neighbours", neighbours::check(&counted)),
        ("devices", devices::check(&info, &nodes)),
        ("network", sends(&counted)),
        ("records", records(&status)),
        ("conflicts", conflicts(&status)),
    ];
    checks.extend(networks::checks(&status.networks));
    for warning in info.warnings {
        let (what, hint) = warning.split_once("; ").unwrap_or((&warning, ""));
        checks.push(("agent", Outcome::Warning(what.to_owned(), hint.to_owned())));
    }
    Ok(checks)
}

fn clock(now_ms: u64) -> Outcome {
    if now_ms >= CLOCK_MS_MIN {
        return Outcome::Ok("is set".to_owned());
    }
    Outcome::Warning(
        "was never set: times in logs are wrong, jobs with a schedule wait".to_owned(),
        "timedatectl set-ntp true".to_owned(),
    )
}

/// What the agent can enforce; the agent may see other mounts than this command.
fn cgroups(info: &Info) -> Outcome {
    let enforced = [
        ("memory", info.memory_limit),
        ("processors", info.cpu_cfs_quota),
        ("processes", info.pids_limit),
    ];
    let missing: Vec<&str> =
        enforced.iter().filter(|(_, holds)| !holds).map(|(what, _)| *what).collect();
    let version = match info.cgroup_version.as_str() {
        "" => "none",
        "1" => "v1",
        _ => "v2",
    };
    if !missing.is_empty() {
        return Outcome::Warning(
            format!("{version}: limits of {} do not hold", missing.join(", ")),
            "run the agent as root where all controllers are mounted and not in use; \
             cgroup_enable=memory on the kernel command line of a Raspberry Pi"
                .to_owned(),
        );
    }
    match info.swap_limit {
        true => {
            Outcome::Ok(format!("{version}, limits of memory (with swap), processors, processes"))
        }
        false => Outcome::Warning(
            format!("{version}: a limit of memory does not count swap"),
            "swapaccount=1 on the kernel command line, or no swap".to_owned(),
        ),
    }
}

/// Whether the system accepts the datagrams that the agent sends.
fn sends(counted: &Counters) -> Outcome {
    let count = |name: &str| counted.counters.get(name).copied().unwrap_or(0);
    let unsent = count("transport.dropped.unsent");
    let sent: u64 = counted
        .counters
        .iter()
        .filter(|(name, _)| name.starts_with("gossip.sent.") && name.ends_with(".count"))
        .map(|(_, count)| count)
        .sum();
    if unsent.saturating_mul(UNSENT_SHARE) <= sent {
        return Outcome::Ok("takes what is sent".to_owned());
    }
    let errors: Vec<String> = counted
        .counters
        .iter()
        .filter_map(|(name, count)| {
            Some(format!("{} {count}", name.strip_prefix("transport.unsent.")?))
        })
        .collect();
    Outcome::Warning(
        format!("the system refused {unsent} datagrams of {sent} ({})", errors.join(", ")),
        "see the firewall and the routes of this machine; UDP port 7946".to_owned(),
    )
}

fn same_version(ours: &str, theirs: &str) -> Outcome {
    if ours == theirs {
        return Outcome::Ok(ours.to_owned());
    }
    Outcome::Warning(
        format!("this command is {ours}, the agent is {theirs}"),
        "restart the agent after an upgrade; its tasks go on".to_owned(),
    )
}

fn members(nodes: &[Node]) -> Outcome {
    let silent: Vec<&str> = nodes
        .iter()
        .filter(|node| node.edge.state == "unreachable")
        .map(|node| node.description.hostname.as_str())
        .collect();
    match silent.as_slice() {
        [] => Outcome::Ok(format!("{} known, all heard of", nodes.len())),
        [first, ..] => Outcome::Warning(
            format!("unreachable from here: {}", silent.join(", ")),
            format!("edgectl why {first}; UDP port 7946 must be let through"),
        ),
    }
}

fn records(status: &Status) -> Outcome {
    if status.quarantined == 0 {
        return Outcome::Ok("all are readable".to_owned());
    }
    let word = |record: &UnfitRecord| {
        let called = if record.name.is_empty() { &record.id } else { &record.name };
        let digest = record.digest.get(..12).unwrap_or_default();
        format!(
            "{} {called} ({digest}, written by {}): {}",
            record.kind, record.writer, record.reason
        )
    };
    let named: Vec<String> = status.unfit.iter().take(RECORDS_NAMED_MAX).map(word).collect();
    let separator = if named.is_empty() { "" } else { ": " };
    let service = status.unfit.iter().find(|record| record.kind == "service");
    let hint = match service {
        Some(service) => format!("edgectl service rm {}, or upgrade this node", service.id),
        None => "upgrade this node; see who wrote them".to_owned(),
    };
    Outcome::Warning(
        format!("{} not read, kept as they are{separator}{}", status.quarantined, named.join("; ")),
        hint,
    )
}

fn conflicts(status: &Status) -> Outcome {
    match status.conflicts {
        0 => Outcome::Ok("none".to_owned()),
        number => Outcome::Warning(
            format!("{number} edits lost against another one"),
            "edgectl conflicts".to_owned(),
        ),
    }
}

/// A check for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct CheckRow<'a> {
    check: &'a str,
    /// `ok`, `warn` or `fail`.
    outcome: &'a str,
    finding: &'a str,
    /// What to do about it; empty if nothing.
    r#try: &'a str,
}

impl CheckRow<'_> {
    fn of<'a>((check, outcome): &'a Check) -> CheckRow<'a> {
        let (outcome, finding, r#try) = match outcome {
            Outcome::Ok(finding) => ("ok", finding, ""),
            Outcome::Warning(finding, hint) => ("warn", finding, hint.as_str()),
            Outcome::Fault(finding, hint) => ("fail", finding, hint.as_str()),
        };
        CheckRow { check, outcome, finding, r#try }
    }
}

fn text(checks: &[Check], paint: Paint) -> Vec<String> {
    let mut table = Table::new();
    let mut hints = Vec::new();
    for (name, outcome) in checks {
        let (tone, mark, finding, hint) = match outcome {
            Outcome::Ok(finding) => (Tone::Good, "ok", finding, ""),
            Outcome::Warning(finding, hint) => (Tone::Warning, "warn", finding, hint.as_str()),
            Outcome::Fault(finding, hint) => (Tone::Bad, "FAIL", finding, hint.as_str()),
        };
        table.row([paint.tone(tone, mark), (*name).to_owned(), finding.clone()]);
        hints.push(hint);
    }
    let mut lines = Vec::new();
    for (line, hint) in table.lines().into_iter().zip(hints) {
        lines.push(line);
        if !hint.is_empty() {
            lines.push(format!("       try: {hint}"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_says_what_to_do() {
        let checks = [
            ("clock", clock(12_000)),
            ("agent", Outcome::Fault("there is no agent".to_owned(), "edgectl agent".to_owned())),
            ("version", same_version("1", "1")),
        ];
        assert_eq!(
            text(&checks, Paint::off()),
            [
                "warn   clock     was never set: times in logs are wrong, jobs with a schedule wait",
                "       try: timedatectl set-ntp true",
                "FAIL   agent     there is no agent",
                "       try: edgectl agent",
                "ok     version   1",
            ]
        );
    }

    #[test]
    fn a_record_that_is_not_read_is_named_with_its_writer_and_the_way_out() {
        assert_eq!(records(&Status::default()), Outcome::Ok("all are readable".to_owned()));
        let unfit = UnfitRecord {
            kind: "service".to_owned(),
            id: "0abc".to_owned(),
            name: "web".to_owned(),
            digest: "0123456789abcdef".to_owned(),
            reason: "the number of replicas is 4294967295, at most 100000 is possible".to_owned(),
            writer: "n3".to_owned(),
        };
        let status = Status { quarantined: 2, unfit: vec![unfit], ..Status::default() };
        let Outcome::Warning(text, hint) = records(&status) else { panic!("a warning") };
        assert_eq!(
            text,
            "2 not read, kept as they are: service web (0123456789ab, written by n3): the number \
             of replicas is 4294967295, at most 100000 is possible"
        );
        assert_eq!(hint, "edgectl service rm 0abc, or upgrade this node");
    }

    #[test]
    fn limits_that_do_not_hold_are_named() {
        let mut info = Info {
            cgroup_version: "2".to_owned(),
            memory_limit: true,
            swap_limit: true,
            cpu_cfs_quota: true,
            pids_limit: true,
            ..Info::default()
        };
        assert!(matches!(cgroups(&info), Outcome::Ok(text) if text.starts_with("v2")));
        info.swap_limit = false;
        assert!(matches!(cgroups(&info), Outcome::Warning(text, _) if text.contains("swap")));
        info.pids_limit = false;
        let Outcome::Warning(text, _) = cgroups(&info) else { panic!("it is one") };
        assert_eq!(text, "v2: limits of processes do not hold");
        let Outcome::Warning(text, _) = cgroups(&Info::default()) else { panic!("it is one") };
        assert_eq!(text, "none: limits of memory, processors, processes do not hold");
    }

    #[test]
    fn sends_that_fail_are_told_with_their_errors() {
        let counted = |unsent: u64| Counters {
            counters: [
                ("gossip.sent.swim.count", 100),
                ("transport.dropped.unsent", unsent),
                ("transport.unsent.eperm", unsent),
            ]
            .map(|(name, count)| (name.to_owned(), count))
            .into(),
        };
        assert!(matches!(sends(&counted(5)), Outcome::Ok(_)));
        let finding = "the system refused 60 datagrams of 100 (eperm 60)";
        assert!(matches!(sends(&counted(60)), Outcome::Warning(said, _) if said == finding));
    }

    #[test]
    fn a_check_for_programs_has_flat_fields() {
        let check = ("clock", clock(12_000));
        let row = serde_json::to_value(CheckRow::of(&check)).expect("JSON");
        assert_eq!((&row["Check"], &row["Outcome"]), (&"clock".into(), &"warn".into()));
        assert_eq!(row["Try"], "timedatectl set-ntp true");
    }
}
