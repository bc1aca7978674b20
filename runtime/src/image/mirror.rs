//! The hosts of registries and mirrors, and the schemes to use for them. Pure.

use std::str::FromStr;

/// Docker's default registry, by its name in references.
pub(super) const DEFAULT_REGISTRY: &str = "docker.io";

/// Where a registry or a mirror is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Host, with a port if there is one.
    pub authority: String,
    /// How it is spoken to.
    pub schemes: Schemes,
    /// It only stands in for the registry.
    pub is_mirror: bool,
}

/// How a host is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schemes {
    /// TLS with a certificate that is trusted.
    Https,
    /// Plain.
    Http,
    /// TLS with any certificate, and plain if it has none: what Docker does with registries that
    /// were named insecure.
    Either,
}

/// Why a text is not a mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a mirror is written as http://HOST[:PORT] or https://HOST[:PORT], with REGISTRY= in front unless it stands for docker.io"
)]
pub struct BadMirror;

/// One entry of `registry_mirrors`: of which registry, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MirrorEntry {
    /// The registry it stands for.
    pub registry: String,
    /// Where it is.
    pub host: Host,
}

impl FromStr for MirrorEntry {
    type Err = BadMirror;

    fn from_str(text: &str) -> Result<MirrorEntry, BadMirror> {
        let (registry, url) = text.split_once('=').unwrap_or((DEFAULT_REGISTRY, text));
        let (schemes, rest) = if let Some(rest) = url.strip_prefix("https://") {
            (Schemes::Https, rest)
        } else if let Some(rest) = url.strip_prefix("http://") {
            (Schemes::Http, rest)
        } else {
            return Err(BadMirror);
        };
        let authority = rest.trim_end_matches('/');
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':' | '[' | ']');
        let is_host = |text: &str| !text.is_empty() && text.chars().all(legal);
        if !is_host(authority) || !is_host(registry) {
            return Err(BadMirror);
        }
        let host = Host { authority: authority.to_owned(), schemes, is_mirror: true };
        Ok(MirrorEntry { registry: registry.to_owned(), host })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_may_stand_for_any_registry() {
        let entry: MirrorEntry = "ghcr.io=https://mirror.shop".parse().expect("a mirror");
        assert_eq!((entry.registry.as_str(), entry.host.schemes), ("ghcr.io", Schemes::Https));
        for bad in ["mirror.shop", "ftp://x", "https://", "=https://x", "https://a/b"] {
            assert_eq!(bad.parse::<MirrorEntry>(), Err(BadMirror), "{bad}");
        }
    }
}
