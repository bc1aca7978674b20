//! Which cgroup hierarchies are mounted where, read once from `/proc/self/mountinfo`.

use std::fs;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Version of the cgroup interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CgroupVersion {
    /// One hierarchy per controller.
    V1,
    /// One hierarchy for all.
    V2,
}

/// What can be limited, counted or tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Controller {
    /// Memory.
    Memory,
    /// Time on processors.
    Cpu,
    /// Number of processes and threads.
    Pids,
    /// Limits nothing; identifies the processes that belong together on version 1.
    Freezer,
    /// Counts time on processors, on version 1; version 2 always does.
    Cpuacct,
    /// Counts what is read from and written to disks.
    Io,
}

impl Controller {
    const ALL: [Controller; 6] = [
        Controller::Memory,
        Controller::Cpu,
        Controller::Pids,
        Controller::Freezer,
        Controller::Cpuacct,
        Controller::Io,
    ];
    /// What can be limited.
    pub const LIMITING: [Controller; 3] = [Controller::Memory, Controller::Cpu, Controller::Pids];

    /// The kernel's name for it, in version 2.
    pub fn name(self) -> &'static str {
        match self {
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
            Controller::Pids => "pids",
            Controller::Freezer => "freezer",
            Controller::Cpuacct => "cpuacct",
            Controller::Io => "io",
        }
    }

    /// Does it count what a run uses, whether that is limited or not?
    pub fn counts(self) -> bool {
        self != Controller::Freezer
    }

    fn of(word: &str) -> Option<Controller> {
        // Version 1 has another name for it.
        let word = if word == "blkio" { "io" } else { word };
        Controller::ALL.into_iter().find(|controller| controller.name() == word)
    }
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hierarchy {
    /// Where.
    pub root: PathBuf,
    /// Which.
    pub version: CgroupVersion,
    /// What it controls.
    pub controllers: Vec<Controller>,
}

impl Hierarchy {
    /// Does it control this?
    pub fn has(&self, controller: Controller) -> bool {
        self.controllers.contains(&controller)
    }

    /// Does anything in it count what a run uses?
    pub fn counts(&self) -> bool {
        self.controllers.iter().any(|controller| controller.counts())
    }
}

/// What is mounted on this machine.
pub fn detect() -> Vec<Hierarchy> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mut found: Vec<Hierarchy> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for (name, mut hierarchy) in table.lines().filter_map(parse_line) {
        if hierarchy.version == CgroupVersion::V2 {
            let list = fs::read_to_string(hierarchy.root.join("cgroup.controllers"));
            hierarchy.controllers = named(list.unwrap_or_default().split_whitespace());
        }
        // A hierarchy may be mounted a second time somewhere else: the first mount is as good.
        if !names.contains(&name) {
            names.push(name);
            found.push(hierarchy);
        }
    }
    found
}

/// The hierarchy that identifies the processes of a run: version 2, which can kill a group at once,
/// or the cheapest of version 1.
pub fn tracker(hierarchies: &[Hierarchy]) -> Option<usize> {
    let cheapest = [Controller::Freezer, Controller::Pids, Controller::Cpu, Controller::Memory];
    let position = |wanted: &dyn Fn(&Hierarchy) -> bool| hierarchies.iter().position(wanted);
    position(&|hierarchy| hierarchy.version == CgroupVersion::V2)
        .or_else(|| cheapest.iter().find_map(|c| position(&|hierarchy| hierarchy.has(*c))))
}

/// A hierarchy without any of our controllers counts as well: a container's runtime makes groups in
/// all of them, and they must be removed with the run. The returned name is the kernel's.
fn parse_line(line: &str) -> Option<(&str, Hierarchy)> {
    let (mount, file_system) = line.split_once(" - ")?;
    let root = PathBuf::from(mount.split(' ').nth(4)?);
    let mut fields = file_system.split(' ');
    match fields.next()? {
        "cgroup2" => {
            Some(("", Hierarchy { root, version: CgroupVersion::V2, controllers: Vec::new() }))
        }
        "cgroup" => {
            let options = fields.nth(1)?;
            let controllers = named(options.split(','));
            Some((options, Hierarchy { root, version: CgroupVersion::V1, controllers }))
        }
        _ => None,
    }
}

fn named<'a>(words: impl Iterator<Item = &'a str>) -> Vec<Controller> {
    words.filter_map(Controller::of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_is_read_from_the_options_of_the_file_system() {
        let line = "33 24 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu,cpuacct";
        let (_, hierarchy) = parse_line(line).expect("it is one");
        assert_eq!(hierarchy.version, CgroupVersion::V1);
        assert_eq!(hierarchy.controllers, vec![Controller::Cpu, Controller::Cpuacct]);
        let disks = "37 24 0:33 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio";
        let (_, hierarchy) = parse_line(disks).expect("it is one");
        assert_eq!(hierarchy.controllers, vec![Controller::Io]);
        assert!(hierarchy.counts());
        let other = "33 24 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd";
        let (name, hierarchy) = parse_line(other).expect("it is one");
        assert_eq!((name, hierarchy.controllers), ("rw,name=systemd", vec![]));
        assert_eq!(parse_line("24 1 0:22 / /sys rw,nosuid - sysfs sysfs rw"), None);
    }

    #[test]
    fn version_2_follows_a_run_if_it_is_there() {
        let hierarchy = |version, controllers: &[Controller]| Hierarchy {
            root: PathBuf::from("/sys/fs/cgroup"),
            version,
            controllers: controllers.to_vec(),
        };
        let memory = hierarchy(CgroupVersion::V1, &[Controller::Memory]);
        let pids = hierarchy(CgroupVersion::V1, &[Controller::Pids]);
        let unified = hierarchy(CgroupVersion::V2, &[]);
        assert_eq!(tracker(&[memory.clone(), pids.clone(), unified]), Some(2));
        assert_eq!(tracker(&[memory, pids]), Some(1));
        assert_eq!(tracker(&[]), None);
    }
}
