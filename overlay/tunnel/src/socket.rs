//! The UDP socket of the tunnel. Datagrams of one size to one peer leave in one call, and the kernel
//! hands over many at once.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

use nix::libc;
use nix::sys::socket::{setsockopt, sockopt};
use quinn_udp::{RecvMeta, Transmit, UdpSocketState};

use crate::engine::{PACKET_BYTES_MAX, ROOM};

/// Datagrams of one call to the kernel: its limit for one that it splits (UDP_MAX_SEGMENTS).
const SEGMENTS_MAX: usize = 64;

/// Bytes of one call to the kernel: less than an IP packet.
const BATCH_BYTES_MAX: usize = 60_000;

/// Buffers for datagrams that arrive. The kernel fills one with up to 64 that belong together.
const RECEIVE_BUFFERS: usize = 4;

/// What the kernel keeps while this process computes: at 1 Gbit/s, 30 ms.
const QUEUE_BYTES: usize = 4 * 1024 * 1024;

/// Could a tunnel open this port now?
///
/// # Errors
/// Why not, and what to do.
pub fn is_free(port: u16) -> Result<(), String> {
    bind(port).map(drop).map_err(|error| explain(port, &error))
}

/// Why a port cannot be opened, and what to do.
pub fn explain(port: u16, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "UDP port {port}, which encrypted networks use, is taken by another program of this \
             machine: end it (ss -ulpn 'sport = {port}' names it)"
        ),
        _ => format!("UDP port {port} cannot be opened: {error}"),
    }
}

fn bind(port: u16) -> io::Result<(UdpSocket, Families)> {
    let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    match UdpSocket::bind(any) {
        Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
            Ok((UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?, Families::Ipv4))
        }
        other => Ok((other?, Families::Both)),
    }
}

/// The socket.
pub struct Socket {
    socket: UdpSocket,
    state: UdpSocketState,
    families: Families,
}

/// The addresses that a socket takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Families {
    /// The machine has no IPv6.
    Ipv4,
    /// IPv4 addresses are written as IPv6.
    Both,
}

impl Families {
    fn destination(self, address: SocketAddr) -> SocketAddr {
        match (self, address.ip()) {
            (Families::Both, IpAddr::V4(ip)) => {
                SocketAddr::new(ip.to_ipv6_mapped().into(), address.port())
            }
            _ => address,
        }
    }
}

/// Where datagrams arrive.
#[derive(Default)]
pub struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    /// Memory is only used once something arrives in it.
    pub fn new() -> Buffers {
        Buffers(vec![vec![0; PACKET_BYTES_MAX]; RECEIVE_BUFFERS])
    }
}

impl Socket {
    /// Opens the port, for both families where the machine has both.
    ///
    /// # Errors
    /// The port is taken, most likely.
    pub fn open(port: u16) -> io::Result<Socket> {
        let (socket, families) = bind(port)?;
        let state = UdpSocketState::new((&socket).into())?;
        allow_fragments(&socket, families)?;
        // Without the right to exceed the machine's limit, the limit is what there is.
        for size in [QUEUE_BYTES, 1024 * 1024] {
            let _ = setsockopt(&socket, sockopt::RcvBufForce, &size);
            let _ = setsockopt(&socket, sockopt::SndBufForce, &size);
            if nix::sys::socket::getsockopt(&socket, sockopt::RcvBuf)? >= size {
                break;
            }
        }
        Ok(Socket { socket, state, families })
    }

    /// Takes what has arrived, up to some hundred datagrams.
    pub fn receive(&self, buffers: &mut Buffers, mut take: impl FnMut(SocketAddr, &[u8])) {
        let mut metas = [RecvMeta::default(); RECEIVE_BUFFERS];
        let mut slices: Vec<IoSliceMut<'_>> =
            buffers.0.iter_mut().map(|buffer| IoSliceMut::new(buffer)).collect();
        let socket = (&self.socket).into();
        // An error is one of an earlier datagram that could not be delivered.
        let Ok(count) = self.state.recv(socket, &mut slices, &mut metas) else { return };
        for (meta, buffer) in metas.iter().zip(&buffers.0).take(count) {
            let length = meta.len.min(buffer.len());
            let from = SocketAddr::new(meta.addr.ip().to_canonical(), meta.addr.port());
            for datagram in buffer[..length].chunks(meta.stride.max(1)) {
                take(from, datagram);
            }
        }
    }

    /// Sends one datagram.
    pub fn send(&self, to: SocketAddr, datagram: &[u8]) {
        let _ = self.transmit(to, datagram, None);
    }

    fn transmit(&self, to: SocketAddr, contents: &[u8], segment: Option<usize>) -> io::Result<()> {
        let destination = self.families.destination(to);
        let transmit =
            Transmit { destination, ecn: None, contents, segment_size: segment, src_ip: None };
        self.state.try_send((&self.socket).into(), &transmit)
    }

