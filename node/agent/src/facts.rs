//! Facts about this machine, as the node publishes them. Read once at the start: no fact changes by
//! itself, so that an idle fleet writes nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crdt_state::spec::Resources;
use node_core::NodeFacts;

use crate::config::Config;

/// Addresses that are published at most.
const ADDRESSES_MAX: usize = 8;

/// The facts of this machine, for an agent that listens at `listening`.
pub(super) fn read(config: &Config, listening: SocketAddr) -> NodeFacts {
    NodeFacts {
        hostname: config.hostname.clone().unwrap_or_else(hostname),
        os: std::env::consts::OS.to_owned(),
        arch: arch().to_owned(),
        resources: resources(),
        engine_labels: config.labels.clone(),
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        addresses: addresses(config, listening).iter().map(ToString::to_string).collect(),
    }
}

fn hostname() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// Docker's names of architectures.
fn arch() -> &'static str {
    match std::env::consts::ARCH {
        "arm" => "armv7l",
        "x86" => "i686",
        other => other,
    }
}

fn resources() -> Resources {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Resources {
        nano_cpus: cpus * 1_000_000_000,
        memory_bytes: memory_total(&memory),
        pids: 0,
        generic: BTreeMap::new(),
    }
}

/// 0 if the text has no such line.
fn memory_total(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The address by which this machine's agent is reached best; `None`: only by itself.
pub(super) fn data_address(config: &Config) -> Option<IpAddr> {
    let addresses = addresses(config, config.listen);
    addresses.into_iter().map(|address| address.ip()).find(|ip| !ip.is_loopback())
}

/// The advertised address first, then the addresses where the agent can be reached, best first:
/// IPv4 before IPv6, and loopback only if the agent listens nowhere else.
fn addresses(config: &Config, listening: SocketAddr) -> Vec<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = config.advertise.into_iter().collect();
    if listening.ip().is_unspecified() {
        let mut found: Vec<IpAddr> = interface_addresses()
            .into_iter()
            .filter(|ip| ip.is_ipv4() || listening.is_ipv6())
            .collect();
        found.sort_by_key(|ip| (ip.is_ipv6(), *ip));
        addresses.extend(found.into_iter().map(|ip| SocketAddr::new(ip, listening.port())));
    } else {
        addresses.push(listening);
    }
    let mut seen = std::collections::BTreeSet::new();
    addresses.retain(|addr| seen.insert(*addr));
    addresses.truncate(ADDRESSES_MAX);
    addresses
}

/// Addresses of interfaces that are up, without loopback and link-local ones.
fn interface_addresses() -> Vec<IpAddr> {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return Vec::new() };
    interfaces
        .filter(|interface| interface.flags.contains(nix::net::if_::InterfaceFlags::IFF_UP))
        .filter_map(|interface| {
            let address = interface.address?;
            let v4 = address.as_sockaddr_in().map(|found| IpAddr::V4(found.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|found| IpAddr::V6(found.ip())))
        })
        .filter(|ip| match ip {
            IpAddr::V4(v4) => !v4.is_loopback() && !v4.is_link_local(),
            IpAddr::V6(v6) => !v6.is_loopback() && !v6.is_unicast_link_local(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigKey;

    #[test]
    fn memory_is_read_in_bytes_and_missing_memory_is_none() {
        assert_eq!(memory_total("MemTotal:       16384 kB\nMemFree: 1 kB"), 16_777_216);
        assert_eq!(memory_total("nothing"), 0);
    }

    #[test]
    fn the_advertised_address_comes_first_and_none_twice() {
        let flags = [
            (ConfigKey::Listen, "127.0.0.3:7000".to_owned()),
            (ConfigKey::Advertise, "192.0.2.1".to_owned()),
        ];
        let mut config = Config::from_sources(None, |_| None, &flags).expect("a configuration");
        let texts = |config: &Config| read(config, config.listen).addresses;
        assert_eq!(texts(&config), ["192.0.2.1:7000", "127.0.0.3:7000"]);
        config.advertise = Some(config.listen);
        assert_eq!(texts(&config), ["127.0.0.3:7000"]);
    }
}
