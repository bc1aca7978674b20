//! Facts about this machine, as the node publishes them. Read once at the start, but for its
//! addresses and its devices: no other fact changes by itself.

use crdt_state::resource::NamedResources;
use crdt_state::spec::Resources;
use node_core::{FoundDevices, NodeFacts};

use super::own_addresses::OwnAddresses;
use crate::config::{Amount, Config};

/// The facts of this machine.
pub(super) fn read(config: &Config, own: &OwnAddresses, devices: FoundDevices) -> NodeFacts {
    NodeFacts {
        hostname: config.hostname.clone().unwrap_or_else(hostname),
        os: std::env::consts::OS.to_owned(),
        arch: arch().to_owned(),
        resources: resources(config),
        named_resources: named(config),
        devices,
        engine_labels: config.labels.clone(),
        engine_version: env!("CARGO_PKG_VERSION").to_owned(),
        addresses: own.texts(),
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

fn resources(config: &Config) -> Resources {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    Resources {
        nano_cpus: cpus * 1_000_000_000,
        memory_bytes: memory_total(&memory),
        pids: 0,
        generic: config
            .generic_resources
            .iter()
            .map(|(kind, amount)| (kind.clone(), amount.count()))
            .collect(),
    }
}

fn named(config: &Config) -> NamedResources {
    let named = config.generic_resources.iter().filter_map(|(kind, amount)| match amount {
        Amount::Named(names) => Some((kind.clone(), names.clone())),
        Amount::Count(_) => None,
    });
    named.collect()
}

/// 0 if the text has no such line.
fn memory_total(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes_and_missing_memory_is_none() {
        assert_eq!(memory_total("MemTotal:       16384 kB\nMemFree: 1 kB"), 16_777_216);
        assert_eq!(memory_total("nothing"), 0);
    }
}