    /// Sends a batch. What cannot be sent is lost, as on the way.
    ///
    /// # Errors
    /// `WouldBlock`: the batch has to wait. No other.
    pub fn send_batch(&self, batch: &Batch) -> io::Result<()> {
        let Some(to) = batch.to else { return Ok(()) };
        let contents = &batch.buffer[..batch.length];
        let segment = (batch.count > 1).then_some(batch.segment);
        let segments_max = self.state.max_gso_segments();
        if batch.count <= segments_max {
            match self.transmit(to, contents, segment) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                // The kernel or the link splits no batches: one by one.
                Err(_) if segment.is_some() => {}
                _ => return Ok(()),
            }
        }
        for datagram in contents.chunks(batch.segment.max(1)) {
            self.send(to, datagram);
        }
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Packets larger than the link below are split, as the kernel's own WireGuard has it: a tunnel
/// inside a link of 1280 bytes would carry nothing otherwise. What is learned from strangers about
/// the path is ignored.
fn allow_fragments(socket: &UdpSocket, families: Families) -> io::Result<()> {
    setsockopt(socket, options::MtuDiscovery4, &libc::IP_PMTUDISC_OMIT)?;
    if families == Families::Both {
        setsockopt(socket, options::MtuDiscovery6, &libc::IPV6_PMTUDISC_OMIT)?;
        setsockopt(socket, sockopt::Ipv6DontFrag, &false)?;
    }
    Ok(())
}

/// Options that `nix` has no name for: how a socket finds the largest packet of a path.
mod options {
    use nix::{libc, setsockopt_impl, sockopt_impl};

    sockopt_impl!(
        /// Over IPv4.
        MtuDiscovery4,
        SetOnly,
        libc::IPPROTO_IP,
        libc::IP_MTU_DISCOVER,
        libc::c_int
    );

    sockopt_impl!(
        /// Over IPv6.
        MtuDiscovery6,
        SetOnly,
        libc::IPPROTO_IPV6,
        libc::IPV6_MTU_DISCOVER,
        libc::c_int
    );
}

/// Datagrams that leave together: to one peer, all of one size but for the last.
pub struct Batch {
    buffer: Vec<u8>,
    length: usize,
    segment: usize,
    count: usize,
    to: Option<SocketAddr>,
    is_closed: bool,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Batch {
        let buffer = vec![0; BATCH_BYTES_MAX + PACKET_BYTES_MAX + ROOM];
        Batch { buffer, length: 0, segment: 0, count: 0, to: None, is_closed: false }
    }

    /// Where the next datagram is to be written, which [`Batch::push`] then takes.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.length..]
    }

    /// Takes the datagram that was written. Returns whether there is room for another one to the
    /// same peer; if the datagram does not belong to this batch, it is moved to `next`.
    pub fn push(&mut self, to: SocketAddr, length: usize, next: &mut Batch) -> bool {
        let fits = match self.to {
            None => true,
            Some(held) => held == to && length <= self.segment && !self.is_closed,
        };
        if !fits {
            next.clear();
            next.buffer[..length].copy_from_slice(&self.buffer[self.length..self.length + length]);
            (next.to, next.segment, next.length, next.count) = (Some(to), length, length, 1);
            return false;
        }
        if self.count == 0 {
            self.segment = length;
        }
        self.to = Some(to);
        // A shorter one is the last: the kernel splits into equal parts.
        self.is_closed = length < self.segment;
        self.length += length;
        self.count += 1;
        self.count < SEGMENTS_MAX && self.length < BATCH_BYTES_MAX && !self.is_closed
    }

    /// Is there nothing to send?
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Forgets what was sent.
    pub fn clear(&mut self) {
        (self.length, self.segment, self.count, self.to) = (0, 0, 0, None);
        self.is_closed = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(number: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, number], 1))
    }

    #[test]
    fn a_batch_holds_equal_datagrams_for_one_peer_and_a_shorter_one_ends_it() {
        let (mut batch, mut next) = (Batch::new(), Batch::new());
        assert!(batch.push(at(1), 100, &mut next));
        assert!(batch.push(at(1), 100, &mut next));
        assert!(!batch.push(at(1), 60, &mut next));
        assert_eq!((batch.length, batch.count, next.is_empty()), (260, 3, true));
        for (to, length) in [(at(1), 60), (at(2), 100), (at(1), 101)] {
            let mut batch = Batch::new();
            batch.push(at(1), 100, &mut next);
            if length == 60 {
                batch.push(at(1), 50, &mut next);
            }
            batch.room()[0] = 7;
            assert!(!batch.push(to, length, &mut next));
            assert_eq!((next.to, next.length, next.count), (Some(to), length, 1));
            assert_eq!(next.buffer[0], 7);
        }
    }

    #[test]
    fn a_batch_is_never_larger_than_the_kernel_takes() {
        let (mut batch, mut next) = (Batch::new(), Batch::new());
        while batch.push(at(1), 1472, &mut next) {}
        assert!(batch.length <= 65_000 && batch.count <= SEGMENTS_MAX, "{}", batch.length);
        let mut batch = Batch::new();
        while batch.push(at(1), 40, &mut next) {}
        assert_eq!(batch.count, SEGMENTS_MAX);
    }
}
