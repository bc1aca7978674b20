//! Looking up names below a task's root: the kernel resolves every link as if that were all there is
//! (`openat2` with `RESOLVE_IN_ROOT`), and follows none of those that lead elsewhere by magic.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2, readlinkat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode, fstatat};

use super::{CopyError, PathStat};
use crate::proc_table::Process;

/// Times that a lookup is tried again when somebody renames folders under it.
const TRIES: usize = 16;

/// The root of a task's file system.
#[derive(Debug)]
pub struct Root {
    dir: OwnedFd,
}

/// One name in one folder.
#[derive(Debug)]
pub struct Place {
    /// The folder.
    pub dir: OwnedFd,
    /// The name in it, which is not followed if it is a link; `.` is the folder itself.
    pub name: OsString,
}

impl Root {
    /// That of a process, as it sees it.
    pub fn of(process: Process) -> Result<Root, CopyError> {
        let path = format!("/proc/{}/root", process.pid);
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = nix::fcntl::open(path.as_str(), flags, Mode::empty());
        let dir = dir.map_err(|errno| CopyError::of("/", errno))?;
        // Opened by its number: only now is it certain whose it is.
        match process.is_alive() {
            true => Ok(Root { dir }),
            false => Err(CopyError::of("/", Errno::ESRCH)),
        }
    }

    /// A folder of this machine as the root of everything.
    pub fn at(path: &Path) -> Result<Root, CopyError> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = nix::fcntl::open(path, flags, Mode::empty());
        Ok(Root { dir: dir.map_err(|errno| CopyError::of(shown(path), errno))? })
    }

    /// Opens a path, links followed.
    fn open(&self, path: &Path, flags: OFlag) -> nix::Result<OwnedFd> {
        let resolve = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
        let mut tries = 0;
        loop {
            match openat2(&self.dir, path, how) {
                Err(Errno::EAGAIN) if tries < TRIES => tries += 1,
                other => return other,
            }
        }
    }

    /// A folder, links followed.
    pub fn folder(&self, path: &str) -> Result<OwnedFd, CopyError> {
        match self.open(&relative(path), OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Err(Errno::ENOTDIR) => Err(CopyError::NoFolder { path: path.to_owned() }),
            other => other.map_err(|errno| CopyError::of(path, errno)),
        }
    }

    /// The place that a path means. Its last part is not followed, unless the path ends in `/` or
    /// `/.`, which ask for what is in a folder.
    pub fn find(&self, path: &str) -> Result<Place, CopyError> {
        if path.ends_with('/') || path.ends_with("/.") || matches!(path, "" | "." | "..") {
            return Ok(Place { dir: self.folder(path)?, name: OsString::from(".") });
        }
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name == ".." {
            return Ok(Place { dir: self.folder(path)?, name: OsString::from(".") });
        }
        let dir = self.folder(parent).map_err(|error| match error {
            CopyError::Missing { .. } => CopyError::Missing { path: path.to_owned() },
            other => other,
        })?;
        Ok(Place { dir, name: OsString::from(name) })
    }
}

/// A path without what makes it absolute.
fn relative(path: &str) -> PathBuf {
    let path = path.trim_start_matches('/');
    PathBuf::from(if path.is_empty() { "." } else { path })
}

impl Place {
    /// What is there, links not followed.
    pub fn lstat(&self) -> nix::Result<FileStat> {
        lstat(self.dir.as_fd(), &self.name)
    }

    /// What is there, as it is told.
    pub fn stat(&self, path: &str) -> Result<PathStat, CopyError> {
        let found = self.lstat().map_err(|errno| CopyError::of(path, errno))?;
        let is_link = found.st_mode & libc::S_IFMT == libc::S_IFLNK;
        let link_target = match is_link {
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

/// The last part of a path as Docker sees it: `.` asks for what is in a folder.
fn base(path: &str) -> String {
    if path.ends_with("/.") {
        return ".".to_owned();
    }
    let path = path.trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or_default();
    if name.is_empty() { "/".to_owned() } else { name.to_owned() }
}

/// What a folder has under a name, links not followed.
pub fn lstat(dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<FileStat> {
    fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// Opens a folder within a folder, never through a link.
pub fn open_folder(dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    nix::fcntl::openat(dir, name, flags, Mode::empty())
}

/// Opens a file to be read, never through a link, and without waiting for anybody.
pub fn open_file(dir: BorrowedFd<'_>, name: &OsStr) -> nix::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    nix::fcntl::openat(dir, name, flags, Mode::empty()).map(File::from)
}

/// A name in a folder may hold any byte.
pub fn shown(path: &Path) -> String {
    String::from_utf8_lossy(path.as_os_str().as_bytes()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

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
        let root = Root::at(&root_dir).expect("a folder");
        for path in ["../secret", "up/secret", "/../../secret", "magic/etc/passwd"] {
            let found = root.find(path).and_then(|place| place.stat(path));
            assert!(matches!(found, Err(CopyError::Missing { .. })), "{path}: {found:?}");
        }
        for path in ["abs/own", "up/etc/own", "/etc/../abs/own"] {
            assert_eq!(root.find(path).and_then(|p| p.stat(path)).expect(path).size, 1);
        }
    }

    #[test]
    fn a_link_at_the_end_is_followed_only_where_a_folder_is_asked_for() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::create_dir(dir.path().join("real")).expect("a folder");
        symlink("real", dir.path().join("link")).expect("a link");
        let root = Root::at(dir.path()).expect("a folder");
        let stat = |path: &str| root.find(path).and_then(|place| place.stat(path)).expect("found");
        assert_eq!(stat("/link").link_target, "/real");
        assert_eq!(stat("/link").mode & libc::S_IFMT, libc::S_IFLNK);
        assert_eq!(stat("/link/").mode & libc::S_IFMT, libc::S_IFDIR);
        assert_eq!(stat("/link/.").name, ".");
        assert_eq!((stat("/").name.as_str(), stat("/link/").name.as_str()), ("/", "link"));
    }
}
