//! The cgroups that a run is in, no matter who made them. They are found from its program, and only
//! groups that bear the run's name count, because the figures of any other group are not the run's
//! own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::exec::Target;
use crate::run_dir;

/// The groups of a run.
#[derive(Debug, Default)]
pub struct Groups {
    /// Of version 2.
    unified: Option<PathBuf>,
    /// Of version 1, by controller.
    separate: BTreeMap<String, PathBuf>,
}

impl Groups {
    /// The groups of a run that is running.
    pub fn of(target: &Target) -> Groups {
        let read = |path: String| fs::read_to_string(path).unwrap_or_default();
        let member = read(format!("/proc/{}/cgroup", target.program().pid));
        let mounts = read("/proc/self/mountinfo".to_owned());
        Groups::read(&member, &mounts, &run_dir::name(target.order.start.run))
    }

    fn read(member: &str, mounts: &str, name: &str) -> Groups {
        let mut groups = Groups::default();
        for line in member.lines() {
            let mut fields = line.splitn(3, ':').skip(1);
            let (Some(controllers), Some(path)) = (fields.next(), fields.next()) else { continue };
            if !path.split('/').any(|part| part == name) {
                continue;
            }
            let path = own(path.trim_start_matches('/'), name);
            if controllers.is_empty() {
                groups.unified = mounts.lines().find_map(unified).map(|root| root.join(path));
            }
            for controller in controllers.split(',').filter(|controller| !controller.is_empty()) {
                let root = mounts.lines().find_map(|line| separate(line, controller));
                groups.separate.extend(root.map(|root| (controller.to_owned(), root.join(path))));
            }
        }
        groups
    }

    /// A file of a controller of version 1.
    pub fn v1(&self, controller: &str, file: &str) -> Option<String> {
        fs::read_to_string(self.separate.get(controller)?.join(file)).ok()
    }

    /// A file of version 2.
    pub fn v2(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.unified.as_ref()?.join(file)).ok()
    }

    /// All processes in the groups.
    pub fn members(&self) -> Vec<u32> {
        let mut members = Vec::new();
        for group in self.unified.iter().chain(self.separate.values()) {
            members_of(group, &mut members);
        }
        members.sort_unstable();
        members.dedup();
        members
    }
}

/// The run's own group: its program may have made further groups below and moved there.
fn own<'a>(path: &'a str, name: &str) -> &'a str {
    let mut end = 0;
    for part in path.split('/') {
        end += part.len();
        if part == name {
            break;
        }
        end += 1;
    }
    &path[..end.min(path.len())]
}

fn members_of(group: &Path, members: &mut Vec<u32>) {
    let listed = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    members.extend(listed.lines().filter_map(|pid| pid.parse::<u32>().ok()).filter(|pid| *pid > 1));
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            members_of(&entry.path(), members);
        }
    }
}

fn unified(line: &str) -> Option<PathBuf> {
    let (mount, kind) = line.split_once(" - ")?;
    kind.starts_with("cgroup2 ").then(|| mount.split(' ').nth(4).map(PathBuf::from))?
}

fn separate(line: &str, controller: &str) -> Option<PathBuf> {
    let (mount, kind) = line.split_once(" - ")?;
    let mut fields = kind.split(' ');
    let is_cgroup = fields.next() == Some("cgroup");
    let has = fields.nth(1)?.split(',').any(|option| option == controller);
    (is_cgroup && has).then(|| mount.split(' ').nth(4).map(PathBuf::from))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_groups_that_bear_the_name_of_the_run_count() {
        let mounts = "33 24 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
                      34 24 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
                      35 24 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let member = "3:cpu,cpuacct:/edgectl/n/t.1\n2:memory:/user\n0::/edgectl/n/t.1/inner\n";
        let groups = Groups::read(member, mounts, "t.1");
        let path = |text: &str| PathBuf::from(text);
        assert_eq!(groups.unified, Some(path("/sys/fs/cgroup/unified/edgectl/n/t.1")));
        assert_eq!(groups.separate.get("cpuacct"), Some(&path("/sys/fs/cgroup/cpu/edgectl/n/t.1")));
        assert_eq!(groups.separate.get("memory"), None);
        assert_eq!(Groups::read(member, mounts, "t").unified, None);
    }
}
