//! What a path means below a task's root: a folder that is open, and a name in it.

use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::readlinkat;
use nix::sys::stat::FileStat;

use super::{CopyError, PathStat};
use crate::proc_table::Process;
use crate::tree::{Root, itself, name};

/// One name in one folder.
#[derive(Debug)]
pub struct FolderEntry {
    /// The folder.
    pub dir: OwnedFd,
    /// The name in it, which is not followed if it is a link; `.` is the folder itself.
    pub name: OsString,
}

/// The root of a process, as it sees it.
pub fn root_of(process: Process) -> Result<Root, CopyError> {
    let root = root_at(Path::new(&format!("/proc/{}/root", process.pid)))?;
    // Opened by the process number: only this check makes certain whose root it is.
    match process.is_alive() {
        true => Ok(root),
        false => Err(CopyError::of("/", Errno::ESRCH)),
    }
}

/// A folder of this machine as the root of everything.
pub fn root_at(path: &Path) -> Result<Root, CopyError> {
    Root::open(path).map_err(|errno| CopyError::of(shown(path), errno))
}

/// A folder, links followed.
pub fn folder(root: &Root, path: &str) -> Result<OwnedFd, CopyError> {
    root.folder(Path::new(path)).map_err(|errno| no_folder(path, errno))
}

/// Why there is no folder at a path.
pub fn no_folder(path: &str, errno: Errno) -> CopyError {
    match errno {
        Errno::ENOTDIR => CopyError::NoFolder { path: path.to_owned() },
        errno => CopyError::of(path, errno),
    }
}

/// The entry that a path means. Its last part is not followed, unless the path ends in `/` or `/.`,
/// which ask for the contents of a folder.
pub fn find(root: &Root, path: &str) -> Result<FolderEntry, CopyError> {
    let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
    if matches!(name, "" | "." | "..") {
        return Ok(FolderEntry { dir: folder(root, path)?, name: itself().to_owned() });
    }
    let dir = folder(root, parent).map_err(|error| match error {
        CopyError::Missing { .. } => CopyError::Missing { path: path.to_owned() },
        other => other,
    })?;
    Ok(FolderEntry { dir, name: OsString::from(name) })
}

impl FolderEntry {
    /// What is there, links not followed.
    pub fn lstat(&self) -> nix::Result<FileStat> {
        name::stat(&self.dir, &self.name)
    }

    /// What is there, as it is reported to clients.
    pub fn stat(&self, path: &str) -> Result<PathStat, CopyError> {
        let found = self.lstat().map_err(|errno| CopyError::of(path, errno))?;
        let link_target = match name::is_link(&found) {
            false => String::new(),
            true => {
                let target = readlinkat(&self.dir, self.name.as_os_str());
                let target = target.map_err(|errno| CopyError::of(path, errno))?;
                let target = target.to_string_lossy().into_owned();
                let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
                if target.starts_with('/') { target } else { format!("{parent}/{target}") }
            }
        };
        Ok(PathStat {
            name: base(path),
            size: u64::try_from(found.st_size).unwrap_or(0),
            mode: found.st_mode,
            changed_s: found.st_mtime,
            changed_ns: found.st_mtime_nsec,
            link_target,
        })
    }
}

/// The last part of a path as Docker sees it: `.` asks for the contents of a folder.
fn base(path: &str) -> String {
    if path.ends_with("/.") {
        return ".".to_owned();
    }
    let path = path.trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.is_empty() { "/".to_owned() } else { name.to_owned() }
}

/// A path as text; a name in a folder may hold any byte.
pub fn shown(path: &Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use nix::libc;

    use super::*;

    #[test]
    fn links_lead_nowhere_but_below_the_root() {
        let dir = tempfile::tempdir().expect("a folder");
        let root_dir = dir.path().join("root");
        fs::create_dir_all(root_dir.join("etc")).expect("a folder");
        fs::write(dir.path().join("secret"), "x").expect("a file");
        fs::write(root_dir.join("etc/own"), "y").expect("a file");
        symlink("../../..", root_dir.join("up")).expect("a link");
        symlink("/etc", root_dir.join("abs")).expect("a link");
        symlink("/proc/self/root", root_dir.join("magic")).expect("a link");
        let root = root_at(&root_dir).expect("a folder");
        for path in ["../secret", "up/secret", "/../../secret", "magic/etc/passwd"] {
            let found = find(&root, path).and_then(|place| place.stat(path));
            assert!(matches!(found, Err(CopyError::Missing { .. })), "{path}: {found:?}");
        }
        for path in ["abs/own", "up/etc/own", "/etc/../abs/own"] {
            assert_eq!(find(&root, path).and_then(|p| p.stat(path)).expect(path).size, 1);
        }
    }

    #[test]
    fn a_link_at_the_end_is_followed_only_where_a_folder_is_asked_for() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("real")).expect("a folder");
        symlink("real", dir.path().join("link")).expect("a link");
        let root = root_at(dir.path()).expect("a folder");
        let stat =
            |path: &str| find(&root, path).and_then(|place| place.stat(path)).expect("found");
        assert_eq!(stat("/link").link_target, "/real");
        assert_eq!(stat("/link").mode & libc::S_IFMT, libc::S_IFLNK);
        assert_eq!(stat("/link/").mode & libc::S_IFMT, libc::S_IFDIR);
        assert_eq!(stat("/link/.").name, ".");
        assert_eq!((stat("/").name.as_str(), stat("/link/").name.as_str()), ("/", "link"));
    }
}
