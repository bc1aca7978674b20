//! `edgectl network check`

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::client::Client;
use crate::failure::{Exit, Failure};
use crate::output::{Listing, Row, compact_age, say};
use node_docker::edge::EdgePath;

/// What every path is to take: the smallest packet of IPv6.
const PACKET_BYTES_MIN: u32 = 1280;

/// Flags.
#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    listing: Listing,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct PathLine {
    #[serde(rename = "NodeID")]
    node_id: String,
    node: String,
    address: String,
    way: &'static str,
    state: String,
    round_trip: String,
    loss: String,
    packet: String,
    /// What to do about it; empty if nothing.
    r#try: String,
}

impl Row for PathLine {
    const FIELDS: &'static [(&'static str, &'static str)] = &[
        ("NodeID", "NODE ID"),
        ("Node", "NODE"),
        ("Address", "ADDRESS"),
        ("Way", "WAY"),
        ("State", "STATE"),
        ("RoundTrip", "ROUND TRIP"),
        ("Loss", "LOSS"),
        ("Packet", "LARGEST PACKET"),
        ("Try", "TRY"),
    ];
    const TABLE: &'static str = "{{.Node}}\t{{.Address}}\t{{.Way}}\t{{.State}}\t{{.RoundTrip}}\t{{.Loss}}\t{{.Packet}}\t{{.Try}}";
    const NONE: &'static str =
        "this node shares no network with another one, or only encrypted ones";
    fn quiet(&self) -> &str {
        &self.node_id
    }
}

/// Has the agent probe every path, and lists them.
pub async fn run(args: CheckArgs, mut client: Client) -> Result<Exit, Failure> {
    let paths: Vec<EdgePath> = client.get("/edge/paths").await?;
    let rows: Vec<PathLine> = paths.iter().map(line).collect();
    args.listing.print(&rows)?;
    let has_way =
        |path: &&EdgePath| (path.state == "answers" || path.is_detoured) && !path.is_tunnel_silent;
    let silent = paths.iter().filter(|path| !has_way(path)).count();
    if silent == 0 {
        return Ok(Exit::Done);
    }
    say(format_args!("{silent} of {} paths do not answer", paths.len()));
    Ok(Exit::Degraded)
}

fn line(path: &EdgePath) -> PathLine {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    PathLine {
        node_id: path.node_id.clone(),
        node: path.node.clone(),
        address: path.address.clone(),
        way: if path.is_detoured { "tunnel" } else { "direct" },
        state: match path.silent_ms {
            Some(ms) => format!("silent {}", compact_age(Duration::from_millis(ms))),
            None => path.state.clone(),
        },
        round_trip: or_dash(
            path.round_trip_us.map(|us| format!("{}.{:03} ms", us / 1_000, us % 1_000)),
        ),
        loss: format!("{} of {}", path.lost, path.sent),
        packet: or_dash(path.packet_bytes.map(|bytes| match bytes < path.packet_bytes_max {
            true => format!("{bytes} of {}", path.packet_bytes_max),
            false => bytes.to_string(),
        })),
        r#try: advice(path),
    }
}

fn advice(path: &EdgePath) -> String {
    let is_small = path.packet_bytes.is_some_and(|bytes| bytes < PACKET_BYTES_MIN);
    let is_narrow = path.packet_bytes.is_some_and(|bytes| bytes < path.packet_bytes_max);
    match path.state.as_str() {
        "unlike" => "set `advertise` of both nodes to addresses of one family".to_owned(),
        "silent" if !path.is_heard => format!("edgectl why {}", path.node),
        "silent" if path.is_detoured && path.is_tunnel_silent => {
            format!("let UDP port 4789 or 7947 through to {}, and back", path.address)
        }
        "silent" if path.is_detoured => {
            "it is slower: let UDP port 4789 through if neither node is behind NAT".to_owned()
        }
        "silent" => format!("let UDP port 4789 through to {}, and back", path.address),
        _ if path.is_tunnel_silent => {
            format!(
                "for encrypted networks: let UDP port 7947 through to {}, and back",
                path.address
            )
        }
        _ if path.is_lossy => {
            format!("look for a bad or full link: ping -c 100 {}", path.address)
        }
        _ if is_small => "raise the MTU of the links between the nodes".to_owned(),
        _ if is_narrow => {
            "only for larger packets: raise the MTU of the links between the nodes".to_owned()
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::fake::{self, Answers};
    use crate::parse_for_tests;

    #[tokio::test]
    async fn a_path_with_a_detour_is_one() {
        let answers: Answers = &[(
            "GET /edge/paths",
            200,
            r#"[{"Node":"n2","State":"silent","IsHeard":true,"IsDetoured":true}]"#,
        )];
        let (client, _) = fake::agent(answers).await;
        let args = parse_for_tests(&["net", "check"]).expect("valid");
        assert_eq!(run(args, client).await, Ok(Exit::Done));
    }

    #[tokio::test]
    async fn a_detour_that_does_not_answer_is_no_path() {
        let answers: Answers = &[(
            "GET /edge/paths",
            200,
            r#"[{"Node":"n2","State":"silent","IsHeard":true,"IsDetoured":true,"IsTunnelSilent":true}]"#,
        )];
        let (client, _) = fake::agent(answers).await;
        let args = parse_for_tests(&["net", "check"]).expect("valid");
        assert_eq!(run(args, client).await, Ok(Exit::Degraded));
    }

    #[tokio::test]
    async fn a_silent_path_is_told_with_what_to_do() {
        let answers: Answers = &[(
            "GET /edge/paths",
            200,
            r#"[{"Node":"n2","State":"silent","IsHeard":true,"SilentMs":9000}]"#,
        )];
        let (client, _) = fake::agent(answers).await;
        let args = parse_for_tests(&["net", "check"]).expect("valid");
        assert_eq!(run(args, client).await, Ok(Exit::Degraded));
        let path = |state: &str, is_heard, packet_bytes| {
            let address = "192.0.2.2".to_owned();
            let (node, state) = ("n2".to_owned(), state.to_owned());
            EdgePath { node, address, state, is_heard, packet_bytes, ..EdgePath::default() }
        };
        let told = advice(&path("silent", true, None));
        assert_eq!(told, "let UDP port 4789 through to 192.0.2.2, and back");
        assert_eq!(advice(&path("silent", false, None)), "edgectl why n2");
        let detoured = EdgePath { is_detoured: true, ..path("silent", true, None) };
        assert_eq!(line(&detoured).way, "tunnel");
        assert!(advice(&detoured).contains("NAT"));
        assert!(advice(&path("answers", true, Some(1230))).contains("MTU"));
        assert_eq!(advice(&path("answers", true, Some(1450))), "");
        let lost = EdgePath { is_tunnel_silent: true, ..detoured };
        assert!(advice(&lost).contains("4789 or 7947"));
        let lossy = EdgePath { is_lossy: true, ..path("answers", true, Some(1450)) };
        assert!(advice(&lossy).contains("192.0.2.2") && advice(&lossy).contains("link"));
        let narrow = EdgePath { packet_bytes_max: 1450, ..path("answers", true, Some(1400)) };
        assert!(advice(&narrow).contains("larger"));
    }
}
