//! Nothing is left of a node that leaves the fleet, nor of a lab that is taken down.

use std::path::PathBuf;

use crate::fleet::{first_processes, run_in};
use crate::shop::Shop;

/// What of a node's networks and tasks is on the machine.
struct Traces {
    processes: Vec<u32>,
    cgroups: Vec<PathBuf>,
    directory: PathBuf,
}

impl Traces {
    fn of(shop: &Shop, node: u8) -> Traces {
        let processes: Vec<u32> = first_processes(&shop.fleet.spaces(node)).into_values().collect();
        let cgroups: Vec<PathBuf> = processes.iter().flat_map(|pid| cgroups(*pid)).collect();
        assert!(processes.len() >= 2 && !cgroups.is_empty(), "it has tasks");
        let directory = shop.fleet.networks(node);
        Traces { processes, cgroups, directory }
    }

    /// The first thing that is still there.
    fn left(&self) -> Option<String> {
        // One that nobody has waited for has no command line.
        let line = |pid: &u32| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let process = self.processes.iter().find(|pid| !line(pid).is_empty());
        let mut paths = self.cgroups.iter().chain([&self.directory]);
        let path = paths.find(|path| path.exists()).map(|path| path.display().to_string());
        process.map(|pid| format!("process {pid}")).or(path)
    }
}

/// The control groups of a process, but for the machine's own.
fn cgroups(pid: u32) -> Vec<PathBuf> {
    let rows = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    let paths = rows.lines().filter_map(|row| {
        let mut columns = row.splitn(3, ':').skip(1);
        let (controllers, path) = (columns.next()?, columns.next()?);
        path.contains("edgectl").then_some((controllers, path))
    });
    let paths = paths.flat_map(|(controllers, path)| {
        let controllers = controllers.trim_start_matches("name=");
        let folders = [controllers, "unified", ""];
        folders.map(|folder| PathBuf::from("/sys/fs/cgroup").join(folder).join(&path[1..]))
    });
    paths.filter(|path| path.exists()).collect()
}

/// The second node leaves the fleet, and its network is as it was before.
pub fn check_leave(shop: &Shop) {
    let fleet = &shop.fleet;
    let (host, traces) = (fleet.host(2), Traces::of(shop, 2));
    let links = || run_in(&host, &["ip", "-o", "link"]);
    assert!(links().lines().count() > 2, "it has links of networks");
    fleet.edgectl(2, &["swarm", "leave", "--force"]);
    fleet.until("its tasks end", || {
        traces.left().is_none_or(|left| {
            eprintln!("{left}");
            false
        })
    });
    assert_eq!(links().lines().count(), 2, "lo and eth0: {}", links());
    assert_eq!(run_in(&host, &["nft", "list", "ruleset"]), "");
    let untouched = PathBuf::from(format!("/run/netns/edgelab-{}-switch", fleet.lab.name));
    for family in ["-4", "-6"] {
        let rules = |space| run_in(space, &["ip", family, "rule"]);
        assert_eq!(rules(&host), rules(&untouched));
    }
    let routes = run_in(&host, &["ip", "route", "show", "table", "all"]);
    let foreign = routes.lines().find(|row| !row.contains("dev eth0") && !row.contains("dev lo"));
    assert_eq!(foreign, None);
    assert!(!mounts().contains(&traces.directory.display().to_string()), "{}", mounts());
}

/// The lab ends after all of its agents were killed.
pub fn check_down(shop: Shop) {
    let traces = Traces::of(&shop, 1);
    shop.fleet.kill_agent(1);
    let (name, dir) = (shop.fleet.lab.name.clone(), shop.fleet.lab.dir.clone());
    drop(shop.echoes);
    shop.fleet.lab.succeed(&["down"]);
    assert_eq!(traces.left(), None);
    let dir = dir.display().to_string();
    assert!(!mounts().contains(&dir) && !mounts().contains(&name), "{}", mounts());
    let namespaces = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let namespaces = namespaces.map(|entry| entry.file_name().to_string_lossy().into_owned());
    assert_eq!(namespaces.filter(|found| found.contains(&name)).collect::<Vec<_>>(), [""; 0]);
    let processes = std::fs::read_dir("/proc").expect("readable").flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).into_owned());
    assert_eq!(lines.filter(|line| line.contains(&dir)).collect::<Vec<_>>(), [""; 0]);
    assert!(!std::path::Path::new(&dir).exists());
}

fn mounts() -> String {
    std::fs::read_to_string("/proc/self/mounts").expect("readable")
}
