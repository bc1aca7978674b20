//! Files into a task and out of it, as tar archives, by the helper process of a session.
//!
//! Everything happens below the task's root, which for a container is its own. Nothing outside is
//! read or written, whatever links and names somebody inside made.

mod folder_entry;
mod kept;
mod pack;
mod root_of_task;
mod unpack;

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::{getegid, geteuid};
use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use crate::exec::channel::Channel;
use crate::exec::frame::{CHUNK_BYTES, Kind};
use crate::exec::refusal::{CODE_CANNOT_RUN, ExecRefusal, Fault};
use crate::exec::target::Target;
use crate::oci::backend::CONFIG;
use crate::tree::Root;
use crate::user;
use folder_entry::shown;

pub use crate::exec::request::PutOrder;
pub use kept::Change;
pub(crate) use kept::serve as serve_kept;
pub use unpack::Naming;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStat {
    /// Its last part.
    pub name: String,
    /// Bytes.
    pub size: u64,
    /// Type and permissions, as `stat` has them.
    pub mode: u32,
    /// Seconds since 1970 when it was last changed.
    pub changed_s: i64,
    /// And nanoseconds.
    pub changed_ns: i64,
    /// Where a symbolic link leads; empty for anything else.
    pub link_target: String,
}

/// Why nothing, or not everything, was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// There is nothing.
    #[error("there is no {path} in the task")]
    Missing {
        /// Where.
        path: String,
    },
    /// An archive is only unpacked in a folder.
    #[error("{path} is no folder in the task: name the folder to copy into")]
    NoFolder {
        /// Where.
        path: String,
    },
    /// What is there is of another kind than what was sent.
    #[error(
        "{path} in the task is {found}, and would be replaced by {sent}: remove it first, or copy to another name"
    )]
    OtherKind {
        /// Where.
        path: String,
        /// What is there.
        found: &'static str,
        /// What was sent.
        sent: &'static str,
    },
    /// A name that leaves the folder.
    #[error("the archive names {0:?}, which leads out of the folder it is unpacked in: refused")]
    Escapes(String),
    /// Device nodes and the like.
    #[error("the archive holds {0:?}, which is neither file, folder, link nor pipe: refused")]
    BadKind(String),
    /// The task's file system.
    #[error(
        "{path} in the task is read-only: copy to a volume, or take --read-only off the service"
    )]
    ReadOnly {
        /// Where.
        path: String,
    },
    /// Anything else.
    #[error("cannot copy {path}: {source}")]
    Io {
        /// Where.
        path: String,
        /// Why.
        source: io::Error,
    },
}

impl CopyError {
    /// An error of the system about a path.
    fn of(path: impl Into<String>, source: impl Into<io::Error>) -> CopyError {
        let (path, source) = (path.into(), source.into());
        match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::ENOENT) => CopyError::Missing { path },
            Some(Errno::EROFS) => CopyError::ReadOnly { path },
            _ => CopyError::Io { path, source },
        }
    }
}

impl From<CopyError> for ExecRefusal {
    fn from(error: CopyError) -> ExecRefusal {
        let fault = match &error {
            CopyError::Missing { .. } => Fault::Missing,
            CopyError::NoFolder { .. }
            | CopyError::OtherKind { .. }
            | CopyError::Escapes(_)
            | CopyError::BadKind(_) => Fault::Bad,
            CopyError::ReadOnly { .. } => Fault::Forbidden,
            CopyError::Io { .. } => Fault::Failed,
        };
        ExecRefusal { fault, code: CODE_CANNOT_RUN, message: error.to_string() }
    }
}

/// Packs a file or folder of this machine under a name; `.` for what is in a folder.
pub fn pack_here(path: &Path, name: &str, out: impl Write) -> Result<(), CopyError> {
    let absolute = std::path::absolute(path).map_err(|error| CopyError::of(shown(path), error))?;
    let mut text = shown(&absolute);
    if name == "." {
        text.push_str("/.");
    }
    let place = folder_entry::find(&folder_entry::root_at(Path::new("/"))?, &text)?;
    place.stat(&text)?;
    pack::pack(&place, name, out)
}

/// Unpacks an archive in a folder of this machine; nothing outside that folder is touched. The
/// files belong to the calling user.
pub fn unpack_here(dir: &Path, naming: Naming, source: impl Read) -> Result<(), CopyError> {
    let root = folder_entry::root_at(dir)?;
    let order = PutOrder { path: ".".to_owned(), keep_kinds: true, own: false };
    let owner = Some((geteuid().as_raw(), getegid().as_raw()));
    unpack::unpack(&root, &unpack::Plan { order, owner, naming }, source)
}

/// Sends the description of what is at a path.
pub(crate) fn stat(target: &Target, path: &str, channel: &mut Channel) -> Result<(), CopyError> {
    stat_in(&root_of_task::enter(target)?, path, channel)
}

fn stat_in(root: &Root, path: &str, channel: &mut Channel) -> Result<(), CopyError> {
    let found = folder_entry::find(root, path)?.stat(path)?;
    channel.send(Kind::Stat, &serde_json::to_vec(&found).expect("it is plain text"));
    channel.send(Kind::Exited, &0_i32.to_be_bytes());
    Ok(())
}

/// Packs what is at a path: first sends its description, then the archive.
pub(crate) fn get(target: &Target, path: &str, channel: &mut Channel) -> Result<(), CopyError> {
    pack_in(&root_of_task::enter(target)?, path, channel)
}

fn pack_in(root: &Root, path: &str, channel: &mut Channel) -> Result<(), CopyError> {
    let place = folder_entry::find(root, path)?;
    let found = place.stat(path)?;
    channel.send(Kind::Stat, &serde_json::to_vec(&found).expect("it is plain text"));
    let mut buffered = BufWriter::with_capacity(CHUNK_BYTES, &mut *channel);
    pack::pack(&place, &found.name, &mut buffered)?;
    buffered.flush().map_err(|error| CopyError::of(path, error))?;
    drop(buffered);
    channel.send(Kind::Exited, &0_i32.to_be_bytes());
    Ok(())
}

/// Unpacks the archive that is received in a folder.
pub(crate) fn put(
    target: &Target,
    order: &PutOrder,
    channel: &mut Channel,
) -> Result<(), CopyError> {
    let owner = if order.own { owner(target) } else { None };
    let root = root_of_task::enter(target)?;
    folder_entry::folder(&root, &order.path)?;
    channel.send(Kind::Started, &0_i32.to_be_bytes());
    let plan = unpack::Plan { order: order.clone(), owner, naming: Naming::Archive };
    unpack::unpack(&root, &plan, &mut *channel)?;
    channel.send(Kind::Exited, &0_i32.to_be_bytes());
    Ok(())
}

/// The user and group of a task, if they differ from the agent's.
fn owner(target: &Target) -> Option<(u32, u32)> {
    if target.order.container.is_some() {
        let config = File::open(CONFIG).ok()?;
        let spec: Spec = serde_json::from_reader(io::BufReader::new(config)).ok()?;
        let user = spec.process().as_ref()?.user().clone();
        return Some((user.uid(), user.gid()));
    }
    let user = user::look_up(target.order.start.template.user.as_deref()?).ok()?;
    Some((user.uid, user.gid))
}
