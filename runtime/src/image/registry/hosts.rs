//! The hosts that serve a registry, in order, and which of them may be used without TLS. Pure.

use std::net::IpAddr;

use super::{Purpose, RegistryConfig};
use crate::image::mirror::{DEFAULT_REGISTRY, Host, Schemes};

/// Where Docker's default registry is.
const DEFAULT_REGISTRY_HOST: &str = "registry-1.docker.io";

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
    use crate::image::mirror::MirrorEntry;

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
}
