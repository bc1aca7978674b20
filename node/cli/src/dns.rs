//! `edgectl dns`: what a name leads to, which tasks that is, and why a task is in the answer or not;
//! with `--all`, what the name servers of every node answer.

use clap::Args;

use super::client::{Client, escape};
use super::failure::{Exit, Failure};
use super::output::{Paint, Table, Tone, print};
use node_docker::name::{
    EdgeNameService, EdgeNameTask, NameAnswers, NameOnNetwork, NodeNameAnswer,
};

/// Flags and operand.
#[derive(Debug, Args)]
pub struct DnsArgs {
    /// A name as containers use it: web, tasks.web, web.1, web.back
    #[arg(value_name = "NAME")]
    name: String,
    /// Also what the name servers of every node answer
    #[arg(short, long)]
    all: bool,
    /// Only on this network
    #[arg(long, value_name = "NETWORK")]
    network: Option<String>,
    /// `json`: the answer as the agent gives it
    #[arg(long, value_name = "FORMAT", value_parser = ["json"])]
    format: Option<String>,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

/// Asks, and prints the answer.
pub async fn run(args: DnsArgs, mut client: Client) -> Result<Exit, Failure> {
    let mut query = vec![format!("all={}", args.all)];
    query.extend(args.network.as_deref().map(|network| format!("network={}", escape(network))));
    let path = format!("/edge/names/{}?{}", escape(&args.name), query.join("&"));
    let found: NameAnswers = client.get(&path).await?;
    if args.json || args.format.is_some() {
        print(serde_json::to_string(&found).expect("plain JSON"))?;
    } else {
        print(text(&found, Paint::stdout()).join("\n"))?;
    }
    let answers = found.networks.iter().any(|network| !network.addresses.is_empty());
    let differs = found.networks.iter().flat_map(|network| &network.nodes).any(|n| n.differs);
    Ok(if answers && !differs { Exit::Done } else { Exit::Failed })
}

fn text(found: &NameAnswers, paint: Paint) -> Vec<String> {
    if found.networks.is_empty() {
        return vec![
            format!("{}: no service, task or alias on any network has this name", found.name),
            "Containers that ask for it are answered by the servers of --dns, or of their node."
                .to_owned(),
        ];
    }
    let mut lines = Vec::new();
    for network in &found.networks {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(of_network(network, &found.node, paint));
    }
    lines
}

fn of_network(found: &NameOnNetwork, node: &str, paint: Paint) -> Vec<String> {
    let name = format!("{} on {}", found.asked, found.network);
    let (answer, tone) = match found.addresses.as_slice() {
        [] if found.known => ("no address".to_owned(), Tone::Warning),
        [] if found.services.is_empty() => ("unknown there".to_owned(), Tone::Warning),
        [] => ("no such name now".to_owned(), Tone::Warning),
        addresses => (addresses.join(", "), Tone::Strong),
    };
    let mut lines = vec![format!("{name}: {}", paint.tone(tone, &answer))];
    for service in &found.services {
        lines.push(format!("  {}", meaning(service)));
        let mut table = Table::new();
        for task in &service.tasks {
            table.row(task_row(task, paint));
        }
        lines.extend(table.lines().into_iter().map(|line| format!("    {line}")));
    }
    if !found.nodes.is_empty() {
        lines.push(format!("  What each node answers (! differs from {node}):"));
        let mut table = Table::new();
        for said in &found.nodes {
            table.row(node_row(said, paint));
        }
        lines.extend(table.lines().into_iter().map(|line| format!("    {line}")));
    }
    lines
}

fn meaning(service: &EdgeNameService) -> String {
    let name = &service.service;
    let vip = match service.virtual_ips.as_slice() {
        [] => "its tasks that take connections".to_owned(),
        addresses => format!("virtual address {}", addresses.join(", ")),
    };
    match service.meaning.as_str() {
        "service" => format!("service {name}: {vip}"),
        "alias" => format!("alias of service {name}: {vip}"),
        "tasks" => format!("all tasks of service {name} that take connections"),
        _ => format!("a task of service {name}"),
    }
}

fn task_row(task: &EdgeNameTask, paint: Paint) -> [String; 5] {
    let (tone, standing) = match task.standing.as_str() {
        "answered" => (Tone::Good, "in the answer".to_owned()),
        "balanced" => (Tone::Good, "takes its share".to_owned()),
        "last" => (Tone::Warning, format!("last in the answer: {}", task.reason)),
        _ => (Tone::Warning, format!("not in the answer: {}", task.reason)),
    };
    let addresses = task.addresses.join(", ");
    let state = task.state.clone();
    [task.name.clone(), task.node.clone(), addresses, state, paint.tone(tone, &standing)]
}

fn node_row(said: &NodeNameAnswer, paint: Paint) -> [String; 3] {
    let mark = if said.differs { "!" } else { "" };
    let (tone, answer) = match said.outcome.as_str() {
        "answers" if said.addresses.is_empty() => (Tone::Good, "no address".to_owned()),
        "answers" => (Tone::Good, said.addresses.join(", ")),
        "unknown" => (Tone::Good, "no such name".to_owned()),
        "unserved" => (Tone::Good, "no container there is on this network".to_owned()),
        _ => (Tone::Warning, format!("not known: {}", said.error)),
    };
    let tone = if said.differs { Tone::Bad } else { tone };
    [mark.to_owned(), said.node.clone(), paint.tone(tone, &answer)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{self, Answers};
    use crate::parse_for_tests;

    fn shown(json: &str) -> Vec<String> {
        text(&serde_json::from_str(json).expect("an answer"), Paint::off())
    }

    #[test]
    fn each_task_and_each_node_has_a_line() {
        let lines = shown(
            r#"{"Name":"web","Node":"n1","Networks":[{"Network":"back","Asked":"web","Known":true,
            "Addresses":["100.64.255.2"],"Services":[{"Service":"web","Meaning":"service",
            "VirtualIPs":["100.64.255.2"],"Tasks":[
            {"Name":"web.1","Node":"n1","Addresses":["100.64.0.9"],"State":"running",
             "Standing":"balanced","Reason":"it runs and is healthy"},
            {"Name":"web.2","Node":"n2","State":"running","Standing":"absent",
             "Reason":"its health command has not succeeded yet"}]}],"Nodes":[
            {"Node":"n1","Outcome":"answers","Addresses":["100.64.255.2"]},
            {"Node":"n2","Outcome":"unknown","Differs":true},
            {"Node":"n3","Outcome":"unserved"},
            {"Node":"n4","Outcome":"silent","Error":"it cannot be reached"}]}]}"#,
        );
        let expected = [
            "web on back: 100.64.255.2",
            "  service web: virtual address 100.64.255.2",
            "    web.1   n1   100.64.0.9   running   takes its share",
            "    web.2   n2                running   not in the answer: its health command has not \
             succeeded yet",
            "  What each node answers (! differs from n1):",
            "        n1   100.64.255.2",
            "    !   n2   no such name",
            "        n3   no container there is on this network",
            "        n4   not known: it cannot be reached",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_name_that_means_nothing_says_who_is_asked_instead() {
        let lines = shown(r#"{"Name":"db"}"#);
        assert!(lines[0].contains("no service") && lines[1].contains("--dns"), "{lines:?}");
    }

    #[tokio::test]
    async fn it_fails_when_there_is_no_address_or_nodes_differ() {
        let answers: Answers = &[
            (
                "GET /edge/names/web?all=true&network=back",
                200,
                r#"{"Networks":[{"Known":true,"Addresses":["1"],"Nodes":[{"Differs":true}]}]}"#,
            ),
            ("GET /edge/names/web?all=false", 200, r#"{"Networks":[{"Addresses":["1"]}]}"#),
            ("GET /edge/names/db?all=false", 200, r#"{"Networks":[]}"#),
        ];
        for (line, exit) in [
            (&["dns", "web", "--all", "--network", "back"][..], Exit::Failed),
            (&["dns", "web"], Exit::Done),
            (&["dns", "--json", "db"], Exit::Failed),
        ] {
            let (client, _) = fake::agent(answers).await;
            let args = parse_for_tests(line).expect("valid");
            assert_eq!(run(args, client).await, Ok(exit), "{line:?}");
        }
    }
}
