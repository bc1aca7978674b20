//! Placement constraints: `node.labels.zone==a`, `node.hostname!=pi-3`.
//!
//! A constraint is parsed before it is stored. So a stored constraint that does not parse can only
//! come from a newer version: it fits no node, and the reason says so.

use std::fmt;
use std::net::IpAddr;

use crdt_state::NodeId;

use crate::view::NodeView;

/// The property of a node that is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConstraintKey {
    /// `node.id`
    Id,
    /// `node.hostname`
    Hostname,
    /// `node.ip`, an address or a prefix.
    Ip,
    /// `node.role`: every node is a manager.
    Role,
    /// `node.platform.os`
    Os,
    /// `node.platform.arch`
    Arch,
    /// `node.labels.NAME`, set by operators.
    Label(String),
    /// `engine.labels.NAME`, from the config file.
    EngineLabel(String),
}

/// Equal or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

/// One parsed constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    key: ConstraintKey,
    comparison: Comparison,
    value: String,
}

/// Why a text is not a constraint. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadConstraint {
    /// Neither `==` nor `!=`.
    #[error(
        "constraint `{0}` has neither == nor !=; write for example node.labels.zone==a or node.hostname!=pi-3"
    )]
    NoOperator(String),
    /// An unknown left side.
    #[error(
        "constraint `{text}`: `{key}` is not a property of a node; there are node.id, node.hostname, node.ip, node.role, node.platform.os, node.platform.arch, node.labels.NAME and engine.labels.NAME"
    )]
    UnknownKey {
        /// The whole constraint.
        text: String,
        /// Its left side.
        key: String,
    },
    /// An empty right side.
    #[error("constraint `{0}` compares with nothing; write a value after == or !=")]
    NoValue(String),
    /// `node.ip` needs an address or a prefix.
    #[error(
        "constraint `{0}`: node.ip is compared with an address or a prefix, for example 10.0.0.0/8"
    )]
    BadAddress(String),
}

impl Constraint {
    /// Parses one constraint.
    pub fn parse(text: &str) -> Result<Constraint, BadConstraint> {
        let (left, comparison, right) = if let Some((left, right)) = text.split_once("!=") {
            (left, Comparison::NotEqual, right)
        } else if let Some((left, right)) = text.split_once("==") {
            (left, Comparison::Equal, right)
        } else {
            return Err(BadConstraint::NoOperator(text.to_owned()));
        };
        let (left, value) = (left.trim(), right.trim());
        let key = ConstraintKey::parse(left)
            .ok_or_else(|| BadConstraint::UnknownKey { text: text.into(), key: left.into() })?;
        if value.is_empty() {
            return Err(BadConstraint::NoValue(text.to_owned()));
        }
        if key == ConstraintKey::Ip && Prefix::parse(value).is_none() {
            return Err(BadConstraint::BadAddress(text.to_owned()));
        }
        Ok(Constraint { key, comparison, value: value.to_owned() })
    }

    /// Does the node satisfy the constraint?
    pub fn fits(&self, node: &NodeView) -> bool {
        let equal = match &self.key {
            ConstraintKey::Id => self.value.parse::<NodeId>().is_ok_and(|id| id == node.id),
            ConstraintKey::Hostname => same(&node.hostname, &self.value),
            ConstraintKey::Ip => Prefix::parse(&self.value)
                .is_some_and(|prefix| node.ips.iter().any(|ip| prefix.contains(*ip))),
            ConstraintKey::Role => same("manager", &self.value),
            ConstraintKey::Os => same(&node.os, &self.value),
            ConstraintKey::Arch => {
                same(arch_name(&node.arch), arch_name(&self.value.to_ascii_lowercase()))
            }
            ConstraintKey::Label(name) => label(&node.labels, name, &self.value),
            ConstraintKey::EngineLabel(name) => label(&node.engine_labels, name, &self.value),
        };
        equal == (self.comparison == Comparison::Equal)
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            ConstraintKey::Id => f.write_str("node.id"),
            ConstraintKey::Hostname => f.write_str("node.hostname"),
            ConstraintKey::Ip => f.write_str("node.ip"),
            ConstraintKey::Role => f.write_str("node.role"),
            ConstraintKey::Os => f.write_str("node.platform.os"),
            ConstraintKey::Arch => f.write_str("node.platform.arch"),
            ConstraintKey::Label(name) => write!(f, "node.labels.{name}"),
            ConstraintKey::EngineLabel(name) => write!(f, "engine.labels.{name}"),
        }?;
        f.write_str(match self.comparison {
            Comparison::Equal => "==",
            Comparison::NotEqual => "!=",
        })?;
        f.write_str(&self.value)
    }
}

