//! Errors of datagrams that were sent: the system took them, and heard later that nobody listens
//! there or that no way leads there.
//!
//! A socket that asks for such news is also told at once when the machine itself throws a datagram
//! away (a full queue, a full table of neighbours); one that does not hears that it was sent
//! (`IP_RECVERR` in ip(7)). The price: such news ends the next call on the socket, which has nothing
//! to do with it, and takes room in its receive buffer until it is read.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};

/// Asks for such news of the datagrams of a socket that is bound to `addr`.
pub(super) fn ask(socket: &impl AsFd, addr: SocketAddr) -> io::Result<()> {
    setsockopt(socket, Ipv4RecvErr, &true)?;
    if addr.is_ipv6() {
        setsockopt(socket, Ipv6RecvErr, &true)?;
    }
    Ok(())
}

/// The next error of a datagram that was sent; none when all are read.
pub(super) fn next(socket: &impl AsFd) -> Option<Errno> {
    // Room for what QUIC asks to be told of every datagram as well.
    let mut space = nix::cmsg_space!([u8; 256]);
    let mut start = [0; 1];
    let mut buffers = [IoSliceMut::new(&mut start)];
    let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
    let fd = socket.as_fd().as_raw_fd();
    let read = recvmsg::<SockaddrStorage>(fd, &mut buffers, Some(&mut space), flags).ok()?;
    let error = read.cmsgs().ok().and_then(|mut notes| {
        notes.find_map(|note| match note {
            ControlMessageOwned::Ipv4RecvErr(error, _)
            | ControlMessageOwned::Ipv6RecvErr(error, _) => Some(error.ee_errno),
            _ => None,
        })
    });
    Some(error.map_or(Errno::UnknownErrno, |code| Errno::from_raw(code as i32)))
}
