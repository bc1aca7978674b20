//! Placement constraints: `node.labels.zone==a`, `node.hostname!=pi-3`, `node.labels.zone in (a, b)`.
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

/// How the property is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `in (…)`: equal to one of them. Docker has no such comparison.
    In,
    /// `not in (…)`
    NotIn,
}

/// One parsed constraint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Constraint {
    key: ConstraintKey,
    comparison: Comparison,
    /// One value, or those of the set.
    values: Vec<String>,
}

/// Why a text is not a constraint. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadConstraint {
    /// No comparison.
    #[error(
        "constraint `{0}` has neither == nor != nor in (…); write for example node.labels.zone==a, node.hostname!=pi-3 or node.labels.zone in (a, b)"
    )]
    NoOperator(String),
    /// A set without both brackets.
    #[error("constraint `{0}`: a set of values is in brackets; write for example in (a, b)")]
    NoBrackets(String),
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
    #[error(
        "constraint `{0}` compares with nothing; write a value after == or !=, or several in brackets: in (a, b)"
    )]
    NoValue(String),
    /// A role that there is not.
    #[error(
        "constraint `{0}`: a role is manager or worker; every node of a fleet is a manager, so node.role==worker fits none"
    )]
    BadRole(String),
    /// `node.ip` needs an address or a prefix.
    #[error(
        "constraint `{0}`: node.ip is compared with an address or a prefix, for example 10.0.0.0/8"
    )]
    BadAddress(String),
}

impl Constraint {
    /// Parses one constraint.
    pub fn parse(text: &str) -> Result<Constraint, BadConstraint> {
        let (left, comparison, values) = match split_set(text) {
            Some((left, comparison, set)) => (left, comparison, values_of_set(text, set)?),
            None => {
                let (left, comparison, right) = split_pair(text)?;
                (left, comparison, vec![right.trim().to_owned()])
            }
        };
        let left = left.trim();
        let key = ConstraintKey::parse(left)
            .ok_or_else(|| BadConstraint::UnknownKey { text: text.into(), key: left.into() })?;
        if values.iter().any(String::is_empty) {
            return Err(BadConstraint::NoValue(text.to_owned()));
        }
        if key == ConstraintKey::Ip && values.iter().any(|value| Prefix::parse(value).is_none()) {
            return Err(BadConstraint::BadAddress(text.to_owned()));
        }
        Ok(Constraint { key, comparison, values })
    }

    /// Parses a constraint that somebody types now: also refuses what can only be a mistake. What
    /// is stored is never asked for that, because a service may have had it for long.
    pub fn parse_typed(text: &str) -> Result<Constraint, BadConstraint> {
        let typed = Constraint::parse(text)?;
        let is_role = |value: &String| same(value, "manager") || same(value, "worker");
        if typed.key == ConstraintKey::Role && !typed.values.iter().all(is_role) {
            return Err(BadConstraint::BadRole(text.to_owned()));
        }
        Ok(typed)
    }

    /// Does the node satisfy the constraint?
    pub fn fits(&self, node: &NodeView) -> bool {
        let is_one_of_them = self.values.iter().any(|value| self.key.is(node, value));
        is_one_of_them == matches!(self.comparison, Comparison::Equal | Comparison::In)
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
        let values = self.values.join(", ");
        match self.comparison {
            Comparison::Equal => write!(f, "=={values}"),
            Comparison::NotEqual => write!(f, "!={values}"),
            Comparison::In => write!(f, " in ({values})"),
            Comparison::NotIn => write!(f, " not in ({values})"),
        }
    }
}

