//! Which hosts stand for a registry, in which order, and which of them may do without TLS. Pure.

use std::net::IpAddr;
use std::str::FromStr;

use super::registry::{Purpose, RegistryConfig};

/// Docker's default registry, by its name in references and by its host.
const DEFAULT_REGISTRY: &str = "docker.io";
const DEFAULT_REGISTRY_HOST: &str = "registry-1.docker.io";

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

/// The mirrors of a registry and then itself. What is pushed goes to the registry alone.
pub fn hosts(config: &RegistryConfig, registry: &str, purpose: Purpose) -> Vec<Host> {
    let mut hosts = match purpose {
        Purpose::Pull => config.mirrors.get(registry).cloned().unwrap_or_default(),
        Purpose::Push => Vec::new(),
    };
    let authority = if registry == DEFAULT_REGISTRY { DEFAULT_REGISTRY_HOST } else { registry };
    let schemes = match is_insecure(&config.insecure, authority) {
        true => Schemes::Either,
        false => Schemes::Https,
    };
    hosts.push(Host { authority: authority.to_owned(), schemes, is_mirror: false });
    hosts
}

/// Loopback always is; the list names the others.
fn is_insecure(insecure: &[String], authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let loopback = bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    loopback
        || host == "localhost"
        || insecure.iter().any(|named| named == authority || named == host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_listed_registries_may_do_without_tls() {
        let insecure = vec!["nas:5000".to_owned(), "10.0.0.9".to_owned()];
        for host in
            ["localhost", "localhost:5000", "127.0.0.1:1", "[::1]:5000", "nas:5000", "10.0.0.9:80"]
        {
            assert!(is_insecure(&insecure, host), "{host}");
        }
        for host in ["nas", "nas:5001", "10.0.0.90", "registry.example", "127.example:1"] {
            assert!(!is_insecure(&insecure, host), "{host}");
        }
    }

    #[test]
    fn mirrors_come_first_and_take_no_pushes() {
        let mut config = RegistryConfig::default();
        let entry: MirrorEntry = "http://10.0.0.9:5000/".parse().expect("a mirror");
        assert_eq!(entry.registry, "docker.io");
        config.mirrors.insert(entry.registry, vec![entry.host]);
        let names = |purpose| -> Vec<String> {
            let hosts = hosts(&config, "docker.io", purpose);
            hosts.into_iter().map(|host| host.authority).collect()
        };
        assert_eq!(names(Purpose::Pull), ["10.0.0.9:5000", "registry-1.docker.io"]);
        assert_eq!(names(Purpose::Push), ["registry-1.docker.io"]);
    }

    #[test]
    fn a_mirror_may_stand_for_any_registry() {
        let entry: MirrorEntry = "ghcr.io=https://mirror.shop".parse().expect("a mirror");
        assert_eq!((entry.registry.as_str(), entry.host.schemes), ("ghcr.io", Schemes::Https));
        for bad in ["mirror.shop", "ftp://x", "https://", "=https://x", "https://a/b"] {
            assert_eq!(bad.parse::<MirrorEntry>(), Err(BadMirror), "{bad}");
        }
    }
}
