//! Errors of datagrams that were already sent: the system accepted them, and learned later that
//! there is no listener or no route.
//!
//! A socket that asks for such errors also gets one at once when the machine itself drops a
//! datagram (a full queue, a full table of neighbours). Without that option, sending reports
//! success (`IP_RECVERR` in ip(7)). The price: such an error ends the next call on the socket,
//! which is not related to it, and takes room in its receive buffer until it is read.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv4RecvErr, Ipv6RecvErr};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, setsockopt};

/// Asks for such errors on a socket that is bound to `addr`.
pub(super) fn ask(socket: &impl AsFd, addr: SocketAddr) -> io::Result<()> {
    setsockopt(socket, Ipv4RecvErr, &true)?;
    if addr.is_ipv6() {
        setsockopt(socket, Ipv6RecvErr, &true)?;
    }
    Ok(())
}

/// The next error of a datagram that was sent; `None` when all are read.
pub(super) fn next(socket: &impl AsFd) -> Option<Errno> {
    // Room also for the control messages that QUIC requests for every datagram.
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