impl ConstraintKey {
    /// Is this the property's value on the node?
    fn is(&self, node: &NodeView, value: &str) -> bool {
        match self {
            ConstraintKey::Id => value.parse::<NodeId>().is_ok_and(|id| id == node.id),
            ConstraintKey::Hostname => same(&node.hostname, value),
            ConstraintKey::Ip => Prefix::parse(value)
                .is_some_and(|prefix| node.ips.iter().any(|ip| prefix.contains(*ip))),
            ConstraintKey::Role => same("manager", value),
            ConstraintKey::Os => same(&node.os, value),
            ConstraintKey::Arch => {
                same(arch_name(&node.arch), arch_name(&value.to_ascii_lowercase()))
            }
            ConstraintKey::Label(name) => label(&node.labels, name, value),
            ConstraintKey::EngineLabel(name) => label(&node.engine_labels, name, value),
        }
    }

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

/// `node.labels.zone in (a, b)`: the property, the comparison, and what follows it. `None` if the
/// second word is neither `in` nor `not`, as in `node.labels.in == a`.
fn split_set(text: &str) -> Option<(&str, Comparison, &str)> {
    let (left, rest) = text.trim_start().split_once(char::is_whitespace)?;
    let after = |text: &'_ str, word: &str| -> Option<usize> {
        let (start, rest) = text.split_at_checked(word.len())?;
        let is_word =
            same(start, word) && rest.starts_with(|c: char| c.is_whitespace() || c == '(');
        is_word.then_some(word.len())
    };
    let rest = rest.trim_start();
    match after(rest, "not") {
        Some(end) => {
            let rest = rest[end..].trim_start();
            after(rest, "in").map(|end| (left, Comparison::NotIn, &rest[end..]))
        }
        None => after(rest, "in").map(|end| (left, Comparison::In, &rest[end..])),
    }
}

fn values_of_set(text: &str, set: &str) -> Result<Vec<String>, BadConstraint> {
    let inner = set.trim().strip_prefix('(').and_then(|set| set.strip_suffix(')'));
    let inner = inner.ok_or_else(|| BadConstraint::NoBrackets(text.to_owned()))?;
    Ok(inner.split(',').map(|value| value.trim().to_owned()).collect())
}

fn split_pair(text: &str) -> Result<(&str, Comparison, &str), BadConstraint> {
    if let Some((left, right)) = text.split_once("!=") {
        Ok((left, Comparison::NotEqual, right))
    } else if let Some((left, right)) = text.split_once("==") {
        Ok((left, Comparison::Equal, right))
    } else {
        Err(BadConstraint::NoOperator(text.to_owned()))
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
    fn a_set_fits_whoever_has_one_of_its_values() {
        assert!(fits("node.labels.zone in (b, A)"));
        assert!(fits("node.labels.zone IN(a)"));
        assert!(!fits("node.labels.zone in (b,c)"));
        assert!(!fits("node.labels.absent in (a)"));
        assert!(fits("node.labels.zone not in (b, c)"));
        assert!(!fits("node.labels.zone  not  in  (a, b)"));
        assert!(fits("node.labels.absent not in (a)"));
        assert!(fits("node.ip in (fd00::/8, 10.1.0.0/16)"));
        assert!(fits("node.platform.arch in (amd64, arm64)"));
        assert!(!fits("node.role in (worker)"));
        let shown = |text: &str| Constraint::parse(text).expect("a constraint").to_string();
        assert_eq!(shown("Node.Labels.zone in(a,b)"), "node.labels.zone in (a, b)");
        assert_eq!(shown("node.hostname NOT IN (x)"), "node.hostname not in (x)");
    }

    #[test]
    fn a_role_that_there_is_not_is_refused_when_it_is_typed_and_read_when_it_is_stored() {
        let error = Constraint::parse_typed("node.role!=boss").expect_err("refused").to_string();
        assert!(error.contains("manager or worker"), "{error}");
        assert!(fits("node.role!=boss"));
    }

    #[test]
    fn a_label_may_be_called_like_a_comparison() {
        let mut node = node();
        node.labels.insert("in".into(), "(a)".into());
        let fits = |text: &str| Constraint::parse(text).expect("a constraint").fits(&node);
        assert!(fits("node.labels.in == (a)"));
        assert!(fits("node.labels.in in ((a))"));
        assert!(!fits("node.labels.zone==in (a)"));
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
            ("node.ip in (10.0.0.1, pi)", "prefix"),
            ("node.labels.zone in a, b", "brackets"),
            ("node.labels.zone in (a, b", "brackets"),
            ("node.labels.zone in ()", "nothing"),
            ("node.labels.zone not in (a,)", "nothing"),
            ("node.labels.zone not (a)", "neither"),
            ("node.labels.zone within (a)", "neither"),
            ("node.zone in (a)", "not a property"),
        ] {
            let error = Constraint::parse(text).expect_err("refused").to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
