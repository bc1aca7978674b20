//! Looking at files below the root of a container, as the container would see them.
//!
//! An image is somebody else's: a link in it may lead anywhere. Every path is resolved by the
//! kernel as if the root were the container's (`openat2`, `RESOLVE_IN_ROOT`, Linux 5.6), so no
//! name leaves it, and nothing special (a device, a fifo) is ever read.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, mkdirat};

use crate::refusal::StartError;

/// The largest `/etc/passwd` or `/etc/group` that is read: 10,000 users of 100 bytes.
const FILE_BYTES_MAX: u64 = 1_000_000;

/// The root of a container.
#[derive(Debug)]
pub struct Inside {
    root: OwnedFd,
}

/// A folder of the container, held open.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    _open: OwnedFd,
}

impl Folder {
    /// What it is called for this process.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A file with at least one bit of execution.
    Program,
    /// Something else.
    Other,
}

impl Inside {
    /// Opens the root.
    pub fn open(root: &Path) -> Result<Inside, StartError> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        match open(root, flags, Mode::empty()) {
            Ok(root) => Ok(Inside { root }),
            Err(errno) => Err(StartError::Step { step: "open the container's root", errno }),
        }
    }

    /// The text of a file; empty if it is not there.
    pub fn read(&self, path: &str) -> Result<String, StartError> {
        let step = |errno| StartError::Step { step: "read the image's users and groups", errno };
        // O_NONBLOCK: a fifo of this name must not stop the start.
        let file = match self.resolve(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(String::new()),
            Err(errno) => return Err(step(errno)),
        };
        let read = |file: File| -> io::Result<Vec<u8>> {
            let mut bytes = Vec::new();
            if file.metadata()?.is_file() {
                file.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
            }
            Ok(bytes)
        };
        let bytes = read(file).map_err(|error| step(errno_of(&error)))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// What is at a path, if anything.
    pub fn find(&self, path: &str) -> Option<Found> {
        let file = File::from(self.resolve(path, OFlag::O_PATH).ok()?);
        let found = file.metadata().ok()?;
        let program = found.is_file() && found.mode() & 0o111 != 0;
        Some(if program { Found::Program } else { Found::Other })
    }

    /// A name of the node for the folder at a path, good as long as this process has it open;
    /// `None` if there is none.
    pub fn folder(&self, path: &str) -> io::Result<Option<Folder>> {
        match self.resolve(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
            Ok(open) => {
                let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
                Ok(Some(Folder { path, _open: open }))
            }
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Makes a folder and those above it, like `mkdir -p`, owned by root as Docker does.
    pub fn make_folder(&self, path: &Path) -> Result<(), Errno> {
        let mut so_far = PathBuf::from("/");
        for part in path.components() {
            let name = match part {
                Component::Normal(name) => name,
                Component::ParentDir => {
                    so_far.pop();
                    continue;
                }
                _ => continue,
            };
            let folder = OFlag::O_PATH | OFlag::O_DIRECTORY;
            let above = self.resolve(&so_far, folder)?;
            so_far.push(name);
            match self.resolve(&so_far, folder) {
                Err(Errno::ENOENT) => mkdirat(&above, name, Mode::from_bits_truncate(0o755))?,
                other => drop(other?),
            }
        }
        Ok(())
    }

    fn resolve<P: AsRef<Path> + ?Sized>(&self, path: &P, flags: OFlag) -> Result<OwnedFd, Errno> {
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        openat2(&self.root, path.as_ref(), how)
    }
}

fn errno_of(error: &io::Error) -> Errno {
    Errno::from_raw(error.raw_os_error().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn root() -> (tempfile::TempDir, Inside) {
        let root = tempfile::tempdir().expect("a folder");
        let inside = Inside::open(root.path()).expect("it is there");
        (root, inside)
    }

    #[test]
    fn a_link_out_of_the_root_leads_to_the_same_name_inside() {
        let (root, inside) = root();
        fs::create_dir_all(root.path().join("etc")).expect("writable");
        symlink("/etc/hostname", root.path().join("etc/passwd")).expect("writable");
        symlink("../../../../etc/hostname", root.path().join("etc/group")).expect("writable");
        assert_eq!(inside.read("/etc/passwd").expect("not there"), "");
        fs::write(root.path().join("etc/hostname"), "inside").expect("writable");
        assert_eq!(inside.read("/etc/passwd").expect("a link"), "inside");
        assert_eq!(inside.read("/etc/group").expect("a link"), "inside");
    }

    #[test]
    fn nothing_special_is_read() {
        let (root, inside) = root();
        nix::unistd::mkfifo(&root.path().join("fifo"), Mode::from_bits_truncate(0o600))
            .expect("a fifo");
        fs::create_dir(root.path().join("folder")).expect("writable");
        symlink("loop", root.path().join("loop")).expect("writable");
        for name in ["/fifo", "/folder", "/loop", "/none"] {
            assert_eq!(inside.read(name).expect(name), "", "{name}");
        }
    }

    #[test]
    fn a_folder_is_made_below_the_root_and_never_beside_it() {
        let (root, inside) = root();
        let outside = tempfile::tempdir().expect("a folder");
        symlink(outside.path(), root.path().join("way")).expect("writable");
        inside.make_folder(Path::new("/srv/app/../data")).expect("it is made");
        assert!(root.path().join("srv/data").is_dir());
        assert!(inside.make_folder(Path::new("/way/out")).is_err());
        assert!(!outside.path().join("out").exists());
        fs::write(root.path().join("file"), "").expect("writable");
        assert!(inside.make_folder(Path::new("/file/x")).is_err());
    }

    #[test]
    fn a_program_is_a_file_that_somebody_may_execute() {
        let (root, inside) = root();
        fs::write(root.path().join("run"), "").expect("writable");
        assert_eq!(inside.find("/run"), Some(Found::Other));
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(root.path().join("run"), mode).expect("it is ours");
        assert_eq!(inside.find("/run"), Some(Found::Program));
        assert_eq!(inside.find("/walk"), None);
    }
}
