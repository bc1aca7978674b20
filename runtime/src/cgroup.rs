//! Control groups of a run, versions 1, 2 and hybrid, by writing the kernel's files.
//!
//! A run has the group `edgectl/<node>/<task>.<attempt>`. A program of the host has it in one
//! hierarchy that identifies its processes (version 2 if mounted) and in those that count what it
//! uses. A container has it in every hierarchy. What is counted and what may be limited does not
//! depend on the limits of a run. Otherwise the first run would decide for all others, because
//! version 2 enables a controller for all child groups or for none. Nothing here can fail a run: a
//! limit that this machine cannot enforce becomes a warning, and the processes of a run without any
//! group are found through sessions and parents instead. A run's monitor makes the groups and
//! removes them; the agent removes what a killed monitor left.

pub mod ability;
mod delegate;
pub mod entry;
pub mod limits;
pub mod mounts;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use nix::libc;
use serde::{Deserialize, Serialize};

use crate::proc_table;

pub use limits::{Limit, Limits};
pub use mounts::{CgroupVersion, Controller, Hierarchy};

/// Where the groups of a run may live on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupPlan {
    /// What is mounted.
    pub hierarchies: Vec<Hierarchy>,
    /// `edgectl/<node>/<task>.<attempt>`.
    pub path: String,
}

/// The groups of one run that exist.
#[derive(Debug, Default)]
pub struct Cgroup {
    groups: Vec<Group>,
    /// Limits that were asked for and are not enforced.
    pub warnings: Vec<String>,
    /// Why they are not enforced, by controller.
    unenforced: Vec<(Controller, String)>,
}

#[derive(Debug)]
struct Group {
    dir: PathBuf,
    version: CgroupVersion,
}

/// Do the processes of a group stand still?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frozen {
    /// Yes.
    Yes,
    /// No.
    No,
}

/// The file of version 2 that freezes a group.
const FREEZE: &str = "cgroup.freeze";

/// In which hierarchies a run has a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupScope {
    /// The one that identifies the run's processes, and those that count what the run uses.
    Needed,
    /// Every one. A container's runtime joins them all, and the end of another run may remove the
    /// parent group meanwhile, unless the run's own group is there already.
    All,
    /// Those in which it has one already.
    There,
}

/// How often a group is made again after the end of another run removed its parent in between. Each
/// time this is less likely than not, so that 64 times in a row have a probability below 2^-64.
const CREATE_TRIES: usize = 64;
/// How often a removal is tried, 1 ms apart: the kernel releases dead processes a little late, and
/// a container's namespaces on a busy machine much later.
const REMOVE_TRIES: usize = 1_000;

impl Cgroup {
    /// Makes the groups of a run, and sets these limits.
    pub fn create(plan: &CgroupPlan, limits: &Limits, scope: CgroupScope) -> Cgroup {
        let mut cgroup = Cgroup::default();
        let asked = limits::asked(limits);
        let tracker = mounts::tracker(&plan.hierarchies);
        for (index, hierarchy) in plan.hierarchies.iter().enumerate() {
            let here = asked.iter().filter(|(limit, _)| hierarchy.has(limit.controller()));
            let dir = hierarchy.root.join(&plan.path);
            let (needed, there) = (hierarchy.counts() || tracker == Some(index), dir.is_dir());
            let made = match scope {
                CgroupScope::Needed if !needed => continue,
                CgroupScope::There if !there => continue,
                CgroupScope::There => Ok(Withheld::new()),
                CgroupScope::Needed | CgroupScope::All => make(hierarchy, &plan.path),
            };
            match made {
                Ok(withheld) => {
                    for (limit, words) in here {
                        let set = set(hierarchy.version, &dir, *limit, limits);
                        let because = withheld.get(limit.controller().name());
                        if let Err(why) = set {
                            cgroup.warn(*limit, words, because.cloned().unwrap_or(why));
                        }
                    }
                    cgroup.groups.push(Group { dir, version: hierarchy.version });
                }
                Err(error) => {
                    let why = format!("no cgroup {}: {error}; is the agent root?", dir.display());
                    here.for_each(|(limit, words)| {
                        cgroup.warn(*limit, words, why.clone());
                    });
                }
            }
        }
        for (limit, words) in &asked {
            let controller = limit.controller();
            if !plan.hierarchies.iter().any(|hierarchy| hierarchy.has(controller)) {
                let why = format!("this machine has no {} controller", controller.name());
                cgroup.warn(*limit, words, why);
            }
        }
        cgroup
    }

    fn warn(&mut self, limit: Limit, words: &str, why: String) {
        self.warnings.push(format!("{words} is not enforced: {why}"));
        self.unenforced.push((limit.controller(), why));
    }

    /// The groups of a run that exist now, no matter who made them.
    pub fn existing(plan: &CgroupPlan) -> Cgroup {
        let group = |hierarchy: &Hierarchy| {
            let dir = hierarchy.root.join(&plan.path);
            dir.is_dir().then_some(Group { dir, version: hierarchy.version })
        };
        let named = !plan.path.is_empty();
        let groups = plan.hierarchies.iter().filter(|_| named).filter_map(group).collect();
        Cgroup { groups, ..Cgroup::default() }
    }

    /// Is any of the groups still there?
    pub fn is_there(&self) -> bool {
        self.groups.iter().any(|group| group.dir.is_dir())
    }

    /// The group of version 2.
    pub fn unified(&self) -> Option<&Path> {
        self.of(CgroupVersion::V2).next()
    }