impl ConstraintKey {
    /// Property names are case-insensitive, as in Swarm; label names are case-sensitive.
    fn parse(text: &str) -> Option<ConstraintKey> {
        match text.to_ascii_lowercase().as_str() {
            "node.id" => Some(ConstraintKey::Id),
            "node.hostname" => Some(ConstraintKey::Hostname),
            "node.ip" => Some(ConstraintKey::Ip),
            "node.role" => Some(ConstraintKey::Role),
            "node.platform.os" => Some(ConstraintKey::Os),
            "node.platform.arch" => Some(ConstraintKey::Arch),
            _ => {
                let named = |prefix: &str| {
                    let (start, name) = text.split_at_checked(prefix.len())?;
                    (same(start, prefix) && !name.is_empty()).then(|| name.to_owned())
                };
                named("node.labels.")
                    .map(ConstraintKey::Label)
                    .or_else(|| named("engine.labels.").map(ConstraintKey::EngineLabel))
            }
        }
    }
}

/// Compares as Swarm does: without respect to case.
fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

fn label(labels: &crdt_state::spec::Labels, name: &str, value: &str) -> bool {
    labels.get(name).is_some_and(|held| same(held, value))
}

/// One name per architecture: Docker's users write either of `arm64` and `aarch64`.
pub fn arch_name(name: &str) -> &str {
    match name {
        "amd64" | "x86-64" => "x86_64",
        "arm64" => "aarch64",
        "armv7" | "armhf" | "arm" => "armv7l",
        "386" | "i386" => "i686",
        other => other,
    }
}

struct Prefix {
    address: IpAddr,
    bits: u32,
}

impl Prefix {
    fn parse(text: &str) -> Option<Prefix> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse().ok()?, None),
        };
        let bits_max = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        let bits = bits.unwrap_or(bits_max);
        (bits <= bits_max).then_some(Prefix { address, bits })
    }

    fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, ip) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let drop = 32 - self.bits;
                u64::from(net.to_bits()) >> drop == u64::from(ip.to_bits()) >> drop
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = |bits: u128| bits.checked_shr(128 - self.bits).unwrap_or(0);
                shift(net.to_bits()) == shift(ip.to_bits())
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node() -> NodeView {
        let mut node = NodeView::new(NodeId([1; 16]));
        node.hostname = "pi-1".into();
        node.arch = "aarch64".into();
        node.labels.insert("zone".into(), "a".into());
        node.ips = vec!["10.1.2.3".parse().expect("an address")];
        node
    }

    fn fits(text: &str) -> bool {
        Constraint::parse(text).expect("a constraint").fits(&node())
    }

    #[test]
    fn a_constraint_compares_what_it_names() {
        assert!(fits("node.labels.zone==a"));
        assert!(fits("node.labels.zone == A"));
        assert!(!fits("node.labels.zone!=a"));
        assert!(fits("node.labels.absent!=a"));
        assert!(!fits("engine.labels.zone==a"));
        assert!(fits("node.hostname==pi-1"));
        assert!(fits("node.platform.arch==arm64"));
        assert!(fits("node.role==manager"));
        assert!(fits(&format!("node.id=={}", NodeId([1; 16]))));
    }

    #[test]
    fn a_property_is_known_in_any_case_and_a_label_by_its_own() {
        assert!(fits("node.Hostname==PI-1"));
        assert!(fits("NODE.Platform.Arch==ARM64"));
        assert!(fits("Node.Labels.zone==a"));
        assert!(!fits("node.labels.Zone==a"));
        assert!(!fits("Engine.Labels.zone==a"));
        assert!(Constraint::parse("node.labéls.zone==a").is_err());
    }

    #[test]
    fn an_address_is_compared_by_prefix() {
        assert!(fits("node.ip==10.1.2.3"));
        assert!(fits("node.ip==10.1.0.0/16"));
        assert!(fits("node.ip==0.0.0.0/0"));
        assert!(!fits("node.ip==10.2.0.0/16"));
        assert!(!fits("node.ip==fd00::/8"));
    }

    #[test]
    fn nonsense_is_refused_with_what_to_write() {
        for (text, word) in [
            ("zone=a", "neither"),
            ("node.zone==a", "not a property"),
            ("node.labels.==a", "not a property"),
            ("node.hostname==", "nothing"),
            ("node.ip==pi", "prefix"),
            ("node.ip==10.0.0.0/33", "prefix"),
        ] {
            let error = Constraint::parse(text).expect_err("refused").to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
