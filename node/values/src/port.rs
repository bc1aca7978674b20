//! `--publish`: ports of a service that are reached from outside the fleet, with ranges, in both of
//! Docker's forms.
//!
//! Without a published port the agent chooses one: for a port of every node when the service is
//! written, else each node for each of its tasks.

use super::{count, nearest};
use node_docker::service::PortConfig;

const KEYS: [&str; 4] = ["target", "published", "protocol", "mode"];

/// Ports to publish; several if a range was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published(pub Vec<PortConfig>);

/// Ports as they are typed: what is left out is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortPattern {
    /// Published port and target of each.
    pairs: Vec<(Option<u16>, u16)>,
    protocol: Option<String>,
    mode: Option<String>,
}

impl PortPattern {
    /// Is it one of these ports?
    pub fn fits(&self, port: &PortConfig) -> bool {
        let fits =
            |asked: &Option<String>, held: &String| asked.is_none() || *asked == Some(held.clone());
        let is_pair = |(published, target): &(Option<u16>, u16)| {
            *target == port.target_port && published.is_none_or(|p| p == port.published_port)
        };
        self.pairs.iter().any(is_pair)
            && fits(&self.protocol, &port.protocol)
            && fits(&self.mode, &port.publish_mode)
    }
}

/// Why a text is no published port.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPort {
    /// `8o80`.
    #[error("{0:?} is not a port: it is a number from 1 to 65535, or a range like 8000-8009")]
    NotAPort(String),
    /// `8002-8000`.
    #[error("{0}-{1} is no range: its first port is larger than its last one")]
    Backwards(u16, u16),
    /// `8000-8002:80-81`.
    #[error(
        "{ports} cannot lead to {1}: write ranges of the same length (8000-8002:80-82), or one \
         target (8000-8002:80)",
        ports = count(*.0, "port")
    )]
    Lengths(usize, usize),
    /// `127.0.0.1:8080:80`.
    #[error("a service has its ports on all addresses of a node: leave {0} out and write {1}")]
    Address(String, String),
    /// `tpc`.
    #[error("unknown protocol {0:?}: tcp, udp or sctp")]
    Protocol(String),
    /// `mode=hots`.
    #[error(
        "unknown mode {0:?}: ingress (a port of every node) or host (of the nodes that run a task)"
    )]
    Mode(String),
    /// `targt=80`.
    #[error("unknown key {key:?}: {hint}")]
    Key {
        /// As typed.
        key: String,
        /// The nearest, or all of them.
        hint: String,
    },
    /// No `target=`.
    #[error("target is missing: write 8080:80, or mode=host,published=8080,target=80")]
    NoTarget,
}

/// Reads `8080:80/tcp`, `8000-8002:80-82`, or `mode=host,published=8080,target=80,protocol=tcp`.
pub fn published(text: &str) -> Result<Published, BadPort> {
    let pattern = port_pattern(text)?;
    let protocol = pattern.protocol.as_deref().unwrap_or("tcp");
    let publish_mode = pattern.mode.as_deref().unwrap_or("ingress");
    let ports = pattern.pairs.iter().map(|(published, target)| PortConfig {
        name: String::new(),
        protocol: protocol.to_owned(),
        target_port: *target,
        published_port: published.unwrap_or(0),
        publish_mode: publish_mode.to_owned(),
    });
    Ok(Published(ports.collect()))
}

/// Reads ports to remove: `80`, `80/udp`, `8080:80`, and everything that can be published.
pub fn port_pattern(text: &str) -> Result<PortPattern, BadPort> {
    let typed = text.trim().to_lowercase();
    if typed.contains('=') { long(&typed) } else { short(&typed) }
}

fn short(text: &str) -> Result<PortPattern, BadPort> {
    let (ports, protocol) = match text.rsplit_once('/') {
        Some((ports, word)) => (ports, Some(protocol(word)?)),
        None => (text, None),
    };
    let pairs = match ports.rsplit_once(':') {
        None => pairs(None, range(ports)?)?,
        Some((published, target)) => {
            if let Some((address, published)) = published.rsplit_once(':') {
                let ports = format!("{published}:{target}");
                return Err(BadPort::Address(address.to_owned(), ports));
            }
            pairs(Some(range(published)?), range(target)?)?
        }
    };
    Ok(PortPattern { pairs, protocol, mode: None })
}

fn long(text: &str) -> Result<PortPattern, BadPort> {
    let (mut published, mut target, mut spoken, mut mode) = (None, None, None, None);
    for part in text.split(',') {
        let (key, value) = part.split_once('=').unwrap_or((part, ""));
        match (key.trim(), value.trim()) {
            ("published", value) => published = Some(range(value)?),
            ("target", value) => target = Some(range(value)?),
            ("protocol", value) => spoken = Some(protocol(value)?),
            ("mode", word @ ("host" | "ingress")) => mode = Some(word.to_owned()),
            ("mode", word) => return Err(BadPort::Mode(word.to_owned())),
            (key, _) => {
                let hint = match nearest(key, KEYS) {
                    Some(near) => format!("did you mean {near}?"),
                    None => KEYS.join(", "),
                };
                return Err(BadPort::Key { key: key.to_owned(), hint });
            }
        }
    }
    let pairs = pairs(published, target.ok_or(BadPort::NoTarget)?)?;
    Ok(PortPattern { pairs, protocol: spoken, mode })
}