    /// The groups of version 1.
    pub fn separate(&self) -> impl Iterator<Item = &Path> {
        self.of(CgroupVersion::V1)
    }

    fn of(&self, version: CgroupVersion) -> impl Iterator<Item = &Path> {
        self.groups.iter().filter(move |group| group.version == version).map(|g| g.dir.as_path())
    }

    /// SIGKILL to all members, once.
    pub fn kill(&self) {
        for group in &self.groups {
            let at_once = group.version == CgroupVersion::V2
                && put(&group.dir.join("cgroup.kill"), "1").is_ok();
            if !at_once {
                members(&group.dir)
                    .into_iter()
                    .for_each(|pid| proc_table::signal(pid, libc::SIGKILL));
            }
        }
    }

    /// Stops all of its processes where they are, or lets them go on. Returns whether there is a
    /// group that can.
    pub fn freeze(&self, frozen: Frozen) -> bool {
        let (old, new) = match frozen {
            Frozen::Yes => ("FROZEN", "1"),
            Frozen::No => ("THAWED", "0"),
        };
        // One of both is enough, and a group of version 2 can be ended while it is frozen.
        let unified = self.of(CgroupVersion::V2).any(|dir| put(&dir.join(FREEZE), new).is_ok());
        unified
            || self.of(CgroupVersion::V1).any(|dir| put(&dir.join("freezer.state"), old).is_ok())
    }

    /// The processes in it, in any hierarchy.
    pub fn members(&self) -> Vec<u32> {
        self.groups.iter().flat_map(|group| members(&group.dir)).collect()
    }

    /// Processes that the kernel killed because the group was at its limit of memory.
    pub fn oom_kills(&self) -> u64 {
        let files = self.groups.iter().map(|group| match group.version {
            CgroupVersion::V1 => group.dir.join("memory.oom_control"),
            CgroupVersion::V2 => group.dir.join("memory.events"),
        });
        let count = |text: String| {
            let line = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
            line.trim().parse::<u64>().ok()
        };
        files.filter_map(|file| count(fs::read_to_string(file).ok()?)).sum()
    }

    /// Removes the groups, which must be empty.
    pub fn remove(&self) {
        for group in &self.groups {
            for _ in 0..REMOVE_TRIES {
                match remove_tree(&group.dir) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                        thread::sleep(Duration::from_millis(1));
                    }
                    _ => break,
                }
            }
        }
    }
}

fn set(version: CgroupVersion, dir: &Path, limit: Limit, limits: &Limits) -> Result<(), String> {
    let Some(files) = limits::files(version, limit, limits) else {
        return Err("version 2 of control groups has none; vm.swappiness of the node counts".into());
    };
    for (file, value) in files {
        let path = dir.join(file);
        match put(&path, &value) {
            Err(error) if file == limits::swap_file(version) && is_absent(&error) => {
                let what = "swap is not counted: the kernel does not account for it \
                            (swapaccount=1 on its command line)";
                if swaps() { Err(what.to_owned()) } else { Ok(()) }
            }
            put => put.map_err(|error| format!("writing {}: {error}", path.display())),
        }?;
    }
    Ok(())
}

/// A parent was removed, or is being removed.
fn is_going(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENODEV))
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Has this machine anything to swap to? The first line of the list names its columns.
fn swaps() -> bool {
    fs::read_to_string("/proc/swaps").is_ok_and(|list| list.lines().count() > 1)
}

/// Removes the groups above the runs' own, if no run of this node is left in them.
pub fn remove_parents(plan: &CgroupPlan) {
    for hierarchy in &plan.hierarchies {
        let mut parents = Path::new(&plan.path).ancestors().skip(1);
        while let Some(parent) = parents.next().filter(|parent| !parent.as_os_str().is_empty()) {
            if fs::remove_dir(hierarchy.root.join(parent)).is_err() {
                break;
            }
        }
    }
}

/// Why a controller is not enabled for a group of version 2, by the controller's name.
type Withheld = BTreeMap<&'static str, String>;

fn make(hierarchy: &Hierarchy, path: &str) -> io::Result<Withheld> {
    let dir = hierarchy.root.join(path);
    let mut tries = 0;
    loop {
        let parent = dir.parent().unwrap_or(&hierarchy.root);
        let made = fs::create_dir_all(parent).and_then(|()| {
            let withheld = delegate::hand_down(hierarchy, path);
            // Does not create the parents: new ones would have no controllers enabled.
            match fs::create_dir(&dir) {
                Err(error) if !dir.is_dir() => Err(error),
                _ => Ok(withheld),
            }
        });
        tries += 1;
        match made {
            Err(error) if is_going(&error) && tries < CREATE_TRIES => {}
            other => return other,
        }
    }
}

fn put(path: &Path, value: &str) -> io::Result<()> {
    OpenOptions::new().write(true).open(path)?.write_all(value.as_bytes())
}

fn members(dir: &Path) -> Vec<u32> {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    let mut found: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for child in children(dir) {
        found.extend(members(&child));
    }
    // 0 is a process of another pid namespace, which cannot be named from here.
    found.retain(|pid| *pid > 1);
    found
}

/// The child groups: a program that may write there makes groups of its own.
fn children(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

fn remove_tree(dir: &Path) -> io::Result<()> {
    for child in children(dir) {
        remove_tree(&child)?;
    }
    fs::remove_dir(dir)
}
