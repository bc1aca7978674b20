//! Kernel parameters of a container: only those of its own namespaces. Any other parameter would
//! change the node for all other tasks too.

use std::collections::BTreeMap;

use crdt_state::spec::{Container, NetworkMode};

use super::machine::NET_DEFAULTS;
use super::{BundleError, HostFeatures};

/// The parameters of the System V IPC namespace, as whole names.
const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];

/// Reads the parameters, and adds Docker's own where the container has its own network.
pub fn sysctls(
    container: &Container,
    machine: &HostFeatures,
) -> Result<BTreeMap<String, String>, BundleError> {
    let mut set = BTreeMap::new();
    if container.network != NetworkMode::Host {
        let here = NET_DEFAULTS.iter().filter(|(name, _)| machine.net_sysctls.contains(name));
        set.extend(here.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    }
    for (name, value) in &container.sysctls {
        // The kernel's tools accept both `.` and `/`, the runtimes only dots. In a name with dots,
        // a `/` belongs to the name of a device.
        let dotted = if name.contains('.') { name.clone() } else { name.replace('/', ".") };
        check(&dotted, container.network)?;
        set.insert(dotted, value.clone());
    }
    Ok(set)
}

fn check(name: &str, network: NetworkMode) -> Result<(), BundleError> {
    let steps_out = name.split(['.', '/']).any(str::is_empty);
    if !steps_out && (IPC.contains(&name) || name.starts_with("fs.mqueue.")) {
        return Ok(());
    }
    match (name.starts_with("net.") && !steps_out, network) {
        (true, NetworkMode::None) => Ok(()),
        (true, NetworkMode::Host) => Err(BundleError::SysctlOfNetwork(name.to_owned())),
        (false, _) => Err(BundleError::SysctlOfNode(name.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use super::*;

    fn read(
        network: NetworkMode,
        name: &str,
        value: &str,
    ) -> Result<BTreeMap<String, String>, BundleError> {
        let sysctls = BTreeMap::from([(name.to_owned(), value.to_owned())]);
        sysctls_of(Container { network, sysctls, ..Container::default() })
    }

    fn sysctls_of(container: Container) -> Result<BTreeMap<String, String>, BundleError> {
        sysctls(&container, &machine())
    }

    #[test]
    fn parameters_of_its_own_namespaces_can_be_set() {
        let set = read(NetworkMode::Host, "kernel.shmmax", "1").expect("its own");
        assert_eq!(set.get("kernel.shmmax").map(String::as_str), Some("1"));
        assert!(read(NetworkMode::Host, "fs.mqueue.msg_max", "1").is_ok());
        let set = read(NetworkMode::None, "net/core/somaxconn", "1").expect("its own");
        assert!(set.contains_key("net.core.somaxconn"));
    }

    #[test]
    fn parameters_of_the_node_are_refused() {
        for name in ["kernel.panic", "vm.swappiness", "kernel.shmmax.x", "net..x", "fs.file-max"] {
            let refused = read(NetworkMode::None, name, "1");
            assert!(matches!(refused, Err(BundleError::SysctlOfNode(_))), "{name}");
        }
        let refused = read(NetworkMode::Host, "net.ipv4.ip_forward", "1");
        assert!(matches!(refused, Err(BundleError::SysctlOfNetwork(_))));
    }

    #[test]
    fn dockers_defaults_are_set_only_in_a_network_of_its_own() {
        let set = sysctls_of(Container::default()).expect("nothing is asked");
        assert!(set.is_empty());
        let none = Container { network: NetworkMode::None, ..Container::default() };
        assert_eq!(sysctls_of(none).expect("nothing is asked").len(), NET_DEFAULTS.len());
        let set = read(NetworkMode::None, "net.ipv4.ip_unprivileged_port_start", "80");
        let set = set.expect("its own");
        assert_eq!(set["net.ipv4.ip_unprivileged_port_start"], "80");
    }
}
