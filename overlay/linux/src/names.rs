//! Names of links and files. All are derived from ids, so that after a restart of the agent they
//! are found again.

use std::path::{Path, PathBuf};

use crdt_state::NetworkId;
use crdt_state::task::Run;
use overlay::plan::Mac;

/// The VXLAN device of a network, in its namespace.
pub const VXLAN: &str = "vxlan0";

/// The VXLAN device of a network whose packets go through the tunnel, although the network is not
/// encrypted; beside the other one.
pub const DETOUR: &str = "vxlan1";

/// What the names of both begin with.
pub const VXLAN_LINKS: &str = "vxlan";

/// The network's end of the pair that leads to the host.
pub const UPLINK: &str = "uplink";

/// The link address of every end in a network's namespace. One for all is enough: each is alone on
/// its pair, and a task's gateway is then known before the pair is made.
pub const NETWORK_END: Mac = [0x02, 0xec, 0, 0, 0, 1];

/// The link address of the host's end of every uplink.
pub const HOST_END: Mac = [0x02, 0xec, 0, 0, 0, 2];

/// What the names of the host's ends begin with.
pub const HOST_LINKS: &str = "ec";

/// The host's end of the pair that leads to a network: two agents on one machine differ by their
/// directories.
pub fn host_link(directory: &Path, network: NetworkId) -> String {
    let hash = hash(&[directory.as_os_str().as_encoded_bytes(), &network.0]);
    format!("{HOST_LINKS}{}", &hash[..8])
}

/// The device of the tunnel, in the host's namespace.
pub fn tunnel_link(directory: &Path) -> String {
    format!("{HOST_LINKS}t{}", &hash(&[directory.as_os_str().as_encoded_bytes()])[..8])
}

/// The network's end of the pair that leads to a task.
pub fn task_link(run: Run, network: NetworkId) -> String {
    let hash = hash(&[&run.task.0, &run.attempt.to_be_bytes(), &network.0]);
    format!("t{}", &hash[..12])
}

/// Does this link lead to a task?
pub fn is_task_link(name: &str) -> bool {
    name.strip_prefix('t')
        .is_some_and(|rest| rest.len() == 12 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().to_hex().to_string()
}

/// The directory of the networks' namespaces.
pub fn networks(directory: &Path) -> PathBuf {
    directory.join("net")
}

/// The directory of the tasks' namespaces.
pub fn tasks(directory: &Path) -> PathBuf {
    directory.join("task")
}

/// The namespace in which an agent tries what the machine can do, while it does.
pub fn probe(directory: &Path) -> PathBuf {
    directory.join("probe")
}

/// The namespace of a network.
pub fn network_file(directory: &Path, network: NetworkId) -> PathBuf {
    networks(directory).join(network.to_string())
}

/// The namespace of a task.
pub fn task_file(directory: &Path, run: Run) -> PathBuf {
    tasks(directory).join(format!("{}.{}", run.task, run.attempt))
}

/// The interfaces of a task: next to its namespace, so that both end with the machine.
pub fn record_file(directory: &Path, run: Run) -> PathBuf {
    tasks(directory).join(format!("{}.{}.json", run.task, run.attempt))
}

/// The run that a file in the directory of tasks belongs to.
pub fn run_of(name: &str) -> Option<Run> {
    let (task, attempt) = name.strip_suffix(".json").unwrap_or(name).split_once('.')?;
    Some(Run { task: task.parse().ok()?, attempt: attempt.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> Run {
        Run { task: crdt_state::TaskId([7; 16]), attempt: 3 }
    }

    #[test]
    fn a_name_of_a_link_fits_into_fifteen_bytes() {
        let network = NetworkId([9; 16]);
        assert_eq!(host_link(Path::new("/run/edgectl/a/net"), network).len(), 10);
        assert_eq!(tunnel_link(Path::new("/run/edgectl/a/net")).len(), 11);
        assert_eq!(task_link(run(), network).len(), 13);
        assert!(is_task_link(&task_link(run(), network)));
        assert!(!is_task_link("tunl0"));
    }

    #[test]
    fn the_run_of_a_file_is_found_from_its_name() {
        for file in [task_file(Path::new("/d"), run()), record_file(Path::new("/d"), run())] {
            assert_eq!(run_of(file.file_name().unwrap().to_str().unwrap()), Some(run()));
        }
        assert_eq!(run_of("probe"), None);
    }
}
