//! The secrets of a container, and its configs that were filled in and may hold one, from the agent's memory into its tmpfs, and never onto a disk.
//!
//! ```text
//! agent ──memory without a name──▶ monitor ──▶ launcher ──▶ tmpfs that only the launcher's mounts
//!    (over a socket that is the monitor's                   have, and from there into the container
//!     standard input, with the order)
//! ```
//! The tmpfs is not swapped out where the kernel can do that (6.4), and ends with the container. It is
//! read-only before the container begins.

use std::fs::{self, File};
use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crdt_state::FileId;
use crdt_state::file::FileUse;
use crdt_state::secret::Plaintext;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use nix::sys::stat::{SFlag, fstat};

use crate::fleet_files::{FileData, write_one};
use crate::refusal::StartError;
use crate::run_dir;

/// The secrets of a run in memory that has no name, in their order: the length of
/// each, and its bytes. `None`: it has none. Data that is missing is an error of the caller's.
pub fn pack(files: &[FileUse<FileId>], data: &FileData) -> io::Result<Option<File>> {
    if files.is_empty() {
        return Ok(None);
    }
    let mut packed = File::from(memfd_create(c"secrets", MFdFlags::MFD_CLOEXEC)?);
    for file in files {
        let Plaintext(bytes) = data.get(&file.file()).ok_or(io::ErrorKind::NotFound)?;
        packed.write_all(&(bytes.len() as u64).to_be_bytes())?;
        packed.write_all(bytes)?;
    }
    Ok(Some(packed))
}

/// What a monitor gets as its standard input: the order, or, if there are secrets, a socket in which
/// both wait. The order's lock is held by what waits there.
pub fn hand_over(order: File, secrets: Option<&File>) -> io::Result<OwnedFd> {
    let Some(secrets) = secrets else { return Ok(order.into()) };
    let (ours, theirs) = UnixStream::pair()?;
    let fds = [order.as_raw_fd(), secrets.as_raw_fd()];
    let control = [ControlMessage::ScmRights(&fds)];
    let slices = [IoSlice::new(b"s")];
    sendmsg::<()>(ours.as_raw_fd(), &slices, &control, MsgFlags::empty(), None)?;
    Ok(theirs.into())
}

/// The inverse of [`hand_over`]: the order, and the secrets.
pub fn receive(given: File) -> nix::Result<(File, Option<OwnedFd>)> {
    let kind = SFlag::from_bits_truncate(fstat(&given)?.st_mode) & SFlag::S_IFMT;
    if kind != SFlag::S_IFSOCK {
        return Ok((given, None));
    }
    let mut sign = [0; 1];
    let mut slices = [IoSliceMut::new(&mut sign)];
    let mut space = cmsg_space!([RawFd; 2]);
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(given.as_raw_fd(), &mut slices, Some(&mut space), flags)?;
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(fds) = control
            && let [order, secrets] = fds.as_slice()
        {
            // SAFETY: the kernel has just made them for this process, and nothing else owns them.
            let [order, secrets] = [*order, *secrets].map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
            return Ok((order.into(), Some(secrets)));
        }
    }
    Err(Errno::EBADF)
}

/// Writes the secrets of a run into a tmpfs in the current folder, which is mounted for this process
/// and the container alone.
pub fn mount_files(
    files: &[FileUse<FileId>],
    packed: Option<BorrowedFd<'_>>,
) -> Result<(), StartError> {
    if files.is_empty() {
        return Ok(());
    }
    let Some(packed) = packed else {
        let reason = "its secrets did not arrive with its order".to_owned();
        return Err(StartError::Told { permanent: false, reason });
    };
    let broken = |source| StartError::RunDir { path: run_dir::SECRETS.to_owned(), source };
    fs::create_dir(run_dir::SECRETS)
        .or_else(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Ok(()),
            _ => Err(error),
        })
        .map_err(broken)?;
    let step = |errno| StartError::Step { step: "mount the files of secrets", errno };
    mount_tmpfs().map_err(step)?;
    unpack(files, packed).map_err(broken)?;
    let flags = flags() | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, run_dir::SECRETS, None::<&str>, flags, None::<&str>).map_err(step)
}

fn flags() -> MsFlags {
    MsFlags::MS_NODEV | MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC
}

fn mount_tmpfs() -> nix::Result<()> {
    let with =
        |options| mount(Some("tmpfs"), run_dir::SECRETS, Some("tmpfs"), flags(), Some(options));
    match with("mode=0700,noswap") {
        // A kernel before 6.4.
        Err(Errno::EINVAL) => with("mode=0700"),
        mounted => mounted,
    }
}

fn unpack(files: &[FileUse<FileId>], packed: BorrowedFd<'_>) -> io::Result<()> {
    let mut packed = File::from(packed.try_clone_to_owned()?);
    // A command before the start has read it as well.
    packed.rewind()?;
    for (at, file) in files.iter().enumerate() {
        let mut length = [0; 8];
        packed.read_exact(&mut length)?;
        let mut data = Plaintext::default();
        Read::by_ref(&mut packed).take(u64::from_be_bytes(length)).read_to_end(&mut data.0)?;
        write_one(&run_dir::in_memory(Path::new("."), at), file, &data.0)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crdt_state::SecretId;

    use super::*;

    fn file(id: u8) -> FileUse<FileId> {
        let id = FileId::Secret(SecretId([id; 16]));
        FileUse { id, name: "a".into(), target: "a".into(), uid: 0, gid: 0, mode: 0o400 }
    }

    #[test]
    fn order_and_secrets_arrive_over_one_descriptor() {
        let mut order = tempfile::tempfile().unwrap();
        order.write_all(b"order").unwrap();
        order.rewind().unwrap();
        let data =
            FileData::from([(FileId::Secret(SecretId([1; 16])), Plaintext(b"hunter2".into()))]);
        let packed = pack(&[file(1)], &data).unwrap().expect("there is one");
        let given = hand_over(order, Some(&packed)).unwrap();
        drop(packed);
        let (mut order, secrets) = receive(given.into()).unwrap();
        let mut said = String::new();
        order.read_to_string(&mut said).unwrap();
        assert_eq!(said, "order");
        let mut secrets = File::from(secrets.expect("they are there"));
        secrets.rewind().unwrap();
        let mut bytes = Vec::new();
        secrets.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, [&[0, 0, 0, 0, 0, 0, 0, 7], b"hunter2".as_slice()].concat());
    }

    #[test]
    fn an_order_without_secrets_is_handed_over_as_it_is() {
        let order = tempfile::tempfile().unwrap();
        assert!(pack(&[], &FileData::new()).unwrap().is_none());
        let given = hand_over(order, None).unwrap();
        assert!(receive(given.into()).unwrap().1.is_none());
        let missing = pack(&[file(1)], &FileData::new());
        assert!(missing.is_err(), "data that is missing is not an empty file");
    }
}
