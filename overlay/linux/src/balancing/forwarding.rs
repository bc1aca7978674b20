//! Whether other rules of the host would drop what we forward, and what to type then.
//!
//! Every table at the forward hook decides for itself, and "drop" of one cannot be undone by another.
//! So the rules of Docker, ufw and firewalld hold for our packets too. This file only looks; it never
//! changes a table. It cannot evaluate rules: a table with a rule that names our links is taken to
//! have been told about them.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::process::Command;

use super::BalancingError;
use super::message::{DUMP, Messages, attribute, attributes, family, number, tables, text};
use super::ports::LINKS;
use super::socket::{NetfilterSocket, inside};

const GET_CHAIN: u16 = 4;
const GET_RULE: u16 = 7;
const HOOK_FORWARD: u32 = 2;
const POLICY_DROP: u32 = 0;

/// A table of the host that drops what is forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForwardingObstacle {
    /// Its chain, as `nft` names it: family, table and chain.
    pub chain: String,
    /// What to type so that packets of overlay networks pass.
    pub remedy: String,
}

impl fmt::Display for ForwardingObstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, remedy } = self;
        write!(f, "chain `{chain}` drops what overlay networks forward; type `{remedy}`")
    }
}

/// Looks for tables in the host's namespace that would drop what we forward.
pub fn find_forwarding_obstacles(
    namespace: BorrowedFd<'_>,
) -> Result<Vec<ForwardingObstacle>, BalancingError> {
    let mut socket = NetfilterSocket::open(namespace).map_err(BalancingError::Open)?;
    let mut found = Vec::new();
    let families = [(family::IPV4, "ip"), (family::IPV6, "ip6"), (family::INET, "inet")];
    for (number, name) in families {
        let chains = chains(&mut socket, number).map_err(BalancingError::Unanswered)?;
        for chain in chains.iter().filter(|chain| chain.is_obstacle()) {
            let named = names_our_links(&mut socket, number, &chain.table);
            if !named.map_err(BalancingError::Unanswered)? {
                found.push(ForwardingObstacle {
                    chain: format!("{name} {} {}", chain.table, chain.name),
                    remedy: remedy(name, chain, &chains),
                });
            }
        }
    }
    found.extend(legacy_obstacles(namespace).map_err(BalancingError::Open)?);
    Ok(found)
}

struct HostChain {
    table: String,
    name: String,
    /// It is called from the forward hook and drops what no rule accepts.
    drops: bool,
}

impl HostChain {
    fn is_obstacle(&self) -> bool {
        // firewalld accepts by policy and refuses in its last rule.
        self.drops || (self.table == "firewalld" && self.name == "filter_FORWARD")
    }
}

fn chains(socket: &mut NetfilterSocket, family: u8) -> io::Result<Vec<HostChain>> {
    let mut question = Messages::default();
    question.push(tables(GET_CHAIN), DUMP, family, |_| ());
    let mut chains = Vec::new();
    socket.ask(question, |body| {
        let word = |kind| attribute(body, kind).and_then(number);
        let hook = attribute(body, 4).and_then(|hook| attribute(hook, 1)).and_then(number);
        chains.push(HostChain {
            table: attribute(body, 1).map(text).unwrap_or_default().into(),
            name: attribute(body, 3).map(text).unwrap_or_default().into(),
            drops: hook == Some(HOOK_FORWARD) && word(5) == Some(POLICY_DROP),
        });
    })?;
    Ok(chains)
}

/// Whether a rule of a table compares with the beginning of our links' names.
fn names_our_links(socket: &mut NetfilterSocket, family: u8, table: &str) -> io::Result<bool> {
    let mut question = Messages::default();
    question.push(tables(GET_RULE), DUMP, family, |rule| _ = rule.text(1, table));
    let mut named = false;
    socket.ask(question, |body| {
        let expressions = attribute(body, 4).unwrap_or_default();
        named |= attributes(expressions).any(|(_, expression)| compares_with_our_links(expression));
    })?;
    Ok(named)
}

fn compares_with_our_links(expression: &[u8]) -> bool {
    let is_comparison = attribute(expression, 1).map(text) == Some("cmp");
    let data = attribute(expression, 2).and_then(|data| attribute(data, 3));
    let value = data.and_then(|data| attribute(data, 1));
    is_comparison && value.is_some_and(|value| value.starts_with(LINKS))
}

fn remedy(family: &str, chain: &HostChain, all: &[HostChain]) -> String {
    let has = |name: &str| all.iter().any(|each| each.table == chain.table && each.name == name);
    let iptables = if family == "ip6" { "ip6tables" } else { "iptables" };
    let both = |command: &str| format!("{command} -i ec+ -j ACCEPT; {command} -o ec+ -j ACCEPT");
    if chain.table == "firewalld" {
        "firewall-cmd --permanent --zone=trusted --add-interface=ec+; firewall-cmd --reload".into()
    } else if has("DOCKER-USER") {
        both(&format!("{iptables} -I DOCKER-USER"))
    } else if has("ufw-user-forward") || has("ufw6-user-forward") {
        "ufw route allow in on ec+; ufw route allow out on ec+".into()
    } else if chain.table == "filter" && chain.name == "FORWARD" {
        both(&format!("{iptables} -I FORWARD"))
    } else {
        let rule = format!("nft insert rule {family} {} {}", chain.table, chain.name);
        format!(r#"{rule} iifname "ec*" accept; {rule} oifname "ec*" accept"#)
    }
}

/// The same for the kernel's older tables, which nf_tables does not show.
fn legacy_obstacles(namespace: BorrowedFd<'_>) -> io::Result<Vec<ForwardingObstacle>> {
    inside(namespace, || {
        let programs = [("ip_tables_names", "iptables"), ("ip6_tables_names", "ip6tables")];
        Ok(programs.iter().filter_map(|(list, name)| legacy_obstacle(list, name)).collect())
    })
}

fn legacy_obstacle(list: &str, name: &str) -> Option<ForwardingObstacle> {
    // The program would make the table if it asked for it.
    let tables = std::fs::read_to_string(format!("/proc/thread-self/net/{list}")).ok()?;
    if !tables.lines().any(|name| name == "filter") {
        return None;
    }
    let program = format!("{name}-legacy");
    let output = Command::new(&program).args(["-S"]).output().ok()?;
    let rules = String::from_utf8_lossy(&output.stdout);
    if !rules.contains("-P FORWARD DROP") || rules.contains(" ec+ ") {
        return None;
    }
    let chain = if rules.contains("-N DOCKER-USER") { "DOCKER-USER" } else { "FORWARD" };
    let insert = format!("{program} -I {chain}");
    Some(ForwardingObstacle {
        chain: format!("{program} filter FORWARD"),
        remedy: format!("{insert} -i ec+ -j ACCEPT; {insert} -o ec+ -j ACCEPT"),
    })
}