fn protocol(word: &str) -> Result<String, BadPort> {
    match word {
        "tcp" | "udp" | "sctp" => Ok(word.to_owned()),
        other => Err(BadPort::Protocol(other.to_owned())),
    }
}

type Range = std::ops::RangeInclusive<u16>;

fn pairs(published: Option<Range>, target: Range) -> Result<Vec<(Option<u16>, u16)>, BadPort> {
    let Some(published) = published else { return Ok(target.map(|port| (None, port)).collect()) };
    let (from, to) = (published.len(), target.len());
    match to {
        1 => Ok(published.map(|port| (Some(port), *target.start())).collect()),
        _ if from == to => Ok(published.map(Some).zip(target).collect()),
        _ => Err(BadPort::Lengths(from, to)),
    }
}

fn range(text: &str) -> Result<Range, BadPort> {
    let number = |part: &str| part.parse().ok().filter(|port| *port > 0);
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first > last => Err(BadPort::Backwards(first, last)),
        (Some(first), Some(last)) => Ok(first..=last),
        _ => Err(BadPort::NotAPort(text.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `8080:80/tcp ingress`
    fn shown(text: &str) -> Vec<String> {
        let Published(ports) = published(text).expect(text);
        let one = |port: &PortConfig| {
            let (from, to) = (port.published_port, port.target_port);
            format!("{from}:{to}/{} {}", port.protocol, port.publish_mode)
        };
        ports.iter().map(one).collect()
    }

    #[test]
    fn both_forms_are_read_and_every_node_is_the_default() {
        for (text, ports) in [
            ("8080:80", &["8080:80/tcp ingress"][..]),
            ("53:53/UDP", &["53:53/udp ingress"]),
            ("80", &["0:80/tcp ingress"]),
            ("published=8080,target=80,mode=host,protocol=sctp", &["8080:80/sctp host"]),
            ("target=80", &["0:80/tcp ingress"]),
            ("mode=host,target=80", &["0:80/tcp host"]),
            ("mode=ingress,target=80,published=81", &["81:80/tcp ingress"]),
        ] {
            assert_eq!(shown(text), ports, "{text}");
        }
    }

    #[test]
    fn ranges_are_paired() {
        for (text, ports) in [
            ("8000-8001:80-81", &["8000:80/tcp ingress", "8001:81/tcp ingress"][..]),
            ("8000-8001:80/udp", &["8000:80/udp ingress", "8001:80/udp ingress"]),
            ("80-81", &["0:80/tcp ingress", "0:81/tcp ingress"]),
            ("mode=host,published=90-91,target=80-81", &["90:80/tcp host", "91:81/tcp host"]),
            ("65534-65535", &["0:65534/tcp ingress", "0:65535/tcp ingress"]),
        ] {
            assert_eq!(shown(text), ports, "{text}");
        }
    }

    #[test]
    fn every_part_is_checked() {
        for (text, words) in [
            ("8o80:80", "\"8o80\" is not a port"),
            ("", "is not a port"),
            (":80", "is not a port"),
            ("0:80", "\"0\" is not a port"),
            ("65536", "\"65536\" is not a port"),
            ("mode=host,target=0", "is not a port"),
            ("8002-8000:80", "8002-8000 is no range"),
            ("8000-8002:80-81", "3 ports cannot lead to 2"),
            ("8080:80-81", "1 port cannot lead to 2"),
            ("127.0.0.1:8080:80", "leave 127.0.0.1 out and write 8080:80"),
            ("[::1]:8080:80", "leave [::1] out and write 8080:80"),
            ("8080:80/tpc", "unknown protocol \"tpc\""),
            ("mode=host,target=80,protocol=tpc", "unknown protocol \"tpc\""),
            ("mode=hots,target=80", "unknown mode \"hots\""),
            ("mode=host,targt=80", "did you mean target?"),
            ("target=80,zebra=1", "target, published, protocol, mode"),
            ("mode=host,published=80", "target is missing"),
        ] {
            let error = published(text).expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn a_pattern_leaves_open_what_is_not_typed() {
        let Published(ports) =
            published("mode=host,published=8080,target=80,protocol=udp").expect("valid");
        let fits = |text: &str| port_pattern(text).expect(text).fits(&ports[0]);
        for text in ["80", "80/udp", "8080:80", "8079-8081:79-81", "target=80,mode=host"] {
            assert!(fits(text), "{text}");
        }
        for text in ["8080", "80/tcp", "81:80", "target=80,mode=ingress"] {
            assert!(!fits(text), "{text}");
        }
    }
}
