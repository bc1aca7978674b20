//! Messages with descriptors, between an agent and its keeper: a short text each, and at most two
//! descriptors.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::time::Duration;

use nix::cmsg_space;
use nix::errno::Errno;
use nix::sys::socket::sockopt::{ReceiveTimeout, SendTimeout};
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
    UnixAddr, accept4, bind, connect, listen, recv, recvmsg, sendmsg, setsockopt, socket,
};
use nix::sys::time::TimeVal;

/// Bytes of a text: a word, and the name of a run of some 40.
const TEXT_BYTES_MAX: usize = 128;

/// Descriptors in one message.
const FDS_MAX: usize = 2;

/// Agents that wait to be accepted.
const BACKLOG: i32 = 4;

/// A message.
#[derive(Debug)]
pub struct Message {
    /// Its text.
    pub text: String,
    /// Its descriptors.
    pub fds: Vec<OwnedFd>,
}

/// A socket that keeps the borders of messages.
#[derive(Debug)]
pub struct Channel(OwnedFd);

impl Channel {
    /// Takes over a descriptor.
    pub fn of(fd: OwnedFd) -> Channel {
        Channel(fd)
    }

    /// Gives the descriptor away.
    pub fn into_fd(self) -> OwnedFd {
        self.0
    }

    /// To who listens at this path. Everything that takes longer than `timeout` fails.
    pub fn connect(path: &Path, timeout: Duration) -> io::Result<Channel> {
        let channel = Channel(open()?);
        channel.time_out_after(timeout)?;
        at(path, |address| connect(channel.0.as_raw_fd(), address))?;
        Ok(channel)
    }

    /// Listens at this path, instead of whoever did before.
    pub fn listen(path: &Path) -> io::Result<Channel> {
        let channel = Channel(open()?);
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        at(path, |address| bind(channel.0.as_raw_fd(), address))?;
        listen(&channel.0, Backlog::new(BACKLOG)?)?;
        Ok(channel)
    }

    /// The next who connects.
    pub fn accept(&self, timeout: Duration) -> io::Result<Channel> {
        let fd = accept4(self.0.as_raw_fd(), SockFlag::SOCK_CLOEXEC)?;
        // SAFETY: it was just made and is owned by nothing else.
        let channel = Channel(unsafe { OwnedFd::from_raw_fd(fd) });
        channel.time_out_after(timeout)?;
        Ok(channel)
    }

    fn time_out_after(&self, timeout: Duration) -> io::Result<()> {
        let time = TimeVal::new(timeout.as_secs() as _, timeout.subsec_micros() as _);
        setsockopt(&self.0, ReceiveTimeout, &time)?;
        Ok(setsockopt(&self.0, SendTimeout, &time)?)
    }

    /// Sends a message.
    pub fn send(&self, text: &str, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        let fds: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&fds)];
        let rights = if fds.is_empty() { &rights[..0] } else { &rights };
        let text = [IoSlice::new(text.as_bytes())];
        let flags = MsgFlags::MSG_NOSIGNAL;
        sendmsg::<UnixAddr>(self.0.as_raw_fd(), &text, rights, flags, None)?;
        Ok(())
    }

    /// The next message; `None`: the other side is gone.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        let mut bytes = [0; TEXT_BYTES_MAX];
        let mut space = cmsg_space!([RawFd; FDS_MAX]);
        let mut text = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        let received = recvmsg::<UnixAddr>(self.0.as_raw_fd(), &mut text, Some(&mut space), flags)?;
        let fds = received.cmsgs()?.flat_map(|message| match message {
            ControlMessageOwned::ScmRights(fds) => fds,
            _ => Vec::new(),
        });
        // SAFETY: the kernel has just made them for this process.
        let fds = fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect();
        let length = received.bytes;
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        Ok((length > 0).then_some(Message { text, fds }))
    }

    /// Has the other side not closed it? Nothing must be on its way from there.
    pub fn is_open(&self) -> bool {
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        recv(self.0.as_raw_fd(), &mut [0], flags) == Err(Errno::EAGAIN)
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

fn open() -> io::Result<OwnedFd> {
    let (kind, flags) = (SockType::SeqPacket, SockFlag::SOCK_CLOEXEC);
    Ok(socket(AddressFamily::Unix, kind, flags, None)?)
}

/// Uses a path as an address, which has room for 108 bytes: through its directory, by a short name.
fn at(path: &Path, work: impl FnOnce(&UnixAddr) -> nix::Result<()>) -> io::Result<()> {
    let (Some(directory), Some(file)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let directory = File::open(directory)?;
    let short = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(file);
    Ok(work(&UnixAddr::new(&short)?)?)
}
