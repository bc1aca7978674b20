//! Network namespaces that stay: each is a file that the namespace is mounted on.
//!
//! Code runs inside a namespace only on a thread of its own, which ends afterwards: the caller's
//! thread never changes its namespace. The mounts need no care of mount propagation. A container
//! runtime that clones the mount namespace copies them, and since Linux 3.18 the removal of the
//! file takes away the mounts on it in every other mount namespace.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::statfs::{FsType, fstatfs};

use crate::netlink::Netlink;

/// The magic number of the file system of namespaces, of the kernel's `magic.h`.
const NSFS_MAGIC: FsType = FsType(0x6e73_6673);

/// The namespace of the thread that opens it.
const OWN: &str = "/proc/thread-self/ns/net";

/// A handle of a network namespace.
#[derive(Debug)]
pub struct Namespace {
    file: File,
}

impl Namespace {
    /// The namespace of this thread.
    ///
    /// # Errors
    /// `/proc` is not there.
    pub fn current() -> io::Result<Namespace> {
        Ok(Namespace { file: File::open(OWN)? })
    }

    /// The namespace that is mounted on a file; `None` if there is none.
    ///
    /// # Errors
    /// The file exists and cannot be opened.
    pub fn open(path: &Path) -> io::Result<Option<Namespace>> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        // A crash between the creation of the file and the mount leaves a plain file.
        let is_namespace = fstatfs(&file)?.filesystem_type() == NSFS_MAGIC;
        Ok(is_namespace.then_some(Namespace { file }))
    }

    /// Makes a new namespace, mounted on this file.
    ///
    /// # Errors
    /// The kernel's: without CAP_SYS_ADMIN, EPERM.
    pub fn create(path: &Path) -> io::Result<Namespace> {
        remove(path)?;
        File::options().write(true).create_new(true).open(path)?;
        let made = on_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            mount(Some(OWN), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
            Namespace::current()
        });
        if made.is_err() {
            // The first error is the one that says why.
            let _ = remove(path);
        }
        made
    }

    /// Mounts this namespace on a file if it is not; says whether that was needed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn keep(&self, path: &Path) -> io::Result<bool> {
        let own = self.file.metadata()?;
        let is_mounted =
            fs::metadata(path).is_ok_and(|file| (file.dev(), file.ino()) == (own.dev(), own.ino()));
        if is_mounted {
            return Ok(false);
        }
        remove(path)?;
        File::options().write(true).create_new(true).open(path)?;
        let own = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        mount(Some(own.as_str()), path, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        Ok(true)
    }

    /// Runs `work` on a thread that has entered the namespace.
    ///
    /// # Errors
    /// The namespace cannot be entered, or that of `work`.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        on_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)?;
            work()
        })
    }

    /// A socket of route netlink in the namespace.
    ///
    /// # Errors
    /// As of [`Namespace::enter`].
    pub fn netlink(&self) -> io::Result<Netlink> {
        self.enter(Netlink::open)
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn on_thread<T: Send>(work: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("namespace".into()).spawn_scoped(scope, work)?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Unmounts a namespace and removes its file; nothing happens if there is none. The namespace
/// itself ends with its last process and its last handle.
///
/// # Errors
/// The kernel's.
pub fn remove(path: &Path) -> io::Result<()> {
    // More than one mount is there after two agents have made the same namespace.
    while Namespace::open(path)?.is_some() {
        umount2(path, MntFlags::MNT_DETACH)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The files of a directory, with their names; none if there is no directory.
///
/// # Errors
/// The directory cannot be read.
pub fn files(directory: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        files.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    Ok(files)
}
