//! Affinities: `service==db` puts a service where tasks of db are, `service!=web` where none of web
//! are; `image==` and `image!=` mean every service of an image.
//!
//! This file reads them and compares; who is where is found out in [`crate::neighbours`].

use std::collections::BTreeSet;
use std::fmt;

use crdt_state::NodeId;

use crate::reason::NodeReason;

/// Whose tasks are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Other {
    /// Those of the service of this name.
    Service(String),
    /// Those of every other service of this image; without a tag, of every tag of it.
    Image(String),
}

/// Where they must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// On the same node: `==`.
    Beside,
    /// On none of the same nodes: `!=`.
    Apart,
}

/// One parsed affinity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Affinity {
    other: Other,
    side: Side,
    met: Met,
}

/// Where the other services have tasks by the plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Met {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// There is no such service.
    Nobody,
    /// Its place depends on the service that asks.
    Circle,
    /// On these nodes.
    On(BTreeSet<NodeId>),
}

/// Why a text is not an affinity. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAffinity {
    /// No comparison, or nothing that is compared.
    #[error(
        "affinity `{0}`: it says beside whom a service runs; write service==db, service!=web, image==redis or image!=redis"
    )]
    NoComparison(String),
    /// Neither a service nor an image.
    #[error(
        "affinity `{0}`: `{1}` is neither service nor image; write service==db or image!=redis, and what is said of nodes as --constraint"
    )]
    UnknownWord(String, String),
}

impl Affinity {
    /// Parses one affinity; the words `service` and `image` are known in any case.
    pub fn parse(text: &str) -> Result<Affinity, BadAffinity> {
        let no_comparison = || BadAffinity::NoComparison(text.to_owned());
        let (at, side) = [("==", Side::Beside), ("!=", Side::Apart)]
            .into_iter()
            .filter_map(|(sign, side)| Some((text.find(sign)?, side)))
            .min_by_key(|(at, _)| *at)
            .ok_or_else(no_comparison)?;
        let (word, value) = (text[..at].trim(), text[at + 2..].trim());
        if value.is_empty() || value.contains(|c: char| c.is_whitespace() || "=!,".contains(c)) {
            return Err(no_comparison());
        }
        let other = match word.to_ascii_lowercase().as_str() {
            "service" => Other::Service(value.to_owned()),
            "image" => Other::Image(short_image(value).to_owned()),
            _ => return Err(BadAffinity::UnknownWord(text.to_owned(), word.to_owned())),
        };
        Ok(Affinity { other, side, met: Met::Unknown })
    }

    /// Whose tasks are meant.
    pub fn other(&self) -> &Other {
        &self.other
    }

    /// Where they must be.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The same affinity, after a look at the other services.
    pub fn having_met(&self, met: Met) -> Affinity {
        Affinity { met, ..self.clone() }
    }

    /// Why the node does not fit, if it does not.
    pub fn obstacle(&self, node: NodeId) -> Option<NodeReason> {
        let whose = match &self.other {
            Other::Service(name) | Other::Image(name) => name,
        };
        let why = match (self.side, &self.met) {
            (Side::Beside, Met::On(nodes)) if nodes.contains(&node) => return None,
            (Side::Beside, Met::On(_)) => format!("no task of {whose} has its place here"),
            (Side::Beside, Met::Circle) => {
                format!("{whose} is itself placed by this service; --affinity-rm one of the two")
            }
            (Side::Beside, Met::Nobody | Met::Unknown) => format!("there is no {}", self.other),
            (Side::Apart, Met::On(nodes)) if nodes.contains(&node) => {
                format!("a task of {whose} has its place here")
            }
            (Side::Apart, _) => return None,
        };
        Some(NodeReason::Affinity(self.to_string(), why))
    }
}

impl Other {
    /// Is this service meant?
    pub fn is(&self, name: &str, image: &str) -> bool {
        match self {
            Other::Service(wanted) => wanted == name,
            Other::Image(wanted) => is_image(wanted, image),
        }
    }
}

/// `service db`, `image redis`.
impl fmt::Display for Other {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Other::Service(name) => write!(f, "service {name}"),
            Other::Image(name) => write!(f, "service of the image {name}"),
        }
    }
}

/// `service==db`.
impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.side == Side::Beside { "==" } else { "!=" };
        match &self.other {
            Other::Service(name) => write!(f, "service{sign}{name}"),
            Other::Image(name) => write!(f, "image{sign}{name}"),
        }
    }
}

/// Is the image of this reference meant? A tag counts only if one is wanted.
fn is_image(wanted: &str, image: &str) -> bool {
    let image = short_image(image.split('@').next().unwrap_or_default());
    let name = match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => image,
    };
    !image.is_empty() && (wanted == image || wanted == name)
}

/// Without what Docker puts before every short name.
fn short_image(image: &str) -> &str {
    let image = image.strip_prefix("docker.io/").unwrap_or(image);
    image.strip_prefix("library/").unwrap_or(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_affinity_names_a_service_or_an_image() {
        for (text, shown) in [
            ("service==db", "service==db"),
            (" Service != web ", "service!=web"),
            ("image==docker.io/library/redis", "image==redis"),
            ("image!=registry:5000/a:1", "image!=registry:5000/a:1"),
        ] {
            assert_eq!(Affinity::parse(text).expect(text).to_string(), shown);
        }
        for (text, word) in [
            ("", "write service==db"),
            ("db", "write service==db"),
            ("service=db", "write service==db"),
            ("service==", "write service==db"),
            ("service==db==web", "write service==db"),
            ("service==a, b", "write service==db"),
            ("node.labels.zone==a", "as --constraint"),
            ("==db", "neither service nor image"),
        ] {
            let error = Affinity::parse(text).expect_err(text).to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn an_image_is_known_with_and_without_its_tag_and_digest() {
        let is = |wanted: &str, image| match Affinity::parse(&format!("image=={wanted}")) {
            Ok(affinity) => affinity.other.is("x", image),
            Err(error) => panic!("{error}"),
        };
        for image in ["redis", "redis:7", "docker.io/library/redis:7@sha256:00"] {
            assert!(is("redis", image), "{image}");
            assert!(!is("red", image) && !is("redis:8", image), "{image}");
        }
        assert!(is("redis:7", "redis:7@sha256:00") && !is("redis:7", "redis"));
        assert!(is("registry:5000/a", "registry:5000/a:1") && !is("registry", "registry:5000/a"));
        assert!(!is("redis", ""), "a program of the host has none");
    }
}
